package accesslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ringfence/ringfence/policy"
)

// prunable returns a running log with several sealed segments, and where they begin.
func prunable(t *testing.T, change ...func(*Config)) (x *testLog, sealed []SealedSegment) {
	t.Helper()
	x = newTestLog(t, nil)
	for _, c := range change {
		c(&x.cfg)
	}
	x.run()
	for i := range 3000 {
		r := denied(i)
		r.Path = fmt.Sprintf("/%d/%s", i, strings.Repeat("x", 100))
		x.push(r)
	}
	waitFor(t, "segments are sealed", func() bool {
		var err error
		if sealed, err = Sealed(x.cfg.Dir, 0); err != nil {
			t.Fatal(err)
		}
		end, err := SealedUntil(x.cfg.Dir)
		return err == nil && x.Size() > 3000 && end == x.newestFirst()
	})
	if err := x.sign(true); err != nil {
		t.Fatal(err)
	}
	return x, sealed
}

func (x *testLog) push(r *policy.Record) {
	x.t.Helper()
	if err := x.Append(r); err != nil {
		x.t.Fatal(err)
	}
}

func (x *testLog) newestFirst() uint64 {
	list, err := listFolder(x.cfg.Dir)
	if err != nil {
		x.t.Fatal(err)
	}
	return list.segments[len(list.segments)-1].first
}

func (x *testLog) prune(before uint64) {
	x.t.Helper()
	if err := x.Prune(x.t.Context(), Removal{Before: before, Rule: "default: 396 days", Actor: "operator"}); err != nil {
		x.t.Fatal(err)
	}
}

// TestPrune: what is left of a log works as before, and what went is proven by its hashes.
func TestPrune(t *testing.T) {
	x, sealed := prunable(t)
	old := x.Checkpoint()
	early, err := Prove(t.Context(), x.cfg.Dir, 5)
	if err != nil {
		t.Fatal(err)
	}
	x.prune(sealed[2].First)
	x.prune(sealed[4].First)
	first := sealed[4].First
	if got, err := Sealed(x.cfg.Dir, 0); err != nil || got[0].First != first {
		t.Fatalf("the log begins at %+v: %v", got, err)
	}
	if rep := x.verify(); rep.Removed != first || rep.Signed != rep.Entries || rep.First.IsZero() {
		t.Errorf("while it is written: %+v", rep)
	}
	x.close()
	for range 2 {
		if rep := x.verify(); rep.Removed != first || rep.Signed != rep.Entries {
			t.Errorf("closed: %+v", rep)
		}
		x.run()
		x.push(denied(1))
		x.close()
	}
	all := x.all(Filter{Ascending: true})
	if all[0].Index != first {
		t.Errorf("the oldest entry found is %d", all[0].Index)
	}
	if _, err := Get(t.Context(), x.cfg.Dir, 5); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "removed by age") {
		t.Errorf("reading a removed entry: %v", err)
	}
	if err := early.Check(x.vkey); err != nil {
		t.Errorf("a proof of before: %v", err)
	}
	if p, err := Prove(t.Context(), x.cfg.Dir, first); err != nil || p.Check(x.vkey) != nil {
		t.Errorf("proving the first entry left: %v", err)
	}
	if _, err := ProveConsistency(t.Context(), x.cfg.Dir, old); err != nil {
		t.Errorf("continuing an older checkpoint: %v", err)
	}
	var found []uint64
	for _, e := range all {
		if e.Action == ActionPrune {
			found = append(found, e.Index)
			if e.Actor != "operator" || e.Detail["rule"] != "default: 396 days" || e.Detail["root"] == "" {
				t.Errorf("the entry says %+v", e.Detail)
			}
		}
	}
	if len(found) != 2 {
		t.Errorf("%d entries tell of it", len(found))
	}
}

// TestPrune_Refused: what is not sealed, not signed or not a beginning stays.
func TestPrune_Refused(t *testing.T) {
	x, sealed := prunable(t)
	for what, before := range map[string]uint64{"within a segment": sealed[1].First + 1, "all of it": 3001, "the newest": x.newestFirst() + 5} {
		if err := x.Prune(t.Context(), Removal{Before: before}); err == nil {
			t.Errorf("%s was removed", what)
		}
	}
	x.signs.mu.Lock()
	x.signs.last.size = sealed[3].First + 1
	x.signs.mu.Unlock()
	if err := x.Prune(t.Context(), Removal{Before: sealed[4].First}); err == nil {
		t.Error("entries without a checkpoint were removed")
	}
	if n, err := x.Removable(); err != nil || n != sealed[3].First {
		t.Errorf("removable are %d: %v", n, err)
	}
}

