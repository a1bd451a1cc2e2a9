package ringfence.clusters.billing

import rego.v2

daily_egress_request := {
	"subject": {"vendor": "northwind"},
	"facts": {"account": {"roles": ["contractor"], "time_zone": "UTC"}},
	"request": {"time_ns": 1767614400000000000, "protocol": "http", "method": "GET", "path": ["v1", "claims"]},
	"resource": {"cluster": "claims"},
}

daily_egress_sample := {"bytes": 1000000, "vendors": []}

test_daily_egress_everybody if daily_egress_obligations == {{"egress_budget": 1000000}} with input as daily_egress_request with data.ringfence.clusters.billing.params.daily_egress as daily_egress_sample

test_daily_egress_without_a_field if {
	every field in ["subject", "facts", "facts/account", "request", "resource"] {
		daily_egress_obligations == {{"egress_budget": 1000000}} with input as json.remove(daily_egress_request, [field])
			with data.ringfence.clusters.billing.params.daily_egress as object.union(daily_egress_sample, {"vendors": ["northwind"]})
	}
}

test_daily_egress_other_vendors if {
	every vendor in ["tallgrass", "acme"] {
		count(daily_egress_obligations) == 0 with input as json.patch(daily_egress_request, [{"op": "replace", "path": "/subject/vendor", "value": vendor}])
			with data.ringfence.clusters.billing.params.daily_egress as object.union(daily_egress_sample, {"vendors": ["northwind"]})
	}
}

test_daily_egress_own_people if {
	count(daily_egress_obligations) == 0 with input as json.patch(json.remove(daily_egress_request, ["subject/vendor"]), [{"op": "replace", "path": "/facts/account/roles", "value": ["reviewer"]}])
		with data.ringfence.clusters.billing.params.daily_egress as object.union(daily_egress_sample, {"vendors": ["northwind"]})
}

test_daily_egress_vendor_named if {
	count(daily_egress_obligations) > 0 with input as daily_egress_request
		with data.ringfence.clusters.billing.params.daily_egress as object.union(daily_egress_sample, {"vendors": ["northwind"]})
}

# Whose vendor is not known is concerned.
test_daily_egress_vendor_missing if {
	count(daily_egress_obligations) > 0 with input as json.remove(daily_egress_request, ["subject/vendor"])
		with data.ringfence.clusters.billing.params.daily_egress as object.union(daily_egress_sample, {"vendors": ["northwind"]})
	count(daily_egress_obligations) > 0 with input as json.remove(daily_egress_request, ["subject/vendor", "facts/account/roles"])
		with data.ringfence.clusters.billing.params.daily_egress as object.union(daily_egress_sample, {"vendors": ["northwind"]})
}

test_daily_egress_is_said if {
	count(obligations & daily_egress_obligations) == 1 with input as daily_egress_request with data.ringfence.clusters.billing.params.daily_egress as daily_egress_sample
}
