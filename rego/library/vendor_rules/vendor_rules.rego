# Library module vendor_rules, version 1.
package ringfence.all

import rego.v2

deny contains {
	"code": "vendor_rules_method",
	"message": "The people of your company may not make this kind of request here.",
	"help": "Ask the person who answers for your company, or the owner of the cluster.",
} if {
	not vendor_rules_elsewhere
	not vendor_rules_method
}

deny contains {
	"code": "vendor_rules_path",
	"message": "The people of your company may not reach this part of the cluster.",
	"help": "Ask the person who answers for your company, or the owner of the cluster.",
} if {
	not vendor_rules_elsewhere
	not vendor_rules_path
}

deny contains {
	"code": "vendor_rules_zone",
	"message": "The people of your company may not reach this cluster from here.",
	"help": "Connect from a network of your company that is known here.",
} if {
	not vendor_rules_elsewhere
	not vendor_rules_zone
}

vendor_rules_method if count(params.vendor_rules.methods) == 0

vendor_rules_method if {
	input.request.method in params.vendor_rules.methods
	input.request.protocol in {"http", "grpc"}
}

vendor_rules_path if count(params.vendor_rules.paths) == 0

# Letters count as they are written, so that no other spelling is allowed.
vendor_rules_path if {
	some path in params.vendor_rules.paths
	prefix := [part | some part in split(path, "/"); part != ""]
	array.slice(input.request.path, 0, count(prefix)) == prefix
}

vendor_rules_zone if count(params.vendor_rules.zones) == 0

vendor_rules_zone if input.facts.zone in params.vendor_rules.zones

vendor_rules_elsewhere if {
	is_string(input.subject.vendor)
	not input.subject.vendor in params.vendor_rules.vendors
}

vendor_rules_elsewhere if {
	count(input.facts.account.roles) > 0
	every role in input.facts.account.roles {
		role in {"administrator", "approver", "reviewer"}
	}
}
