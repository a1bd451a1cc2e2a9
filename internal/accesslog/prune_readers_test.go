package accesslog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// TestPrune_Subscribe: who reads from an entry that has gone by age, before or
// meanwhile, goes on with the first that is left.
func TestPrune_Subscribe(t *testing.T) {
	x, sealed := prunable(t)
	read := func(from uint64, each func(*Entry)) (seen []uint64) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for e, err := range x.Subscribe(ctx, from) {
			if err != nil {
				t.Fatal(err)
			}
			if n := len(seen); n > 0 && e.Index <= seen[n-1] {
				t.Fatalf("entry %d follows %d", e.Index, seen[n-1])
			}
			if seen = append(seen, e.Index); e.Index+1 == x.Size() {
				break
			}
			if each != nil {
				each(e)
			}
		}
		return seen
	}
	var gone bool
	seen := read(0, func(e *Entry) {
		if !gone && e.Index > 10 {
			gone = true
			x.prune(sealed[4].First)
		}
	})
	if seen[0] != 0 || uint64(len(seen)) < x.Size()-sealed[4].First {
		t.Errorf("removed meanwhile: %d entries from %d on", len(seen), seen[0])
	}
	x.close()
	x.run() // with nothing in memory
	for _, from := range []uint64{0, 5, sealed[4].First - 1, sealed[4].First} {
		if seen := read(from, nil); seen[0] != sealed[4].First || uint64(len(seen)) != x.Size()-sealed[4].First {
			t.Errorf("from %d: %d entries from %d on, want %d from %d on", from, len(seen), seen[0], x.Size()-sealed[4].First, sealed[4].First)
		}
	}
}

// TestPrune_Tail: likewise for one that follows the files.
func TestPrune_Tail(t *testing.T) {
	x, sealed := prunable(t)
	x.prune(sealed[3].First)
	first, n := uint64(0), uint64(0)
	if err := Tail(t.Context(), x.cfg.Dir, Filter{}, 7, func(e *Entry) bool {
		if n++; n == 1 {
			first = e.Index
		}
		return e.Index+1 < x.Size()
	}); err != nil {
		t.Fatal(err)
	}
	if first != sealed[3].First || n != x.Size()-first {
		t.Errorf("%d entries from %d on", n, first)
	}
}

// TestPrune_Decisions: a replay reads the decisions that are left, each with the
// facts that it names.
func TestPrune_Decisions(t *testing.T) {
	x := newTestLog(t, nil).run()
	for i := range 1500 {
		doc, err := policy.NewDocument(policy.Facts{Zone: fmt.Sprintf("zone-%d", i%3)})
		if err != nil {
			t.Fatal(err)
		}
		r := denied(i)
		r.Path, r.Document = "/"+strings.Repeat("x", 200), doc
		x.push(r)
	}
	var sealed []SealedSegment
	waitFor(t, "segments are sealed", func() bool {
		end, err := SealedUntil(x.cfg.Dir)
		sealed, _ = Sealed(x.cfg.Dir, 0)
		return err == nil && x.Size() > 1500 && len(sealed) > 3 && end == x.newestFirst()
	})
	if err := x.sign(true); err != nil {
		t.Fatal(err)
	}
	x.prune(sealed[3].First)
	var want, got uint64
	if err := Scan(t.Context(), x.cfg.Dir, 0, x.Size(), func(e *Entry) error {
		if e.Type == policy.RecordRequest {
			want++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	err := Decisions(t.Context(), x.cfg.Dir, time.Time{}, time.Time{}, 0, func(b *Batch) bool {
		if err := b.Each(func(e *Entry, doc *policy.Document) error {
			if got++; e.Index < sealed[3].First || doc == nil || doc.Hash() != e.Facts {
				return fmt.Errorf("entry %d with facts %v", e.Index, doc)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		return true
	})
	if err != nil || got != want || got == 0 {
		t.Errorf("%d decisions of %d: %v", got, want, err)
	}
	if n, err := Count(t.Context(), x.cfg.Dir); err != nil || n != x.Size() {
		t.Errorf("%d entries are counted: %v", n, err)
	}
}

// TestPrune_UnderOlder: proofs under a checkpoint of before the removal, such as
// one that witnesses have cosigned, hold for what is left; and so it is published.
func TestPrune_UnderOlder(t *testing.T) {
	x, sealed := prunable(t)
	cosigned := x.Checkpoint()
	x.push(denied(1))
	x.prune(sealed[4].First)
	x.push(denied(2))
	if err := x.sign(true); err != nil {
		t.Fatal(err)
	}
	last, err := CheckpointSize(cosigned)
	if err != nil {
		t.Fatal(err)
	}
	for index, there := range map[uint64]bool{0: false, sealed[4].First - 1: false, sealed[4].First: true, last - 1: true, last: false} {
		p, err := ProveUnder(t.Context(), x.cfg.Dir, cosigned, index)
		if there != (err == nil) || !there && !errors.Is(err, ErrNotFound) {
			t.Errorf("entry %d: %v", index, err)
		}
		if err == nil && (p.Check(x.vkey) != nil || p.Checkpoint != string(cosigned)) {
			t.Errorf("the proof of entry %d does not hold", index)
		}
	}
	older := Older(x.cfg.Dir, "")
	for _, size := range []uint64{1, sealed[2].First + 3, sealed[4].First, last} {
		if _, _, err := older(t.Context(), x.Checkpoint(), size); err != nil {
			t.Errorf("proving to a witness that knows %d entries: %v", size, err)
		}
	}
	p, err := Publish(x.cfg.Dir, "", func() ([]byte, error) { return cosigned, nil })
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if err := p.WriteTo(t.Context(), out, nil); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(out, "checkpoint")); err != nil || string(b) != string(cosigned) {
		t.Errorf("published under %q, %v", b, err)
	}
	least, err := p.Minimum()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(out, fmt.Sprintf("tile/entries/%03d", least/tileWidth))); err != nil {
		t.Error(err)
	}
	// One that goes no further than what was removed shows hashes alone.
	var early []byte
	notes, err := readHistory(x.cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range notes {
		if size, _ := CheckpointSize(n); size > 0 && size < sealed[4].First {
			early = n
		}
	}
	if early == nil {
		t.Fatal("there is no early checkpoint")
	}
	if p, err = Publish(x.cfg.Dir, "", func() ([]byte, error) { return early, nil }); err != nil {
		t.Fatal(err)
	}
	if err := p.WriteTo(t.Context(), t.TempDir(), nil); err != nil {
		t.Errorf("under an early checkpoint: %v", err)
	}
}
