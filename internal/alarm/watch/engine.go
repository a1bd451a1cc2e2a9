package watch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/alarm"
	"github.com/ringfence/ringfence/policy"
)

// Bounds of what is remembered.
const (
	maxWindows  = 50_000  // counts of the last minutes
	maxAccounts = 200_000 // pasts
	// maxStrangers of the counts are of whom nobody knows: others are always counted.
	maxStrangers = maxWindows / 2
	// maxNamed is how many addresses a rule raises alarms of within strangersFor.
	maxNamed     = 20
	strangersFor = time.Hour
	sweepEvery   = time.Minute
)

// strangerMark stands before whom nobody knows in the key of a count.
const strangerMark = "|~"

// ActionRule is the action of the entries that put a rule's revision in force.
// Its detail holds rule and revision.
const ActionRule = "alarm.rule"

// A rule is one that is in force, made ready.
type rule struct {
	alarm.Rule
	where *query.Filter // of kind Matches
}

// ready makes a rule ready to be asked.
func ready(r alarm.Rule) (*rule, error) {
	x := &rule{Rule: r}
	if r.Kind == alarm.Matches {
		n, err := ParseQuery(r.Query)
		if err != nil {
			return nil, fmt.Errorf("reading rule %s: %w", r.ID, err)
		}
		x.where = query.Compile(n, time.Time{})
	}
	return x, nil
}

// ErrTimed: a rule's query names times, which mean nothing to entries that come.
var ErrTimed = errors.New("a rule's query cannot name times: it is asked of each entry as it comes")

// ParseQuery reads the query of a rule. The error is a [*query.Error] or [ErrTimed].
func ParseQuery(s string) (query.Node, error) {
	n, err := query.Parse(s)
	if err != nil {
		return nil, err
	}
	for word := range strings.FieldsSeq(query.Print(n)) {
		if word = strings.TrimLeft(word, "-("); strings.HasPrefix(word, "since:") || strings.HasPrefix(word, "until:") {
			return nil, ErrTimed
		}
	}
	return n, nil
}

// An engine asks rules about entries, one after the other. It is not safe for
// concurrent use. What it raises follows from the entries and the rules alone.
type engine struct {
	*state
	rules   map[string]*rule
	longest time.Duration // of the rules' spans
	found   []alarm.Raised
	e       *accesslog.Entry // the one that is looked at
	hash    string
}

func newEngine(s *state) *engine {
	s.tally()
	return &engine{state: s, rules: map[string]*rule{}, longest: time.Hour}
}

// set puts a rule in force.
func (x *engine) set(r alarm.Rule) error {
	made, err := ready(r)
	if err != nil {
		return err
	}
	if was := x.rules[r.ID]; was != nil && was.Revision != r.Revision {
		for k := range x.Windows { // counted under other terms
			if strings.HasPrefix(k, r.ID+"|") {
				delete(x.Windows, k)
			}
		}
		x.tally()
	}
	x.rules[r.ID], x.Rules[r.ID] = made, r.Revision
	x.longest = max(x.longest, r.Within)
	return nil
}

// load puts the rules in force that the state names, and those that come with
// the product where it names none.
func (x *engine) load(ctx context.Context, k alarm.Keeper) error {
	for _, r := range alarm.Defaults() {
		if x.Rules[r.ID] == 0 {
			if err := x.set(r); err != nil {
				return err
			}
		}
	}
	for id, revision := range x.Rules {
		if revision == 0 {
			continue
		}
		if err := x.take(ctx, k, id, revision); err != nil {
			return err
		}
	}
	return nil
}

// take puts a revision in force that an entry or the state names. One that the
// store does not know, such as after a restored backup, changes nothing.
func (x *engine) take(ctx context.Context, k alarm.Keeper, id string, revision int64) error {
	r, err := k.AlarmRule(ctx, id, revision)
	if errors.Is(err, alarm.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading an alarm's rule: %w", err)
	}
	return x.set(r)
}

// ruleOf returns which revision an entry puts in force.
func ruleOf(e *accesslog.Entry) (id string, revision int64, ok bool) {
	if e.Type != policy.RecordLog || e.Action != ActionRule || e.Result != "ok" {
		return "", 0, false
	}
	revision, err := strconv.ParseInt(e.Detail["revision"], 10, 64)
	return e.Detail["rule"], revision, err == nil && e.Detail["rule"] != ""
}

// observe asks the rules about the next entry and returns what they found.
func (x *engine) observe(e *accesslog.Entry) []alarm.Raised {
	x.e, x.hash, x.found = e, "", nil
	if day := dayOf(e.Time); day != x.Day {
		x.Day = day
		x.forget(e.Time, x.longest)
	}
	if strings.HasPrefix(e.Action, "alarm.") || e.Action == accesslog.ActionFacts {
		x.done(e)
		return nil // no alarm about alarms
	}
	x.learnAndAsk(e)
	for _, r := range x.rules {
		if r.On && r.where != nil && r.Concerns(e.Account, e.Vendor, e.Cluster) && r.where.Match(e) {
			x.count(r, about(e))
		}
	}
	x.done(e)
	return x.found
}

