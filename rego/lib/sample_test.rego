# An input that is allowed, for the tests of the stock policies.
package ringfence.sample

import rego.v2

now := 1772625600000000000

day := ((24 * 3600) * 1000) * 1000000

request := {
	"version": 1,
	"subject": {
		"account": "a1",
		"vendor": "northwind",
		"credential": "session",
		"factors": {"password": 60, "totp": 60},
	},
	"facts": {
		"account": {"id": "a1", "status": "active", "roles": ["contractor"], "ends_ns": now + day},
		"vendor": {"name": "northwind", "status": "active"},
		"engagement": {"status": "active", "starts_ns": now - day, "ends_ns": now + day, "clusters": ["claims"], "phishing_resistant": false},
		"assignment": {"starts_ns": now - day, "ends_ns": now + day, "access": "write", "methods": [], "paths": [["v1", "claims"]]},
		"agreements": [{"name": "confidentiality", "version": 2, "accepted_version": 2}],
	},
	"request": {"time_ns": now, "protocol": "http", "method": "GET", "path": ["v1", "claims", "7"]},
	"resource": {"cluster": "claims"},
}

# The same with changes in the form of json.patch.
with_values(patches) := json.patch(request, patches)

replaced(path, value) := with_values([{"op": "replace", "path": path, "value": value}])

removed(path) := with_values([{"op": "remove", "path": path}])
