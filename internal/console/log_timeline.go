package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

const (
	// timelineLines is how many lines of the log a page of a timeline covers.
	timelineLines = 300
	// sameSpell is how far apart requests of one kind may be and still be told together.
	sameSpell = 10 * time.Minute
	// longQuiet is how long nothing must happen for the timeline to say so.
	longQuiet = time.Hour
)

// timelinePage tells what one session or one account did.
type timelinePage struct {
	Base
	Lede      ui.Text
	Whose     ui.Link
	Facts     []entryLine
	Histogram *histogram
	Facets    []facet
	Days      []timelineDay
	Partial   ui.Text
	Scope     ui.Text
	Empty     ui.Empty
	SearchURL string
	LiveURL   string
	Pager     ui.Pager
}

type timelineDay struct {
	Date   time.Time
	Events []timelineEvent
}

// A timelineEvent is one entry, or several requests of one kind close together.
type timelineEvent struct {
	From, To    time.Time // the same for a single entry
	When, Till  string    // both as they are read; the second is empty where it says nothing more
	Kind        ui.Badge
	What        ui.Text
	Mono        bool
	Cluster     string
	Note        ui.Text
	Paths       []string // of several requests, the first few
	More        int      // how many other paths
	N           int
	Bytes       ui.Text
	URL         string
	Quiet       ui.Text // how long nothing was recorded before this
	paths       []string
	first, last uint64
	bytes       int64
	sample      *accesslog.Entry
}

func timelineURL(kind, id string) string { return "/console/log/" + kind + "/" + url.PathEscape(id) }

// sessionTimeline tells everything of one session.
func (c *Console) sessionTimeline(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := r.PathValue("id")
	page := timelinePage{Base: v.page("Timeline of a session"), Lede: "Everything that is recorded of one session, the newest first."}
	return c.timeline(w, r, v, &page, is(query.Session, id), "session", id)
}

// accountTimeline tells everything of one account.
func (c *Console) accountTimeline(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := r.PathValue("id")
	page := timelinePage{Base: v.page("Timeline of an account"), Lede: "Everything that is recorded of one account, the newest first."}
	if a := find(v.Snapshot.Directory().Accounts, accountWithID(id)); a != nil {
		page.Whose = ui.Link{Label: ui.Verbatim(nameOf(a)), URL: personURL(a.ID)}
	}
	return c.timeline(w, r, v, &page, is(query.Account, id), "account", id)
}

func (c *Console) timeline(w http.ResponseWriter, r *http.Request, v *visit, page *timelinePage, n query.Node, kind, id string) error {
	if id == "" || len(id) > 254 {
		return ui.NotFound()
	}
	f := newForm(r.URL.Query())
	f.known(searchBefore)
	before := f.index(searchBefore)
	if !f.OK() {
		return ui.NotFound()
	}
	a := asked{Node: n, Text: query.Print(n), Before: before}
	if err := c.recordRead(r, v, "log.query", kind+":"+clip(id, 200), a.detail()); err != nil {
		return err
	}
	page.Scope = v.logScopeWords()
	page.SearchURL, page.LiveURL = logURL(n), queryURL(livePath, n)
	ctx, cancel := context.WithTimeout(r.Context(), searchTime)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { page.Histogram = c.histogramOf(ctx, v, n, c.bounded(ctx, v, n), c.ownLog()) })
	wg.Go(func() { page.Facets = c.facets(ctx, v, &a, n, c.ownLog()) })
	lines, err := c.findLines(ctx, v, n, before, timelineLines)
	wg.Wait()
	if errors.Is(err, context.DeadlineExceeded) {
		page.Partial, err = ui.Say("The search took longer than {1} seconds and was stopped. Name a time to search less of the log.", int(searchTime.Seconds())), nil
	}
	if err != nil {
		return err
	}
	page.Days = daysOf(eventsOf(lines.pairs, n))
	page.Facts = c.timelineFacts(v, kind, lines.pairs)
	page.Pager = ui.Pager{Text: ui.Count(len(lines.pairs), "{1} line, newest first", "{1} lines, newest first")}
	here := timelineURL(kind, id)
	if before > 0 {
		page.Pager.Newer = here
	}
	if lines.older {
		page.Pager.Older = here + "?" + searchBefore + "=" + strconv.FormatUint(lines.oldest, 10)
	}
	if len(lines.pairs) == 0 && page.Partial == "" {
		page.Empty = ui.Empty{Title: "Nothing is recorded", Text: "The access log has no entry of this name.", ActionURL: "/console/log", Action: "Show the newest entries"}
	}
	return c.show(w, r, http.StatusOK, "log-timeline", *page)
}

// bounded returns n with the times of its first and last entry, so that the
// picture is of those and not of the whole log; n itself where that takes too long.
func (c *Console) bounded(ctx context.Context, v *visit, n query.Node) query.Node {
	if c.Search == nil {
		return n
	}
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	days, err := c.Search.Histogram(ctx, query.Request{Where: v.readable(lines(n)), Now: v.Now}, query.Type, time.Hour)
	if err != nil || len(days) == 0 {
		return n
	}
	return query.All(n, query.Bound{Field: query.Since, At: days[0].Start}, query.Bound{Field: query.Until, At: days[len(days)-1].Start.Add(time.Hour)})
}

