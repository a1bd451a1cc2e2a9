package ringfence.all

import rego.v2

# What this module denies, whatever others say.
separation_of_duties_denials := {reason.code |
	some reason in deny
	reason.code in {"separation_of_duties"}
}

separation_of_duties_request := {
	"subject": {"vendor": "northwind"},
	"facts": {"account": {"roles": ["contractor"], "time_zone": "UTC"}},
	"request": {"time_ns": 1767614400000000000, "protocol": "http", "method": "GET", "path": ["v1", "claims"]},
	"resource": {"cluster": "claims"},
}

separation_of_duties_sample := {"groups": [["claims", "payroll"], ["claims", "archive", "ledger"], ["ledger", "payroll"]]}

separation_of_duties_with(clusters) := json.patch(separation_of_duties_request, [{"op": "add", "path": "/facts/account/clusters", "value": clusters}])

separation_of_duties_given(name, from, until) := {"name": name, "starts_ns": 1767614400000000000 + (from * 3600000000000), "ends_ns": 1767614400000000000 + (until * 3600000000000)}

separation_of_duties_claims := separation_of_duties_given("claims", -24, 24)

separation_of_duties_both := separation_of_duties_with([separation_of_duties_claims, separation_of_duties_given("payroll", -24, 24)])

test_separation_of_duties_both if {
	"separation_of_duties" in separation_of_duties_denials with input as separation_of_duties_both with data.ringfence.all.params.separation_of_duties as separation_of_duties_sample
	count(separation_of_duties_denials) == 1 with input as separation_of_duties_with([separation_of_duties_claims, separation_of_duties_given("ledger", 0, 24)]) with data.ringfence.all.params.separation_of_duties as separation_of_duties_sample
}

test_separation_of_duties_one if {
	every clusters in [[], [separation_of_duties_claims], [separation_of_duties_claims, separation_of_duties_given("reports", -24, 24)], [separation_of_duties_claims, separation_of_duties_given("payroll", -24, 0)], [separation_of_duties_claims, separation_of_duties_given("payroll", 1, 24)]] {
		count(separation_of_duties_denials) == 0 with input as separation_of_duties_with(clusters) with data.ringfence.all.params.separation_of_duties as separation_of_duties_sample
	}
}

# A cluster of no group is not concerned by what else is given.
test_separation_of_duties_other_cluster if {
	i := json.patch(separation_of_duties_both, [{"op": "replace", "path": "/resource/cluster", "value": "reports"}])
	count(separation_of_duties_denials) == 0 with input as i with data.ringfence.all.params.separation_of_duties as separation_of_duties_sample
}

test_separation_of_duties_without_a_field if {
	every field in ["facts", "facts/account", "facts/account/clusters", "facts/account/clusters/1/starts_ns", "facts/account/clusters/1/ends_ns", "facts/account/clusters/1/name", "request/time_ns", "resource/cluster"] {
		count(separation_of_duties_denials) == 1 with input as json.remove(separation_of_duties_both, [field]) with data.ringfence.all.params.separation_of_duties as separation_of_duties_sample
	}
}
