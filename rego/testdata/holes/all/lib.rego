# What the rules share.
package ringfence.all.lib

import rego.v2

referred if {
	address := header("referer")
	not startswith(address, "https://gate.example/")
}

header(name) := input.request.headers[name]
