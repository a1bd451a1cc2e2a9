# Library module stated_purpose, version 1.
package ringfence.all

import rego.v2

deny contains {
	"code": "stated_purpose",
	"message": "This request does not say what it is for.",
	"help": "Send the header X-Ticket with the number of your ticket, or X-Purpose with the purpose in words.",
} if {
	not stated_purpose_elsewhere
	not stated_purpose_unmarked
	not stated_purpose_given
}

stated_purpose_given if {
	params.stated_purpose.demand in {"ticket", "either"}
	regex.match(concat("", ["^(?:", params.stated_purpose.ticket, ")$"]), input.request.headers["x-ticket"])
}

stated_purpose_given if {
	params.stated_purpose.demand in {"purpose", "either"}
	regex.match(concat("", ["^(?:", params.stated_purpose.purpose, ")$"]), input.request.headers["x-purpose"])
}

stated_purpose_unmarked if {
	count(params.stated_purpose.methods) > 0
	is_string(input.request.method)
	not input.request.method in params.stated_purpose.methods
}

stated_purpose_unmarked if {
	count(params.stated_purpose.paths) > 0
	is_array(input.request.path)
	every path in params.stated_purpose.paths {
		not stated_purpose_below(path)
	}
}

stated_purpose_below(path) if array.slice(stated_purpose_path, 0, count(stated_purpose_prefix(path))) == stated_purpose_prefix(path)

# The path in the widest reading that a system behind may have: letters in
# either case, and a slash inside a segment as the slash that it may become.
stated_purpose_path := [lower(part) |
	some segment in input.request.path
	some part in split(segment, "/")
	part != ""
]

stated_purpose_prefix(path) := [lower(part) |
	some part in split(path, "/")
	part != ""
]

# Where vendors are named, the people of others are left alone, and one's own.
stated_purpose_elsewhere if {
	count(params.stated_purpose.vendors) > 0
	is_string(input.subject.vendor)
	not input.subject.vendor in params.stated_purpose.vendors
}

stated_purpose_elsewhere if {
	count(params.stated_purpose.vendors) > 0
	count(input.facts.account.roles) > 0
	every role in input.facts.account.roles {
		role in {"administrator", "approver", "reviewer"}
	}
}
