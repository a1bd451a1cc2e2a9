package ringfence.all

import rego.v2

# What this module denies, whatever others say.
working_hours_denials := {reason.code |
	some reason in deny
	reason.code in {"working_hours"}
}

working_hours_request := {
	"subject": {"vendor": "northwind"},
	"facts": {"account": {"roles": ["contractor"], "time_zone": "UTC"}},
	"request": {"time_ns": 1767614400000000000, "protocol": "http", "method": "GET", "path": ["v1", "claims"]},
	"resource": {"cluster": "claims"},
}

working_hours_sample := {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "until": "18:00", "time_zone": "", "closed": ["2026-01-06"], "vendors": []}

working_hours_moved(hours) := json.patch(working_hours_request, [{"op": "replace", "path": "/request/time_ns", "value": 1767614400000000000 + (hours * 3600000000000)}])

working_hours_late := working_hours_moved(9)

test_working_hours_open if {
	every hours in [-4, 0, 5] {
		count(working_hours_denials) == 0 with input as working_hours_moved(hours) with data.ringfence.all.params.working_hours as working_hours_sample
	}
}

# Before and after, on a day off, on a Saturday.
test_working_hours_closed if {
	every hours in [-5, 6, 9, 24, 120] {
		"working_hours" in working_hours_denials with input as working_hours_moved(hours) with data.ringfence.all.params.working_hours as working_hours_sample
	}
}

# Noon in UTC is the evening in Auckland, and the morning in Los Angeles.
test_working_hours_zone[zone] if {
	some zone, denials in {"Pacific/Auckland": 1, "America/Los_Angeles": 1, "Asia/Kolkata": 0, "Europe/Lisbon": 0}
	count(working_hours_denials) == denials with input as json.patch(working_hours_request, [{"op": "replace", "path": "/facts/account/time_zone", "value": zone}])
		with data.ringfence.all.params.working_hours as working_hours_sample
}

test_working_hours_zone_of_the_parameters if {
	count(working_hours_denials) == 1 with input as working_hours_request with data.ringfence.all.params.working_hours as object.union(working_hours_sample, {"time_zone": "Asia/Tokyo"})
	count(working_hours_denials) == 0 with input as json.remove(working_hours_request, ["facts/account/time_zone"])
		with data.ringfence.all.params.working_hours as object.union(working_hours_sample, {"time_zone": "UTC"})
}

test_working_hours_over_midnight if {
	night := object.union(working_hours_sample, {"days": ["mon"], "from": "22:00", "until": "06:00"})
	every hours, denials in {"11": 0, "15": 0, "18": 1, "9": 1} {
		count(working_hours_denials) == denials with input as working_hours_moved(to_number(hours))
			with data.ringfence.all.params.working_hours as object.union(night, {"closed": []})
	}
	count(working_hours_denials) == 1 with input as working_hours_moved(-9) with data.ringfence.all.params.working_hours as night
}

test_working_hours_without_a_field if {
	every field in ["facts", "facts/account", "facts/account/time_zone", "facts/account/roles", "request/time_ns", "request/path"] {
		count(working_hours_denials) == 1 with input as json.remove(working_hours_late, [field]) with data.ringfence.all.params.working_hours as working_hours_sample
	}
	count(working_hours_denials) == 1 with input as json.remove(working_hours_request, ["facts/account/time_zone"]) with data.ringfence.all.params.working_hours as working_hours_sample
}

test_working_hours_other_vendors if {
	every vendor in ["tallgrass", "acme"] {
		count(working_hours_denials) == 0 with input as json.patch(working_hours_late, [{"op": "replace", "path": "/subject/vendor", "value": vendor}])
			with data.ringfence.all.params.working_hours as object.union(working_hours_sample, {"vendors": ["northwind"]})
	}
}

test_working_hours_own_people if {
	count(working_hours_denials) == 0 with input as json.patch(json.remove(working_hours_late, ["subject/vendor"]), [{"op": "replace", "path": "/facts/account/roles", "value": ["reviewer"]}])
		with data.ringfence.all.params.working_hours as object.union(working_hours_sample, {"vendors": ["northwind"]})
}

test_working_hours_vendor_named if {
	count(working_hours_denials) > 0 with input as working_hours_late
		with data.ringfence.all.params.working_hours as object.union(working_hours_sample, {"vendors": ["northwind"]})
}

# Whose vendor is not known is concerned.
test_working_hours_vendor_missing if {
	count(working_hours_denials) > 0 with input as json.remove(working_hours_late, ["subject/vendor"])
		with data.ringfence.all.params.working_hours as object.union(working_hours_sample, {"vendors": ["northwind"]})
	count(working_hours_denials) > 0 with input as json.remove(working_hours_late, ["subject/vendor", "facts/account/roles"])
		with data.ringfence.all.params.working_hours as object.union(working_hours_sample, {"vendors": ["northwind"]})
}
