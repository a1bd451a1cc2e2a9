package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/index"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/accesslog/synthetic"
)

// TestLogFind: options find what they found before there was an index, alone
// and together with a query, with an index and without.
func TestLogFind(t *testing.T) {
	slow(t)
	t.Parallel()
	dir := t.TempDir()
	s := searched{filepath.Join(dir, "log"), filepath.Join(dir, "index")}
	if _, err := synthetic.Fill(t.Context(), s.log, 4000, 256<<10, nil); err != nil {
		t.Fatal(err)
	}
	w, err := synthetic.New()
	if err != nil {
		t.Fatal(err)
	}
	id, email, vendor := w.Account(2)
	day := func(n int) time.Time { return synthetic.Start.AddDate(0, 0, n) }
	options := []accesslog.Filter{
		{}, {Account: id}, {Account: email}, {Vendor: vendor, Effect: "deny"}, {Path: "/"}, {Path: "/api"}, {Path: "*/permissions"}, {Path: "*"},
		{Status: 4}, {Status: 200}, {Type: "outcome"}, {Cluster: w.Cluster(1)}, {Since: day(10), Until: day(12)}, {Text: "totp"}, {Action: "none"},
	}
	for _, indexed := range []bool{false, true} {
		if indexed {
			if err := index.Update(t.Context(), s.log, s.index, nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, o := range options {
			for _, words := range []string{"", "effect:allow or type:outcome"} {
				n, err := query.Parse(words)
				if err != nil {
					t.Fatal(err)
				}
				for _, ascending := range []bool{false, true} {
					o.Ascending, o.Limit = ascending, 70
					w := &wanted{options: o, where: n, filter: query.Compile(n, synthetic.End), now: synthetic.End}
					var got, want []uint64
					if err := s.find(t.Context(), w, func(e *accesslog.Entry) bool { got = append(got, e.Index); return true }); err != nil {
						t.Fatal(err)
					}
					o.Limit = 0
					if err := accesslog.Query(t.Context(), s.log, o, func(e *accesslog.Entry) bool {
						if w.filter.Match(e) {
							want = append(want, e.Index)
						}
						return len(want) < 70
					}); err != nil {
						t.Fatal(err)
					}
					if !slices.Equal(got, want) {
						t.Errorf("index %v: %+v with %q: %s, want %s", indexed, o, words, fmt.Sprint(got), fmt.Sprint(want))
					}
				}
			}
		}
	}
}
