package ringfence.all_test

import rego.v2

import data.ringfence.all

an_hour := {"max_code_age": 3600}

test_restricted_data_needs_a_fresh_code if {
	an_hour in all.obligations with input as {"resource": {"classification": "restricted"}}
}

test_other_data_does_not if {
	every classification in ["public", "internal", "confidential"] {
		not an_hour in all.obligations with input as {"resource": {"classification": classification}}
	}
}

test_unknown_classification_counts_as_restricted if {
	an_hour in all.obligations with input as {"resource": {"classification": "secret"}}
	an_hour in all.obligations with input as {"resource": {}}
}
