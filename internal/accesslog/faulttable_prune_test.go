package accesslog

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

// A pruneLife is a log's work around two removals, up to where it went wrong.
type pruneLife struct {
	*life
	starts  []uint64 // where the sealed segments of before begin
	size    uint64   // entries of before
	tried   uint64   // the furthest that a removal was to go
	removed uint64   // the furthest that one said it went
}

// pruneStart returns a closed log of some sealed segments.
func pruneStart(t *testing.T) (im image, starts []uint64, size uint64) {
	y := newLife(t, "", filepath.Join(t.TempDir(), "log"))
	newShim(&y.cfg)
	y.open()
	for n := 0; len(starts) < 6; n++ {
		var rs []*policy.Record
		for i := range 20 {
			r := denied(20*n + i)
			r.UserAgent = strings.Repeat("x", 1500)
			rs = append(rs, r)
		}
		y.commitBatch(rs...)
		y.keepOnce()
		sealed, err := Sealed(y.cfg.Dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		starts = starts[:0]
		for _, s := range sealed {
			starts = append(starts, s.First)
		}
	}
	size = y.Size()
	y.close()
	im = takeImage(t, y.cfg.Dir)
	im["key"] = []byte(y.cfg.Key)
	return im, starts, size
}

// newPruneLife begins with what pruneStart made.
func newPruneLife(t *testing.T, dir string, im image, starts []uint64, size uint64) *pruneLife {
	y := newLife(t, keyOf(im), dir)
	im = im.clone()
	delete(im, "key")
	im.put(t, dir)
	y.disk = newPowerDisk(t, dir)
	y.cfg.disk = y.disk
	return &pruneLife{life: y, starts: starts, size: size}
}

// prune removes, and commits what the removal records: nothing else runs.
func (y *life) prune(before uint64) error {
	done := make(chan error, 1)
	go func() {
		done <- y.Prune(y.t.Context(), Removal{Before: before, Rule: "default 30 days", Actor: "operator"})
	}()
	for {
		select {
		case it := <-y.queue:
			if err := y.commit([]*item{it}); err != nil {
				_ = y.fail(err) // as Run does
			}
		case err := <-done:
			return err
		}
	}
}

// live removes two segments, then two more, and starts again.
func (y *pruneLife) live() {
	for _, to := range []uint64{y.starts[2], y.starts[4], 0} {
		l, err := Open(y.t.Context(), y.cfg)
		if err != nil {
			return
		}
		y.Log = l
		if y.batch(3) != nil || y.sign(true) != nil {
			return
		}
		y.vouched, _ = CheckpointSize(y.Checkpoint())
		if to > 0 {
			y.tried = to
			if y.life.prune(to) != nil {
				return
			}
			y.removed = to
		}
		if y.batch(3) != nil {
			return
		}
		err = y.Close()
		y.Log = nil
		if err != nil {
			return
		}
	}
}

// checkLeft starts with what is left as im says: the log begins where it did or
// where a removal was to go, everything from there on is in it, both verifiers
// pass, and, if mend, the removal can be made good.
func (y *pruneLife) checkLeft(im image, mend bool) error {
	im.put(y.t, y.cfg.Dir)
	again := &life{testLog: &testLog{t: y.t, cfg: y.cfg}}
	again.cfg.Vouched = y.vouched
	newShim(&again.cfg)
	first, err := y.begin(again)
	if err != nil {
		return err
	}
	switch {
	case first < y.removed || first > y.tried:
		return fmt.Errorf("the log begins with %d; a removal up to %d was done, one up to %d begun", first, y.removed, y.tried)
	case first != 0 && first != y.starts[2] && first != y.starts[4]:
		return fmt.Errorf("the log begins with %d", first)
	case !mend:
		return nil
	}
	if again.Log, err = Open(y.t.Context(), again.cfg); err != nil {
		return fmt.Errorf("one more start: %w", err)
	}
	err = again.prune(y.starts[4])
	if cerr := again.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("making the removal good: %w", err)
	}
	if first, err = y.begin(again); err == nil && first != y.starts[4] {
		err = fmt.Errorf("made good, the log begins with %d", first)
	}
	return err
}

