package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// A RecordedInput is what a decision was made from, as far as the other fields
// of its [Record] do not say it already: together with the facts document they
// are the whole [Input]. Only records of requests that the policies decided
// have one. It never holds bodies, cookies or credentials; values of the query
// only of the fields that the configuration names; and of the address in a
// referer header neither query nor credentials. What was there and is not kept
// is named under Withheld.
type RecordedInput struct {
	Version int `json:"version"` // of the contract
	// Roles are the subject's, where the facts' account does not have the same.
	Roles        []Role      `json:"roles,omitempty"`
	TokenCluster string      `json:"token_cluster,omitempty"`
	TokenBinding string      `json:"token_binding,omitempty"`
	TokenScope   *TokenScope `json:"token_scope,omitempty"`
	// Query holds the values of the query's fields that the configuration names.
	Query map[string][]string `json:"query,omitempty"`
	// Headers are the request's, as in [Request.Headers]. User-agent is left out
	// where the record's own field holds all of it.
	Headers map[string]string `json:"headers,omitempty"`
	TLS     *TLS              `json:"tls,omitempty"`
	// Allowed says that the policies allowed the request and the gateway refused
	// it for a reason of its own, which the record gives.
	Allowed bool `json:"allowed,omitempty"`
	// Withheld names what was in the input and is not kept, or not in full, such
	// as "request.headers.referer". Values of the query's fields are not listed:
	// the record's query_names names the fields.
	Withheld []string `json:"withheld,omitempty"`
}

// ReadDocument reads a facts document as it was recorded. Its hash and its JSON
// form are those of b itself, also where this version would write the same
// facts otherwise. A field that this version does not know is an error: the
// facts would not be whole.
func ReadDocument(b []byte) (*Document, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var f Facts
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("reading facts: %w", err)
	}
	if f.Agreements == nil {
		f.Agreements = []AgreementFacts{}
	}
	sum := sha256.Sum256(b)
	return &Document{facts: f, hash: "sha256:" + hex.EncodeToString(sum[:]), json: b, accepted: accepted(f.Agreements)}, nil
}
