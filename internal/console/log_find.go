package console

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// joinReach is how many entries away from a request its outcome is looked for,
// and the reverse. An outcome that came later is on the entry's own page.
const joinReach = 20_000

// A pair is an entry with its outcome, when it is a request that has one.
type pair struct {
	entry   *accesslog.Entry
	outcome *accesslog.Entry
}

// found is a page of lines, newest first.
type found struct {
	pairs          []pair
	older          bool   // there are older ones
	newest, oldest uint64 // indexes of the first and the last line's entries
}

// lineFields are what a line is made from.
var lineFields = []query.Field{
	query.Type, query.RequestID, query.AccountID, query.Email, query.Actor, query.Vendor, query.Session, query.Cluster, query.Method, query.Path,
	query.Effect, query.Reasons, query.Action, query.Object, query.Result, query.Status, query.Ended, query.SourceIP, query.BytesOut,
}

// entryOf makes of a row as much of an entry as a line shows.
func entryOf(row query.Row) *accesslog.Entry {
	e := &accesslog.Entry{Index: row.Index}
	e.Time = row.Time
	at := func(f query.Field) string { return row.Values[slices.Index(lineFields, f)] }
	e.Type, e.RequestID = policy.RecordType(at(query.Type)), at(query.RequestID)
	e.Account, e.Email, e.Actor, e.Vendor, e.Session = at(query.AccountID), at(query.Email), at(query.Actor), at(query.Vendor), at(query.Session)
	e.Cluster, e.Method, e.Path, e.Effect = at(query.Cluster), at(query.Method), at(query.Path), at(query.Effect)
	e.Action, e.Object, e.Result, e.Ended, e.SourceIP = at(query.Action), at(query.Object), at(query.Result), at(query.Ended), at(query.SourceIP)
	e.Status, _ = strconv.Atoi(at(query.Status))
	if n, err := strconv.ParseInt(at(query.BytesOut), 10, 64); err == nil {
		e.BytesOut = &n
	}
	if r := at(query.Reasons); r != "" {
		e.Reasons = strings.Split(r, "\n")
	}
	return e
}

// lines returns the condition for the entries that are lines of their own when
// n is asked for. An outcome stands on the line of its request, and facts
// documents are the log's own notes: both are left out unless n asks for what
// only they have.
func lines(n query.Node) query.Node {
	outcomes, notes := asksFor(n)
	if !outcomes {
		n = query.All(n, query.Negate(is(query.Type, string(policy.RecordOutcome))))
	}
	if !notes {
		n = query.All(n, query.Negate(is(query.Action, accesslog.ActionFacts)))
	}
	return n
}

// asksFor reports whether n asks for what outcomes alone have, and for facts documents.
func asksFor(n query.Node) (outcomes, notes bool) {
	var field query.Field
	switch n := n.(type) {
	case query.And:
		return asksForAny(n)
	case query.Or:
		return asksForAny(n)
	case query.Not:
		return asksFor(n.Of)
	case query.Anywhere:
		return true, false
	case query.Match:
		field = n.Field
	case query.Range:
		field = n.Field
	}
	switch field {
	case query.Type, query.Index:
		return true, true
	case query.Status, query.BytesIn, query.BytesOut, query.FirstByte, query.Duration, query.Upstream, query.Ended:
		return true, false
	case query.Action, query.Facts:
		return false, true
	}
	return false, false
}

func asksForAny(nodes []query.Node) (outcomes, notes bool) {
	for _, n := range nodes {
		o, f := asksFor(n)
		outcomes, notes = outcomes || o, notes || f
	}
	return outcomes, notes
}

// readable joins what somebody asks for with what they may see.
func (v *visit) readable(n query.Node) query.Node { return query.All(n, v.mayRead()) }

// search answers with the newest entries, or says that the log cannot be searched.
func (c *Console) search(ctx context.Context, r query.Request) ([]query.Row, error) {
	if c.Search == nil {
		return nil, &ui.Error{Status: http.StatusServiceUnavailable, Title: "The access log cannot be searched now"}
	}
	return c.Search.Search(ctx, r)
}

// count answers how many there are, as search answers with them.
func (c *Console) count(ctx context.Context, r query.Request) (int, error) {
	e, err := c.engine()
	if err != nil {
		return 0, err
	}
	return e.Count(ctx, r)
}

// findLines returns the page of at most want lines of n before an entry; 0: the newest.
func (c *Console) findLines(ctx context.Context, v *visit, n query.Node, before uint64, want int) (found, error) {
	outcomes, _ := asksFor(n)
	limit := want + 1
	if outcomes {
		limit = 2*want + 1 // two of them may be one line
	}
	rows, err := c.search(ctx, query.Request{Where: v.readable(lines(n)), Now: v.Now, Before: before, Limit: limit, Fields: lineFields})
	if err != nil {
		return found{}, err
	}
	return c.linesOf(ctx, v, rows, want)
}

