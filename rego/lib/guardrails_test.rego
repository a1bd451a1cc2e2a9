package ringfence.guardrails_test

import rego.v2

import data.ringfence.guardrails
import data.ringfence.sample

codes := {reason.code | some reason in guardrails.deny}

test_permitted_and_cleared if {
	guardrails.permitted with input as sample.request
	guardrails.cleared with input as sample.request
	guardrails.deny == set() with input as sample.request
}

# Each of these denies for the one reason that is named.
test_denied[name] if {
	some name, example in {
		"account disabled": {"input": sample.replaced("/facts/account/status", "disabled"), "code": "account_not_active"},
		"account invited": {"input": sample.replaced("/facts/account/status", "invited"), "code": "account_not_active"},
		"account ended": {"input": sample.replaced("/facts/account/ends_ns", sample.now), "code": "account_ended"},
		"account's end unreadable": {"input": sample.replaced("/facts/account/ends_ns", "2030"), "code": "account_ended"},
		"another account's facts": {"input": sample.replaced("/facts/account/id", "a2"), "code": "facts_missing"},
		"vendor suspended": {"input": sample.replaced("/facts/vendor/status", "suspended"), "code": "vendor_not_active"},
		"another vendor": {"input": sample.replaced("/facts/vendor/name", "fabrikam"), "code": "vendor_not_active"},
		"vendor unknown": {"input": sample.removed("/facts/vendor"), "code": "vendor_not_active"},
		"no assignment": {"input": sample.removed("/facts/assignment"), "code": "no_assignment"},
		"no engagement": {"input": sample.removed("/facts/engagement"), "code": "no_assignment"},
		"assignment to come": {"input": sample.replaced("/facts/assignment/starts_ns", sample.now + 1), "code": "assignment_not_started"},
		"assignment over": {"input": sample.replaced("/facts/assignment/ends_ns", sample.now), "code": "assignment_ended"},
		"engagement closed": {"input": sample.replaced("/facts/engagement/status", "closed"), "code": "engagement_not_active"},
		"engagement to come": {"input": sample.replaced("/facts/engagement/starts_ns", sample.now + 1), "code": "engagement_not_started"},
		"engagement over": {"input": sample.replaced("/facts/engagement/ends_ns", sample.now), "code": "engagement_ended"},
		"cluster not covered": {"input": sample.replaced("/resource/cluster", "payroll"), "code": "cluster_not_covered"},
	}
	not guardrails.permitted with input as example.input
	codes == {example.code} with input as example.input
}

# The first instant belongs to an assignment, the last does not.
test_bounds if {
	guardrails.permitted with input as sample.replaced("/facts/assignment/starts_ns", sample.now)
	guardrails.permitted with input as sample.replaced("/facts/engagement/starts_ns", sample.now)
	guardrails.permitted with input as sample.replaced("/facts/assignment/ends_ns", sample.now + 1)
}

test_account_without_an_end if {
	guardrails.permitted with input as sample.removed("/facts/account/ends_ns")
}

own(roles) := sample.with_values([
	{"op": "remove", "path": "/facts/vendor"},
	{"op": "remove", "path": "/subject/vendor"},
	{"op": "replace", "path": "/facts/account/roles", "value": roles},
])

test_own_people_need_no_vendor if {
	every role in ["administrator", "approver", "reviewer"] {
		guardrails.permitted with input as own([role])
	}
}

test_contractors_need_a_vendor if {
	every roles in [["contractor"], ["administrator", "contractor"], ["visitor"], []] {
		codes == {"vendor_not_active"} with input as own(roles)
		not guardrails.permitted with input as own(roles)
	}
}

test_own_people_need_an_assignment if {
	i := json.remove(own(["administrator"]), ["facts/assignment", "facts/engagement"])
	codes == {"no_assignment"} with input as i
}

test_vendor_in_the_facts_alone_is_looked_at if {
	i := json.patch(own(["reviewer"]), [{"op": "add", "path": "/facts/vendor", "value": {"name": "northwind", "status": "suspended"}}])
	codes == {"vendor_not_active"} with input as i
}

token(cluster) := sample.with_values([
	{"op": "replace", "path": "/subject/credential", "value": "token"},
	{"op": "add", "path": "/subject/token_cluster", "value": cluster},
])

test_token_of_the_cluster if guardrails.permitted with input as token("claims")

test_token_of_another_cluster if {
	not guardrails.permitted with input as token("payroll")
	codes == {"token_other_cluster"} with input as token("payroll")
}

access_token(scope) := json.patch(token("claims"), [
	{"op": "replace", "path": "/subject/credential", "value": "access_token"},
	{"op": "add", "path": "/subject/token_scope", "value": scope},
	{"op": "add", "path": "/facts/engagement/access_tokens", "value": true},
])

read_claims := {"access": "read", "methods": [], "paths": [["v1", "claims"]]}

test_access_token if {
	guardrails.permitted with input as access_token(read_claims)
	guardrails.cleared with input as access_token(read_claims)
}

test_access_token_must_be_admitted if {
	i := json.remove(access_token(read_claims), ["facts/engagement/access_tokens"])
	not guardrails.permitted with input as i
	not guardrails.cleared with input as i
	codes == {"token_not_allowed"} with input as i
}

