package accesslog

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// restoring is what is put into a folder, the newest first.
type restoring struct {
	segs    []SealedSegment
	content [][]byte
	entries map[uint64][]byte // payloads by index
}

func newRestoring(t *testing.T) *restoring {
	im, starts, _ := pruneStart(t)
	dir := t.TempDir()
	delete(im, "key")
	im.put(t, dir)
	r := &restoring{entries: map[uint64][]byte{}}
	for _, first := range []uint64{starts[2], starts[1], starts[0]} {
		content := im[segmentName(first, sealedEnding)]
		seg, err := CheckSegment(t.Context(), dir, content)
		if err != nil {
			t.Fatal(err)
		}
		r.segs, r.content = append(r.segs, seg), append(r.content, content)
	}
	if err := Scan(t.Context(), dir, 0, starts[3], func(e *Entry) error { r.entries[e.Index] = bytes.Clone(e.Payload); return nil }); err != nil {
		t.Fatal(err)
	}
	return r
}

// into unpacks all and returns how many it was told are there.
func (r *restoring) into(d disk, to string) (done int) {
	for i := range r.segs {
		if unpack(d, to, r.segs[i], r.content[i]) != nil {
			return i
		}
	}
	return len(r.segs)
}

// read checks that what the folder shows is what it should, and at least what
// the first done segments hold. Between a stop and the next try it may show none.
func (r *restoring) read(ctx context.Context, to string, done int, stopped bool) error {
	seen := map[uint64]bool{}
	err := Scan(ctx, to, 0, 1<<40, func(e *Entry) error {
		if seen[e.Index] = true; !bytes.Equal(e.Payload, r.entries[e.Index]) {
			return fmt.Errorf("entry %d is another one", e.Index)
		}
		return nil
	})
	if stopped && err != nil && len(seen) == 0 {
		return nil // refused, not shown as if it were all
	}
	if err != nil {
		return err
	}
	for _, s := range r.segs[:done] {
		for i := range s.Entries {
			if !seen[s.First+i] {
				return fmt.Errorf("entry %d is not shown", s.First+i)
			}
		}
	}
	return nil
}

// TestFaultTable_Restore makes every write of restoring go wrong in every way:
// what is shown is the log's own, and trying again brings the rest.
func TestFaultTable_Restore(t *testing.T) {
	r := newRestoring(t)
	base := memoryDir(t)
	begin := func(name string) (string, *powerDisk) {
		to := filepath.Join(base, strings.ReplaceAll(name, " ", "_"))
		if err := os.MkdirAll(to, 0o700); err != nil {
			t.Fatal(err)
		}
		return to, newPowerDisk(t, to)
	}
	to, good := begin("good")
	if n := r.into(good, to); n != len(r.segs) {
		t.Fatalf("undisturbed, %d came", n)
	}
	if err := r.read(t.Context(), to, len(r.segs), false); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(2, 9))
	for _, label := range []string{"replace sealed segment", "replace removed", "remove removed"} {
		if good.calls[label] == 0 {
			t.Errorf("no row for: %s", label)
		}
		for nth := range good.calls[label] {
			for _, kind := range slices.Concat(faultKinds, []string{"none"}) {
				name := fmt.Sprintf("%s %d %s", label, nth, kind)
				to, d := begin(name)
				d.label, d.nth, d.kind = label, nth, kind
				if kind == "none" {
					d.label = ""
				}
				done := r.into(d, to)
				if d.hit == (kind == "none") {
					t.Errorf("%s: never came", name)
				}
				for what, im := range map[string]image{"process": takeImage(t, to), "power": d.cut(t, rng)} {
					im.put(t, to)
					err := r.read(t.Context(), to, done, done < len(r.segs))
					if err == nil && r.into(osDisk{to}, to) != len(r.segs) {
						err = fmt.Errorf("trying again fails")
					}
					if err == nil {
						err = r.read(t.Context(), to, len(r.segs), false)
					}
					if err != nil {
						t.Errorf("%s, %s gone: %v", name, what, err)
					}
				}
			}
		}
	}
}