// findNewer returns the page of at most want lines that come after an entry.
// Engines go from the newest to the oldest, so ever more of the log is counted
// until there are enough, and then less, so that not too many are read.
func (c *Console) findNewer(ctx context.Context, v *visit, n query.Node, after uint64, want int) (found, error) {
	where := v.readable(lines(n))
	window := func(end uint64) query.Request {
		return query.Request{Where: query.All(where, within(after+1, end)), Now: v.Now}
	}
	size, most := c.Log.Size(), uint64(4*want)
	few, enough := after+1, min(after+1+most, c.Log.Size()) // before few there are fewer than want
	for {
		if enough <= few {
			return c.findLines(ctx, v, n, 0, want)
		}
		count, err := c.count(ctx, window(enough))
		if err != nil {
			return found{}, err
		}
		switch {
		case count < want && enough >= size:
			return c.findLines(ctx, v, n, 0, want)
		case count < want:
			few, enough = enough, min(after+1+4*(enough-after), size)
			continue
		}
		break
	}
	for enough-few > most {
		middle := few + (enough-few)/2
		count, err := c.count(ctx, window(middle))
		if err != nil {
			return found{}, err
		}
		if count < want {
			few = middle
		} else {
			enough = middle
		}
	}
	rows, err := c.search(ctx, window(enough))
	if err != nil {
		return found{}, err
	}
	if len(rows) < want { // an entry is gone that was there
		return c.findLines(ctx, v, n, 0, want)
	}
	return c.findLines(ctx, v, n, rows[len(rows)-want].Index+1, want)
}

// linesOf joins requests and outcomes into lines.
func (c *Console) linesOf(ctx context.Context, v *visit, rows []query.Row, want int) (found, error) {
	var out found
	listed := map[string]bool{} // requests that an outcome stands for
	for _, row := range rows {
		e := entryOf(row)
		if e.Type == policy.RecordRequest && listed[e.RequestID] {
			continue
		}
		if len(out.pairs) == want {
			out.older = true
			break
		}
		if e.Type == policy.RecordOutcome {
			listed[e.RequestID] = true
		}
		if len(out.pairs) == 0 {
			out.newest = e.Index
		}
		out.oldest = e.Index
		out.pairs = append(out.pairs, pair{entry: e})
	}
	return out, c.join(ctx, v, out.pairs)
}

// join looks up the other half of each pair that lacks one, within reach.
func (c *Console) join(ctx context.Context, v *visit, pairs []pair) error {
	missing := map[string]*pair{}
	lowest, highest := ^uint64(0), uint64(0)
	var ids []query.Node
	for i := range pairs {
		p := &pairs[i]
		wantsOutcome := p.entry.Type == policy.RecordRequest && p.outcome == nil && p.entry.Effect == policy.Allow.String()
		if (wantsOutcome || p.entry.Type == policy.RecordOutcome) && p.entry.RequestID != "" && missing[p.entry.RequestID] == nil {
			missing[p.entry.RequestID] = p
			ids = append(ids, is(query.RequestID, p.entry.RequestID))
			lowest, highest = min(lowest, p.entry.Index), max(highest, p.entry.Index)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	near := query.Range{Field: query.Index, Min: int64(lowest - min(lowest, joinReach)), Max: int64(highest + joinReach)}
	rows, err := c.search(ctx, query.Request{Where: query.All(v.readable(query.Any(ids...)), near), Now: v.Now, Fields: lineFields})
	if err != nil {
		return err
	}
	for _, row := range rows {
		e := entryOf(row)
		p := missing[e.RequestID]
		switch {
		case p == nil || e.Index == p.entry.Index:
		case e.Type == policy.RecordOutcome && p.entry.Type == policy.RecordRequest:
			p.outcome = e
		case e.Type == policy.RecordRequest && p.entry.Type == policy.RecordOutcome:
			p.entry, p.outcome = e, p.entry
		}
	}
	return nil
}

// readRecent returns the newest lines about one object, for its own page.
func (c *Console) readRecent(r *http.Request, v *visit, n query.Node, want int) ([]entryRow, error) {
	if err := c.recordRead(r, v, "log.query", "log", map[string]string{"query": query.Print(n), searchLimit: strconv.Itoa(want)}); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), searchTime/5)
	defer cancel()
	found, err := c.findLines(ctx, v, n, 0, want)
	if err != nil {
		return nil, overdueIsNothing(err)
	}
	var rows []entryRow
	for _, p := range found.pairs {
		rows = append(rows, v.entryRow(p))
	}
	return rows, nil
}

// oldestTime returns when the log begins; the zero time where it has nothing.
func (c *Console) oldestTime(ctx context.Context) (at time.Time, err error) {
	err = c.Log.Query(ctx, accesslog.Filter{Ascending: true, Limit: 1}, func(e *accesslog.Entry) bool {
		at = e.Time
		return false
	})
	return at, err
}
