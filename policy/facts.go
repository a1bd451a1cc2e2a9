package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"
)

// Facts is what Ringfence knows about one account on one cluster: the part of
// the input that does not come from the request. A nil part is not known.
type Facts struct {
	Account    *AccountFacts    `json:"account,omitempty"`
	Vendor     *VendorFacts     `json:"vendor,omitempty"`
	Engagement *EngagementFacts `json:"engagement,omitempty"`
	Assignment *AssignmentFacts `json:"assignment,omitempty"`
	Agreements []AgreementFacts `json:"agreements"` // demanded by the engagement; never null
	Zone       string           `json:"zone,omitempty"`
}

// Status values of accounts, vendors and engagements.
const (
	StatusActive    = "active"
	StatusInvited   = "invited"   // account: enrolment not finished
	StatusDisabled  = "disabled"  // account
	StatusSuspended = "suspended" // vendor
	StatusClosed    = "closed"    // engagement
)

// AccountFacts describes the subject's account.
type AccountFacts struct {
	ID     string `json:"id"`
	Email  string `json:"email"`
	Status string `json:"status"`
	Roles  []Role `json:"roles"`
	EndsNS int64  `json:"ends_ns,omitempty"` // absent: no end
	// TimeZone is where the person works, an IANA name such as Europe/Berlin;
	// absent: nobody has said.
	TimeZone string `json:"time_zone,omitempty"`
	// Clusters are all that the account is given, this one among them, by name;
	// nil, and absent, in documents from before it was known.
	Clusters []ClusterFacts `json:"clusters,omitzero"`
}

// ClusterFacts says from when until when an account is given a cluster, as far
// as both its assignment and its engagement stand. The clusters of engagements
// that are closed, or that do not cover them, are not listed.
type ClusterFacts struct {
	Name     string `json:"name"`
	StartsNS int64  `json:"starts_ns"`
	EndsNS   int64  `json:"ends_ns"`
}

// VendorFacts describes the vendor that the account belongs to.
type VendorFacts struct {
	Name   string `json:"name"`
	Title  string `json:"title"`
	Status string `json:"status"`
	Owner  Person `json:"owner"`
}

// A Person is somebody inside the customer who can help.
type Person struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// EngagementFacts describes the contract under which the assignment stands.
type EngagementFacts struct {
	Name     string   `json:"name"`
	Status   string   `json:"status"`
	StartsNS int64    `json:"starts_ns"`
	EndsNS   int64    `json:"ends_ns"`
	Clusters []string `json:"clusters"`
	// TrustProviderFactor says that a second factor given at the vendor's
	// identity provider counts.
	TrustProviderFactor bool `json:"trust_provider_factor,omitempty"`
	// PhishingResistant demands a passkey or security key: codes do not count.
	PhishingResistant bool `json:"phishing_resistant"`
	// AccessTokens admits personal access tokens; absent means that it does not.
	AccessTokens bool `json:"access_tokens,omitempty"`
}

// Values of [AssignmentFacts.Access].
const (
	AccessRead  = "read"  // GET, HEAD and OPTIONS
	AccessWrite = "write" // every method
)

// AssignmentFacts describes what the account was given on this cluster.
type AssignmentFacts struct {
	StartsNS int64    `json:"starts_ns"`
	EndsNS   int64    `json:"ends_ns"`
	Access   string   `json:"access"`
	Methods  []string `json:"methods"` // when not empty, only these, within Access
	// Paths are the prefixes that may be reached, each as segments; [[]] is
	// everything. A prefix covers whole segments: ["a"] covers /a and /a/b,
	// not /ab.
	Paths  [][]string `json:"paths"`
	Reason string     `json:"reason"`
}

// AgreementFacts describes one agreement that the engagement demands, and
// what the account has accepted of it.
type AgreementFacts struct {
	Name            string `json:"name"`
	Version         int    `json:"version"`          // the version in force
	AcceptedVersion int    `json:"accepted_version"` // 0: none
	AcceptedNS      int64  `json:"accepted_ns,omitempty"`
}

// A Document is an immutable facts document with the hash of its JSON form,
// which an access-log entry names instead of repeating it.
type Document struct {
	facts    Facts
	hash     string
	json     []byte
	accepted []string
	prepared atomic.Pointer[any]
}

// NewDocument freezes f. The caller must not change f or what it points to afterwards.
func NewDocument(f Facts) (*Document, error) {
	if f.Agreements == nil {
		f.Agreements = []AgreementFacts{}
	}
	b, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("encoding facts: %w", err)
	}
	sum := sha256.Sum256(b)
	return &Document{facts: f, hash: "sha256:" + hex.EncodeToString(sum[:]), json: b, accepted: accepted(f.Agreements)}, nil
}

// accepted names what was accepted of the agreements, as entries do.
func accepted(all []AgreementFacts) []string {
	var names []string
	for _, a := range all {
		if a.AcceptedVersion > 0 {
			names = append(names, a.Name+"@"+strconv.Itoa(a.AcceptedVersion))
		}
	}
	return names
}

// Accepted returns the agreements that the account has accepted of those that
// the engagement demands, as [Record.Agreements] has them. It is made once for
// all requests and must not be changed.
func (d *Document) Accepted() []string {
	if d == nil {
		return nil
	}
	return d.accepted
}

// Facts returns the document's contents, which the caller must not change.
func (d *Document) Facts() *Facts {
	if d == nil {
		return nil
	}
	return &d.facts
}

// Hash returns "sha256:" and the hexadecimal hash of [Document.JSON]; empty for nil.
func (d *Document) Hash() string {
	if d == nil {
		return ""
	}
	return d.hash
}

// JSON returns the document's one encoding, which the caller must not change.
func (d *Document) JSON() []byte {
	if d == nil {
		return nil
	}
	return d.json
}

// MarshalJSON writes the facts themselves.
func (d *Document) MarshalJSON() ([]byte, error) {
	if d == nil {
		return []byte("null"), nil
	}
	return d.json, nil
}

// UnmarshalJSON reads facts, as recorded or written by hand, into a new document.
func (d *Document) UnmarshalJSON(b []byte) error {
	var f Facts
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	n, err := NewDocument(f)
	if err != nil {
		return err
	}
	d.facts, d.hash, d.json, d.accepted = n.facts, n.hash, n.json, n.accepted
	d.prepared.Store(nil)
	return nil
}

// Prepared returns what build made of the facts, building it once: the
// engine's own form of the document. It is safe for concurrent use; build may
// run more than once when first uses race, and one result wins.
func (d *Document) Prepared(build func(*Document) any) any {
	if p := d.prepared.Load(); p != nil {
		return *p
	}
	v := build(d)
	if d.prepared.CompareAndSwap(nil, &v) {
		return v
	}
	return *d.prepared.Load()
}
