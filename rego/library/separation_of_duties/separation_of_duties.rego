# Library module separation_of_duties, version 1.
package ringfence.all

import rego.v2

deny contains {
	"code": "separation_of_duties",
	"message": "You are assigned to another cluster that must be kept apart from this one.",
	"help": "Ask the owner of the cluster which of the two you need: the other assignment has to end first.",
} if not separation_of_duties_kept

# Of each group that this cluster is in, no other is given now.
separation_of_duties_kept if {
	is_string(input.resource.cluster)
	is_array(input.facts.account.clusters)
	is_number(input.request.time_ns)
	every group in params.separation_of_duties.groups {
		separation_of_duties_apart(group)
	}
}

separation_of_duties_apart(group) if not input.resource.cluster in group

separation_of_duties_apart(group) if {
	every given in input.facts.account.clusters {
		separation_of_duties_harmless(given, group)
	}
}

separation_of_duties_harmless(given, group) if {
	is_string(given.name)
	not given.name in group
}

separation_of_duties_harmless(given, _) if given.name == input.resource.cluster

separation_of_duties_harmless(given, _) if given.starts_ns > input.request.time_ns

separation_of_duties_harmless(given, _) if given.ends_ns <= input.request.time_ns
