package policy

import "net/netip"

// An Arrival is where and how a request came in: what is settled before
// anybody asks who sent it, and what a token's proof and its networks are
// checked against.
type Arrival struct {
	Host      string     // canonical: lower case, without port or trailing dot
	Scheme    string     // "https", or "http" where nothing in front speaks TLS
	Authority string     // Host with the port that the client used, without the scheme's own
	Path      string     // the escaped path as it is forwarded
	Source    netip.Addr // as seen through trusted proxies only; the zero Addr is not known
}

// Values of [Subject.TokenBinding].
const (
	BindingKey     = "key"     // each request proves a key that only the asking machine has (RFC 9449)
	BindingNetwork = "network" // good from certain networks only
)

// A TokenScope narrows what a token may do below what its account was given.
// It never widens it. The zero TokenScope allows nothing.
type TokenScope struct {
	Access  string     `json:"access"`  // [AccessRead] or [AccessWrite], as in [AssignmentFacts]
	Methods []string   `json:"methods"` // when not empty, only these, within Access
	Paths   [][]string `json:"paths"`   // prefixes as in [AssignmentFacts]; [[]] is everything
}

// A TokenRefusal says why a token that was shown counts for nothing. The
// request is anonymous all the same.
type TokenRefusal struct {
	Code  string // one of RefusedUnknown and its like
	Token string // id of the token, when it is known
	// Account is whose token it is, when that is known: for the record of
	// something that may be a theft, never for a decision.
	Account string
}

// Values of [TokenRefusal.Code].
const (
	RefusedUnknown  = "token_unknown"        // no such token is in force
	RefusedUnbound  = "token_not_bound"      // shown with a proof, which it has no key for
	RefusedNoProof  = "token_without_proof"  // a bound token without its proof
	RefusedProof    = "token_proof_invalid"  // the proof is not one, or of another key or token
	RefusedTime     = "token_proof_time"     // the proof is too old, or from the future
	RefusedTarget   = "token_proof_target"   // the proof is for another method or address
	RefusedReplay   = "token_proof_replayed" // the proof was used before
	RefusedFlood    = "token_proof_flood"    // more proofs in a short time than are kept
	RefusedNetwork  = "token_other_network"  // shown from a network that it is not good for
	RefusedMultiple = "token_ambiguous"      // several credentials at once
)
