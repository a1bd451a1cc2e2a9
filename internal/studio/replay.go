package studio

import (
	"context"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// A ReplayRequest asks what a policy set decides on recorded requests, beside
// what another one does.
type ReplayRequest struct {
	Log string `json:"log"` // the access log's folder, which is only read
	// Since and Until bound the entries' time, both included; zero: no bound.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Before leaves out entries from this index on; 0: none.
	Before uint64            `json:"before,omitempty"`
	Old    map[string]string `json:"old"` // modules by file name
	New    map[string]string `json:"new"`
	// Account (id or address), Vendor and Cluster, where given, leave out requests of others.
	Account string `json:"account,omitempty"`
	Vendor  string `json:"vendor,omitempty"`
	Cluster string `json:"cluster,omitempty"`
	// Afresh has the old set decide each request again also where the log says
	// what it decided. Otherwise the recorded decision stands, and a sample is
	// checked; one that differs has everything decided again.
	Afresh bool `json:"afresh,omitempty"`
	// Recorded, when not nil, compares otherwise: what the log says was decided
	// with what this build decides under the same policies, which are the
	// modules by the revision that entries name. Where that name is not known any
	// other will do: what this build would call the set counts too. Old and New play no part.
	Recorded map[string]map[string]string `json:"recorded,omitempty"`
}

// Kinds of a [ReplayGroup].
const (
	Widened  = "widened"  // not allowed before, allowed now
	Narrowed = "narrowed" // allowed before, not allowed now
	Reworded = "reworded" // allowed or not as before, with another effect, other reasons or obligations
)

// Causes for which an entry cannot be replayed, as keys of [ReplayResult.Unfit].
const (
	UnfitContract = "contract" // its input is of another version of the contract
	UnfitEarlier  = "earlier"  // from before whole inputs were recorded
	UnfitWithheld = "withheld" // a policy reads what is not kept
	UnfitFacts    = "facts"    // its facts are not to be had
	UnfitLarge    = "large"    // it was refused for its size
	UnfitRevision = "revision" // nobody knows the policies that decided it; of a comparison with the recorded ones
	UnfitTimeout  = "timeout"  // it was refused because the policies took too long; of a comparison with the recorded ones
	UnfitPolicies = "policies" // this build does not compile the policies that decided it; of a comparison with the recorded ones
)

// A ReplayResult is what was found. Every request that the policies decided is
// in Replayed or under one cause in Unfit, none in both.
type ReplayResult struct {
	OldRevision string         `json:"old_revision,omitempty"` // the engine's names
	NewRevision string         `json:"new_revision,omitempty"`
	First       time.Time      `json:"first,omitzero"` // time of the first and last request that was replayed
	Last        time.Time      `json:"last,omitzero"`
	Replayed    int            `json:"replayed"`
	Unfit       map[string]int `json:"unfit,omitempty"`    // by cause
	Withheld    map[string]int `json:"withheld,omitempty"` // of those withheld, by the path that is read
	Undecided   int            `json:"undecided"`          // refused before the policies were asked; no policy changes that
	Widened     int            `json:"widened"`
	Narrowed    int            `json:"narrowed"`
	Reworded    int            `json:"reworded"`
	// Checked counts recorded decisions that were taken again to see whether
	// they hold, and Differed those that did not.
	Checked  int           `json:"checked"`
	Differed int           `json:"differed"`
	Groups   []ReplayGroup `json:"groups"` // widened first, the largest first
	// More counts the requests of further groups, which are not listed.
	More     int             `json:"more"`
	Examples []ReplayExample `json:"examples,omitempty"` // of the groups, by index
	Took     time.Duration   `json:"took"`
}

// UnfitTotal returns how many requests could not be replayed.
func (r *ReplayResult) UnfitTotal() (n int) {
	for _, c := range r.Unfit {
		n += c
	}
	return n
}

// A ReplayOutcome is a decision without its sentences, as entries have it.
type ReplayOutcome struct {
	Effect      policy.Effect       `json:"effect"`
	Reasons     []string            `json:"reasons,omitempty"` // codes
	Obligations *policy.Obligations `json:"obligations,omitempty"`
}

// A ReplayGroup is the requests that differ in the same way.
type ReplayGroup struct {
	Kind    string        `json:"kind"` // [Widened], [Narrowed] or [Reworded]
	Account string        `json:"account"`
	Email   string        `json:"email"`
	Vendor  string        `json:"vendor"`
	Cluster string        `json:"cluster"`
	Route   string        `json:"route"`
	Old     ReplayOutcome `json:"old"`
	New     ReplayOutcome `json:"new"`
	Count   int           `json:"count"`
	Entries []uint64      `json:"entries"` // indexes of up to 20, the newest first
	First   time.Time     `json:"first"`
	Last    time.Time     `json:"last"`
}

// A ReplayExample is one request of a group.
type ReplayExample struct {
	Index  uint64    `json:"index"`
	Time   time.Time `json:"time"`
	Email  string    `json:"email"`
	Method string    `json:"method"`
	Host   string    `json:"host"`
	Path   string    `json:"path"`
}

// Replay decides recorded requests again. Entries that are written meanwhile
// may be among them. Progress counts entries of the log. It ends with ctx. The
// reading of the log is not recorded here: whoever asks does that before.
func (r *Runner) Replay(ctx context.Context, a ReplayRequest, tell func(Progress)) (ReplayResult, error) {
	return call[ReplayResult](ctx, r, r.long, "replay", a, tell)
}
