// Package rego decides. An [Engine] holds one compiled policy set and turns an
// input into a decision; it never identifies anybody, never forwards anything
// and looks nothing up: what it may know is in the input.
//
// # What a set is made of
//
// Stock modules in lib/, embedded: the guardrails (package ringfence.guardrails),
// the scope of an assignment (ringfence.assignment) and the one decision made
// of all parts (ringfence.main). Administrators' modules ([Source]) stand
// beside them in packages of their own, ringfence.all and
// ringfence.clusters["NAME"], and contribute
//
//	deny contains {"code": "…", "message": "…", "help": "…"} if …
//	challenge contains {"code": "…", "message": "…"} if …
//	obligations contains {"max_response_bytes": 1048576} if …
//	allow if …
//
// so that they can narrow what the guardrails grant and never widen it. Where
// they define allow, nothing else is allowed. Only the modules of the cluster
// that is asked for are evaluated, so a decision costs the same with one
// cluster or a thousand.
//
// # What happens when something is wrong
//
// Every module must import rego.v2, under which a negated condition with an
// undefined operand holds: a deny rule cannot be silenced by a field that is
// missing. A fault of the evaluation (an error, also of a built-in function, a
// conflict, a panic), an answer of any other shape than the one that is
// documented, and an evaluation that outlives its deadline are denials with a
// reason of their own. A set is compiled, tested and tried as a whole and put
// in force by one pointer; where that fails, nothing changes.
//
// # Limits of the limits
//
// Built-in functions that reach the network, the environment, the clock or
// chance do not exist, and the others work on bounded operands (bound.go); a
// set is tried before it is put in force. That stops what is clumsy and most
// of what is meant badly. What remains: the evaluator looks at the deadline
// between expressions and compares two values in one, on the stack of the
// goroutine. Two equal values that were built by collecting collections of
// collections, so that they write out to hundreds of millions of elements, end
// the process when they are compared. Nobody writes this by accident; publishing
// a policy is a privilege, with a second pair of eyes, for this reason too.
//
// Start with [Engine.Load] and [Engine.Decide].
package rego
