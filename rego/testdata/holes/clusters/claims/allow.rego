package ringfence.clusters.claims

import rego.v2

allow if not input.request.query.mode == ["bulk"]
