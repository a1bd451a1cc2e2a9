# Library module network_zones, version 1.
package ringfence.all

import rego.v2

deny contains {
	"code": "network_zones",
	"message": "This cluster cannot be reached from the network that you are in.",
	"help": "Connect from a network of your company that is known here, or ask the owner of the cluster.",
} if {
	not network_zones_elsewhere
	not network_zones_known
}

deny contains {
	"code": "network_zones_write",
	"message": "From the network that you are in you may read, and change nothing.",
	"help": "Connect from a network that changes are allowed from, or ask the owner of the cluster.",
} if {
	not network_zones_elsewhere
	not network_zones_reading
	not network_zones_trusted
}

network_zones_known if input.facts.zone in params.network_zones.zones

network_zones_trusted if count(params.network_zones.write_zones) == 0

network_zones_trusted if input.facts.zone in params.network_zones.write_zones

network_zones_reading if {
	input.request.protocol in {"http", "grpc"}
	input.request.method in {"GET", "HEAD", "OPTIONS"}
}

# Where vendors are named, the people of others are left alone, and one's own.
network_zones_elsewhere if {
	count(params.network_zones.vendors) > 0
	is_string(input.subject.vendor)
	not input.subject.vendor in params.network_zones.vendors
}

network_zones_elsewhere if {
	count(params.network_zones.vendors) > 0
	count(input.facts.account.roles) > 0
	every role in input.facts.account.roles {
		role in {"administrator", "approver", "reviewer"}
	}
}
