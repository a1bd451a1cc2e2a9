package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/alarm"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

const (
	// readsAPage is how many readings of the log one page looks through.
	readsAPage = 200
	// readsTime is how long a page may take to find out which of them concern the visitor.
	readsTime = 6 * time.Second
)

// readActions are the entries that stand for somebody reading entries.
var readActions = []string{"log.query", "log.entry", "log.export", "log.tail", "log.replay", "log.replayed", "log.shadow", "log.evidence", "log.review", "log.publish", "log.reconcile"}

// readersPage shows who looked at the visitor's entries.
type readersPage struct {
	Base
	Rows    []readerRow
	Looked  int // readings that were looked through
	Oldest  time.Time
	Older   string
	Newer   string
	Empty   ui.Empty
	Partial bool
}

// readerRow is what one person read in one way on one day.
type readerRow struct {
	Day     time.Time
	Last    time.Time
	Who     string // empty: whoever works on the machine itself
	What    ui.Text
	Times   int
	Kind    ui.Badge
	Named   bool // the visitor was asked for
	Entries int  // of the visitor's that were selected; 0: it cannot be told
}

// A reading is one entry that says that somebody read.
type reading struct {
	entry *accesslog.Entry
	where query.Node // nil: it cannot be told
	past  uint64     // entries with a smaller index were there to be read; 0: no bound
	times int
	last  time.Time
}

// mostLooks is how many of these pages are made at once. Each asks the index a
// question for every reading, and anybody who is signed in may ask for it.
const mostLooks = 4

// looks are the accounts for which one is being made.
type looks struct {
	mu   sync.Mutex
	open map[string]bool
}

func (l *looks) enter(account string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[account] || len(l.open) >= mostLooks {
		return false
	}
	if l.open == nil {
		l.open = map[string]bool{}
	}
	l.open[account] = true
	return true
}

func (l *looks) leave(account string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, account)
}

// readers shows who looked at entries about the visitor. A reading counts when
// what was searched for selects at least one of them; what cannot be told is
// shown as such, and never left out.
func (c *Console) readers(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := newForm(r.URL.Query())
	f.known(searchBefore)
	before := f.index(searchBefore)
	if err := f.asError(); err != nil {
		return err
	}
	page := readersPage{Base: v.page("Who looked at it")}
	if !c.looks.enter(v.Session.Account) {
		return &ui.Error{Status: http.StatusTooManyRequests, RetryAfter: readsTime}
	}
	defer c.looks.leave(v.Session.Account)
	if err := c.recordRead(r, v, "log.own", "account:"+v.Session.Account, map[string]string{"kind": "readers"}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), readsTime)
	defer cancel()
	withheld, err := c.withheldSince(ctx, v)
	if err != nil {
		return err
	}
	any := make([]query.Node, 0, len(readActions))
	for _, a := range readActions {
		any = append(any, query.Match{Field: query.Action, Pattern: query.Exact(a)})
	}
	me := v.Session.Account
	others := query.Negate(query.Match{Field: query.Actor, Pattern: query.Exact(me)})
	entries, err := c.entriesOf(ctx, query.All(typeIs(policy.RecordLog), query.Any(any...), others), v.Now, before, readsAPage+1)
	if err != nil {
		return err
	}
	more := len(entries) > readsAPage
	entries = entries[:min(len(entries), readsAPage)]
	for _, g := range grouped(entries) {
		row, concerns, err := c.readerRow(ctx, v, g)
		if errors.Is(err, context.DeadlineExceeded) {
			page.Partial, more = true, true
			break
		}
		if err != nil {
			return err
		}
		page.Looked += g.times
		page.Oldest = g.entry.Time
		if concerns && !(row.Named && !withheld.IsZero() && !g.last.Before(withheld)) {
			page.Rows = append(page.Rows, row)
		}
	}
	if before > 0 {
		page.Newer = readersPath
	}
	if more && len(entries) > 0 && !page.Partial {
		page.Older = address(readersPath, url.Values{searchBefore: {index(entries[len(entries)-1].Index)}})
	}
	if len(page.Rows) == 0 && !page.Partial {
		page.Empty = ui.Empty{Title: "Nobody looked", Text: "None of these readings selected an entry about you."}
	}
	return c.show(w, r, http.StatusOK, "recorded-readers", page)
}

// withholdAtMost is how long a reading that asked for the visitor may stay out of
// this list while an alarm about them is open.
const withholdAtMost = 90 * 24 * time.Hour

// withheldSince returns since when readings that asked for the visitor are not
// listed yet, zero where all are: whoever looks into an open alarm would warn
// the one whom it is about. They are listed once the last of these alarms is
// acknowledged, or after withholdAtMost.
func (c *Console) withheldSince(ctx context.Context, v *visit) (since time.Time, err error) {
	if c.Alarms == nil {
		return since, nil
	}
	open, err := c.Alarms.Alarms(ctx, alarm.Filter{Open: true, Account: v.Session.Account, Limit: 1000})
	for _, a := range open {
		if since.IsZero() || a.Raised.Before(since) {
			since = a.Raised
		}
	}
	if oldest := v.Now.Add(-withholdAtMost); !since.IsZero() && since.Before(oldest) {
		since = oldest
	}
	return since, err
}

