# What holds on every cluster of this example.
package ringfence.all

import rego.v2

# Headers that tell what software answers are nobody's business.
obligations contains {"strip_headers": ["server", "x-powered-by"]}

deny contains {
	"code": "classification_unknown",
	"message": "This cluster has no classification that the policies know.",
	"help": "Ask the owner of the cluster.",
} if not input.resource.classification in {"public", "internal", "confidential", "restricted"}

# Restricted data is worked on from the office alone.
deny contains {
	"code": "outside_office",
	"message": "This cluster can be reached from the office only.",
	"help": "Connect from the office network.",
} if {
	not input.resource.classification in {"public", "internal", "confidential"}
	not input.facts.zone == "office"
}