// TestPrune_OpenRequest: a request that still runs keeps its entry.
func TestPrune_OpenRequest(t *testing.T) {
	x := newTestLog(t, nil).run()
	for i := range 3 {
		x.record(denied(i))
	}
	at := x.record(request(7))
	for i := range 3000 {
		x.push(denied(i))
	}
	waitFor(t, "segments are sealed", func() bool {
		end, err := SealedUntil(x.cfg.Dir)
		return err == nil && x.Size() > 3004 && end == x.newestFirst()
	})
	if n, err := x.Removable(); err != nil || n > at {
		t.Errorf("%d may go, and request %d is open: %v", n, at, err)
	}
}

// TestPrune_Damaged: nothing goes whose hashes could not stand for it.
func TestPrune_Damaged(t *testing.T) {
	x, sealed := prunable(t)
	f, err := os.OpenFile(x.file(tileName(0)), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("damaged"), 40*tlog.HashSize); err != nil {
		t.Fatal(err)
	}
	if err := x.Prune(t.Context(), Removal{Before: sealed[3].First}); err == nil {
		t.Error("entries went while a kept hash was wrong")
	}
	if now, err := Sealed(x.cfg.Dir, 0); err != nil || now[0].First != 0 {
		t.Errorf("the log begins at %+v: %v", now[0], err)
	}
}

