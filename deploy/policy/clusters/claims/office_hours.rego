# Claims are handled on weekdays between 7 and 19 o'clock in Berlin.
package ringfence.clusters.claims

import rego.v2

zone := "Europe/Berlin"

workdays := {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday"}

office_hours if {
	time.weekday([input.request.time_ns, zone]) in workdays
	[hour, _, _] := time.clock([input.request.time_ns, zone])
	hour >= 7
	hour < 19
}

deny contains {
	"code": "outside_office_hours",
	"message": "This cluster is open on weekdays between 7:00 and 19:00, Berlin time.",
	"help": "Ask the owner of the cluster if you must work at another time.",
} if {
	not office_hours
}