// begin starts and stops once and returns where the log begins.
func (y *pruneLife) begin(again *life) (uint64, error) {
	l, err := Open(y.t.Context(), again.cfg)
	if err != nil {
		return 0, fmt.Errorf("the next start: %w", err)
	}
	if err := l.Close(); err != nil {
		return 0, err
	}
	rep, err := Verify(y.t.Context(), y.cfg.Dir, y.vkey, nil)
	if err != nil {
		return 0, err
	}
	if n, err := SecondVerify(y.cfg.Dir, y.vkey); err != nil || uint64(n) != rep.Entries {
		return 0, fmt.Errorf("the second verifier finds %d of %d entries: %w", n, rep.Entries, err)
	}
	next, missing := rep.Removed, len(y.acked)
	err = Scan(y.t.Context(), y.cfg.Dir, rep.Removed, rep.Entries, func(e *Entry) error {
		if e.Index != next {
			return fmt.Errorf("entry %d follows where %d is due", e.Index, next)
		}
		if next++; y.acked[e.Index] != "" && y.acked[e.Index] == e.RequestID {
			missing--
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if missing > 0 || next < y.size {
		return 0, fmt.Errorf("%d acknowledged entries are gone, and the log ends with %d of %d", missing, next, y.size)
	}
	for _, first := range y.starts {
		if _, err := os.Stat(y.file(segmentName(first, sealedEnding))); err == nil && first < rep.Removed {
			return 0, fmt.Errorf("the file of entry %d is still there after a start, and the log begins with %d", first, rep.Removed)
		}
	}
	return rep.Removed, nil
}

// TestFaultTable_Prune makes every kind of write around the removal of old
// entries go wrong in every way, with and without the power.
func TestFaultTable_Prune(t *testing.T) {
	if raceEnabled {
		t.Skip("what runs at one time is not what the detector could see")
	}
	im, starts, size := pruneStart(t)
	base := memoryDir(t)
	good := newPruneLife(t, filepath.Join(base, "good"), im, starts, size)
	good.live()
	if good.Log != nil || good.removed != starts[4] {
		t.Fatalf("the undisturbed life went wrong: removed up to %d", good.removed)
	}
	if err := good.checkLeft(good.disk.cut(t, rand.New(rand.NewPCG(1, 1))), true); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 3))
	rows := good.disk.calls
	for _, label := range []string{"replace removed", "remove sealed segment", "replace checkpoint", "append to checkpoints", "write segment", "sync segment", "sync hashes"} {
		if rows[label] == 0 {
			t.Errorf("no row for: %s", label)
			continue
		}
		times := []int{0, rows[label] / 2, rows[label] - 1}
		if testing.Short() || !strings.Contains(label, "remove") && !strings.Contains(label, "checkpoint") {
			times = times[1:2]
		}
		for _, nth := range slices.Compact(times) {
			for _, kind := range faultKinds {
				name := fmt.Sprintf("%s %d %s", label, nth, kind)
				y := newPruneLife(t, filepath.Join(base, strings.ReplaceAll(name, " ", "_")), im, starts, size)
				y.disk.label, y.disk.nth, y.disk.kind = label, nth, kind
				y.live()
				if !y.disk.hit {
					t.Errorf("%s: never came", name)
				}
				power, killed := y.disk.cut(t, rng), takeImage(t, y.cfg.Dir)
				y.abandon()
				if err := y.checkLeft(killed, false); err != nil {
					t.Errorf("%s, process gone: %v", name, err)
				}
				if err := y.checkLeft(power, true); err != nil {
					t.Errorf("%s, power gone: %v", name, err)
				}
				os.RemoveAll(y.cfg.Dir)
			}
		}
	}
}
