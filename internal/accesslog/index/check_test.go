package index

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// doctor changes the rows of a file, as somebody does who can write it, and
// leaves all that opening looks at as it was.
func doctor(t *testing.T, dir string, p part, change func(*row)) {
	t.Helper()
	name := filepath.Join(dir, p.name())
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	pf, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	r := parquet.NewGenericReader[row](f)
	rows := make([]row, r.NumRows())
	if n, err := r.Read(rows); n != len(rows) || err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(n, err)
	}
	out, err := os.Create(name + "x")
	if err != nil {
		t.Fatal(err)
	}
	w := parquet.NewGenericWriter[row](out, parquet.Compression(&parquet.Zstd), parquet.MaxRowsPerRowGroup(groupRows))
	for i := range rows {
		change(&rows[i])
	}
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{keyOrigin, keyLeaf, keyOldest, keyNewest} {
		v, _ := pf.Lookup(key)
		w.SetKeyValueMetadata(key, v)
	}
	if err := errors.Join(w.Close(), out.Close(), os.Rename(name+"x", name)); err != nil {
		t.Fatal(err)
	}
}

// TestCheck_Doctored: a file that leaves entries out, as opening cannot tell, is
// found by the command and by a gateway that runs, and its entries are found again.
func TestCheck_Doctored(t *testing.T) {
	if testing.Short() {
		t.Skip("makes every file more than once")
	}
	log, dir := built(t)
	if differ, err := Check(t.Context(), log, dir, nil); err != nil || len(differ) > 0 {
		t.Fatalf("untouched: %v, %v", differ, err)
	}
	parts, _, err := list(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	requests := query.Match{Field: query.Type, Pattern: query.Exact("request")} // every day has some
	want := count(t, openIndex(t, log, dir), requests)
	bad := parts[len(parts)/2]
	doctor(t, dir, bad, func(r *row) { r.Type = "" })
	if differ, err := Check(t.Context(), log, dir, nil); err != nil || len(differ) != 1 || differ[0] != bad.name() {
		t.Errorf("doctored: %v, %v", differ, err)
	}
	x := openIndex(t, log, dir)
	now := x.cfg.Now()
	x.cfg.Now = func() time.Time { return now }
	if got := count(t, x, requests); got >= want {
		t.Fatalf("%d of %d are found: the file was not doctored", got, want)
	}
	look := func() {
		t.Helper()
		for range parts {
			if err := x.check(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	look()
	if got := count(t, x, requests); got >= want {
		t.Error("it was looked at before its time")
	}
	now = now.Add(checkFirst)
	look()
	if got := count(t, x, requests); got != want {
		t.Errorf("%d of %d are found", got, want)
	}
	if err := x.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if differ, err := Check(t.Context(), log, dir, nil); err != nil || len(differ) > 0 || len(x.files) == 0 || x.files[len(parts)/2].part != bad {
		t.Errorf("made again: %v, %v", differ, err)
	}
	doctor(t, dir, bad, func(r *row) { r.Account = "nobody" }) // in its place, later
	if err := x.Reload(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(checkEvery)
	look()
	if differ, err := Check(t.Context(), log, dir, nil); err != nil || len(differ) > 0 {
		t.Errorf("a day later: %v, %v", differ, err)
	}
}
