package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/accesslog/table"
	"github.com/ringfence/ringfence/internal/ui"
)

const fleetPath = "/console/log/fleet"

// Shared is the table in which many gateways' entries are searched together.
type Shared interface {
	query.Engine
	Holdings(ctx context.Context) ([]table.Holding, error)
	// Oldest must return when the oldest entry was made, zero where there is none.
	Oldest(ctx context.Context) (time.Time, error)
	// Entry must return [table.ErrNoEntry] where there is none.
	Entry(ctx context.Context, origin string, index uint64) (*accesslog.Entry, error)
}

// fleetPage is the data of the page "fleet".
type fleetPage struct {
	Base
	Bar       queryBar
	None      bool    // no table is configured
	Down      string  // why the table cannot be searched, in its own words
	Scope     ui.Text // what the visitor may not see; empty: everything is shown
	Histogram *histogram
	Facets    []facet
	MoreURL   string // with further facets; empty: they are there
	Rows      []fleetRow
	Older     string
	Empty     ui.Empty
}

type fleetRow struct {
	entryRow
	Origin string
}

// fleetEntryPage is the data of the page "fleet-entry".
type fleetEntryPage struct {
	Base
	Origin string
	Index  uint64
	Text   string
	Back   string
}

// fleetSpan is what is counted where nothing is asked: a table of many gateways
// is not counted whole for whoever just looks.
const fleetSpan = 7 * 24 * time.Hour

// sharedTable counts entries in the table of all gateways.
func (c *Console) sharedTable() counter {
	same := func(n query.Node) query.Node { return n }
	return counter{c.Shared, same, c.Shared.Oldest, fleetPath, append([]facetField{{query.NodeName, "Gateway"}}, firstFacets...)}
}

// fleet searches every gateway's entries. They are lines of their own here: an
// outcome may have come before its request.
func (c *Console) fleet(w http.ResponseWriter, r *http.Request, v *visit) error {
	values := r.URL.Query()
	a := asked{Typed: strings.TrimSpace(values.Get(searchQuery)), More: values.Get(searchFacets) == "more"}
	page := fleetPage{Base: v.page("Every gateway"), None: c.Shared == nil, Scope: v.logScopeWords(),
		Empty: ui.Empty{Title: "Nothing found", Text: "No entry that was delivered is selected by this query."}}
	if page.None {
		page.Empty = ui.Empty{Title: "No table is shared", Text: "The configuration names no table that several gateways deliver to. See access_log.search there. This gateway’s own entries are in its own access log.",
			Action: "Search this gateway’s log", ActionURL: "/console/log"}
		return c.show(w, r, http.StatusOK, "fleet", page)
	}
	var err error
	if a.Node, err = query.Parse(a.Typed); err != nil {
		if !errors.As(err, &a.Fault) {
			return err
		}
		page.Bar = v.queryBar(&a, fleetPath)
		return c.show(w, r, http.StatusUnprocessableEntity, "fleet", page)
	}
	a.Text = query.Print(a.Node)
	page.Bar = v.queryBar(&a, fleetPath)
	request := query.Request{Where: v.readable(a.Node), Now: v.Now, Limit: entriesAPage + 1, Fields: lineFields}
	if at := values.Get("before"); at != "" {
		origin, index, ok := strings.Cut(at, "#")
		if request.Before, err = strconv.ParseUint(index, 10, 63); err != nil || !ok || request.Before == 0 {
			return badIndex()
		}
		request.BeforeOrigin = origin
	}
	if err := c.recordRead(r, v, "log.query", "log", map[string]string{"query": a.Text, "searched": "every gateway"}); err != nil {
		return err
	}
	if err := c.fillFleet(r.Context(), v, &a, request, &page); err != nil {
		c.Logger.WarnContext(r.Context(), "searching the shared table", "err", err)
		page.Down = clip(err.Error(), 300)
		return c.show(w, r, http.StatusServiceUnavailable, "fleet", page)
	}
	return c.show(w, r, http.StatusOK, "fleet", page)
}

// fillFleet reads the lines, the picture over time and the facets side by side.
func (c *Console) fillFleet(ctx context.Context, v *visit, a *asked, request query.Request, page *fleetPage) error {
	ctx, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	leave, err := query.Turn(ctx, c.Search) // one place for all that the page asks: another machine does the work
	if err != nil {
		return err
	}
	defer leave()
	counted := a.Node
	if len(terms(counted)) == 0 {
		counted = query.Bound{Field: query.Since, Ago: fleetSpan}
	}
	var wg sync.WaitGroup
	wg.Go(func() { page.Histogram = c.histogram(ctx, v, counted, c.sharedTable()) })
	wg.Go(func() { page.Facets = c.facets(ctx, v, a, counted, c.sharedTable()) })
	rows, err := c.Shared.Search(ctx, request)
	wg.Wait()
	if err != nil {
		return err
	}
	if len(rows) > entriesAPage {
		rows = rows[:entriesAPage]
		last := rows[entriesAPage-1]
		page.Older = a.with(fleetPath, "before", last.Origin+"#"+strconv.FormatUint(last.Index, 10))
	}
	if !a.More {
		page.MoreURL = a.with(fleetPath, searchFacets, "more") + "#facets"
	}
	for _, row := range rows {
		line := fleetRow{newEntryRow(pair{entry: entryOf(row)}), row.Origin}
		line.URL = fleetPath + "/entry?" + url.Values{"origin": {row.Origin}, "index": {strconv.FormatUint(row.Index, 10)}}.Encode()
		page.Rows = append(page.Rows, line)
	}
	return nil
}

// fleetEntry shows an entry of any gateway as it was delivered.
func (c *Console) fleetEntry(w http.ResponseWriter, r *http.Request, v *visit) error {
	origin := r.URL.Query().Get("origin")
	index, err := strconv.ParseUint(r.URL.Query().Get("index"), 10, 63)
	if err != nil || c.Shared == nil {
		return ui.NotFound()
	}
	name := origin + "#" + strconv.FormatUint(index, 10)
	if err := c.recordRead(r, v, "log.entry", "entry:"+clip(name, 300), nil); err != nil {
		return err
	}
	e, err := c.Shared.Entry(r.Context(), origin, index)
	if errors.Is(err, table.ErrNoEntry) || err == nil && !v.maySee(e) {
		return ui.NotFound()
	}
	if err != nil {
		return &ui.Error{Status: http.StatusServiceUnavailable, Title: "The shared table cannot be read now", Err: err}
	}
	var text bytes.Buffer
	if err := json.Indent(&text, e.Payload, "", "  "); err != nil {
		return err
	}
	return c.show(w, r, http.StatusOK, "fleet-entry", fleetEntryPage{Base: v.page(ui.Say("Entry {1} of {2}", index, origin)), Origin: origin, Index: index, Text: text.String(), Back: fleetPath})
}
