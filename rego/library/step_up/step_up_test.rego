package ringfence.all

import rego.v2

step_up_request := {
	"subject": {"vendor": "northwind"},
	"facts": {"account": {"roles": ["contractor"], "time_zone": "UTC"}},
	"request": {"time_ns": 1767614400000000000, "protocol": "http", "method": "GET", "path": ["v1", "claims"]},
	"resource": {"cluster": "claims"},
}

step_up_sample := {"paths": ["/export", "/admin/keys/"], "methods": [], "max_age": 300, "vendors": []}

step_up_at(path) := json.patch(step_up_request, [{"op": "replace", "path": "/request/path", "value": path}])

step_up_marked := step_up_at(["export", "all"])

test_step_up_marked if {
	every path in [["export"], ["export", "all"], ["EXPORT"], ["export", ""], ["export/all"], ["admin", "keys"]] {
		step_up_obligations == {{"max_code_age": 300}} with input as step_up_at(path) with data.ringfence.all.params.step_up as step_up_sample
	}
	every path in [[""], ["exports"], ["admin"], ["v1", "export"]] {
		count(step_up_obligations) == 0 with input as step_up_at(path) with data.ringfence.all.params.step_up as step_up_sample
	}
}

test_step_up_methods if {
	writing := object.union(step_up_sample, {"methods": ["POST"]})
	count(step_up_obligations) == 0 with input as step_up_marked with data.ringfence.all.params.step_up as writing
	every method in ["POST", 1] {
		count(step_up_obligations) == 1 with input as json.patch(step_up_marked, [{"op": "replace", "path": "/request/method", "value": method}])
			with data.ringfence.all.params.step_up as writing
	}
}

test_step_up_without_a_field if {
	every field in ["facts", "facts/account", "request/method", "request/path"] {
		count(step_up_obligations) == 1 with input as json.remove(step_up_marked, [field]) with data.ringfence.all.params.step_up as object.union(step_up_sample, {"methods": ["GET"]})
	}
}

test_step_up_other_vendors if {
	every vendor in ["tallgrass", "acme"] {
		count(step_up_obligations) == 0 with input as json.patch(step_up_marked, [{"op": "replace", "path": "/subject/vendor", "value": vendor}])
			with data.ringfence.all.params.step_up as object.union(step_up_sample, {"vendors": ["northwind"]})
	}
}

test_step_up_own_people if {
	count(step_up_obligations) == 0 with input as json.patch(json.remove(step_up_marked, ["subject/vendor"]), [{"op": "replace", "path": "/facts/account/roles", "value": ["reviewer"]}])
		with data.ringfence.all.params.step_up as object.union(step_up_sample, {"vendors": ["northwind"]})
}

test_step_up_vendor_named if {
	count(step_up_obligations) > 0 with input as step_up_marked
		with data.ringfence.all.params.step_up as object.union(step_up_sample, {"vendors": ["northwind"]})
}

# Whose vendor is not known is concerned.
test_step_up_vendor_missing if {
	count(step_up_obligations) > 0 with input as json.remove(step_up_marked, ["subject/vendor"])
		with data.ringfence.all.params.step_up as object.union(step_up_sample, {"vendors": ["northwind"]})
	count(step_up_obligations) > 0 with input as json.remove(step_up_marked, ["subject/vendor", "facts/account/roles"])
		with data.ringfence.all.params.step_up as object.union(step_up_sample, {"vendors": ["northwind"]})
}

test_step_up_is_said if {
	count(obligations & step_up_obligations) == 1 with input as step_up_marked with data.ringfence.all.params.step_up as step_up_sample
}
