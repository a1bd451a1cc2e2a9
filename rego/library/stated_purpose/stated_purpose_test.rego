package ringfence.all

import rego.v2

# What this module denies, whatever others say.
stated_purpose_denials := {reason.code |
	some reason in deny
	reason.code in {"stated_purpose"}
}

stated_purpose_request := {
	"subject": {"vendor": "northwind"},
	"facts": {"account": {"roles": ["contractor"], "time_zone": "UTC"}},
	"request": {"time_ns": 1767614400000000000, "protocol": "http", "method": "GET", "path": ["v1", "claims"]},
	"resource": {"cluster": "claims"},
}

stated_purpose_sample := {"demand": "ticket", "ticket": "OPS-[0-9]+", "purpose": ".{10,}", "methods": ["GET"], "paths": ["/v1"], "vendors": []}

stated_purpose_saying(headers) := json.patch(stated_purpose_request, [{"op": "add", "path": "/request/headers", "value": headers}])

test_stated_purpose_ticket if {
	count(stated_purpose_denials) == 0 with input as stated_purpose_saying({"x-ticket": "OPS-7"}) with data.ringfence.all.params.stated_purpose as stated_purpose_sample
	every headers in [{}, {"x-ticket": ""}, {"x-ticket": "OPS-7 or so"}, {"x-ticket": "XOPS-7"}, {"x-ticket": "OPS-7, OPS-8"}, {"x-purpose": "repairing claim 7"}] {
		"stated_purpose" in stated_purpose_denials with input as stated_purpose_saying(headers) with data.ringfence.all.params.stated_purpose as stated_purpose_sample
	}
}

test_stated_purpose_purpose if {
	purpose := object.union(stated_purpose_sample, {"demand": "purpose"})
	count(stated_purpose_denials) == 0 with input as stated_purpose_saying({"x-purpose": "repairing claim 7"}) with data.ringfence.all.params.stated_purpose as purpose
	count(stated_purpose_denials) == 1 with input as stated_purpose_saying({"x-purpose": "work"}) with data.ringfence.all.params.stated_purpose as purpose
	count(stated_purpose_denials) == 1 with input as stated_purpose_saying({"x-ticket": "OPS-7"}) with data.ringfence.all.params.stated_purpose as purpose
}

test_stated_purpose_either if {
	every headers in [{"x-purpose": "repairing claim 7"}, {"x-ticket": "OPS-7"}] {
		count(stated_purpose_denials) == 0 with input as stated_purpose_saying(headers) with data.ringfence.all.params.stated_purpose as object.union(stated_purpose_sample, {"demand": "either"})
	}
}

test_stated_purpose_not_asked if {
	count(stated_purpose_denials) == 0 with input as json.patch(stated_purpose_request, [{"op": "replace", "path": "/request/path", "value": ["v2"]}])
		with data.ringfence.all.params.stated_purpose as stated_purpose_sample
	count(stated_purpose_denials) == 0 with input as stated_purpose_request with data.ringfence.all.params.stated_purpose as object.union(stated_purpose_sample, {"methods": ["POST"]})
	count(stated_purpose_denials) == 1 with input as stated_purpose_request with data.ringfence.all.params.stated_purpose as object.union(stated_purpose_sample, {"methods": [], "paths": []})
}

test_stated_purpose_without_a_field if {
	every field in ["facts", "facts/account", "request/method", "request/path", "request/headers", "request/headers/x-ticket"] {
		count(stated_purpose_denials) == 1 with input as json.remove(stated_purpose_saying({"x-ticket": "none"}), [field]) with data.ringfence.all.params.stated_purpose as stated_purpose_sample
	}
}

test_stated_purpose_other_vendors if {
	every vendor in ["tallgrass", "acme"] {
		count(stated_purpose_denials) == 0 with input as json.patch(stated_purpose_request, [{"op": "replace", "path": "/subject/vendor", "value": vendor}])
			with data.ringfence.all.params.stated_purpose as object.union(stated_purpose_sample, {"vendors": ["northwind"]})
	}
}

test_stated_purpose_own_people if {
	count(stated_purpose_denials) == 0 with input as json.patch(json.remove(stated_purpose_request, ["subject/vendor"]), [{"op": "replace", "path": "/facts/account/roles", "value": ["reviewer"]}])
		with data.ringfence.all.params.stated_purpose as object.union(stated_purpose_sample, {"vendors": ["northwind"]})
}

test_stated_purpose_vendor_named if {
	count(stated_purpose_denials) > 0 with input as stated_purpose_request
		with data.ringfence.all.params.stated_purpose as object.union(stated_purpose_sample, {"vendors": ["northwind"]})
}

# Whose vendor is not known is concerned.
test_stated_purpose_vendor_missing if {
	count(stated_purpose_denials) > 0 with input as json.remove(stated_purpose_request, ["subject/vendor"])
		with data.ringfence.all.params.stated_purpose as object.union(stated_purpose_sample, {"vendors": ["northwind"]})
	count(stated_purpose_denials) > 0 with input as json.remove(stated_purpose_request, ["subject/vendor", "facts/account/roles"])
		with data.ringfence.all.params.stated_purpose as object.union(stated_purpose_sample, {"vendors": ["northwind"]})
}
