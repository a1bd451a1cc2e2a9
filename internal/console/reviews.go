package console

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/review"
	"github.com/ringfence/ringfence/internal/ui"
)

// Reviews is what reviewers keep: searches and sign-offs. What changes it must
// be recorded once the call returns; errors are those of package review and
// [directory.ErrNotAllowed].
type Reviews interface {
	// Searches returns the account's own searches and those that are shared, by title.
	Searches(ctx context.Context, account string) ([]review.Search, error)
	// SaveSearch keeps a new search of the actor's, or a new version of one.
	SaveSearch(ctx context.Context, actor directory.Actor, s review.Search) (review.Search, error)
	RemoveSearch(ctx context.Context, actor directory.Actor, id int64, version int) error
	SignOff(ctx context.Context, actor directory.Actor, s review.SignOff) (review.SignOff, error)
	// SignOffsOf returns the sign-offs of a query that reach past an index, the oldest first.
	SignOffsOf(ctx context.Context, query string, past uint64) ([]review.SignOff, error)
	// SignOffs returns those with an id below before, 0 for all, the newest first.
	SignOffs(ctx context.Context, before int64, limit int) ([]review.SignOff, error)
}

// keptQuery is the field of an address that holds a query.
const keptQuery = "q"

// keepLinks lead from a search of the log to what can be done with it. The zero
// value shows nothing.
type keepLinks struct{ Save, Export, Review string }

// newKeepLinks returns the links for a query whose newest possible entry is the
// one before size.
func newKeepLinks(n query.Node, size uint64) keepLinks {
	text := query.Print(n)
	link := func(path string, pairs ...string) string {
		v := url.Values{keptQuery: {text}}
		for i := 0; i+1 < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return address(path, v)
	}
	l := keepLinks{Save: link("/console/log/searches/new"), Export: link("/console/log/exports/new", "past", index(size))}
	if _, _, ok := unbounded(n); ok && size > 0 {
		l.Review = link("/console/log/reviews/new", "past", index(size))
	}
	return l
}

// searchAddress is the page that shows what a query finds.
func searchAddress(text string) string {
	if text == "" {
		return "/console/log"
	}
	return address("/console/log", url.Values{keptQuery: {text}})
}

// address writes a path with fields, and spaces in them so that people can read them.
func address(path string, fields url.Values) string {
	return path + "?" + strings.NewReplacer("+", "%20", "%3A", ":", "%2F", "/", "%2C", ",").Replace(fields.Encode())
}

// keptQueryOf reads a query out of a form's field, and notes what is wrong with it.
func (f *form) keptQueryOf(name string) query.Node {
	n, err := query.Parse(strings.TrimSpace(f.Value(name)))
	if e, ok := errors.AsType[*query.Error](err); ok {
		f.fault(name, "At character {1}: {2}", e.Column, queryFaultWords(e))
		return query.And{}
	}
	if err != nil {
		f.fault(name, "This is no query.")
		return query.And{}
	}
	return n
}

// unbounded splits a query into its conditions on entries and its bounds of time
// and index. It is false where a bound stands inside another condition: then
// there are no conditions that hold whatever the bounds.
func unbounded(n query.Node) (conditions query.Node, bounds []query.Node, ok bool) {
	of := query.And{n}
	if a, is := n.(query.And); is {
		of = a
	}
	var rest []query.Node
	for _, t := range of {
		switch {
		case t == nil:
		case isBound(t):
			bounds = append(bounds, t)
		case bounded(t):
			return nil, nil, false
		default:
			rest = append(rest, t)
		}
	}
	return query.All(rest...), bounds, true
}

func isBound(n query.Node) bool {
	switch n := n.(type) {
	case query.Bound:
		return true
	case query.Range:
		return n.Field == query.Index
	}
	return false
}

// bounded reports whether a bound is anywhere in n.
func bounded(n query.Node) bool {
	var of []query.Node
	switch n := n.(type) {
	case query.And:
		of = n
	case query.Or:
		of = n
	case query.Not:
		of = []query.Node{n.Of}
	default:
		return isBound(n)
	}
	for _, t := range of {
		if bounded(t) {
			return true
		}
	}
	return false
}

// about is the condition that an entry is about an account, or of what it did.
func about(account string) query.Node {
	id := query.Exact(account)
	return query.Any(query.Match{Field: query.AccountID, Pattern: id}, query.Match{Field: query.Actor, Pattern: id})
}

// within is the condition that an entry is one of those from first up to but
// not including past.
func within(first, past uint64) query.Node {
	return query.Range{Field: query.Index, Min: int64(min(first, math.MaxInt64)), Max: int64(min(past, math.MaxInt64)) - 1}
}

