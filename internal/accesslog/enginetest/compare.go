package enginetest

import (
	"cmp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// Compare asks x everything about all, the entries of one log, and compares
// each answer with asking every entry.
func Compare(t *testing.T, x query.Engine, all []*accesslog.Entry) {
	t.Helper()
	for _, q := range Queries(all) {
		n, err := query.Parse(q)
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		f := query.Compile(n, Now)
		var want []uint64
		for _, e := range slices.Backward(all) {
			if f.Match(e) {
				want = append(want, e.Index)
			}
		}
		rows, err := x.Search(t.Context(), query.Request{Where: n, Now: Now})
		if err != nil {
			t.Errorf("%s: %v", q, err)
			continue
		}
		got := make([]uint64, len(rows))
		for i, r := range rows {
			got[i] = r.Index
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d found, want %d; differs at %s", q, len(got), len(want), differ(got, want, all))
		}
	}
	pages(t, x, all)
	aggregates(t, x, all)
}

func differ(got, want []uint64, all []*accesslog.Entry) string {
	for _, e := range all {
		if slices.Contains(got, e.Index) != slices.Contains(want, e.Index) {
			return string(e.Payload)
		}
	}
	return "their order"
}

// pages goes through a result page by page and compares every value.
func pages(t *testing.T, x query.Engine, all []*accesslog.Entry) {
	t.Helper()
	n, _ := query.Parse("effect:deny or type:admin or type:login")
	var fields []query.Field
	for _, f := range query.Fields() {
		if k := f.Kind(); k != query.Who && k != query.Moment {
			fields = append(fields, f)
		}
	}
	var rows []query.Row
	for before := uint64(0); ; before = rows[len(rows)-1].Index {
		page, err := x.Search(t.Context(), query.Request{Where: n, Now: Now, Limit: 70, Before: before, Fields: fields})
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, page...)
		if len(page) < 70 {
			break
		}
	}
	f, i := query.Compile(n, Now), 0
	for _, e := range slices.Backward(all) {
		if !f.Match(e) {
			continue
		}
		if i == len(rows) || rows[i].Index != e.Index || !rows[i].Time.Equal(e.Time) {
			t.Fatalf("row %d of %d is not entry %d", i, len(rows), e.Index)
		}
		for k, field := range fields {
			if want := valueOf(field, e); rows[i].Values[k] != want {
				t.Errorf("entry %d, %s: %q, want %q", e.Index, field, rows[i].Values[k], want)
			}
		}
		i++
	}
	if i != len(rows) {
		t.Errorf("%d rows, want %d", len(rows), i)
	}
}

func valueOf(f query.Field, e *accesslog.Entry) string {
	switch f.Kind() {
	case query.Text, query.Address:
		return replaced(f.TextOf(e))
	case query.List:
		return replaced(query.JoinList(f.ListOf(e)))
	}
	if n, ok := f.NumberOf(e); ok {
		return strconv.FormatInt(n, 10)
	}
	return ""
}

// replaced is a text without NUL, which an engine may have no place for.
func replaced(s string) string {
	b := []rune(s)
	for i, r := range b {
		if r == 0 {
			b[i] = '\uFFFD'
		}
	}
	return string(b)
}

func aggregates(t *testing.T, x query.Engine, all []*accesslog.Entry) {
	t.Helper()
	n, _ := query.Parse("type:request,admin")
	r := query.Request{Where: n, Now: Now}
	for _, by := range []query.Field{query.Cluster, query.Path, query.Reasons, query.AccountID} {
		cells, err := x.Histogram(t.Context(), r, by, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		top, err := x.Top(t.Context(), r, by, 0)
		if err != nil {
			t.Fatal(err)
		}
		few, err := x.Top(t.Context(), r, by, 3)
		if err != nil {
			t.Fatal(err)
		}
		distinct, err := x.Distinct(t.Context(), r, query.SourceIP, by)
		if err != nil {
			t.Fatal(err)
		}
		wantCells, counts, sets := map[query.Cell]int{}, map[string]int{}, map[string]map[string]bool{}
		for _, e := range all {
			if e.Type != "request" && e.Type != "admin" {
				continue
			}
			v := valueOf(by, e)
			wantCells[query.Cell{Value: v, Start: e.Time.Truncate(time.Hour)}]++
			counts[v]++
			if v != "" && e.SourceIP != "" {
				if sets[v] == nil {
					sets[v] = map[string]bool{}
				}
				sets[v][e.SourceIP] = true
			}
		}
		sizes := map[string]int{}
		for v, s := range sets {
			sizes[v] = len(s)
		}
		for i, c := range cells {
			if wantCells[query.Cell{Value: c.Value, Start: c.Start}] != c.N {
				t.Errorf("%s: cell %+v, want %d", by, c, wantCells[query.Cell{Value: c.Value, Start: c.Start}])
			}
			if i > 0 && cmp.Or(cells[i-1].Start.Compare(c.Start), cmp.Compare(cells[i-1].Value, c.Value)) >= 0 {
				t.Errorf("%s: cell %+v is out of order", by, c)
			}
		}
		if len(cells) != len(wantCells) {
			t.Errorf("%s: %d cells, want %d", by, len(cells), len(wantCells))
		}
		whole := ranked(counts)
		same(t, by, top, whole)
		same(t, by, few, whole[:min(3, len(whole))])
		same(t, by, distinct, ranked(sizes))
	}
}

func ranked(all map[string]int) []query.Tally {
	out := []query.Tally{}
	for v, n := range all {
		out = append(out, query.Tally{Value: v, N: n})
	}
	slices.SortFunc(out, func(a, b query.Tally) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Value, b.Value)) })
	return out
}

func same(t *testing.T, by query.Field, got, want []query.Tally) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %.300v, want %.300v", by, got, want)
	}
}
