package ringfence.main_test

import rego.v2

import data.ringfence.main
import data.ringfence.sample

codes(decision) := {reason.code | some reason in decision.reasons}

test_allowed if {
	main.decision == {"effect": "allow", "reasons": set(), "obligations": set()} with input as sample.request
}

test_anonymous_is_a_challenge_without_facts if {
	d := main.decision with input as {"version": 1, "subject": {}, "request": {}, "resource": {}}
	d.effect == "challenge"
	codes(d) == {"sign_in_required"}
}

test_anonymous_is_a_challenge_whatever_else if {
	d := main.decision with input as object.remove(sample.request, ["subject"])
	d.effect == "challenge"
	codes(d) == {"sign_in_required"}
}

test_deny_beats_challenge if {
	d := main.decision with input as sample.with_values([
		{"op": "replace", "path": "/subject/factors", "value": {}},
		{"op": "replace", "path": "/facts/vendor/status", "value": "suspended"},
	])
	d.effect == "deny"
	codes(d) == {"vendor_not_active"}
}

test_challenges_come_together if {
	d := main.decision with input as sample.with_values([
		{"op": "replace", "path": "/subject/factors", "value": {}},
		{"op": "replace", "path": "/facts/agreements/0/accepted_version", "value": 0},
	])
	d.effect == "challenge"
	codes(d) == {"second_factor", "agreement_missing"}
}

test_administrators_deny if {
	d := main.decision with input as sample.request
		with data.ringfence.all.deny as {{"code": "closed", "message": "Closed."}}
		with data.ringfence.clusters as {"claims": {"deny": {{"code": "night", "message": "Night."}}}}
	d.effect == "deny"
	codes(d) == {"closed", "night"}
}

test_another_clusters_policy_does_not_count if {
	d := main.decision with input as sample.request
		with data.ringfence.clusters as {"payroll": {"deny": {{"code": "night", "message": "Night."}}}}
	d.effect == "allow"
}

test_administrators_challenge if {
	d := main.decision with input as sample.request
		with data.ringfence.clusters as {"claims": {"challenge": {{"code": "ticket", "message": "Ticket."}}}}
	d.effect == "challenge"
	codes(d) == {"ticket"}
}

test_obligations_are_collected if {
	d := main.decision with input as sample.request
		with data.ringfence.all.obligations as {{"mask": ["iban"]}}
		with data.ringfence.clusters as {"claims": {"obligations": {{"max_code_age": 60}}}}
	d == {"effect": "allow", "reasons": set(), "obligations": {{"mask": ["iban"]}, {"max_code_age": 60}}}
}

# A scope that defines allow allows nothing but true.
test_allow_of_administrators[name] if {
	some name, example in {
		"true": {"all": {"allow": true}, "codes": set()},
		"false": {"all": {"allow": false}, "codes": {"policy_not_allowed"}},
		"undefined": {"all": {}, "codes": {"policy_not_allowed"}},
		"text": {"all": {"allow": "true"}, "codes": {"policy_not_allowed"}},
	}
	d := main.decision with input as sample.request with data.ringfence.demands as {"all": true} with data.ringfence.all as example.all
	codes(d) == example.codes
}

test_allow_of_a_cluster if {
	d := main.decision with input as sample.request
		with data.ringfence.demands as {"clusters": {"claims": true}}
		with data.ringfence.clusters as {"claims": {}}
	codes(d) == {"policy_not_allowed"}
}

test_allow_does_not_widen if {
	d := main.decision with input as object.remove(sample.request, ["facts"])
		with data.ringfence.demands as {"all": true}
		with data.ringfence.all as {"allow": true}
	codes(d) == {"facts_missing"}
}

test_what_no_reason_words_is_missing_facts if {
	d := main.decision with input as sample.with_values([{"op": "replace", "path": "/version", "value": 2}])
	codes(d) == {"facts_missing"}
}