// unreviewed returns the condition for what conditions select and none of the
// sign-offs of the same conditions covers.
func unreviewed(conditions query.Node, offs []review.SignOff) (query.Node, error) {
	type who struct{ account, scope string }
	var order []who
	spans := map[who][]query.Node{}
	for _, s := range offs {
		k := who{s.Account, s.Scope}
		if spans[k] == nil {
			order = append(order, k)
		}
		spans[k] = append(spans[k], within(s.From, s.To))
	}
	nodes := []query.Node{conditions}
	for _, k := range order {
		covered := []query.Node{query.Any(spans[k]...), query.Negate(about(k.account))}
		if k.scope != "" {
			scope, err := query.Parse(k.scope)
			if err != nil {
				return nil, err
			}
			covered = append(covered, scope)
		}
		nodes = append(nodes, query.Negate(query.All(covered...)))
	}
	return query.All(nodes...), nil
}

// indexesOf returns the entries, by index, that bounds select of those before past.
// Times of entries never fall, so bounds of time are bounds of index.
func (c *Console) indexesOf(ctx context.Context, bounds []query.Node, now time.Time, past uint64) (first, end uint64, err error) {
	s := query.SpansOf(query.All(bounds...), now)
	first, end = s.First, past
	if s.Last < math.MaxUint64 {
		end = min(end, s.Last+1)
	}
	if s.Oldest > math.MinInt64 {
		at, err := c.firstEntry(ctx, time.Unix(0, s.Oldest))
		if err != nil {
			return 0, 0, err
		}
		first = max(first, at)
	}
	if s.Newest < math.MaxInt64 {
		at, err := c.firstEntry(ctx, time.Unix(0, s.Newest+1))
		if err != nil {
			return 0, 0, err
		}
		end = min(end, at)
	}
	return first, end, nil
}

// firstEntry returns the index of the first entry at or after a time, or the
// log's size where there is none.
func (c *Console) firstEntry(ctx context.Context, at time.Time) (uint64, error) {
	found := c.Log.Size()
	err := c.Log.Query(ctx, accesslog.Filter{Since: at.UTC(), Ascending: true, Limit: 1}, func(e *accesslog.Entry) bool {
		found = min(found, e.Index)
		return false
	})
	return found, err
}

// engine answers searches, or says that none can be made.
func (c *Console) engine() (query.Engine, error) {
	if c.Search == nil {
		return nil, &ui.Error{Status: http.StatusServiceUnavailable, Title: "The access log cannot be searched now"}
	}
	return c.Search, nil
}

// countOf returns how many entries the visitor may see of what r selects.
func (c *Console) countOf(ctx context.Context, v *visit, n query.Node, before uint64) (int, error) {
	e, err := c.engine()
	if err != nil {
		return 0, err
	}
	return e.Count(ctx, query.Request{Where: query.All(n, v.mayRead()), Now: v.Now, Before: before})
}

// entriesOf returns the newest entries that where selects, whole, newest first.
func (c *Console) entriesOf(ctx context.Context, where query.Node, now time.Time, before uint64, limit int) ([]*accesslog.Entry, error) {
	e, err := c.engine()
	if err != nil {
		return nil, err
	}
	rows, err := e.Search(ctx, query.Request{Where: where, Now: now, Before: before, Limit: limit})
	if err != nil {
		return nil, err
	}
	if out, err := c.picked(ctx, rows); !errors.Is(err, accesslog.ErrNotFound) {
		return out, err
	}
	var out []*accesslog.Entry
	for _, row := range rows {
		entry, err := c.entryAt(ctx, row.Index)
		if err != nil {
			return nil, err
		}
		if entry != nil { // it may have been pruned since it was indexed
			out = append(out, entry)
		}
	}
	return out, nil
}

// picked reads the entries of rows from the log's files, in which what lies
// together is read once. [accesslog.ErrNotFound]: some are not there.
func (c *Console) picked(ctx context.Context, rows []query.Row) (out []*accesslog.Entry, err error) {
	if c.LogFolder == "" {
		return nil, accesslog.ErrNotFound
	}
	indexes := make([]uint64, len(rows))
	for i := range rows {
		indexes[i] = rows[i].Index
	}
	err = accesslog.Pick(ctx, c.LogFolder, indexes, func(e *accesslog.Entry) error {
		kept := *e
		kept.Payload = slices.Clone(e.Payload)
		out = append(out, &kept)
		return nil
	})
	return out, err
}

// reviewFault puts what a change of searches and sign-offs was refused for into
// words; false where it is no such refusal.
func reviewFault(f *form, err error) bool {
	switch {
	case errors.Is(err, review.ErrChanged):
		f.note("Somebody else changed this in the meantime. Open it again and repeat your change.")
	case errors.Is(err, review.ErrNotYours):
		f.note("This search is somebody else's. They, or an administrator, may change it.")
	case errors.Is(err, review.ErrTooMany):
		f.note("You keep {1} searches. Remove one first.", review.MaxSearches)
	case errors.Is(err, review.ErrInvalid):
		f.note("This cannot be kept as it is.")
	default:
		return false
	}
	return true
}

// reviewError is for what no form can say.
func reviewError(err error) error {
	switch {
	case errors.Is(err, review.ErrNotFound):
		return ui.NotFound()
	case errors.Is(err, directory.ErrNotAllowed):
		return &ui.Error{Status: http.StatusForbidden, Err: err}
	}
	return err
}
