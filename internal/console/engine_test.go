package console

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// scanEngine answers searches by looking at every entry of a log.
type scanEngine struct{ log Log }

func (s scanEngine) each(ctx context.Context, r query.Request, yield func(*accesslog.Entry)) error {
	f := query.Compile(r.Where, cmp.Or(r.Now, time.Now()))
	return s.log.Query(ctx, accesslog.Filter{}, func(e *accesslog.Entry) bool {
		if (r.Before == 0 || e.Index < r.Before) && f.Match(e) {
			yield(e)
		}
		return true
	})
}

func (s scanEngine) Search(ctx context.Context, r query.Request) (out []query.Row, err error) {
	err = s.each(ctx, r, func(e *accesslog.Entry) {
		if r.Limit == 0 || len(out) < r.Limit {
			row := query.Row{Index: e.Index, Time: e.Time}
			for _, f := range r.Fields {
				row.Values = append(row.Values, f.TextOf(e))
			}
			out = append(out, row)
		}
	})
	return out, err
}

func (s scanEngine) Count(ctx context.Context, r query.Request) (n int, err error) {
	err = s.each(ctx, r, func(*accesslog.Entry) { n++ })
	return n, err
}

func (s scanEngine) Histogram(ctx context.Context, r query.Request, by query.Field, step time.Duration) ([]query.Cell, error) {
	cells := map[query.Cell]int{}
	err := s.each(ctx, r, func(e *accesslog.Entry) {
		cells[query.Cell{Value: by.TextOf(e), Start: time.Unix(0, e.Time.UnixNano()/int64(step)*int64(step)).UTC()}]++
	})
	var out []query.Cell
	for c, n := range cells {
		c.N = n
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b query.Cell) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Value, b.Value)) })
	return out, err
}

func (s scanEngine) Top(ctx context.Context, r query.Request, by query.Field, n int) ([]query.Tally, error) {
	counts := map[string]int{}
	err := s.each(ctx, r, func(e *accesslog.Entry) { counts[by.TextOf(e)]++ })
	var out []query.Tally
	for v, c := range counts {
		out = append(out, query.Tally{Value: v, N: c})
	}
	slices.SortFunc(out, func(a, b query.Tally) int { return cmp.Or(b.N-a.N, cmp.Compare(a.Value, b.Value)) })
	if n > 0 && len(out) > n {
		out = out[:n]
	}
	return out, err
}

func (s scanEngine) Distinct(context.Context, query.Request, query.Field, query.Field) ([]query.Tally, error) {
	return nil, query.ErrField
}
