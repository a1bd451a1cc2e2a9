package ringfence.all

import rego.v2

# What this module denies, whatever others say.
vendor_rules_denials := {reason.code |
	some reason in deny
	reason.code in {"vendor_rules_method", "vendor_rules_path", "vendor_rules_zone"}
}

vendor_rules_request := {
	"subject": {"vendor": "northwind"},
	"facts": {"account": {"roles": ["contractor"], "time_zone": "UTC"}},
	"request": {"time_ns": 1767614400000000000, "protocol": "http", "method": "GET", "path": ["v1", "claims"]},
	"resource": {"cluster": "claims"},
}

vendor_rules_sample := {"vendors": ["northwind"], "methods": ["GET", "HEAD"], "paths": ["/v1"], "zones": ["office"]}

vendor_rules_good := json.patch(vendor_rules_request, [{"op": "add", "path": "/facts/zone", "value": "office"}])

vendor_rules_changed(path, value) := json.patch(vendor_rules_good, [{"op": "replace", "path": path, "value": value}])

vendor_rules_bad := json.patch(vendor_rules_good, [
	{"op": "replace", "path": "/request/method", "value": "PUT"},
	{"op": "replace", "path": "/request/path", "value": ["v2"]},
	{"op": "replace", "path": "/facts/zone", "value": "home"},
])

test_vendor_rules_within if count(vendor_rules_denials) == 0 with input as vendor_rules_good with data.ringfence.all.params.vendor_rules as vendor_rules_sample

test_vendor_rules_method if {
	vendor_rules_denials == {"vendor_rules_method"} with input as vendor_rules_changed("/request/method", "PUT") with data.ringfence.all.params.vendor_rules as vendor_rules_sample
	vendor_rules_denials == {"vendor_rules_method"} with input as vendor_rules_changed("/request/protocol", "websocket") with data.ringfence.all.params.vendor_rules as vendor_rules_sample
}

test_vendor_rules_path if {
	every path in [["v2"], ["V1"], ["v1/x"], [""], ["x", "v1"]] {
		vendor_rules_denials == {"vendor_rules_path"} with input as vendor_rules_changed("/request/path", path) with data.ringfence.all.params.vendor_rules as vendor_rules_sample
	}
}

test_vendor_rules_zone if vendor_rules_denials == {"vendor_rules_zone"} with input as vendor_rules_changed("/facts/zone", "home") with data.ringfence.all.params.vendor_rules as vendor_rules_sample

test_vendor_rules_other_vendor if {
	count(vendor_rules_denials) == 0 with input as json.patch(vendor_rules_bad, [{"op": "replace", "path": "/subject/vendor", "value": "tallgrass"}])
		with data.ringfence.all.params.vendor_rules as vendor_rules_sample
}

test_vendor_rules_own_people if {
	count(vendor_rules_denials) == 0 with input as json.patch(json.remove(vendor_rules_bad, ["subject/vendor"]), [{"op": "replace", "path": "/facts/account/roles", "value": ["approver"]}])
		with data.ringfence.all.params.vendor_rules as vendor_rules_sample
}

test_vendor_rules_nothing_narrowed if {
	count(vendor_rules_denials) == 0 with input as vendor_rules_bad with data.ringfence.all.params.vendor_rules as object.union(vendor_rules_sample, {"methods": [], "paths": [], "zones": []})
}

test_vendor_rules_without_a_field if {
	every field in ["subject/vendor", "facts", "facts/account/roles", "facts/zone", "request/method", "request/protocol", "request/path"] {
		count(vendor_rules_denials) > 0 with input as json.remove(vendor_rules_bad, [field]) with data.ringfence.all.params.vendor_rules as vendor_rules_sample
		count(vendor_rules_denials) > 0 with input as json.remove(vendor_rules_good, [field]) with data.ringfence.all.params.vendor_rules as object.union(vendor_rules_sample, {"vendors": ["northwind", "acme"], "zones": ["vpn"]})
	}
}
