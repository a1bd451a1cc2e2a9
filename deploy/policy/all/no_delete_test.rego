package ringfence.all_test

import rego.v2

import data.ringfence.all

deletes(roles) if {
	some reason in all.deny with input as {"subject": {"roles": roles}, "request": {"method": "DELETE"}}
	reason.code == "no_delete"
}

test_contractor_cannot_delete if deletes(["contractor"])

test_somebody_without_roles_cannot_delete if {
	deletes([])
	some reason in all.deny with input as {"subject": {}, "request": {"method": "DELETE"}}
	reason.code == "no_delete"
}

test_own_people_can if not deletes(["administrator"])

test_other_methods_are_untouched if {
	every method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH"] {
		count(all.deny) == 0 with input as {"subject": {"roles": ["contractor"]}, "request": {"method": method}}
	}
}
