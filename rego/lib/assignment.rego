# What an assignment lets its holder do: methods and paths. Administrators'
# policies narrow it further and cannot widen it.
package ringfence.assignment

import rego.v2

# The request lies inside the assignment.
in_scope if {
	method_in_scope
	path_in_scope
}

# An empty list of methods leaves the choice to the kind of access.
method_in_scope if {
	method_of_access
	input.facts.assignment.methods == []
}

method_in_scope if {
	method_of_access
	input.request.method in input.facts.assignment.methods
}

method_of_access if {
	input.facts.assignment.access == "write"
	is_string(input.request.method)
	input.request.protocol in {"http", "websocket", "grpc"}
}

# A WebSocket is opened with GET, yet whatever is sent on it afterwards is out
# of sight: reading does not include it.
method_of_access if {
	input.facts.assignment.access == "read"
	input.request.method in {"GET", "HEAD", "OPTIONS"}
	input.request.protocol in {"http", "grpc"}
}

# A prefix covers whole segments: ["a"] covers /a and /a/b, and not /ab.
path_in_scope if {
	some prefix in input.facts.assignment.paths
	array.slice(input.request.path, 0, count(prefix)) == prefix
}

deny contains {
	"code": "method_out_of_scope",
	"message": "Your assignment to this cluster does not include this kind of request.",
	"help": "Ask the owner of the cluster to widen your assignment.",
} if {
	input.facts.assignment
	not method_in_scope
}

deny contains {
	"code": "path_out_of_scope",
	"message": "Your assignment to this cluster does not include this path.",
	"help": "Ask the owner of the cluster to widen your assignment.",
} if {
	input.facts.assignment
	not path_in_scope
}
