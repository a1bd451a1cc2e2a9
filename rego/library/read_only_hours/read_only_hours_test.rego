package ringfence.all

import rego.v2

# What this module denies, whatever others say.
read_only_hours_denials := {reason.code |
	some reason in deny
	reason.code in {"read_only_hours"}
}

read_only_hours_request := {
	"subject": {"vendor": "northwind"},
	"facts": {"account": {"roles": ["contractor"], "time_zone": "UTC"}},
	"request": {"time_ns": 1767614400000000000, "protocol": "http", "method": "GET", "path": ["v1", "claims"]},
	"resource": {"cluster": "claims"},
}

read_only_hours_sample := {"days": ["mon"], "from": "20:00", "until": "06:00", "time_zone": "UTC", "vendors": []}

read_only_hours_moved(hours) := json.patch(read_only_hours_request, [
	{"op": "replace", "path": "/request/method", "value": "DELETE"},
	{"op": "replace", "path": "/request/time_ns", "value": 1767614400000000000 + (hours * 3600000000000)},
])

read_only_hours_night := read_only_hours_moved(9)

test_read_only_hours_changing if {
	every hours in [8, 12, 17] {
		"read_only_hours" in read_only_hours_denials with input as read_only_hours_moved(hours) with data.ringfence.all.params.read_only_hours as read_only_hours_sample
	}
	every hours in [0, 7, 18, 32] {
		count(read_only_hours_denials) == 0 with input as read_only_hours_moved(hours) with data.ringfence.all.params.read_only_hours as read_only_hours_sample
	}
}

test_read_only_hours_within_a_day if {
	day := object.union(read_only_hours_sample, {"from": "08:00", "until": "18:00", "time_zone": "Asia/Tokyo"})
	count(read_only_hours_denials) == 1 with input as read_only_hours_moved(-4) with data.ringfence.all.params.read_only_hours as day
	count(read_only_hours_denials) == 0 with input as read_only_hours_moved(0) with data.ringfence.all.params.read_only_hours as day
}

test_read_only_hours_reading if {
	count(read_only_hours_denials) == 0 with input as json.patch(read_only_hours_night, [{"op": "replace", "path": "/request/method", "value": "GET"}])
		with data.ringfence.all.params.read_only_hours as read_only_hours_sample
}

test_read_only_hours_without_a_field if {
	every field in ["facts", "facts/account", "request/method", "request/protocol", "request/time_ns"] {
		count(read_only_hours_denials) == 1 with input as json.remove(read_only_hours_night, [field]) with data.ringfence.all.params.read_only_hours as read_only_hours_sample
	}
}

test_read_only_hours_other_vendors if {
	every vendor in ["tallgrass", "acme"] {
		count(read_only_hours_denials) == 0 with input as json.patch(read_only_hours_night, [{"op": "replace", "path": "/subject/vendor", "value": vendor}])
			with data.ringfence.all.params.read_only_hours as object.union(read_only_hours_sample, {"vendors": ["northwind"]})
	}
}

test_read_only_hours_own_people if {
	count(read_only_hours_denials) == 0 with input as json.patch(json.remove(read_only_hours_night, ["subject/vendor"]), [{"op": "replace", "path": "/facts/account/roles", "value": ["reviewer"]}])
		with data.ringfence.all.params.read_only_hours as object.union(read_only_hours_sample, {"vendors": ["northwind"]})
}

test_read_only_hours_vendor_named if {
	count(read_only_hours_denials) > 0 with input as read_only_hours_night
		with data.ringfence.all.params.read_only_hours as object.union(read_only_hours_sample, {"vendors": ["northwind"]})
}

# Whose vendor is not known is concerned.
test_read_only_hours_vendor_missing if {
	count(read_only_hours_denials) > 0 with input as json.remove(read_only_hours_night, ["subject/vendor"])
		with data.ringfence.all.params.read_only_hours as object.union(read_only_hours_sample, {"vendors": ["northwind"]})
	count(read_only_hours_denials) > 0 with input as json.remove(read_only_hours_night, ["subject/vendor", "facts/account/roles"])
		with data.ringfence.all.params.read_only_hours as object.union(read_only_hours_sample, {"vendors": ["northwind"]})
}
