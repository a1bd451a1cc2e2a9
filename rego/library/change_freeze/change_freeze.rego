# Library module change_freeze, version 1.
package ringfence.all

import rego.v2

deny contains {
	"code": "change_freeze",
	"message": "Nothing is changed on this cluster at present; you can still read.",
	"help": "Wait until the change freeze is over, or ask the owner of the cluster.",
} if {
	not change_freeze_elsewhere
	not change_freeze_reading
	not change_freeze_over
}

# Each period has passed, or is still to come.
change_freeze_over if {
	every period in params.change_freeze.periods {
		change_freeze_outside(period)
	}
	is_number(input.request.time_ns)
}

change_freeze_outside(period) if input.request.time_ns < time.parse_rfc3339_ns(period.from)

change_freeze_outside(period) if input.request.time_ns >= time.parse_rfc3339_ns(period.until)

change_freeze_reading if {
	input.request.protocol in {"http", "grpc"}
	input.request.method in {"GET", "HEAD", "OPTIONS"}
}

# Where vendors are named, the people of others are left alone, and one's own.
change_freeze_elsewhere if {
	count(params.change_freeze.vendors) > 0
	is_string(input.subject.vendor)
	not input.subject.vendor in params.change_freeze.vendors
}

change_freeze_elsewhere if {
	count(params.change_freeze.vendors) > 0
	count(input.facts.account.roles) > 0
	every role in input.facts.account.roles {
		role in {"administrator", "approver", "reviewer"}
	}
}
