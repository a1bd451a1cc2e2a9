package console

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/ui"
)

// apiEntries is how many entries an answer holds when no limit is given, and
// apiMostEntries how many it may hold.
const apiEntries, apiMostEntries = 100, 1000

// apiEntries answers a search of the access log as one JSON object a line.
// The answer is whole or an error: it is not begun before it is complete.
func (c *Console) apiEntries(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := r.URL.Query()
	fields := maps.Clone(q)
	delete(fields, searchQuery)
	filter, f := parseSearch(fields, v.Now, apiMostEntries)
	var a asked
	if q.Has(searchQuery) && f.OK() {
		if a, _ = readAsked(q, v.Now); a.Fault != nil {
			f.fault(searchQuery, ui.Verbatim(a.Fault.Error()))
		} else if !a.OK() {
			f.fault(searchQuery, "Give this once.")
		}
	}
	if !f.OK() {
		return c.apiFaults(w, v, f)
	}
	detail := searchDetail(q)
	if q.Has(searchQuery) {
		detail = a.detail()
	}
	detail["via"] = "api"
	if err := c.recordRead(r, v, "log.query", "log", detail); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), searchTime)
	defer cancel()
	want := cmp.Or(filter.Limit, apiEntries)
	filter.Limit = want + 1 // one more shows whether there are more
	list, err := c.apiFind(ctx, v, filter, &a)
	if errors.Is(err, context.DeadlineExceeded) {
		return &ui.Error{Status: http.StatusServiceUnavailable, Code: "search_overdue", Detail: "The search took too long. Give since and until, and search less of the log at once.", Err: err}
	}
	if err != nil {
		return fmt.Errorf("searching the access log: %w", err)
	}
	if len(list) > want {
		list = list[:want]
		next := maps.Clone(q)
		next.Set(searchBefore, strconv.FormatUint(list[want-1].index, 10))
		w.Header().Set("Link", "<"+apiPrefix+"/log/entries?"+url.Values(next).Encode()+`>; rel="next"`)
	}
	var body bytes.Buffer
	for _, e := range list {
		body.Write(e.json)
		body.WriteByte('\n')
	}
	w.Header().Set("Content-Type", "application/x-ndjson; charset=utf-8")
	w.Write(body.Bytes())
	return nil
}

// An apiEntry is an entry as it is answered.
type apiEntry struct {
	index uint64
	json  []byte
}

// apiFind goes by the query, if there is one, through the engine of the
// console's searches; by fields alone, which look into all of an entry, it
// reads the log itself when it is the account's turn.
func (c *Console) apiFind(ctx context.Context, v *visit, filter accesslog.Filter, a *asked) (out []apiEntry, err error) {
	keep := func(e *accesslog.Entry) bool {
		out = append(out, apiEntry{e.Index, bytes.Clone(e.Clear())})
		return true
	}
	if a.Node != nil {
		where := v.readable(a.Node)
		if a.After > 0 {
			where = query.All(where, within(a.After+1, c.Log.Size()))
		}
		list, err := c.entriesOf(ctx, where, v.Now, a.Before, filter.Limit)
		for _, e := range list {
			if v.maySee(e) {
				keep(e)
			}
		}
		return out, err
	}
	leave, err := query.Turn(ctx, c.Search)
	if err != nil {
		return nil, err
	}
	defer leave()
	filter.Clusters = v.filterScope()
	err = c.Log.Query(ctx, filter, keep)
	return out, err
}
