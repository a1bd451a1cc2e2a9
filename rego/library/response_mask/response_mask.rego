# Library module response_mask, version 1.
package ringfence.all

import rego.v2

obligations contains obligation if some obligation in response_mask_obligations

response_mask_obligations contains {"mask": response_mask_fields} if {
	not response_mask_unmarked
	count(response_mask_fields) > 0
}

response_mask_fields := {field |
	some class, fields in params.response_mask.classes
	not response_mask_shown(class)
	some field in fields
}

response_mask_shown(class) if {
	some vendor, classes in params.response_mask.shown
	vendor == input.subject.vendor
	class in classes
}

response_mask_unmarked if {
	count(params.response_mask.paths) > 0
	is_array(input.request.path)
	every path in params.response_mask.paths {
		not response_mask_below(path)
	}
}

response_mask_below(path) if array.slice(response_mask_path, 0, count(response_mask_prefix(path))) == response_mask_prefix(path)

# The path in the widest reading that a system behind may have: letters in
# either case, and a slash inside a segment as the slash that it may become.
response_mask_path := [lower(part) |
	some segment in input.request.path
	some part in split(segment, "/")
	part != ""
]

response_mask_prefix(path) := [lower(part) |
	some part in split(path, "/")
	part != ""
]