// TestPrune_Crash: whatever files a stop leaves, the log is that of before or of after.
func TestPrune_Crash(t *testing.T) {
	x, sealed := prunable(t)
	before := takeImage(t, x.cfg.Dir)
	x.prune(sealed[4].First)
	x.close()
	after := takeImage(t, x.cfg.Dir)
	for i := range sealed[:4] { // any of the removed files is still there
		after.put(t, x.cfg.Dir)
		for j, s := range sealed[:4] {
			if j != i && j != (i+2)%4 {
				continue
			}
			name := filepath.Base(s.Path)
			if err := os.WriteFile(s.Path, before[name], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if rep := x.verify(); rep.Removed != sealed[4].First {
			t.Errorf("with a file left: %+v", rep)
		}
		x.run()
		x.close()
		if _, err := os.Stat(sealed[i].Path); err == nil {
			t.Error("a start leaves removed files")
		}
	}
}

// TestPrune_Attacks: whoever removes segments, says so himself or changes what
// is left is found, at a start and by verifying.
func TestPrune_Attacks(t *testing.T) {
	x, sealed := prunable(t)
	x.prune(sealed[3].First)
	x.close()
	im := takeImage(t, x.cfg.Dir)
	note, err := readRemoval(x.cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	write := func(r removal) {
		if err := os.WriteFile(x.file(removedName), []byte(r.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flip := func(name string, at int64) {
		b, err := os.ReadFile(x.file(name))
		if err != nil {
			t.Fatal(err)
		}
		b[at] ^= 1
		if err := os.WriteFile(x.file(name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for what, do := range map[string]func(){
		"a further segment gone":      func() { os.Remove(sealed[3].Path) },
		"more gone, and said to be":   func() { os.Remove(sealed[3].Path); write(removal{first: sealed[4].First, entry: note.entry}) },
		"more gone, by another entry": func() { os.Remove(sealed[3].Path); write(removal{first: sealed[4].First, entry: note.entry - 1}) },
		"the note gone":               func() { os.Remove(x.file(removedName)) },
		"the note of no format":       func() { os.WriteFile(x.file(removedName), []byte("first 3\n"), 0o600) },
		"a middle segment gone":       func() { os.Remove(sealed[5].Path) },
		"a foreign entry kept": func() {
			write(removal{first: note.first, entry: note.entry, kept: [][]byte{[]byte(`{"index":4,"node":"x"}`)}})
		},
		"a hash of a removed entry":     func() { flip(tileName(0), 100*tlog.HashSize) },
		"hashes of removed entries cut": func() { os.Truncate(x.file(tileName(0)), 50*tlog.HashSize) },
	} {
		im.put(t, x.cfg.Dir)
		do()
		if _, err := Verify(t.Context(), x.cfg.Dir, x.vkey, nil); !isTampered(err) {
			t.Errorf("%s: verifying says %v", what, err)
		}
		if _, err := SecondVerify(x.cfg.Dir, x.vkey); err == nil {
			t.Errorf("%s: the second verifier finds nothing", what)
		}
		if strings.HasPrefix(what, "a hash of") || strings.HasPrefix(what, "a foreign") {
			continue // for verifying alone: a start reads no old hashes that it does not need
		}
		l, err := Open(t.Context(), x.cfg)
		if !isTampered(err) {
			t.Errorf("%s: a start says %v", what, err)
		}
		if l != nil {
			l.Close()
		}
	}
}

// TestPrune_HashesAnew: upper hashes are made again where the entries are gone.
func TestPrune_HashesAnew(t *testing.T) {
	x, sealed := prunable(t)
	x.prune(sealed[4].First)
	x.close()
	want, err := os.ReadFile(x.file(tileName(1)))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(x.file(tileName(1))); err != nil {
		t.Fatal(err)
	}
	x.run()
	x.close()
	x.verify()
	if got, err := os.ReadFile(x.file(tileName(1))); err != nil || !bytes.HasPrefix(got, want) {
		t.Errorf("the hashes are others: %v", err)
	}
}

// TestPrune_Keys: a key that a removed entry names stays trusted.
func TestPrune_Keys(t *testing.T) {
	x, skey, vkey := rotated(t)
	x.cfg.Key = skey
	x.run()
	n := x.Size() + 2000
	for i := range 2000 {
		x.push(denied(i))
	}
	var sealed []SealedSegment
	waitFor(t, "segments are sealed", func() bool {
		end, err := SealedUntil(x.cfg.Dir)
		sealed, _ = Sealed(x.cfg.Dir, 0)
		return err == nil && x.Size() >= n && len(sealed) > 3 && end == x.newestFirst()
	})
	if err := x.sign(true); err != nil {
		t.Fatal(err)
	}
	x.prune(sealed[2].First)
	x.close()
	for _, key := range []string{x.vkey, vkey} {
		if _, err := Verify(t.Context(), x.cfg.Dir, key, nil); err != nil {
			t.Errorf("verifying: %v", err)
		}
		if _, err := SecondVerify(x.cfg.Dir, key); err != nil {
			t.Errorf("the second verifier: %v", err)
		}
	}
	note, err := readRemoval(x.cfg.Dir)
	if err != nil || len(note.kept) != 2 {
		t.Fatalf("kept are %d entries: %v", len(note.kept), err)
	}
	note.kept = note.kept[1:]
	if err := os.WriteFile(x.file(removedName), []byte(note.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(t.Context(), x.cfg.Dir, vkey, nil); !isTampered(err) {
		t.Errorf("without the entry that names the key: %v", err)
	}
}

// TestPrune_Published: hashes are shown as before, bundles from the minimum index on.
func TestPrune_Published(t *testing.T) {
	x, sealed := prunable(t)
	x.prune(sealed[4].First)
	x.close()
	p, err := Publish(x.cfg.Dir, x.vkey, nil)
	if err != nil {
		t.Fatal(err)
	}
	least, err := p.Minimum()
	if err != nil || least < sealed[4].First || least%tileWidth != 0 {
		t.Fatalf("the minimum index is %d: %v", least, err)
	}
	for path, there := range map[string]bool{"tile/0/000": true, "tile/entries/000": false,
		fmt.Sprintf("tile/entries/%03d", least/tileWidth): true} {
		if _, err := p.Read(t.Context(), path); (err == nil) != there || !there && !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", path, err)
		}
	}
	out := t.TempDir()
	if err := p.WriteTo(t.Context(), out, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(out, "tile/entries/000")); err == nil {
		t.Error("a removed bundle was written")
	}
	if _, err := os.Stat(filepath.Join(out, fmt.Sprintf("tile/entries/%03d", least/tileWidth))); err != nil {
		t.Error(err)
	}
}

// TestPrune_WhileRead: readers who meet a removal go on with what is left.
func TestPrune_WhileRead(t *testing.T) {
	x, sealed := prunable(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	seen, pruned := uint64(0), false
	err := Query(ctx, x.cfg.Dir, Filter{Ascending: true}, func(e *Entry) bool {
		if seen = e.Index; !pruned && seen > 10 {
			pruned = true
			x.prune(sealed[5].First)
		}
		return true
	})
	if err != nil || seen < 3000 {
		t.Errorf("read up to %d: %v", seen, err)
	}
	if _, err := Verify(ctx, x.cfg.Dir, x.vkey, func(done, _ uint64) {
		if pruned && done > sealed[5].First+300 {
			pruned = false
			x.prune(sealed[7].First)
		}
	}); err != nil {
		t.Errorf("verifying meanwhile: %v", err)
	}
}
