package ringfence.all

import rego.v2

# What this module denies, whatever others say.
change_freeze_denials := {reason.code |
	some reason in deny
	reason.code in {"change_freeze"}
}

change_freeze_request := {
	"subject": {"vendor": "northwind"},
	"facts": {"account": {"roles": ["contractor"], "time_zone": "UTC"}},
	"request": {"time_ns": 1767614400000000000, "protocol": "http", "method": "GET", "path": ["v1", "claims"]},
	"resource": {"cluster": "claims"},
}

change_freeze_sample := {"periods": [{"from": "2026-01-05T08:00:00Z", "until": "2026-01-05T18:00:00Z"}, {"from": "2026-02-01T00:00:00+01:00", "until": "2026-02-02T00:00:00+01:00"}], "vendors": []}

change_freeze_put := json.patch(change_freeze_request, [{"op": "replace", "path": "/request/method", "value": "PUT"}])

change_freeze_moved(hours) := json.patch(change_freeze_put, [{"op": "replace", "path": "/request/time_ns", "value": 1767614400000000000 + (hours * 3600000000000)}])

test_change_freeze_reading if count(change_freeze_denials) == 0 with input as change_freeze_request with data.ringfence.all.params.change_freeze as change_freeze_sample

test_change_freeze_changing if {
	every hours in [-4, 0, 5] {
		"change_freeze" in change_freeze_denials with input as change_freeze_moved(hours) with data.ringfence.all.params.change_freeze as change_freeze_sample
	}
	every hours in [-5, 6, 48] {
		count(change_freeze_denials) == 0 with input as change_freeze_moved(hours) with data.ringfence.all.params.change_freeze as change_freeze_sample
	}
}

# The second period begins at 23:00 UTC on 31 January.
test_change_freeze_offsets if {
	count(change_freeze_denials) == 0 with input as change_freeze_moved(634) with data.ringfence.all.params.change_freeze as change_freeze_sample
	count(change_freeze_denials) == 1 with input as change_freeze_moved(635) with data.ringfence.all.params.change_freeze as change_freeze_sample
}

test_change_freeze_websocket if {
	count(change_freeze_denials) == 1 with input as json.patch(change_freeze_request, [{"op": "replace", "path": "/request/protocol", "value": "websocket"}])
		with data.ringfence.all.params.change_freeze as change_freeze_sample
}

test_change_freeze_without_a_field if {
	every field in ["facts", "facts/account", "request/method", "request/protocol", "request/time_ns"] {
		count(change_freeze_denials) == 1 with input as json.remove(change_freeze_put, [field]) with data.ringfence.all.params.change_freeze as change_freeze_sample
	}
}

test_change_freeze_other_vendors if {
	every vendor in ["tallgrass", "acme"] {
		count(change_freeze_denials) == 0 with input as json.patch(change_freeze_put, [{"op": "replace", "path": "/subject/vendor", "value": vendor}])
			with data.ringfence.all.params.change_freeze as object.union(change_freeze_sample, {"vendors": ["northwind"]})
	}
}

test_change_freeze_own_people if {
	count(change_freeze_denials) == 0 with input as json.patch(json.remove(change_freeze_put, ["subject/vendor"]), [{"op": "replace", "path": "/facts/account/roles", "value": ["reviewer"]}])
		with data.ringfence.all.params.change_freeze as object.union(change_freeze_sample, {"vendors": ["northwind"]})
}

test_change_freeze_vendor_named if {
	count(change_freeze_denials) > 0 with input as change_freeze_put
		with data.ringfence.all.params.change_freeze as object.union(change_freeze_sample, {"vendors": ["northwind"]})
}

# Whose vendor is not known is concerned.
test_change_freeze_vendor_missing if {
	count(change_freeze_denials) > 0 with input as json.remove(change_freeze_put, ["subject/vendor"])
		with data.ringfence.all.params.change_freeze as object.union(change_freeze_sample, {"vendors": ["northwind"]})
	count(change_freeze_denials) > 0 with input as json.remove(change_freeze_put, ["subject/vendor", "facts/account/roles"])
		with data.ringfence.all.params.change_freeze as object.union(change_freeze_sample, {"vendors": ["northwind"]})
}
