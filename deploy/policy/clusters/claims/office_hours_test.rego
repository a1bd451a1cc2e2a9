package ringfence.clusters.claims_test

import rego.v2

import data.ringfence.clusters.claims

closed(moment) if {
	some reason in claims.deny with input as {"request": {"time_ns": time.parse_rfc3339_ns(moment)}}
	reason.code == "outside_office_hours"
}

test_open_on_a_weekday if {
	not closed("2026-11-23T07:00:00+01:00")
	not closed("2026-11-27T18:59:59+01:00")
}

test_closed_at_night if {
	closed("2026-11-23T06:59:59+01:00")
	closed("2026-11-23T19:00:00+01:00")
}

test_closed_at_the_weekend if {
	closed("2026-11-28T12:00:00+01:00")
	closed("2026-11-29T12:00:00+01:00")
}

# The clock in Berlin counts, in summer as in winter, wherever the gateway stands.
test_summer_time if {
	not closed("2026-07-01T05:00:00Z")
	closed("2026-07-01T04:59:59Z")
	closed("2026-01-14T05:00:00Z")
}

test_closed_when_the_time_is_not_known if {
	some reason in claims.deny with input as {"request": {}}
	reason.code == "outside_office_hours"
}