// grouped joins readings of one person that asked for the same on one day, so
// that each question is answered once. They stay newest first.
func grouped(entries []*accesslog.Entry) []*reading {
	type key struct{ actor, action, object, what, day string }
	var out []*reading
	have := map[key]*reading{}
	for _, e := range entries {
		g := &reading{entry: e, times: 1, last: e.Time}
		g.where, g.past = readingOf(e)
		k := key{e.Actor, e.Action, e.Object, "?", e.Time.UTC().Format(time.DateOnly)}
		if g.where != nil {
			k.what = query.Print(g.where)
		}
		if e.Action != "log.entry" && g.where != nil {
			k.object = ""
		}
		if o := have[k]; o != nil { // the newest of them had most to select from
			o.times++
			continue
		}
		have[k] = g
		out = append(out, g)
	}
	return out
}

// readingOf returns what an entry about a reading says was asked for, nil where
// that cannot be told, and the index that all of it lies before.
func readingOf(e *accesslog.Entry) (where query.Node, past uint64) {
	past = e.Index
	d := e.Detail
	if before, err := strconv.ParseUint(d[searchBefore], 10, 63); err == nil && before > 0 {
		past = min(past, before) // further down in a result
	}
	switch e.Action {
	case "log.entry":
		n, err := query.Parse("index:" + d["index"])
		if err != nil {
			return nil, past
		}
		return n, past
	case "log.tail":
		past = 0 // what came afterwards was followed
	}
	if text, ok := d["filter"]; ok { // a command on the machine
		return commandQuery(text), past
	}
	n, known := olderQuery(d)
	if text, ok := d["query"]; ok {
		var err error
		n, err = query.Parse(text)
		known = err == nil
	}
	if !known {
		return nil, past
	}
	if s := d[scopeKey]; s != "" {
		scope, err := query.Parse(s)
		if err != nil {
			return nil, past
		}
		n = query.All(n, scope)
	}
	if e.Action == "log.review" {
		first, err := strconv.ParseUint(d["first"], 10, 63)
		last, lerr := strconv.ParseUint(d["last"], 10, 63)
		if errors.Join(err, lerr) != nil {
			return nil, past
		}
		n = query.All(n, within(first, last+1))
	}
	return n, past
}

// commandQuery reads the conditions of a command as its entry repeats them.
func commandQuery(text string) query.Node {
	flags, typed, _ := strings.Cut(text, "query=")
	fields := map[string]string{}
	for _, word := range strings.Fields(flags) {
		name, value, ok := strings.Cut(word, "=")
		switch name = strings.ReplaceAll(name, "-", "_"); {
		case !ok:
			return nil // a value with spaces
		case slices.Contains([]string{"limit", "json", "ascending", "lines", "follow", "format", "output", "out"}, name):
		default:
			fields[name] = value
		}
	}
	older, known := olderQuery(fields)
	if !known {
		return nil
	}
	n, err := query.Parse(typed)
	if err != nil {
		return nil
	}
	return query.All(older, n)
}

// readerRow says who read what, and whether entries about the visitor were part of it.
func (c *Console) readerRow(ctx context.Context, v *visit, g *reading) (row readerRow, concerns bool, err error) {
	e := g.entry
	row = readerRow{Day: e.Time.UTC().Truncate(24 * time.Hour), Last: g.last, Who: cmp.Or(e.Email, e.Actor), Times: g.times, What: actionWords(e.Action)}
	if e.Actor == operatorActor {
		row.Who = ""
	}
	if g.where == nil {
		row.Kind = ui.Badge{Kind: ui.Warn, Text: "perhaps yours"}
		return row, true, nil
	}
	engine, err := c.engine()
	if err != nil {
		return row, false, err
	}
	row.Entries, err = engine.Count(ctx, query.Request{Where: query.All(g.where, v.ownEntries()), Now: e.Time, Before: g.past})
	row.Kind = ui.Badge{Kind: ui.Neutral, Text: "a wider search"}
	if namesOne(g.where, v.Session.Account, v.Session.Email) || e.Action == "log.entry" {
		row.Kind, row.Named = ui.Badge{Kind: ui.Warn, Text: "asked for you"}, true
	}
	return row, row.Entries > 0, err
}

// operatorActor is who acts in commands on the machine.
const operatorActor = "operator"

// namesOne reports whether a query asks for an account by its id or address.
func namesOne(n query.Node, account, email string) bool {
	var of []query.Node
	switch n := n.(type) {
	case query.And:
		of = n
	case query.Or:
		of = n
	case query.Match:
		whole, ok := n.Pattern.Whole()
		if !ok || whole == "" {
			return false
		}
		switch n.Field {
		case query.Account:
			return n.Pattern.MatchWho(account, email, "")
		case query.AccountID, query.Actor:
			return whole == account
		case query.Email:
			return strings.EqualFold(whole, email)
		}
	}
	return slices.ContainsFunc(of, func(t query.Node) bool { return namesOne(t, account, email) })
}
