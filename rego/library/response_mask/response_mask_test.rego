package ringfence.all

import rego.v2

response_mask_request := {
	"subject": {"vendor": "northwind"},
	"facts": {"account": {"roles": ["contractor"], "time_zone": "UTC"}},
	"request": {"time_ns": 1767614400000000000, "protocol": "http", "method": "GET", "path": ["v1", "claims"]},
	"resource": {"cluster": "claims"},
}

response_mask_sample := {"classes": {"personal": ["birth_date", "email"], "payment": ["iban"]}, "shown": {"northwind": ["personal"]}, "paths": ["/v1"]}

response_mask_of(vendor) := json.patch(response_mask_request, [{"op": "replace", "path": "/subject/vendor", "value": vendor}])

response_mask_everything := {{"mask": {"birth_date", "email", "iban"}}}

test_response_mask_by_vendor if {
	response_mask_obligations == {{"mask": {"iban"}}} with input as response_mask_request with data.ringfence.all.params.response_mask as response_mask_sample
	response_mask_obligations == response_mask_everything with input as response_mask_of("tallgrass") with data.ringfence.all.params.response_mask as response_mask_sample
}

test_response_mask_all_shown if {
	shown := object.union(response_mask_sample, {"shown": {"northwind": ["personal", "payment"]}})
	count(response_mask_obligations) == 0 with input as response_mask_request with data.ringfence.all.params.response_mask as shown
}

test_response_mask_paths if {
	other := json.patch(response_mask_of("tallgrass"), [{"op": "replace", "path": "/request/path", "value": ["v2"]}])
	count(response_mask_obligations) == 0 with input as other with data.ringfence.all.params.response_mask as response_mask_sample
	response_mask_obligations == response_mask_everything with input as other with data.ringfence.all.params.response_mask as object.union(response_mask_sample, {"paths": []})
	every path in [["V1"], ["v1/claims"], ["v1", ""]] {
		response_mask_obligations == response_mask_everything with input as json.patch(other, [{"op": "replace", "path": "/request/path", "value": path}])
			with data.ringfence.all.params.response_mask as response_mask_sample
	}
}

# What is not known blanks more, never less.
test_response_mask_without_a_field if {
	response_mask_obligations == response_mask_everything with input as json.remove(response_mask_request, ["subject/vendor"]) with data.ringfence.all.params.response_mask as response_mask_sample
	response_mask_obligations == response_mask_everything with input as json.remove(response_mask_request, ["subject"]) with data.ringfence.all.params.response_mask as response_mask_sample
	every field in ["facts", "request/method", "request/path"] {
		response_mask_obligations == {{"mask": {"iban"}}} with input as json.remove(response_mask_request, [field]) with data.ringfence.all.params.response_mask as response_mask_sample
	}
}

test_response_mask_is_said if {
	count(obligations & response_mask_obligations) == 1 with input as response_mask_request with data.ringfence.all.params.response_mask as response_mask_sample
}
