# The one decision, made of the guardrails, the assignment's scope and what
# administrators add for all clusters and for this one. What they add can deny,
# challenge and oblige; it can never allow what the guardrails do not.
package ringfence.main

import rego.v2

import data.ringfence.assignment
import data.ringfence.guardrails

# Where nothing below holds there is no decision, and the engine denies.
decision := {"effect": "challenge", "reasons": guardrails.sign_in, "obligations": set()} if {
	not guardrails.signed_in
} else := {"effect": "deny", "reasons": deny, "obligations": set()} if {
	count(deny) > 0
} else := {"effect": "challenge", "reasons": challenge, "obligations": obligations} if {
	count(challenge) > 0
} else := {"effect": "allow", "reasons": set(), "obligations": obligations} if {
	granted
	guardrails.cleared
}

granted if {
	guardrails.permitted
	assignment.in_scope
}

deny contains reason if {
	not granted
	some reason in objections
}

# Where something failed that no reason words, what must be known is not.
objections := guardrails.deny | assignment.deny if {
	count(guardrails.deny | assignment.deny) > 0
} else := {{
	"code": "facts_missing",
	"message": "What must be known about your access is not known.",
	"help": "Tell an administrator and give them the request number.",
}}

# What administrators add. The engine leaves out those of these rules that
# read what no module of the set defines.

deny contains reason if some reason in data.ringfence.all.deny

deny contains reason if some reason in data.ringfence.clusters[input.resource.cluster].deny

# A scope that defines allow allows nothing else. The engine knows which do.
deny contains not_allowed if {
	data.ringfence.demands.all
	not data.ringfence.all.allow == true
}

deny contains not_allowed if {
	data.ringfence.demands.clusters[input.resource.cluster]
	not data.ringfence.clusters[input.resource.cluster].allow == true
}

not_allowed := {
	"code": "policy_not_allowed",
	"message": "The policy of this cluster does not allow this request.",
	"help": "Ask the owner of the cluster what its policy allows.",
}

challenge contains reason if {
	not guardrails.cleared
	some reason in guardrails.challenge
}

challenge contains reason if some reason in data.ringfence.all.challenge

challenge contains reason if some reason in data.ringfence.clusters[input.resource.cluster].challenge

obligations contains obligation if some obligation in data.ringfence.all.obligations

obligations contains obligation if {
	some obligation in data.ringfence.clusters[input.resource.cluster].obligations
}
