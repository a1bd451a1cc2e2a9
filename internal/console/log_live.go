package console

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/ui"
)

const livePath = "/console/log/live"

// Follower follows the access log while it grows.
type Follower interface {
	// Subscribe must yield every entry from an index on, each once and in order,
	// as soon as it is durable, until ctx is done; a slow reader must neither
	// lose entries nor hold anybody up.
	Subscribe(ctx context.Context, from uint64) iter.Seq2[*accesslog.Entry, error]
}

// livePage shows entries as they come. Without a script it shows those that
// have come.
type livePage struct {
	Base
	Bar       queryBar
	Faults    []ui.Text
	Rows      []entryRow
	StreamURL string
	Here      string
	SearchURL string
	Partial   ui.Text
	Scope     ui.Text
}

// live shows the newest lines and leads a script to those that come after them.
func (c *Console) live(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, canonical := readAsked(r.URL.Query(), v.Now)
	if !canonical || a.Before > 0 || a.After > 0 {
		http.Redirect(w, r, queryURL(livePath, a.Node), http.StatusSeeOther)
		return nil
	}
	page := livePage{Base: v.page("Access log, live"), Faults: a.Faults, Bar: v.queryBar(&a, livePath), Here: queryURL(livePath, a.Node), SearchURL: queryURL("/console/log", a.Node), Scope: v.logScopeWords()}
	page.Bar.Spans = nil // all that comes is new
	if !a.OK() {
		return c.show(w, r, http.StatusUnprocessableEntity, "log-live", page)
	}
	if err := c.recordRead(r, v, "log.query", "log", a.detail()); err != nil {
		return err
	}
	from := c.Log.Size() // what comes from here on, the stream has
	if c.Follow != nil {
		page.StreamURL = queryURL(livePath+"/events", a.Node)
		page.StreamURL += map[bool]string{true: "?", false: "&"}[page.StreamURL == livePath+"/events"] + "from=" + strconv.FormatUint(from, 10)
	}
	ctx, cancel := context.WithTimeout(r.Context(), searchTime)
	defer cancel()
	if from > 0 {
		found, err := c.findLines(ctx, v, a.Node, from, entriesAPage)
		if errors.Is(err, context.DeadlineExceeded) {
			page.Partial, err = ui.Say("The search took longer than {1} seconds and was stopped. Name a time to search less of the log.", int(searchTime.Seconds())), nil
		}
		if err != nil {
			return err
		}
		for _, p := range found.pairs {
			page.Rows = append(page.Rows, v.entryRow(p))
		}
	}
	return c.show(w, r, http.StatusOK, "log-live", page)
}

// liveEvents is the stream of lines. It begins after the entry that the client
// has seen last, so that one which lost its connection loses nothing.
func (c *Console) liveEvents(w http.ResponseWriter, r *http.Request, v *visit) error {
	values := r.URL.Query()
	from, err := liveFrom(r, values)
	if err != nil {
		return &ui.Error{Status: http.StatusBadRequest, Err: err}
	}
	values.Del("from")
	a, _ := readAsked(values, v.Now)
	if !a.OK() || c.Follow == nil {
		return &ui.Error{Status: http.StatusBadRequest, Err: errors.New("following the log: the query cannot be read")}
	}
	t, err := c.tails.enter(v.Session.Account)
	if err != nil {
		return err
	}
	defer t.leave()
	from = min(from, c.Log.Size())
	detail := a.detail()
	detail["from"] = strconv.FormatUint(from, 10)
	if err := c.recordRead(r, v, "log.tail", "log", detail); err != nil {
		return err
	}
	s := &tail{c: c, w: w, r: r, v: v, n: a.Node, reach: query.Print(v.mayRead()), seen: from}
	return s.run(t.stopped)
}

// liveFrom returns the first index that the client has not seen. A browser that
// connects again says it in a header.
func liveFrom(r *http.Request, values url.Values) (uint64, error) {
	text := values.Get("from")
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		text = last
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("following the log: %q is no index", clip(text, 40))
	}
	return n, nil
}
