# Contractors delete nothing, whatever their assignments say.
package ringfence.all

import rego.v2

deny contains {
	"code": "no_delete",
	"message": "Contractors cannot delete anything here.",
	"help": "Ask the owner of the cluster to delete it for you.",
} if {
	input.request.method == "DELETE"
	not own_people
}

# Somebody about whom no roles are known is no colleague.
own_people if {
	count(input.subject.roles) > 0
	not "contractor" in input.subject.roles
}
