package studio

import (
	"cmp"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

// Bounds on a result: a policy can word a reason of its own for each request.
const (
	maxGroups     = 1_000
	maxGathered   = 20_000 // groups while a replay runs
	groupExamples = 20
)

// A tally is what one worker counts.
type tally struct {
	groups                      *groups
	unfit, withheld             map[string]int
	done, undecided             int
	widened, narrowed, reworded int
	checked, differed           int
	first, last                 time.Time
}

// reads counts an entry as unfit where one of the sets can read what it does not hold.
func (t *tally) reads(e *accesslog.Entry, withheld []string, sets ...*rego.Judge) bool {
	for _, path := range withheld {
		for _, j := range sets {
			if !j.CanRead(e.Cluster, path) {
				continue
			}
			if e.Record.Input == nil {
				t.unfit[UnfitEarlier]++
				return true
			}
			t.unfit[UnfitWithheld]++
			if _, ok := t.withheld[path]; ok || len(t.withheld) < 100 {
				t.withheld[path]++
			}
			return true
		}
	}
	return false
}

func (t *tally) replayed(e *accesslog.Entry) {
	t.done++
	if t.first.IsZero() || e.Time.Before(t.first) {
		t.first = e.Time
	}
	if e.Time.After(t.last) {
		t.last = e.Time
	}
}

func (t *tally) compare(e *accesslog.Entry, old, new ReplayOutcome) {
	if old.equal(new) {
		return
	}
	kind := Reworded
	switch {
	case new.Effect == policy.Allow && old.Effect != policy.Allow:
		kind = Widened
		t.widened++
	case new.Effect != policy.Allow && old.Effect == policy.Allow:
		kind = Narrowed
		t.narrowed++
	default:
		t.reworded++
	}
	t.groups.add(kind, e, old, new)
}

// flips returns how many decisions differ so far.
func (t *tally) flips() int { return t.widened + t.narrowed + t.reworded }

func (t *tally) addTo(out *ReplayResult) {
	out.Replayed += t.done
	out.Undecided += t.undecided
	out.Widened += t.widened
	out.Narrowed += t.narrowed
	out.Reworded += t.reworded
	out.Checked += t.checked
	out.Differed += t.differed
	if !t.first.IsZero() && (out.First.IsZero() || t.first.Before(out.First)) {
		out.First = t.first
	}
	if t.last.After(out.Last) {
		out.Last = t.last
	}
	out.Unfit = sum(out.Unfit, t.unfit)
	out.Withheld = sum(out.Withheld, t.withheld)
}

func sum(into, from map[string]int) map[string]int {
	for k, n := range from {
		if into == nil {
			into = map[string]int{}
		}
		into[k] += n
	}
	return into
}

func (o ReplayOutcome) equal(p ReplayOutcome) bool {
	return o.Effect == p.Effect && slices.Equal(o.Reasons, p.Reasons) &&
		(o.Obligations == p.Obligations || reflect.DeepEqual(o.Obligations, p.Obligations))
}

// groups gathers the requests that differ, for all workers.
type groups struct {
	mu   sync.Mutex
	all  map[string]*ReplayGroup
	seen map[uint64]ReplayExample
	more int
}

func newGroups() *groups {
	return &groups{all: map[string]*ReplayGroup{}, seen: map[uint64]ReplayExample{}}
}

func (g *groups) add(kind string, e *accesslog.Entry, old, new ReplayOutcome) {
	fresh := &ReplayGroup{Kind: kind, Account: e.Account, Email: e.Email, Vendor: e.Vendor, Cluster: e.Cluster, Route: e.Route, Old: old, New: new}
	b, _ := json.Marshal(fresh) // plain values cannot fail
	key := string(b)
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.all[key]
	if r == nil {
		if len(g.all) >= maxGathered {
			g.more++
			return
		}
		r = fresh
		r.First = e.Time
		g.all[key] = r
	}
	r.Count++
	if e.Time.Before(r.First) {
		r.First = e.Time
	}
	if e.Time.After(r.Last) {
		r.Last = e.Time
	}
	g.keep(r, e)
}

// keep has the newest of a group stay, in whatever order workers bring them.
func (g *groups) keep(r *ReplayGroup, e *accesslog.Entry) {
	at, _ := slices.BinarySearchFunc(r.Entries, e.Index, func(a, b uint64) int { return cmp.Compare(b, a) })
	if at >= groupExamples {
		return
	}
	r.Entries = slices.Insert(r.Entries, at, e.Index)
	g.seen[e.Index] = ReplayExample{Index: e.Index, Time: e.Time, Email: e.Email, Method: e.Method, Host: e.Host, Path: e.Path}
	if len(r.Entries) > groupExamples {
		delete(g.seen, r.Entries[groupExamples])
		r.Entries = r.Entries[:groupExamples]
	}
}

var kindOrder = map[string]int{Widened: 0, Narrowed: 1, Reworded: 2}

func (g *groups) addTo(out *ReplayResult) {
	g.mu.Lock()
	defer g.mu.Unlock()
	out.More = g.more
	sorted := slices.SortedFunc(maps.Values(g.all), func(a, b *ReplayGroup) int {
		return cmp.Or(cmp.Compare(kindOrder[a.Kind], kindOrder[b.Kind]), cmp.Compare(b.Count, a.Count), strings.Compare(a.Email, b.Email),
			strings.Compare(a.Cluster, b.Cluster), strings.Compare(a.Route, b.Route), slices.Compare(a.New.Reasons, b.New.Reasons),
			slices.Compare(a.Old.Reasons, b.Old.Reasons), cmp.Compare(b.Entries[0], a.Entries[0]))
	})
	for i, r := range sorted {
		if i >= maxGroups {
			out.More += r.Count
			continue
		}
		out.Groups = append(out.Groups, *r)
		for _, index := range r.Entries {
			out.Examples = append(out.Examples, g.seen[index])
		}
	}
	slices.SortFunc(out.Examples, func(a, b ReplayExample) int { return cmp.Compare(a.Index, b.Index) })
}
