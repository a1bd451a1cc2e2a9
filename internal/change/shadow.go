package change

import (
	"errors"
	"time"
)

// A Shadow is a policy set that decides beside the one in force about the same
// requests. Nothing that it says is enforced.
type Shadow struct {
	ID       int64
	Draft    int64 // that it is, as it was when the shadow was started; 0: none
	Revision int64 // that it is; 0: none
	Title    string
	Hash     string            // of its modules
	Modules  map[string]string // nil in lists
	Started  Person
	Stopped  Person // zero At: it runs
	Fault    string // why it ended by itself; empty: it did not
	Counts   ShadowCounts
}

// Running reports whether it is to decide now.
func (s *Shadow) Running() bool { return s.Stopped.At.IsZero() }

// ShadowCounts say how a shadow fared.
type ShadowCounts struct {
	Decided  int64 // requests that it decided
	Dropped  int64 // requests that it did not get to: it never holds traffic up
	Widened  int64 // allowed by the shadow alone
	Narrowed int64 // allowed in force alone
	Reworded int64 // the same, for other reasons or under other obligations
}

// Differ returns how many requests the two sets decided differently.
func (c ShadowCounts) Differ() int64 { return c.Widened + c.Narrowed + c.Reworded }

// Add adds what was counted since.
func (c *ShadowCounts) Add(d ShadowCounts) {
	c.Decided += d.Decided
	c.Dropped += d.Dropped
	c.Widened += d.Widened
	c.Narrowed += d.Narrowed
	c.Reworded += d.Reworded
}

// A Difference is a group of requests about which two policy sets differ in the
// same way.
type Difference struct {
	DifferenceKey
	Count       int64
	First, Last time.Time
	Entries     []uint64 // of the access log: some of them, at most 20
}

// A DifferenceKey says what the requests of a group have in common. Reasons are
// codes, separated by commas.
type DifferenceKey struct {
	Turn                   string // widened, narrowed or reworded
	Account, Email, Vendor string
	Cluster, Route         string
	OldEffect, OldReasons  string
	NewEffect, NewReasons  string
}

// MaxEntries is how many entries a [Difference] names at most.
const MaxEntries = 20

// MaxDifferences is how many groups are kept of one shadow; what comes beyond
// them is counted and not listed.
const MaxDifferences = 1000

// ErrShadowRuns: only one policy set at a time decides beside the one in force.
var ErrShadowRuns = errors.New("another policy set decides in shadow already")

// A FaultyError says that policies cannot be run at all.
type FaultyError struct{ Fault string }

// Error names the first fault.
func (e *FaultyError) Error() string { return "the policies cannot be compiled: " + e.Fault }
