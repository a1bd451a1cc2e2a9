package ringfence.clusters.claims

import rego.v2

test_bulk if not allow with input as {"request": {"query": {"mode": ["bulk"]}}}
