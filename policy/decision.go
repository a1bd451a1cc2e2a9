package policy

import (
	"fmt"
	"time"
)

// An Effect is what a decision means for the request. The zero Effect denies.
type Effect uint8

// The effects.
const (
	Deny      Effect = iota
	Challenge        // do something first: sign in, give a fresh code, accept an agreement
	Allow
)

var effectNames = [...]string{Deny: "deny", Challenge: "challenge", Allow: "allow"}

// String returns deny, challenge or allow.
func (e Effect) String() string {
	if int(e) < len(effectNames) {
		return effectNames[e]
	}
	return "deny"
}

// MarshalText writes what [Effect.String] returns.
func (e Effect) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads what [Effect.MarshalText] writes and refuses anything else.
func (e *Effect) UnmarshalText(b []byte) error {
	for i, n := range effectNames {
		if n == string(b) {
			*e = Effect(i)
			return nil
		}
	}
	return fmt.Errorf("reading effect: %q is none of deny, challenge, allow", b)
}

// A Decision is the engine's answer to one [Input]. The zero Decision denies.
type Decision struct {
	Effect      Effect      `json:"effect"`
	Reasons     []Reason    `json:"reasons"`
	Obligations Obligations `json:"obligations"`
	Revision    string      `json:"revision"` // of the policy set that decided
}

// Obligations bind an allowed request. The zero value demands nothing. Where
// several rules oblige, the narrowest holds: the smallest limit, the union of lists.
type Obligations struct {
	MaxResponseBytes int64 `json:"max_response_bytes,omitempty"` // 0: no limit
	// EgressBudget is how many bytes an account may be sent from a cluster in a
	// day, which begins at midnight UTC; 0: no limit.
	EgressBudget int64 `json:"egress_budget,omitempty"`
	// Mask names the JSON fields that are null in responses, at any depth and in
	// either case of letters. A response that is not JSON is refused.
	Mask         []string `json:"mask,omitempty"`
	StripHeaders []string `json:"strip_headers,omitempty"` // response headers to take off
	MaxCodeAge   Seconds  `json:"max_code_age,omitempty"`  // how old the second factor may be, 0: any age
	Notify       []string `json:"notify,omitempty"`        // addresses to tell
}

// Seconds is a duration written as whole seconds.
type Seconds int64

// Duration converts s.
func (s Seconds) Duration() time.Duration { return time.Duration(s) * time.Second }

// IsZero reports whether nothing is demanded.
func (o Obligations) IsZero() bool {
	return o.MaxResponseBytes == 0 && o.EgressBudget == 0 && o.MaxCodeAge == 0 &&
		len(o.Mask) == 0 && len(o.StripHeaders) == 0 && len(o.Notify) == 0
}
