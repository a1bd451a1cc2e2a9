# Library module read_only_hours, version 1.
package ringfence.all

import rego.v2

deny contains {
	"code": "read_only_hours",
	"message": "At this hour this cluster can be read, and nothing in it is changed.",
	"help": "Try again later, or ask the owner of the cluster.",
} if {
	not read_only_hours_elsewhere
	not read_only_hours_reading
	not read_only_hours_outside
}

# The request is known to be outside of the hours.
read_only_hours_outside if {
	read_only_hours_at
	not read_only_hours_within
}

# A span that ends before it begins runs on into the next day, and belongs to
# the day on which it began.
read_only_hours_within if {
	params.read_only_hours.from < params.read_only_hours.until
	read_only_hours_at >= params.read_only_hours.from
	read_only_hours_at < params.read_only_hours.until
	read_only_hours_day(input.request.time_ns)
}

read_only_hours_within if {
	params.read_only_hours.from >= params.read_only_hours.until
	read_only_hours_at >= params.read_only_hours.from
	read_only_hours_day(input.request.time_ns)
}

read_only_hours_within if {
	params.read_only_hours.from >= params.read_only_hours.until
	read_only_hours_at < params.read_only_hours.until
	read_only_hours_day(input.request.time_ns - 86400000000000)
}

read_only_hours_at := time.format([input.request.time_ns, read_only_hours_zone, "15:04"])

read_only_hours_day(ns) if lower(substring(time.weekday([ns, read_only_hours_zone]), 0, 3)) in params.read_only_hours.days

read_only_hours_zone := params.read_only_hours.time_zone

read_only_hours_reading if {
	input.request.protocol in {"http", "grpc"}
	input.request.method in {"GET", "HEAD", "OPTIONS"}
}

# Where vendors are named, the people of others are left alone, and one's own.
read_only_hours_elsewhere if {
	count(params.read_only_hours.vendors) > 0
	is_string(input.subject.vendor)
	not input.subject.vendor in params.read_only_hours.vendors
}

read_only_hours_elsewhere if {
	count(params.read_only_hours.vendors) > 0
	count(input.facts.account.roles) > 0
	every role in input.facts.account.roles {
		role in {"administrator", "approver", "reviewer"}
	}
}
