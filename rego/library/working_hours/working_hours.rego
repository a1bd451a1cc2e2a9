# Library module working_hours, version 1.
package ringfence.all

import rego.v2

deny contains {
	"code": "working_hours",
	"message": "This is outside the hours at which you may work on this cluster.",
	"help": "Come back within your working hours. If your time zone is not right, tell the person who gave you access.",
} if {
	not working_hours_elsewhere
	not working_hours_within
}

# Where vendors are named, the people of others are left alone, and one's own.
working_hours_elsewhere if {
	count(params.working_hours.vendors) > 0
	is_string(input.subject.vendor)
	not input.subject.vendor in params.working_hours.vendors
}

working_hours_elsewhere if {
	count(params.working_hours.vendors) > 0
	count(input.facts.account.roles) > 0
	every role in input.facts.account.roles {
		role in {"administrator", "approver", "reviewer"}
	}
}

# A span that ends before it begins runs on into the next day, and belongs to
# the day on which it began.
working_hours_within if {
	params.working_hours.from < params.working_hours.until
	working_hours_at >= params.working_hours.from
	working_hours_at < params.working_hours.until
	working_hours_day(input.request.time_ns)
}

working_hours_within if {
	params.working_hours.from >= params.working_hours.until
	working_hours_at >= params.working_hours.from
	working_hours_day(input.request.time_ns)
}

working_hours_within if {
	params.working_hours.from >= params.working_hours.until
	working_hours_at < params.working_hours.until
	working_hours_day(input.request.time_ns - 86400000000000)
}

working_hours_at := time.format([input.request.time_ns, working_hours_zone, "15:04"])

working_hours_day(ns) if {
	lower(substring(time.weekday([ns, working_hours_zone]), 0, 3)) in params.working_hours.days
	not time.format([ns, working_hours_zone, "2006-01-02"]) in params.working_hours.closed
}

# The zone that is named, or the person's own. Where that is not known, there is none.
working_hours_zone := params.working_hours.time_zone if params.working_hours.time_zone != ""

working_hours_zone := input.facts.account.time_zone if params.working_hours.time_zone == ""
