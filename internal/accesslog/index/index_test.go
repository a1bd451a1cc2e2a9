package index

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/accesslog/synthetic"
	"github.com/ringfence/ringfence/internal/durable/durabletest"
)

const testEntries = 8_000

var testLog = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ringfence-index-*")
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "log") // the accounts' keys are beside it
	entries, segment := testEntries, int64(1<<20)
	if testing.Short() {
		entries, segment = entries/3, 256<<10
	}
	_, err = synthetic.Fill(context.Background(), dir, entries, segment, nil)
	return dir, err
})

// testIndex is the index of testLog, to be copied.
var testIndex = sync.OnceValues(func() (string, error) {
	log, err := testLog()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(log), "index")
	return dir, Update(context.Background(), log, dir, nil)
})

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		fmt.Fprintln(os.Stderr, rebuildUntilKilled(os.Getenv(killLog), dir))
		os.Exit(1)
	}
	os.Exit(durabletest.InMemory(func() int {
		code := m.Run()
		if dir, err := testLog(); err == nil {
			os.RemoveAll(filepath.Dir(dir))
		}
		return code
	}))
}

// opened returns an index over the test log and all of its entries.
func opened(t *testing.T, update bool) (*Index, []*accesslog.Entry) {
	t.Helper()
	log, err := testLog()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "index")
	if update {
		_, dir = built(t)
	}
	x, err := Open(Config{Dir: dir, LogDir: log, Now: func() time.Time { return synthetic.End }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	var all []*accesslog.Entry
	if err := accesslog.Scan(t.Context(), log, 0, ^uint64(0), func(e *accesslog.Entry) error {
		all = append(all, e)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return x, all
}

func queries(t *testing.T, all []*accesslog.Entry) []string {
	t.Helper()
	w, err := synthetic.New()
	if err != nil {
		t.Fatal(err)
	}
	id, email, vendor := w.Account(3)
	name, _, _ := strings.Cut(email, "@")
	var some *accesslog.Entry
	for _, e := range all[len(all)/2:] {
		if e.RequestID != "" {
			some = e
			break
		}
	}
	return []string{
		"", "account:" + id, "account:" + name, "account:" + strings.ToUpper(email), `account:""`, "account:nobody", "account:kim*",
		"request_id:" + some.RequestID, "request_id:" + some.RequestID[:12] + "*", "request_id:nothing", "session:" + some.Session,
		"vendor:" + vendor + " effect:deny", "path:/export*", "path:*/permissions", "path:*9206*", "not path:/api*", "path:" + some.Path,
		"status:5xx", "status:200,404", `not status:>=0`, "duration:>1s", "bytes_out:<1kB", "ip:" + some.SourceIP, "ip:0.0.0.0/1 effect:deny",
		"reason:outside_hours", `reasons:""`, "query_names:q", `type:log`, `action:*`, "facts:*", "index:100..6000", "since:30d", "until:2026-04-01",
		"since:2026-04-01 until:2026-04-02", "(since:2d or until:2026-03-03) effect:deny", "PERMISSIONS", "/EXPORT/", "firefox deny",
		"not (effect:allow or type:outcome)", "cluster:" + w.Cluster(2) + " or cluster:" + w.Cluster(3), "code_age:<1m", "engagement:*-2025",
	}
}

// TestSearch_AsEntries compares each search with asking every entry.
func TestSearch_AsEntries(t *testing.T) {
	for _, files := range []bool{true, false} {
		x, all := opened(t, files)
		if files && x.next == 0 || !files && x.next != 0 {
			t.Fatalf("files hold entries up to %d", x.next)
		}
		for _, q := range queries(t, all) {
			n, err := query.Parse(q)
			if err != nil {
				t.Fatal(err)
			}
			f := query.Compile(n, synthetic.End)
			var want []uint64
			for _, e := range slices.Backward(all) {
				if f.Match(e) {
					want = append(want, e.Index)
				}
			}
			rows, err := x.Search(t.Context(), query.Request{Where: n})
			if err != nil {
				t.Fatalf("%s: %v", q, err)
			}
			var got []uint64
			for _, r := range rows {
				got = append(got, r.Index)
			}
			if !slices.Equal(got, want) {
				t.Errorf("files %v: %s: %d found, want %d", files, q, len(got), len(want))
			}
			if n, err := x.Count(t.Context(), query.Request{Where: n}); err != nil || n != len(want) {
				t.Errorf("files %v: %s: counted %d, %v, want %d", files, q, n, err, len(want))
			}
		}
	}
}

// TestSearch_Pages goes through a result page by page and compares every value.
func TestSearch_Pages(t *testing.T) {
	x, all := opened(t, true)
	n, _ := query.Parse("effect:deny")
	fields := slices.DeleteFunc(query.Fields(), func(f query.Field) bool { return !isText(f) && !isCount(f) })
	var rows []query.Row
	for before := uint64(0); ; before = rows[len(rows)-1].Index {
		page, err := x.Search(t.Context(), query.Request{Where: n, Limit: 70, Before: before, Fields: fields})
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, page...)
		if len(page) < 70 {
			break
		}
	}
	i := 0
	for _, e := range slices.Backward(all) {
		if e.Effect != "deny" {
			continue
		}
		r := rows[i]
		i++
		if r.Index != e.Index || !r.Time.Equal(e.Time) {
			t.Fatalf("row %d is entry %d, want %d", i, r.Index, e.Index)
		}
		for k, f := range fields {
			want := ""
			if isText(f) {
				want = textOf(f, e)
			} else if n := countOf(f, e); n >= 0 {
				want = strconv.FormatInt(n, 10)
			}
			if r.Values[k] != want {
				t.Errorf("entry %d, %s: %q, want %q", e.Index, f, r.Values[k], want)
			}
		}
	}
	if i != len(rows) {
		t.Errorf("%d rows, want %d", len(rows), i)
	}
}

func TestAggregates(t *testing.T) {
	x, all := opened(t, true)
	n, _ := query.Parse("type:request")
	cells, err := x.Histogram(t.Context(), query.Request{Where: n}, query.Cluster, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	top, err := x.Top(t.Context(), query.Request{Where: n}, query.Path, 0)
	if err != nil {
		t.Fatal(err)
	}
	distinct, err := x.Distinct(t.Context(), query.Request{Where: n}, query.SourceIP, query.AccountID)
	if err != nil {
		t.Fatal(err)
	}
	byHour, byPath, byAccount := map[query.Cell]int{}, map[string]int{}, map[string]map[string]bool{}
	for _, e := range all {
		if e.Type != "request" {
			continue
		}
		byHour[query.Cell{Value: e.Cluster, Start: e.Time.Truncate(time.Hour)}]++
		byPath[e.Path]++
		if byAccount[e.Account] == nil {
			byAccount[e.Account] = map[string]bool{}
		}
		byAccount[e.Account][e.SourceIP] = true
	}
	for _, c := range cells {
		if byHour[query.Cell{Value: c.Value, Start: c.Start}] != c.N {
			t.Fatalf("%+v, want %d", c, byHour[query.Cell{Value: c.Value, Start: c.Start}])
		}
	}
	for _, p := range top {
		if byPath[p.Value] != p.N {
			t.Fatalf("%+v, want %d", p, byPath[p.Value])
		}
	}
	for _, a := range distinct {
		if len(byAccount[a.Value]) != a.N {
			t.Fatalf("%+v, want %d", a, len(byAccount[a.Value]))
		}
	}
	if len(cells) != len(byHour) || len(top) != len(byPath) || len(distinct) != len(byAccount) {
		t.Errorf("%d cells, %d paths, %d accounts; want %d, %d, %d", len(cells), len(top), len(distinct), len(byHour), len(byPath), len(byAccount))
	}
}

func TestJoin(t *testing.T) {
	for _, list := range [][]string{nil, {"a"}, {"a", "b"}, {""}, {"", ""}, {"a\nb", `c\n`, `\`}, {`\e`, ""}} {
		if got := split(join(list)); !slices.Equal(got, list) {
			t.Errorf("%q became %q", list, got)
		}
	}
}
