// Package directory holds who may reach what: vendors and their engagements,
// accounts, clusters, assignments and agreements, as plain types with the rules
// that they keep. It turns an account and a cluster into the facts that
// policies read.
//
// The package knows no database and no clock. A [Directory] is a plain value to
// edit, checked as a whole by [Directory.Check]; a [Snapshot] is the same made
// immutable for the request path. Administrators write directories as YAML
// ([ParseYAML], [Directory.YAML]); [Merge] and [Diff] say what applying a file
// would change.
package directory

import (
	"slices"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// A Directory is everything that administrators say about access. The order of
// its objects means nothing. A Directory that others may read must not be changed.
type Directory struct {
	Vendors     []Vendor
	Agreements  []Agreement
	Engagements []Engagement
	Clusters    []Cluster
	Accounts    []Account
	Assignments []Assignment
}

// A Vendor is an outsourcing company, by name.
type Vendor struct {
	Name, Title     string
	Owner           policy.Person // who answers for the vendor inside the customer
	Suspended       bool          // nobody of the vendor reaches anything
	SuspendedReason string        // only while Suspended

	// IdentityProvider is the vendor's own; nil: its people sign in with passwords.
	IdentityProvider *IdentityProvider

	unsaid         bool // the file said nothing about Suspended
	providerUnsaid bool // nor about IdentityProvider
}

// An Agreement is a text that an account accepts before it reaches a cluster,
// in its newest version. Versions only rise, and the text of a version never changes.
type Agreement struct {
	Name, Title string
	Version     int    // from 1
	Text        string // Markdown
}

// An Engagement is a contract with a vendor. Nothing that is reached under it
// is reached before Starts, at or after Ends, or while it is Closed.
type Engagement struct {
	Name, Vendor, Title  string
	Starts, Ends         time.Time
	Closed               bool
	Clusters, Agreements []string // names: what it covers, and what it demands
	// TrustProviderFactor says that a second factor which people give at their
	// vendor's identity provider counts on this engagement's clusters.
	TrustProviderFactor bool
	// PhishingResistant demands a passkey or security key of whoever works
	// under it: codes do not count.
	PhishingResistant bool
	Session           SessionLimits
	// AccessTokens admits personal access tokens, which last for weeks and for
	// which nobody gives a code when they are used.
	AccessTokens bool

	unsaid       bool // the file said nothing about Closed
	unsaidFactor bool // nor about PhishingResistant
}

// An Account is a person's login.
type Account struct {
	ID     string // opaque and stable; given by the store when empty
	Email  string // canonical, as by [CanonicalEmail]; unique
	Name   string
	Vendor string // a contractor's vendor; empty for the customer's own people
	Roles  []policy.Role
	Ends   time.Time // a contractor always has one; zero: no end
	// Disabled ends every session and lets nothing begin.
	Disabled bool
	// TimeZone is where the person works, an IANA name such as Europe/Berlin;
	// empty: nobody has said.
	TimeZone string
	// LogClusters limit a reviewer to what the access log says of these
	// clusters, by name; empty: all of the log.
	LogClusters []string

	// Read-only: whoever edits a directory leaves them as they are.
	Status    string // policy.StatusActive, StatusInvited or StatusDisabled; anything else is not active
	LastLogin time.Time
	Created   time.Time

	unsaid bool // the file said nothing about Disabled
}

// Has reports whether the account holds role r.
func (a *Account) Has(r policy.Role) bool { return slices.Contains(a.Roles, r) }

// Classifications lists the values of [Cluster.Classification], least secret first.
var Classifications = []string{"public", "internal", "confidential", "restricted"}

// A Cluster is a named set of upstream systems that hold one body of data.
type Cluster struct {
	Name, Title    string
	Classification string // one of Classifications
	Owner          policy.Person
	Hosts          []string // canonical host names, each of one cluster only
	Routes         []Route
	// LogMode is policy.ModeRelaxed where requests are forwarded before their
	// entry is on disk; empty is strict. YAML may also say policy.ModeStrict.
	LogMode string
}

// A Route is a part of a cluster: the longest Path that covers a request's path wins.
type Route struct {
	Name           string
	Path           string        // prefix of whole segments: "/" or "/api"
	Upstreams      []string      // http://, https:// or h2c:// with host and port alone
	HealthPath     string        // asked of each upstream; empty: no health checks
	EncodedSlashes bool          // let %2F through in paths
	PreserveHost   bool          // send the cluster's own host name upstream
	Timeout        time.Duration // to the first byte of the response; zero: the proxy's default
	UpstreamCA     string        // PEM certificates that https upstreams are checked against; empty: the system's
}

// An Assignment gives one account one cluster under one engagement. There is at
// most one for an account and a cluster.
type Assignment struct {
	Account      string // e-mail
	Cluster      string
	Engagement   string
	Starts, Ends time.Time // in force from Starts until just before Ends
	Access       string    // policy.AccessRead or policy.AccessWrite
	Methods      []string  // when not empty, only these, within Access
	Paths        []string  // prefixes of whole segments; empty: everything
	Reason       string
	GivenBy      string // e-mail of who gave it, or "operator"; set by the store, never read from a file
}

// An Acceptance says that an account accepted a version of an agreement.
type Acceptance struct {
	Account   string // id
	Agreement string
	Version   int
	At        time.Time
	IP        string
	TypedName string // the name as the person typed it
	Hash      string // of the accepted text, as by [TextHash]
}

// Operator is the [Actor.Account] of commands on the machine itself.
const Operator = "operator"

// An Actor is who changes something, for the access log and for the rule that
// nobody widens their own rights.
type Actor struct {
	Account   string // account id, or Operator
	Email     string
	RequestID string
	IP        string
}

// Clone returns a deep copy, which may be edited freely.
func (d *Directory) Clone() *Directory {
	c := &Directory{
		Vendors:     slices.Clone(d.Vendors),
		Agreements:  slices.Clone(d.Agreements),
		Engagements: slices.Clone(d.Engagements),
		Clusters:    slices.Clone(d.Clusters),
		Accounts:    slices.Clone(d.Accounts),
		Assignments: slices.Clone(d.Assignments),
	}
	for i := range c.Vendors {
		c.Vendors[i].IdentityProvider = c.Vendors[i].IdentityProvider.clone()
	}
	for i := range c.Engagements {
		e := &c.Engagements[i]
		e.Clusters, e.Agreements = slices.Clone(e.Clusters), slices.Clone(e.Agreements)
	}
	for i := range c.Clusters {
		k := &c.Clusters[i]
		k.Hosts, k.Routes = slices.Clone(k.Hosts), slices.Clone(k.Routes)
		for j := range k.Routes {
			k.Routes[j].Upstreams = slices.Clone(k.Routes[j].Upstreams)
		}
	}
	for i := range c.Accounts {
		c.Accounts[i].Roles = slices.Clone(c.Accounts[i].Roles)
		c.Accounts[i].LogClusters = slices.Clone(c.Accounts[i].LogClusters)
	}
	for i := range c.Assignments {
		a := &c.Assignments[i]
		a.Methods, a.Paths = slices.Clone(a.Methods), slices.Clone(a.Paths)
	}
	return c
}
