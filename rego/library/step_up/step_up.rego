# Library module step_up, version 1.
package ringfence.all

import rego.v2

obligations contains obligation if some obligation in step_up_obligations

step_up_obligations contains {"max_code_age": params.step_up.max_age} if {
	not step_up_elsewhere
	not step_up_unmarked
}

# The request is known to be of another kind, or on none of the paths.
step_up_unmarked if {
	count(params.step_up.methods) > 0
	is_string(input.request.method)
	not input.request.method in params.step_up.methods
}

step_up_unmarked if {
	is_array(input.request.path)
	every path in params.step_up.paths {
		not step_up_below(path)
	}
}

step_up_below(path) if array.slice(step_up_path, 0, count(step_up_prefix(path))) == step_up_prefix(path)

# The path in the widest reading that a system behind may have: letters in
# either case, and a slash inside a segment as the slash that it may become.
step_up_path := [lower(part) |
	some segment in input.request.path
	some part in split(segment, "/")
	part != ""
]

step_up_prefix(path) := [lower(part) |
	some part in split(path, "/")
	part != ""
]

# Where vendors are named, the people of others are left alone, and one's own.
step_up_elsewhere if {
	count(params.step_up.vendors) > 0
	is_string(input.subject.vendor)
	not input.subject.vendor in params.step_up.vendors
}

step_up_elsewhere if {
	count(params.step_up.vendors) > 0
	count(input.facts.account.roles) > 0
	every role in input.facts.account.roles {
		role in {"administrator", "approver", "reviewer"}
	}
}
