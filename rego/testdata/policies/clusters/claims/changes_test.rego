package ringfence.clusters["claims"]

import rego.v2

wednesday := 1772625600000000000

test_reading_needs_no_ticket if allow with input as {"request": {"method": "GET"}}

test_changing_needs_a_ticket if {
	allow with input as {"request": {"method": "PUT", "time_ns": wednesday, "headers": {"x-ticket": "CLM-12"}}}
	not allow with input as {"request": {"method": "PUT", "time_ns": wednesday, "headers": {"x-ticket": "12"}}}
	not allow with input as {"request": {"method": "PUT", "time_ns": wednesday}}
}

test_not_on_sundays if {
	sunday := wednesday + ((((4 * 24) * 3600) * 1000) * 1000000)
	not allow with input as {"request": {"method": "PUT", "time_ns": sunday, "headers": {"x-ticket": "CLM-12"}}}
}
