package ringfence.all_test

import rego.v2

import data.ringfence.all

codes := {reason.code | some reason in all.deny}

test_restricted_from_the_office if {
	codes == set() with input as {"resource": {"classification": "restricted"}, "facts": {"zone": "office"}}
}

test_restricted_from_elsewhere if {
	codes == {"outside_office"} with input as {"resource": {"classification": "restricted"}, "facts": {"zone": "home"}}
}

test_unknown if {
	codes == {"classification_unknown", "outside_office"} with input as {}
}
