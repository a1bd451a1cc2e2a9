# Library module daily_egress, version 1.
package ringfence.clusters.billing

import rego.v2

obligations contains obligation if some obligation in daily_egress_obligations

daily_egress_obligations contains {"egress_budget": params.daily_egress.bytes} if not daily_egress_elsewhere

# Where vendors are named, the people of others are left alone, and one's own.
daily_egress_elsewhere if {
	count(params.daily_egress.vendors) > 0
	is_string(input.subject.vendor)
	not input.subject.vendor in params.daily_egress.vendors
}

daily_egress_elsewhere if {
	count(params.daily_egress.vendors) > 0
	count(input.facts.account.roles) > 0
	every role in input.facts.account.roles {
		role in {"administrator", "approver", "reviewer"}
	}
}
