// Package policy holds the words that all of Ringfence shares: who asks
// ([Subject]), what is known ([Facts]), what is asked ([Request], [Resource]),
// what was decided ([Decision], [Reason], [Obligations]) and what happened
// ([Record]). It is also the contract with the authors of Rego policies: the
// JSON form of [Input] is what a policy reads as input, and its field names
// change only together with [ContractVersion].
//
// The package never decides, stores or forwards anything and imports only the
// standard library. Start with [Input] and [Decision].
//
// # What a policy reads
//
//	input.version     the contract's version, 1
//	input.subject     account, email, vendor, roles, session, credential, factors,
//	                  token_cluster, token_binding, token_scope
//	input.facts       account (with its time_zone, and all clusters that it is given),
//	                  vendor, engagement, assignment, agreements, zone
//	input.request     id, time, time_ns, protocol, method, host, path, raw_path,
//	                  query, headers, source_ip, tls
//	input.resource    cluster, classification, route
//
// A field that is not known is absent, so that a reference to it is undefined
// in Rego, and the engine denies what it cannot decide. Times are given as
// nanoseconds since 1970 UTC, the unit of OPA's time built-ins; ages are whole
// seconds.
//
// Beside the modules of a scope may stand parameters: an object in all/NAME.json
// or clusters/CLUSTER/NAME.json, which the modules of that scope read as
// params.NAME. They are part of the policy set and of its revision.
//
// # What a policy answers
//
// Administrators' modules contribute to three partial sets, and may define
// allow. Nothing that they answer can widen what the guardrails grant.
//
//	deny contains {"code": "…", "message": "…", "help": "…"} if …
//	challenge contains {"code": "code_stale", "message": "…", "help": "…"} if …
//	obligations contains {"max_response_bytes": 1048576} if …
//	allow if …   (when a module defines it, it must be true)
//
// Obligations are kept or the request is refused. mask blanks JSON fields by
// name at any depth: a response that is no JSON which can be read strictly is
// cut off. egress_budget bounds the bytes that an account is sent from a cluster
// in a day (UTC), over restarts: what is spent refuses the next request.
package policy
