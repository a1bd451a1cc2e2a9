package accesslog

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// TestQuery_AgreesWithMatch asks many filters in both orders of a log with
// sealed and raw segments, and compares with going through all entries.
func TestQuery_AgreesWithMatch(t *testing.T) {
	x := newTestLog(t, nil)
	newShim(&x.cfg)
	at := testTime
	x.cfg.Now = func() time.Time { return at }
	x.open()
	for i := range 600 {
		at = at.Add(time.Second)
		r := request(i)
		r.Time = at
		r.Cluster = []string{"claims", "ledger"}[i%2]
		r.Email = []string{"kim@vendor.example", "Lee@vendor.example"}[i%3/2]
		if i%5 == 0 {
			r.Effect, r.Status, r.UserAgent = "deny", 403, "cur\"l \u00c9"
		}
		x.commitBatch(r)
	}
	x.commitBatch(&policy.Record{Type: policy.RecordAdmin, Action: "account.disable", Actor: "acc-1", Object: "account:kim"})
	for _, name := range slices.Clone(x.keep.retired)[:2] {
		if err := x.seal(name); err != nil {
			t.Fatal(err)
		}
	}
	all := x.all(Filter{Ascending: true})
	if len(all) != 602 {
		t.Fatalf("%d entries", len(all))
	}
	mid := all[300].Time
	for name, f := range map[string]Filter{
		"all": {}, "type": {Type: "admin"}, "account": {Account: "acc-7"}, "email": {Account: "lee@vendor.example"}, "actor": {Account: "acc-1"},
		"cluster": {Cluster: "ledger"}, "effect": {Effect: "deny"}, "status": {Status: 403}, "status class": {Status: 4}, "no status": {Status: 5},
		"path": {Path: "/api/claims/5"}, "glob": {Path: "/api/*/5*9"}, "text": {Text: "CUR\"L \u00e9"}, "no text": {Text: "zzz"},
		"request": {RequestID: "r000042"}, "action": {Action: "start"}, "since": {Since: mid}, "until": {Until: mid}, "both": {Since: mid, Until: mid.Add(time.Minute)},
		"before": {Before: 100}, "after": {After: 500}, "between": {After: 90, Before: 110}, "mixed": {Cluster: "claims", Effect: "deny", Since: mid, Path: "/api"},
		"future": {Since: at.Add(time.Hour)}, "past": {Until: testTime}, "vendor": {Vendor: "northwind", Limit: 7}, "limit": {Limit: 50}, "limit deny": {Effect: "deny", Limit: 3},
	} {
		var want []uint64
		for _, e := range all {
			if f.Match(e) {
				want = append(want, e.Index)
			}
		}
		for _, ascending := range []bool{true, false} {
			f.Ascending = ascending
			w := slices.Clone(want)
			if !ascending {
				slices.Reverse(w)
			}
			if f.Limit > 0 {
				w = w[:f.Limit]
			}
			for how, ask := range map[string]func(func(*Entry) bool) error{
				"files": func(y func(*Entry) bool) error { return Query(t.Context(), x.cfg.Dir, f, y) },
				"log":   func(y func(*Entry) bool) error { return x.Query(t.Context(), f, y) },
			} {
				var got []uint64
				if err := ask(func(e *Entry) bool { got = append(got, e.Index); return true }); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if !slices.Equal(got, w) {
					t.Errorf("%s, ascending %v, from %s: %d entries, want %d", name, ascending, how, len(got), len(w))
				}
			}
		}
	}
	if got, err := x.Recent(3); err != nil || len(got) != 3 || got[0].Index != 601 || got[2].Index != 599 {
		t.Errorf("the newest three: %v, %v", got, err)
	}
	for _, i := range []uint64{0, 17, 300, 601} {
		if e, err := Get(t.Context(), x.cfg.Dir, i); err != nil || e.Index != i {
			t.Errorf("entry %d: %v, %v", i, e, err)
		}
	}
	x.close()
	x.verify()
}

// TestTail_MissesNothing follows a busy log through several segments, from the
// files and within the process, and each must see each entry once, in order.
func TestTail_MissesNothing(t *testing.T) {
	x := newTestLog(t, func(c *Config) { c.Recent = 16 })
	newShim(&x.cfg)
	x.run()
	const last = 700
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan int, 2)
	go func() {
		next := uint64(0)
		err := Tail(ctx, x.cfg.Dir, Filter{}, 0, func(e *Entry) bool {
			if e.Index != next {
				t.Errorf("Tail: entry %d where %d was due", e.Index, next)
			}
			next++
			return e.RequestID != denied(last).RequestID
		})
		if err != nil {
			t.Error("Tail:", err)
		}
		done <- int(next)
	}()
	go func() {
		next := uint64(0)
		for e, err := range x.Subscribe(ctx, 0) {
			if err != nil {
				t.Error("Subscribe:", err)
				break
			}
			if e.Index != next {
				t.Errorf("Subscribe: entry %d where %d was due", e.Index, next)
			}
			next++
			if e.RequestID == denied(last).RequestID {
				break
			}
		}
		done <- int(next)
	}()
	for i := range last + 1 {
		x.record(denied(i))
	}
	for range 2 {
		if n := <-done; n != last+2 {
			t.Errorf("saw %d entries of %d", n, last+2)
		}
	}
	x.close()
}
