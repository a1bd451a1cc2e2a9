package console

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

const (
	// countTime is how long counting for the picture and the facets may take.
	// Lines never wait for it.
	countTime = 3 * time.Second
	// smallLog is how many entries are counted without being asked for a time.
	smallLog = 300_000
)

// queryBar is the line that a query is typed into, with what may be said about
// it. Its template is "query-bar".
type queryBar struct {
	Action string // where it is sent
	Value  string
	Fault  *queryFault
	Chips  []chip
	Spans  []ui.Link // the same search in other spans of time
	Fields []ui.Link // for suggestions: what may be typed, as the label
}

// A chip is one condition that can be taken away.
type chip struct {
	Text    string
	Without string
}

// queryFault shows where a query cannot be understood.
type queryFault struct {
	What              ui.Text
	Before, At, After string
	Column            int
	Better            string // the query with what was perhaps meant; empty: nobody knows
	BetterURL         string
}

// logPage shows what was found in the access log.
type logPage struct {
	Base
	Bar       queryBar
	Faults    []ui.Text
	Histogram *histogram
	Facets    []facet
	MoreURL   string // with further facets; empty: they are there
	Rows      []entryRow
	Pager     ui.Pager
	Empty     ui.Empty
	Partial   ui.Text // why there is less than there should be
	Scope     ui.Text // what the visitor may not see; empty: everything is shown
	Size      uint64
	Quick     []ui.Link // searches that are made often
	LiveURL   string
	FixedURL  string // the same entries for ever
	Keep      keepLinks
}

// log shows the search of the access log.
func (c *Console) log(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, canonical := readAsked(r.URL.Query(), v.Now)
	if !canonical {
		http.Redirect(w, r, a.page("/console/log"), http.StatusSeeOther)
		return nil
	}
	page := logPage{Base: v.page("Access log"), Size: c.Log.Size(), Faults: a.Faults, Bar: v.queryBar(&a, "/console/log"), Quick: quickSearches(), Scope: v.logScopeWords()}
	if !a.OK() {
		return c.show(w, r, http.StatusUnprocessableEntity, "log", page)
	}
	if err := c.recordRead(r, v, "log.query", "log", a.detail()); err != nil {
		return err
	}
	page.Keep = newKeepLinks(a.Node, page.Size)
	page.LiveURL = queryURL(livePath, untimed(a.Node))
	if page.Size > 0 {
		page.FixedURL = logURL(lasting(a.Node, v.Now, page.Size-1))
	}
	if err := c.fillLog(r.Context(), v, &a, &page); err != nil {
		return err
	}
	return c.show(w, r, http.StatusOK, "log", page)
}

// fillLog reads the lines, the picture over time and the facets side by side.
func (c *Console) fillLog(ctx context.Context, v *visit, a *asked, page *logPage) error {
	ctx, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	counted := c.countedPart(v, a.Node, page.Size)
	var wg sync.WaitGroup
	wg.Go(func() { page.Histogram = c.histogram(ctx, v, counted, c.ownLog()) })
	wg.Go(func() { page.Facets = c.facets(ctx, v, a, counted, c.ownLog()) })
	var lines found
	var err error
	if a.After > 0 {
		lines, err = c.findNewer(ctx, v, a.Node, a.After, entriesAPage)
	} else {
		lines, err = c.findLines(ctx, v, a.Node, a.Before, entriesAPage)
	}
	wg.Wait()
	if errors.Is(err, context.DeadlineExceeded) {
		page.Partial, err = ui.Say("The search took longer than {1} seconds and was stopped. Name a time to search less of the log.", int(searchTime.Seconds())), nil
	}
	if err != nil {
		return err
	}
	for _, p := range lines.pairs {
		page.Rows = append(page.Rows, narrowing(v.entryRow(p), a.Node))
	}
	page.Pager = a.pager(lines)
	if !a.More {
		page.MoreURL = a.with("/console/log", searchFacets, "more") + "#facets"
	}
	if len(page.Rows) == 0 && page.Partial == "" {
		page.Empty = ui.Empty{Title: "No entry matches", Text: "Nothing in the access log fits what you searched for.", ActionURL: "/console/log", Action: "Show the newest entries"}
	}
	return nil
}

// countedPart bounds what is counted where nothing was asked of a large log:
// its last day.
func (c *Console) countedPart(v *visit, n query.Node, size uint64) query.Node {
	if len(terms(n)) == 0 && size > smallLog {
		return query.Bound{Field: query.Since, Ago: 24 * time.Hour}
	}
	return n
}

