package index

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/accesslog/synthetic"
)

// built returns a folder with the index of the test log, for a test to spoil.
func built(t *testing.T) (log, dir string) {
	t.Helper()
	log, err := testLog()
	if err != nil {
		t.Fatal(err)
	}
	whole, err := testIndex()
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "index")
	if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
		t.Fatal(err)
	}
	return log, dir
}

func count(t *testing.T, x *Index, n query.Node) int {
	t.Helper()
	c, err := x.Count(t.Context(), query.Request{Where: n})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func openIndex(t *testing.T, log, dir string) *Index {
	t.Helper()
	x, err := Open(Config{Dir: dir, LogDir: log, Now: func() time.Time { return synthetic.End }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

// TestForget: the files with the account are made again, those without are left
// alone, and an index that is open reads the end of the log again.
func TestForget(t *testing.T) {
	log, dir := built(t)
	x := openIndex(t, log, dir)
	w, err := synthetic.New()
	if err != nil {
		t.Fatal(err)
	}
	id, _, _ := w.Account(synthetic.Accounts - 200) // not busy
	who := query.Match{Field: query.AccountID, Pattern: query.Exact(id)}
	rows, err := x.Search(t.Context(), query.Request{Where: who})
	if err != nil || len(rows) == 0 {
		t.Fatalf("%d entries, %v", len(rows), err)
	}
	total := count(t, x, nil)
	parts, _, err := list(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	before := map[part]os.FileInfo{}
	for _, p := range parts {
		if before[p], err = os.Stat(filepath.Join(dir, p.name())); err != nil {
			t.Fatal(err)
		}
	}
	if len(x.tail) == 0 {
		t.Fatal("nothing is in memory")
	}
	old := x.tail[0]
	if err := x.Forget(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, p := range parts {
		now, err := os.Stat(filepath.Join(dir, p.name()))
		if err != nil {
			t.Fatal(err)
		}
		about := slices.ContainsFunc(rows, func(r query.Row) bool { return r.Index >= p.first && r.Index < p.next })
		if os.SameFile(before[p], now) == about {
			t.Errorf("%s: made again %v, has the account %v", p.name(), !about, about)
		}
		if about {
			made++
			if i := slices.IndexFunc(x.files, func(f *file) bool { return f.part == p }); !os.SameFile(x.files[i].info, now) {
				t.Errorf("%s: the file of before is still read", p.name())
			}
		}
	}
	if made == 0 || made == len(parts) {
		t.Errorf("%d of %d files were made again", made, len(parts))
	}
	if n := count(t, x, nil); n != total || x.tail[0] == old {
		t.Errorf("%d entries, want %d; memory kept: %v", n, total, x.tail[0] == old)
	}
	// Another process notices as well.
	y := openIndex(t, log, dir)
	count(t, y, nil)
	old = y.tail[0]
	if err := Forget(t.Context(), log, dir, "nobody-at-all", nil); err != nil {
		t.Fatal(err)
	}
	if err := y.Reload(); err != nil {
		t.Fatal(err)
	}
	if count(t, y, nil); y.tail[0] == old {
		t.Error("memory was kept")
	}
}

// prunedLog copies the test log without its first segments.
func prunedLog(t *testing.T, segments int) (dir string, first uint64) {
	t.Helper()
	log, err := testLog()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(log)); err != nil {
		t.Fatal(err)
	}
	sealed, err := accesslog.Sealed(dir, 0)
	if err != nil || len(sealed) <= segments {
		t.Fatalf("%d segments, %v", len(sealed), err)
	}
	for _, s := range sealed[:segments] {
		if err := os.Remove(s.Path); err != nil {
			t.Fatal(err)
		}
	}
	return dir, sealed[segments].First
}

// TestPrune: what the log does not have any more is not found, before its files
// are gone and after, and what is left is found as before.
func TestPrune(t *testing.T) {
	log, dir := built(t)
	whole := openIndex(t, log, dir)
	pruned, first := prunedLog(t, 4)
	left := query.Range{Field: query.Index, Min: int64(first), Max: 1 << 40}
	want := count(t, whole, left)
	x := openIndex(t, pruned, dir)
	if n := count(t, x, nil); n != want {
		t.Errorf("before pruning %d entries, want %d", n, want)
	}
	if err := Prune(t.Context(), pruned, dir, first); err != nil {
		t.Fatal(err)
	}
	if n := count(t, x, nil); n != want {
		t.Errorf("with the files of before %d entries, want %d", n, want)
	}
	if err := x.Reload(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, x, nil); n != want || x.files[0].first != first {
		t.Errorf("%d entries from %d on, want %d from %d on", n, x.files[0].first, want, first)
	}
	again := filesIn(t, dir)
	if err := Update(t.Context(), pruned, dir, nil); err != nil || !slices.Equal(again, filesIn(t, dir)) {
		t.Errorf("an update after pruning changed the files: %v", err)
	}
	if n := count(t, openIndex(t, pruned, filepath.Join(t.TempDir(), "none")), nil); n != want {
		t.Errorf("without an index %d entries, want %d", n, want)
	}
}

// TestOpen_OtherLog: an index of another log, of a longer one or a damaged file
// answers nothing; the log itself does, until the files are made again.
func TestOpen_OtherLog(t *testing.T) {
	if testing.Short() {
		t.Skip("makes every file more than once")
	}
	_, dir := built(t)
	other := t.TempDir()
	if _, err := synthetic.Fill(t.Context(), other, 3000, 256<<10, nil); err != nil {
		t.Fatal(err)
	}
	x := openIndex(t, other, dir)
	want := 0
	if err := accesslog.Scan(t.Context(), other, 0, ^uint64(0), func(*accesslog.Entry) error { want++; return nil }); err != nil {
		t.Fatal(err)
	}
	// The file of the first entries may stay: both logs begin with the same ones.
	if n := count(t, x, nil); n != want || len(x.files) > 1 {
		t.Errorf("%d entries, want %d, with %d files of another log", n, want, len(x.files))
	}
	if err := errors.Join(Update(t.Context(), other, dir, nil), x.Reload()); err != nil {
		t.Fatal(err)
	}
	if n := count(t, x, nil); n != want || len(x.files) == 0 {
		t.Errorf("%d entries, want %d, with %d files", n, want, len(x.files))
	}
	parts, _, err := list(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	middle := filepath.Join(dir, parts[len(parts)/2].name())
	if err := os.WriteFile(middle, []byte("PAR1 this is no index PAR1"), 0o600); err != nil {
		t.Fatal(err)
	}
	y := openIndex(t, other, dir)
	if n := count(t, y, nil); n != want || len(y.files) != len(parts)-1 {
		t.Errorf("%d entries, want %d, with %d files of %d", n, want, len(y.files), len(parts))
	}
	if err := errors.Join(Update(t.Context(), other, dir, nil), y.Reload()); err != nil {
		t.Fatal(err)
	}
	if n := count(t, y, nil); n != want || len(y.files) != len(parts) {
		t.Errorf("%d entries, want %d, with %d files of %d", n, want, len(y.files), len(parts))
	}
}

// TestForget_Erased: once an account's key is destroyed, no file and no memory
// gives what stood under it.
func TestForget_Erased(t *testing.T) {
	if testing.Short() {
		t.Skip("makes every file more than once")
	}
	log := filepath.Join(t.TempDir(), "log")
	if _, err := synthetic.Fill(t.Context(), log, 3000, 256<<10, nil); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "index")
	if err := Update(t.Context(), log, dir, nil); err != nil {
		t.Fatal(err)
	}
	x := openIndex(t, log, dir)
	w, err := synthetic.New()
	if err != nil {
		t.Fatal(err)
	}
	id, email, _ := w.Account(1)
	byMail := query.Match{Field: query.Email, Pattern: query.Exact(email)}
	byID := query.Match{Field: query.AccountID, Pattern: query.Exact(id)}
	entries := count(t, x, byID)
	if n := count(t, x, byMail); n == 0 || n != entries {
		t.Fatalf("%d entries of %d have the address", n, entries)
	}
	if err := accesslog.ErasePersonal(log, id); err != nil {
		t.Fatal(err)
	}
	if err := x.Forget(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for _, y := range []*Index{x, openIndex(t, log, dir)} {
		if n := count(t, y, query.Anywhere{Text: email}); n != 0 {
			t.Errorf("%d entries have the address", n)
		}
		if n := count(t, y, byID); n != entries {
			t.Errorf("%d entries of the account, want %d", n, entries)
		}
	}
	for _, name := range filesIn(t, dir) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || bytes.Contains(b, []byte(email)) {
			t.Errorf("%s has the address, %v", name, err)
		}
	}
}
