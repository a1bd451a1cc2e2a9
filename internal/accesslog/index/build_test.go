package index

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/accesslog/synthetic"
)

func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, n := range names {
		if n.Name() != lockName {
			out = append(out, n.Name())
		}
	}
	return out
}

func TestName(t *testing.T) {
	p := part{dayOf(time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC).UnixNano()), 0, 87000}
	if got := p.name(); got != "v3-2026-11-22-00000000000000000000-00000000000000087000.parquet" {
		t.Error(got)
	}
	if got, ok := parseName(p.name()); !ok || got != p {
		t.Errorf("%+v, %v", got, ok)
	}
	for _, name := range []string{
		"v1-2026-11-22-00000000000000000000-00000000000000087000.parquet", "v3-2026-11-22-0-87000.parquet", "x.parquet",
		"v2-2026-11-31-00000000000000000000-00000000000000087000.parquet", "v3-2026-11-22-00000000000000087000-00000000000000087000.parquet",
	} {
		if p, ok := parseName(name); ok {
			t.Errorf("%s is read as %+v", name, p)
		}
	}
}

func TestMerge(t *testing.T) {
	for name, tt := range map[string]struct{ parts, todo, want []part }{
		"nothing":                    {nil, nil, nil},
		"first":                      {nil, []part{{1, 0, 10}}, []part{{1, 0, 10}}},
		"more of a day":              {[]part{{1, 0, 10}}, []part{{1, 10, 20}}, []part{{1, 10, 20}}},
		"the day is over":            {[]part{{1, 0, 10}, {1, 10, 20}}, []part{{1, 20, 30}, {2, 30, 40}}, []part{{1, 0, 30}, {2, 30, 40}}},
		"it was over":                {[]part{{1, 0, 10}, {1, 10, 20}}, []part{{2, 20, 40}}, []part{{1, 0, 20}, {2, 20, 40}}},
		"not finished the last time": {[]part{{1, 0, 10}, {1, 10, 20}, {2, 20, 30}}, nil, []part{{1, 0, 20}}},
		"all is well":                {[]part{{1, 0, 20}, {2, 20, 30}}, nil, nil},
	} {
		if got := merge(tt.parts, tt.todo); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

// TestUpdate_Leftovers: what a crash or another version left is tidied up, and
// files that are gone are made again.
func TestUpdate_Leftovers(t *testing.T) {
	if testing.Short() {
		t.Skip("makes every file more than once")
	}
	log, dir := built(t)
	whole := filesIn(t, dir)
	parts, stale, err := list(dir, 0)
	if err != nil || len(stale) > 0 || len(parts) != len(whole) || len(parts) < synthetic.Days/2 {
		t.Fatalf("%d parts, %d stale, %v", len(parts), len(stale), err)
	}
	for _, name := range []string{".v2-x.tmp", "v1-2026-03-01-00000000000000000000-00000000000000000001.parquet", parts[3].name() + "x.parquet"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(dir, parts[5].name())); err != nil {
		t.Fatal(err)
	}
	// As the version before wrote it, without the column mode.
	if err := os.Rename(filepath.Join(dir, parts[7].name()), filepath.Join(dir, "v2"+strings.TrimPrefix(parts[7].name(), fmt.Sprintf("v%d", version)))); err != nil {
		t.Fatal(err)
	}
	x, err := Open(Config{Dir: dir, LogDir: log})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if _, err := x.Count(t.Context(), query.Request{Where: query.Match{Field: query.Mode, Pattern: query.Exact("relaxed")}}); err != nil {
		t.Errorf("searching beside files of another version: %v", err)
	}
	var done, of uint64
	if err := Update(t.Context(), log, dir, func(d, o uint64) { done, of = d, o }); err != nil {
		t.Fatal(err)
	}
	if got := filesIn(t, dir); !slices.Equal(got, whole) {
		t.Errorf("%v, want %v", got, whole)
	}
	if done != of || of == 0 {
		t.Errorf("progress ended at %d of %d", done, of)
	}
	if err := Rebuild(t.Context(), log, dir, nil); err != nil {
		t.Fatal(err)
	}
	if got := filesIn(t, dir); !slices.Equal(got, whole) {
		t.Errorf("rebuilt: %v, want %v", got, whole)
	}
}

// TestUpdate_Days: the files of a day become one when a later day has begun,
// and an index that is open takes that up without a hole.
func TestUpdate_Days(t *testing.T) {
	log, dir := built(t)
	x, err := Open(Config{Dir: dir, LogDir: log})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	count := func() int {
		n, err := x.Count(t.Context(), query.Request{})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	want := count()
	parts, _, err := list(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := parts[4]
	middle := (p.first + p.next) / 2
	if err := os.Remove(filepath.Join(dir, p.name())); err != nil {
		t.Fatal(err)
	}
	b := newBuilder(log, dir, nil)
	if err := b.run(t.Context(), []part{{p.day, p.first, middle}, {p.day, middle, p.next}}); err != nil {
		t.Fatal(err)
	}
	if err := x.Reload(); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != want {
		t.Errorf("with two files of a day: %d, want %d", n, want)
	}
	if err := Update(t.Context(), log, dir, nil); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != want {
		t.Errorf("before taking up the change: %d, want %d", n, want)
	}
	if err := x.Reload(); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != want {
		t.Errorf("afterwards: %d, want %d", n, want)
	}
	if again, _, err := list(dir, 0); err != nil || !slices.Equal(again, parts) {
		t.Errorf("%d files, %v, want %d", len(again), err, len(parts))
	}
}

func TestUpdate_Cancelled(t *testing.T) {
	log, err := testLog()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "index")
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := Update(ctx, log, dir, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	for _, n := range filesIn(t, dir) {
		t.Errorf("%s was left", n)
	}
}

// TestSearch_Damaged: a damaged file fails a search and never the process.
func TestSearch_Damaged(t *testing.T) {
	x, _ := opened(t, true)
	parts, _, err := list(x.cfg.Dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(x.cfg.Dir, parts[7].name())
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	all, _ := query.Parse("~~~~") // too short for a sieve to answer
	failed := 0
	for at := 8; at < len(b)*3/4; at += len(b) / 20 {
		bad := slices.Clone(b)
		for i := range 16 {
			bad[at+i] ^= 0x55
		}
		if err := os.WriteFile(name, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		x.remembered.forget() // what it was before is remembered, and was right
		if _, err := x.Search(t.Context(), query.Request{Where: all}); err != nil {
			failed++
		}
	}
	if failed == 0 {
		t.Error("no damage was noticed")
	}
}

// TestTail_Running: what was committed is found at once, far within the second
// that is promised, also beyond the sealed segments, while these are indexed,
// and by another process, which has the files only.
func TestTail_Running(t *testing.T) {
	w, err := synthetic.New()
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := accesslog.GenerateKey("gate.example.com/log")
	if err != nil {
		t.Fatal(err)
	}
	logDir, dir := t.TempDir(), filepath.Join(t.TempDir(), "index")
	log, err := accesslog.Open(t.Context(), accesslog.Config{Dir: logDir, Key: key, SegmentSize: 256 << 10, Recent: 100, Now: func() time.Time { return synthetic.End }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- log.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
		log.Close()
	}()
	x, err := Open(Config{Dir: dir, LogDir: logDir, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	elsewhere := openIndex(t, logDir, dir)
	counted := func() {
		t.Helper()
		before := log.Size() // more are committed while the entries are counted
		if n, err := x.Count(ctx, query.Request{}); err != nil || uint64(n) < before || uint64(n) > log.Size() {
			t.Fatalf("%d entries are found, %v; there are %d to %d", n, err, before, log.Size())
		}
	}
	for i := range 6000 {
		req := w.Exchange(i, 6000)[0]
		req.Effect = "deny"
		if i%500 != 0 {
			if err := log.Append(req); err != nil {
				t.Fatal(err)
			}
			continue
		}
		index, err := log.Record(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		n := query.Match{Field: query.RequestID, Pattern: query.Exact(req.RequestID)}
		rows, err := x.Search(ctx, query.Request{Where: n})
		if err != nil || len(rows) != 1 || rows[0].Index != index {
			t.Fatalf("entry %d: %+v, %v", index, rows, err)
		}
		for begun := time.Now(); ; {
			rows, err := elsewhere.Search(ctx, query.Request{Where: n})
			if err != nil {
				t.Fatal(err)
			}
			if len(rows) == 1 && rows[0].Index == index {
				break
			}
			if time.Since(begun) > time.Second {
				t.Fatalf("entry %d is not found from elsewhere: %+v", index, rows)
			}
		}
		if err := Update(ctx, logDir, dir, nil); err != nil {
			t.Fatal(err)
		}
		if err := x.Reload(); err != nil {
			t.Fatal(err)
		}
		counted()
	}
	for deadline := time.Now().Add(30 * time.Second); x.next == 0; runtime.Gosched() { // sealing takes its time
		if err := errors.Join(Update(ctx, logDir, dir, nil), x.Reload()); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing was indexed")
		}
	}
	counted()
}