// narrowing makes the cells of a line lead to the search with them as a condition.
func narrowing(row entryRow, n query.Node) entryRow {
	if row.Cluster != "" {
		row.InURL = logURL(narrowed(n, is(query.Cluster, row.Cluster)))
	}
	if row.Who != "" {
		row.WhoURL = logURL(narrowed(n, is(query.Account, row.ask)))
	}
	if row.Effect != "" {
		row.KindURL = logURL(narrowed(n, is(query.Effect, row.Effect)))
	}
	return row
}

// pager leads to other pages by index, so that pages stay as they are while
// entries arrive.
func (a *asked) pager(f found) ui.Pager {
	p := ui.Pager{Text: ui.Count(len(f.pairs), "{1} line, newest first", "{1} lines, newest first")}
	if len(f.pairs) == 0 {
		if a.Before > 0 || a.After > 0 {
			p.Newer = a.with("/console/log")
		}
		return p
	}
	if a.Before > 0 || a.After > 0 {
		p.Newer = a.with("/console/log", searchAfter, strconv.FormatUint(f.newest, 10))
	}
	if f.older {
		p.Older = a.with("/console/log", searchBefore, strconv.FormatUint(f.oldest, 10))
	}
	return p
}

// queryBar makes the line for a search that goes to path.
func (v *visit) queryBar(a *asked, path string) queryBar {
	b := queryBar{Action: path, Value: a.Typed, Fields: v.suggestions()}
	if a.Fault != nil {
		b.Fault = faultOf(a.Typed, a.Fault, path)
	}
	if !a.OK() {
		return b
	}
	b.Value = a.Text
	all := terms(a.Node)
	if len(all) > 1 {
		for i, t := range all {
			rest := slices.Delete(slices.Clone(all), i, i+1)
			b.Chips = append(b.Chips, chip{query.Print(query.All(t)), queryURL(path, query.All(rest...))})
		}
	}
	for _, s := range []struct {
		label ui.Text
		ago   time.Duration
	}{{"Last hour", time.Hour}, {"24 hours", 24 * time.Hour}, {"7 days", 7 * 24 * time.Hour}, {"30 days", 30 * 24 * time.Hour}} {
		b.Spans = append(b.Spans, ui.Link{Label: s.label, URL: queryURL(path, query.All(untimed(a.Node), query.Bound{Field: query.Since, Ago: s.ago}))})
	}
	b.Spans = append(b.Spans, ui.Link{Label: "Everything", URL: queryURL(path, untimed(a.Node))})
	return b
}

// faultOf cuts a query where it cannot be understood.
func faultOf(typed string, e *query.Error, path string) *queryFault {
	runes := []rune(typed)
	at := min(max(e.Column-1, 0), len(runes))
	end := at
	for end < len(runes) && runes[end] != ' ' {
		end++
	}
	f := &queryFault{What: queryFaultWords(e), Column: e.Column, Before: string(runes[:at]), At: string(runes[at:end]), After: string(runes[end:])}
	if name, rest, ok := strings.Cut(f.At, ":"); ok && e.Nearest != "" && name != "" {
		f.Better = f.Before + e.Nearest + ":" + rest + f.After
		f.BetterURL = path + "?" + searchQuery + "=" + escapeQuery(f.Better)
	}
	if e.Nearest != "" && f.Better == "" && f.At != "" { // a word
		f.Better = f.Before + e.Nearest + f.After
		f.BetterURL = path + "?" + searchQuery + "=" + escapeQuery(f.Better)
	}
	if f.At == "" && utf8.RuneCountInString(f.Before) == len(runes) {
		f.At = "…" // what is missing at the end
	}
	return f
}

// quickSearches are links to what is asked most often.
func quickSearches() []ui.Link {
	last := func(d time.Duration) query.Node { return query.Bound{Field: query.Since, Ago: d} }
	day := 24 * time.Hour
	return []ui.Link{
		{Label: "Denied today", URL: logURL(query.All(is(query.Effect, policy.Deny.String()), last(day)))},
		{Label: "Sign-ins", URL: logURL(query.All(is(query.Type, string(policy.RecordLogin)), last(7*day)))},
		{Label: "Changes", URL: logURL(query.All(is(query.Type, string(policy.RecordAdmin)), last(30*day)))},
		{Label: "Readings of this log", URL: logURL(query.All(is(query.Type, string(policy.RecordLog)), last(7*day)))},
	}
}