// timelineFacts are what all lines have in common.
func (c *Console) timelineFacts(v *visit, kind string, pairs []pair) []entryLine {
	if len(pairs) == 0 {
		return nil
	}
	var accounts, emails, vendors, addresses, sessions []string
	note := func(list *[]string, value string) {
		if value != "" && !slices.Contains(*list, value) && len(*list) < 12 {
			*list = append(*list, value)
		}
	}
	for _, p := range pairs {
		note(&accounts, p.entry.Account)
		note(&emails, p.entry.Email)
		note(&vendors, p.entry.Vendor)
		note(&addresses, p.entry.SourceIP)
		note(&sessions, p.entry.Session)
	}
	var out []entryLine
	add := func(label ui.Text, values []string, link func(string) string) {
		for _, value := range values {
			out = append(out, entryLine{Label: label, Value: ui.Verbatim(value), Mono: true, URL: link(value)})
			label = ""
		}
	}
	if kind == "session" {
		add("Account", emails, func(string) string {
			if len(accounts) == 1 {
				return timelineURL("account", accounts[0])
			}
			return ""
		})
	}
	add("Vendor", vendors, func(s string) string { return logURL(is(query.Vendor, s)) })
	add("Address", addresses, func(s string) string { return logURL(is(query.SourceIP, s)) })
	if kind == "account" {
		add("Session", sessions, func(s string) string { return timelineURL("session", s) })
	}
	return out
}

// eventsOf tells lines as events, requests of one kind close together as one.
func eventsOf(pairs []pair, n query.Node) []timelineEvent {
	var out []timelineEvent
	for _, p := range pairs {
		if last := len(out) - 1; last >= 0 && out[last].takes(p.entry) {
			out[last].add(p)
			continue
		}
		out = append(out, newEvent(p))
	}
	for i := range out {
		out[i].close(n)
		if i+1 < len(out) {
			if quiet := out[i].From.Sub(out[i+1].To); quiet >= longQuiet {
				out[i].Quiet = ui.Say("Nothing for {1}", quietWords(quiet))
			}
		}
	}
	return out
}

func newEvent(p pair) timelineEvent {
	row := newEntryRow(p)
	e := timelineEvent{From: p.entry.Time, To: p.entry.Time, Kind: row.Kind, What: row.What, Mono: row.Mono, Cluster: row.Cluster, Note: row.Note, URL: row.URL,
		first: p.entry.Index, last: p.entry.Index, sample: p.entry}
	e.count(p)
	return e
}

// takes reports whether an older entry is of the same kind and close.
func (t *timelineEvent) takes(e *accesslog.Entry) bool {
	return e.Type == policy.RecordRequest && t.sample.Type == e.Type && t.sample.Cluster == e.Cluster && t.sample.Effect == e.Effect &&
		t.sample.Session == e.Session && slices.Equal(t.sample.Reasons, e.Reasons) && t.From.Sub(e.Time) <= sameSpell
}

func (t *timelineEvent) add(p pair) {
	t.From, t.first = p.entry.Time, p.entry.Index
	t.count(p)
}

func (t *timelineEvent) count(p pair) {
	t.N++
	if p.outcome != nil && p.outcome.BytesOut != nil {
		t.bytes += *p.outcome.BytesOut
	}
	if what := p.entry.Method + " " + p.entry.Path; p.entry.Type == policy.RecordRequest && !slices.Contains(t.paths, what) {
		t.paths = append(t.paths, what)
	}
}

// close words what was gathered.
func (t *timelineEvent) close(n query.Node) {
	t.When = t.From.UTC().Format(time.TimeOnly)
	if till := t.To.UTC().Format(time.TimeOnly); till != t.When {
		t.Till = till
	}
	if t.bytes > 0 {
		t.Bytes = ui.Say("{1} sent", size(t.bytes))
	}
	if t.N == 1 {
		return
	}
	const shown = 4
	slices.Reverse(t.paths) // as they came
	t.What, t.Mono = ui.Count(t.N, "{1} request", "{1} requests"), false
	t.Paths, t.More = t.paths[:min(shown, len(t.paths))], max(0, len(t.paths)-shown)
	t.URL = logURL(query.All(n, is(query.Type, string(policy.RecordRequest)), is(query.Cluster, t.sample.Cluster), is(query.Effect, t.sample.Effect),
		query.Range{Field: query.Index, Min: int64(t.first), Max: int64(t.last)}))
}

// daysOf puts events under the days that they began on.
func daysOf(events []timelineEvent) []timelineDay {
	var out []timelineDay
	for _, e := range events {
		date := e.To.UTC().Truncate(24 * time.Hour)
		if len(out) == 0 || !out[len(out)-1].Date.Equal(date) {
			out = append(out, timelineDay{Date: date})
		}
		d := &out[len(out)-1]
		d.Events = append(d.Events, e)
	}
	return out
}

func quietWords(d time.Duration) ui.Text {
	if d < 48*time.Hour {
		return ui.Count(int(d/time.Hour), "{1} hour", "{1} hours")
	}
	return ui.Count(int(d/(24*time.Hour)), "{1} day", "{1} days")
}
