package ringfence.all

import rego.v2

# What this module denies, whatever others say.
network_zones_denials := {reason.code |
	some reason in deny
	reason.code in {"network_zones", "network_zones_write"}
}

network_zones_request := {
	"subject": {"vendor": "northwind"},
	"facts": {"account": {"roles": ["contractor"], "time_zone": "UTC"}},
	"request": {"time_ns": 1767614400000000000, "protocol": "http", "method": "GET", "path": ["v1", "claims"]},
	"resource": {"cluster": "claims"},
}

network_zones_sample := {"zones": ["office", "vpn"], "write_zones": ["office"], "vendors": []}

network_zones_from(zone, method) := json.patch(network_zones_request, [
	{"op": "add", "path": "/facts/zone", "value": zone},
	{"op": "replace", "path": "/request/method", "value": method},
])

network_zones_unknown := network_zones_from("home", "GET")

test_network_zones_reading if {
	every zone in ["office", "vpn"] {
		count(network_zones_denials) == 0 with input as network_zones_from(zone, "GET") with data.ringfence.all.params.network_zones as network_zones_sample
	}
	network_zones_denials == {"network_zones"} with input as network_zones_unknown with data.ringfence.all.params.network_zones as network_zones_sample
}

test_network_zones_changing if {
	count(network_zones_denials) == 0 with input as network_zones_from("office", "PUT") with data.ringfence.all.params.network_zones as network_zones_sample
	network_zones_denials == {"network_zones_write"} with input as network_zones_from("vpn", "PUT") with data.ringfence.all.params.network_zones as network_zones_sample
	count(network_zones_denials) == 0 with input as network_zones_from("vpn", "PUT") with data.ringfence.all.params.network_zones as object.union(network_zones_sample, {"write_zones": []})
}

test_network_zones_websocket_is_changing if {
	i := json.patch(network_zones_from("vpn", "GET"), [{"op": "replace", "path": "/request/protocol", "value": "websocket"}])
	network_zones_denials == {"network_zones_write"} with input as i with data.ringfence.all.params.network_zones as network_zones_sample
}

test_network_zones_without_a_field if {
	every field in ["facts", "facts/zone", "facts/account", "request/method", "request/protocol"] {
		count(network_zones_denials) > 0 with input as json.remove(network_zones_unknown, [field]) with data.ringfence.all.params.network_zones as network_zones_sample
		count(network_zones_denials) > 0 with input as json.remove(network_zones_from("vpn", "PUT"), [field]) with data.ringfence.all.params.network_zones as network_zones_sample
	}
}

test_network_zones_other_vendors if {
	every vendor in ["tallgrass", "acme"] {
		count(network_zones_denials) == 0 with input as json.patch(network_zones_unknown, [{"op": "replace", "path": "/subject/vendor", "value": vendor}])
			with data.ringfence.all.params.network_zones as object.union(network_zones_sample, {"vendors": ["northwind"]})
	}
}

test_network_zones_own_people if {
	count(network_zones_denials) == 0 with input as json.patch(json.remove(network_zones_unknown, ["subject/vendor"]), [{"op": "replace", "path": "/facts/account/roles", "value": ["reviewer"]}])
		with data.ringfence.all.params.network_zones as object.union(network_zones_sample, {"vendors": ["northwind"]})
}

test_network_zones_vendor_named if {
	count(network_zones_denials) > 0 with input as network_zones_unknown
		with data.ringfence.all.params.network_zones as object.union(network_zones_sample, {"vendors": ["northwind"]})
}

# Whose vendor is not known is concerned.
test_network_zones_vendor_missing if {
	count(network_zones_denials) > 0 with input as json.remove(network_zones_unknown, ["subject/vendor"])
		with data.ringfence.all.params.network_zones as object.union(network_zones_sample, {"vendors": ["northwind"]})
	count(network_zones_denials) > 0 with input as json.remove(network_zones_unknown, ["subject/vendor", "facts/account/roles"])
		with data.ringfence.all.params.network_zones as object.union(network_zones_sample, {"vendors": ["northwind"]})
}