func (x *engine) done(e *accesslog.Entry) {
	x.Next, x.Last = e.Index+1, x.hashOf(e)
}

func (x *engine) hashOf(e *accesslog.Entry) string {
	if x.hash == "" || x.e != e {
		sum := sha256.Sum256(e.Payload)
		x.e, x.hash = e, hex.EncodeToString(sum[:16])
	}
	return x.hash
}

// about is whom an entry is about: an account, or an address where nobody is
// known. Of the addresses that one connection has, as IPv6 hands them out, it
// is the network.
func about(e *accesslog.Entry) string {
	switch {
	case e.Account != "":
		return e.Account
	case e.SourceIP != "":
		if a, err := netip.ParseAddr(e.SourceIP); err == nil && a.Is6() && !a.Is4In6() {
			if n, err := a.WithZone("").Prefix(64); err == nil {
				return n.String()
			}
		}
		return e.SourceIP
	}
	return e.Actor
}

// of calls fn for the rules of a kind that are on and concern the entry.
func (x *engine) of(k alarm.Kind, e *accesslog.Entry, fn func(*rule)) {
	for _, r := range x.rules {
		if r.Kind == k && r.On && r.Concerns(e.Account, e.Vendor, e.Cluster) {
			fn(r)
		}
	}
}

// count adds the entry to what a rule counts about somebody, and raises an
// alarm when it is the last of Count within Within. Whoever has many addresses
// can neither keep others from being counted nor raise an alarm with each:
// those beyond the bounds are counted, and raised, as one.
func (x *engine) count(r *rule, about string) {
	k, stranger := r.ID+"|"+about, x.e.Account == "" && x.e.Actor == ""
	if stranger {
		k = r.ID + strangerMark + about
	}
	w, known := x.Windows[k]
	if !known && !x.room(stranger) {
		if !stranger {
			return
		}
		about, k = alarm.ManyAddresses, r.ID+strangerMark+alarm.ManyAddresses
		w, known = x.Windows[k]
	}
	now := x.e.Time.UnixNano()
	from := 0
	for from < len(w) && now-w[from] > int64(r.Within) {
		from++
	}
	if w = append(w[from:], now); len(w) < r.Count {
		if x.Windows[k] = w; stranger && !known {
			x.strangers++
		}
		return
	}
	if delete(x.Windows, k); stranger && known { // the next one counts from the start
		x.strangers--
	}
	if stranger && !x.names(r, about) {
		about = alarm.ManyAddresses
	}
	x.raise(r, about, map[string]string{"count": strconv.Itoa(len(w)), "since": time.Unix(0, w[0]).UTC().Format(time.RFC3339)})
}

// room reports whether somebody further can be counted.
func (x *engine) room(stranger bool) bool {
	crowded := x.strangers >= maxStrangers || len(x.Windows) >= maxWindows
	if now := x.e.Time.UnixNano(); crowded && (now-x.Swept >= int64(sweepEvery) || now < x.Swept) {
		x.Swept = now
		x.forgetCounts(x.e.Time, x.longest)
	}
	return len(x.Windows) < maxWindows && (!stranger || x.strangers < maxStrangers)
}

// names reports whether a rule may raise an alarm of an address by itself.
func (x *engine) names(r *rule, about string) bool {
	now := x.e.Time.UnixNano()
	if at, ok := x.Raised[r.ID+"|"+about]; ok && now-at < int64(r.Again) {
		return true // it is not raised again
	}
	w := slices.DeleteFunc(x.Named[r.ID], func(at int64) bool { return now-at >= int64(strangersFor) })
	if len(w) < maxNamed {
		w = append(w, now)
		x.Named[r.ID] = w
		return true
	}
	x.Named[r.ID] = w
	return false
}

// raise notes an alarm of the entry that is looked at, unless the same, which
// key names, was raised a moment ago or the log is only read to learn from it.
func (x *engine) raise(r *rule, key string, facts map[string]string) {
	e, k := x.e, r.ID+"|"+key
	again := r.Again
	if key == alarm.ManyAddresses {
		again = max(again, strangersFor)
	}
	if at, ok := x.Raised[k]; ok && e.Time.UnixNano()-at < int64(again) {
		return
	}
	x.Raised[k] = e.Time.UnixNano()
	if e.Index < x.Quiet {
		return
	}
	index := e.Index
	a := alarm.Alarm{ID: alarm.ID(r.ID, key, x.hashOf(e)), Rule: r.ID, Revision: r.Revision, Kind: r.Kind, Severity: r.Severity, Title: r.Title,
		At: e.Time, Entry: &index, Account: e.Account, Vendor: e.Vendor, Cluster: e.Cluster, Actor: e.Actor, About: key, Facts: facts}
	if e.Account != "" {
		a.About = e.Account
	}
	x.found = append(x.found, alarm.Raised{Alarm: a, To: r.receivers(e.Vendor)})
}

// receivers are whom the rule tells.
func (r *rule) receivers(vendor string) []string {
	to := append([]string{}, r.To...)
	if r.Owner && vendor != "" {
		to = append(to, alarm.OwnerReceiver)
	}
	return to
}
