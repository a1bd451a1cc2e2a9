package console

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// logEngine answers searches by asking every entry of a log: slow, and right.
type logEngine struct {
	log interface {
		Query(context.Context, accesslog.Filter, func(*accesslog.Entry) bool) error
	}
	now func() time.Time
}

func (g logEngine) each(ctx context.Context, r query.Request, yield func(*accesslog.Entry) bool) error {
	now := r.Now
	if now.IsZero() {
		now = g.now()
	}
	f := query.Compile(r.Where, now)
	return g.log.Query(ctx, accesslog.Filter{}, func(e *accesslog.Entry) bool {
		return r.Before > 0 && e.Index >= r.Before || !f.Match(e) || yield(e)
	})
}

func valueOf(f query.Field, e *accesslog.Entry) string {
	switch f.Kind() {
	case query.Text, query.Address:
		return f.TextOf(e)
	case query.List:
		return strings.Join(f.ListOf(e), "\n")
	}
	if n, ok := f.NumberOf(e); ok {
		return fmt.Sprint(n)
	}
	return ""
}

func (g logEngine) Search(ctx context.Context, r query.Request) (out []query.Row, err error) {
	err = g.each(ctx, r, func(e *accesslog.Entry) bool {
		row := query.Row{Index: e.Index, Time: e.Time}
		for _, f := range r.Fields {
			row.Values = append(row.Values, valueOf(f, e))
		}
		out = append(out, row)
		return len(out) != r.Limit
	})
	return out, err
}

func (g logEngine) Count(ctx context.Context, r query.Request) (n int, err error) {
	err = g.each(ctx, r, func(*accesslog.Entry) bool { n++; return true })
	return n, err
}

func (g logEngine) Histogram(ctx context.Context, r query.Request, by query.Field, step time.Duration) ([]query.Cell, error) {
	found := map[query.Cell]int{}
	err := g.each(ctx, r, func(e *accesslog.Entry) bool {
		found[query.Cell{Value: valueOf(by, e), Start: time.Unix(0, e.Time.UnixNano()/int64(step)*int64(step)).UTC()}]++
		return true
	})
	var out []query.Cell
	for cell, n := range found {
		cell.N = n
		out = append(out, cell)
	}
	slices.SortFunc(out, func(a, b query.Cell) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Value, b.Value)) })
	return out, err
}

func (g logEngine) Top(ctx context.Context, r query.Request, by query.Field, n int) ([]query.Tally, error) {
	found := map[string]int{}
	err := g.each(ctx, r, func(e *accesslog.Entry) bool { found[valueOf(by, e)]++; return true })
	return ranked(found, n), err
}

func (g logEngine) Distinct(ctx context.Context, r query.Request, of, by query.Field) ([]query.Tally, error) {
	pairs, found := map[[2]string]bool{}, map[string]int{}
	err := g.each(ctx, r, func(e *accesslog.Entry) bool {
		if p := [2]string{valueOf(by, e), valueOf(of, e)}; p[0] != "" && p[1] != "" && !pairs[p] {
			pairs[p] = true
			found[p[0]]++
		}
		return true
	})
	return ranked(found, 0), err
}

func ranked(found map[string]int, n int) (out []query.Tally) {
	for v, count := range found {
		out = append(out, query.Tally{Value: v, N: count})
	}
	slices.SortFunc(out, func(a, b query.Tally) int { return cmp.Or(b.N-a.N, cmp.Compare(a.Value, b.Value)) })
	if n > 0 && len(out) > n {
		out = out[:n]
	}
	return out
}