test_access_token_of_another_cluster if {
	i := json.patch(access_token(read_claims), [{"op": "replace", "path": "/subject/token_cluster", "value": "payroll"}])
	codes == {"token_other_cluster"} with input as i
}

test_access_token_scope[name] if {
	some name, scope in {
		"another path": {"access": "read", "methods": [], "paths": [["v2"]]},
		"half a segment": {"access": "read", "methods": [], "paths": [["v1", "claim"]]},
		"no path": {"access": "read", "methods": [], "paths": []},
		"another method": {"access": "write", "methods": ["POST"], "paths": [[]]},
		"no access": {"access": "", "methods": [], "paths": [[]]},
		"nothing": {},
	}
	not guardrails.permitted with input as access_token(scope)
	codes == {"token_out_of_scope"} with input as access_token(scope)
}

test_access_token_for_reading_opens_no_websocket if {
	i := json.patch(access_token(read_claims), [{"op": "replace", "path": "/request/protocol", "value": "websocket"}])
	codes == {"token_out_of_scope"} with input as i
}

test_unknown_credential if {
	not guardrails.permitted with input as sample.replaced("/subject/credential", "basic")
}

challenged := {reason.code | some reason in guardrails.challenge}

test_second_factor[name] if {
	some name, factors in {"none": {}, "password alone": {"password": 1}, "in the future": {"totp": -1}, "unreadable": {"totp": "1"}}
	i := sample.replaced("/subject/factors", factors)
	not guardrails.cleared with input as i
	challenged == {"second_factor"} with input as i
}

test_any_second_factor if {
	every factor in ["totp", "recovery", "webauthn"] {
		guardrails.cleared with input as sample.replaced("/subject/factors", {"password": 1, factor: 1})
	}
}

# The provider's factors, with and without the engagement's trust.
external(factors, trust) := sample.with_values([
	{"op": "replace", "path": "/subject/factors", "value": factors},
	{"op": "add", "path": "/facts/engagement/trust_provider_factor", "value": trust},
])

test_provider_factor_counts_where_it_is_trusted if {
	guardrails.cleared with input as external({"external": 1, "provider": 1}, true)
}

test_provider_factor_does_not_count[name] if {
	some name, i in {
		"not trusted": external({"external": 1, "provider": 1}, false),
		"trust unknown": sample.replaced("/subject/factors", {"external": 1, "provider": 1}),
		"trust unreadable": external({"external": 1, "provider": 1}, "true"),
		"none given": external({"external": 1}, true),
		"in the future": external({"provider": -1}, true),
		"unreadable": external({"provider": "1"}, true),
	}
	not guardrails.cleared with input as i
	challenged == {"second_factor"} with input as i
}

test_own_code_beside_the_provider if {
	guardrails.cleared with input as external({"external": 60, "provider": 60, "totp": 1}, false)
}

test_agreements[name] if {
	some name, i in {
		"not accepted": sample.replaced("/facts/agreements/0/accepted_version", 0),
		"older version": sample.replaced("/facts/agreements/0/accepted_version", 1),
		"one of two": sample.with_values([{"op": "add", "path": "/facts/agreements/1", "value": {"name": "data", "version": 1, "accepted_version": 0}}]),
		"unknown": sample.removed("/facts/agreements"),
		"unreadable": sample.replaced("/facts/agreements", {}),
	}
	not guardrails.cleared with input as i
	challenged == {"agreement_missing"} with input as i
}

test_no_agreement_demanded if {
	guardrails.cleared with input as sample.replaced("/facts/agreements", [])
}

resistant(factors) := sample.with_values([
	{"op": "replace", "path": "/facts/engagement/phishing_resistant", "value": true},
	{"op": "replace", "path": "/subject/factors", "value": factors},
])

test_key_demanded[name] if {
	some name, factors in {
		"code": {"password": 1, "totp": 1},
		"recovery code": {"password": 1, "recovery": 1},
		"both": {"password": 1, "totp": 1, "recovery": 1},
		"key in the future": {"password": 1, "totp": 1, "webauthn": -1},
		"key unreadable": {"password": 1, "totp": 1, "webauthn": "1"},
		"another key": {"password": 1, "totp": 1, "passkey": 1},
	}
	i := resistant(factors)
	not guardrails.cleared with input as i
	challenged == {"phishing_resistant_factor"} with input as i
}

test_key_demanded_and_given if {
	every factors in [{"password": 1, "webauthn": 0}, {"password": 1, "totp": 9, "webauthn": 3600}] {
		guardrails.cleared with input as resistant(factors)
		challenged == set() with input as resistant(factors)
	}
}

test_no_factor_is_said_once if {
	i := resistant({"password": 1})
	not guardrails.cleared with input as i
	challenged == {"second_factor"} with input as i
}

# Where it cannot be read whether codes count, nothing does.
test_demand_unreadable[name] if {
	some name, i in {
		"absent": sample.removed("/facts/engagement/phishing_resistant"),
		"null": sample.replaced("/facts/engagement/phishing_resistant", null),
		"text": sample.replaced("/facts/engagement/phishing_resistant", "false"),
		"number": sample.replaced("/facts/engagement/phishing_resistant", 0),
	}
	not guardrails.cleared with input as i
	challenged == {"phishing_resistant_factor"} with input as i
}
