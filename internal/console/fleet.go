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
	// Entry must return [table.ErrNoEntry] where there is none.
	Entry(ctx context.Context, origin string, index uint64) (*accesslog.Entry, error)
}

// fleetPage is the data of the page "fleet".
type fleetPage struct {
	Base
	Bar    queryBar
	Faults []ui.Text
	None   bool   // no table is configured
	Down   string // why the table cannot be searched, in its own words
	Rows   []fleetRow
	Older  string
	Empty  ui.Empty
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

// fleet searches every gateway's entries. They are lines of their own here: an
// outcome may have come before its request.
func (c *Console) fleet(w http.ResponseWriter, r *http.Request, v *visit) error {
	values := r.URL.Query()
	page := fleetPage{Base: v.page("Every gateway"), None: c.Shared == nil, Bar: queryBar{Action: fleetPath, Value: strings.TrimSpace(values.Get(searchQuery))},
		Empty: ui.Empty{Title: "Nothing found", Text: "No entry that was delivered is selected by this query."}}
	if page.None {
		page.Empty = ui.Empty{Title: "No table is shared", Text: "The configuration names no table that several gateways deliver to. See access_log.search there. This gateway’s own entries are in its own access log.",
			Action: "Search this gateway’s log", ActionURL: "/console/log"}
		return c.show(w, r, http.StatusOK, "fleet", page)
	}
	n, err := query.Parse(page.Bar.Value)
	if fault, ok := errors.AsType[*query.Error](err); ok {
		page.Bar.Fault = faultOf(page.Bar.Value, fault, fleetPath)
		return c.show(w, r, http.StatusUnprocessableEntity, "fleet", page)
	}
	request := query.Request{Where: v.readable(n), Now: v.Now, Limit: entriesAPage + 1, Fields: lineFields}
	if at := values.Get("before"); at != "" {
		origin, index, ok := strings.Cut(at, "#")
		if request.Before, err = strconv.ParseUint(index, 10, 63); err != nil || !ok || request.Before == 0 {
			return badIndex()
		}
		request.BeforeOrigin = origin
	}
	text := query.Print(n)
	if err := c.recordRead(r, v, "log.query", "log", map[string]string{"query": text, "searched": "every gateway"}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), searchTime)
	defer cancel()
	rows, err := c.Shared.Search(ctx, request)
	if err != nil {
		c.Logger.WarnContext(ctx, "searching the shared table", "err", err)
		page.Down = clip(err.Error(), 300)
		return c.show(w, r, http.StatusServiceUnavailable, "fleet", page)
	}
	if len(rows) > entriesAPage {
		rows = rows[:entriesAPage]
		last := rows[entriesAPage-1]
		page.Older = fleetPath + "?" + url.Values{searchQuery: {text}, "before": {last.Origin + "#" + strconv.FormatUint(last.Index, 10)}}.Encode()
	}
	for _, row := range rows {
		line := fleetRow{newEntryRow(pair{entry: entryOf(row)}), row.Origin}
		line.URL = fleetPath + "/entry?" + url.Values{"origin": {row.Origin}, "index": {strconv.FormatUint(row.Index, 10)}}.Encode()
		page.Rows = append(page.Rows, line)
	}
	return c.show(w, r, http.StatusOK, "fleet", page)
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
