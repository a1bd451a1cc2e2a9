package accesslog

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

// commitBatch makes records one batch, as the committer would.
func (x *testLog) commitBatch(rs ...*policy.Record) {
	x.t.Helper()
	var batch []*item
	for _, r := range rs {
		it, err := x.newItem(r, false)
		if err != nil {
			x.t.Fatal(err)
		}
		batch = append(batch, it)
	}
	if err := x.commit(batch); err != nil {
		x.t.Fatal(err)
	}
}

// crash gives up the log as a killed process would.
func (x *testLog) crash() {
	x.t.Helper()
	x.c.tiles.close()
	x.c.seg.f.Close()
	x.lock.Close()
	x.Log = nil
}

func denied(n int) *policy.Record {
	r := request(n)
	r.Effect = "deny"
	return r
}

// tiny is as short as a record can be that is told apart by its path.
func tiny(n int) *policy.Record {
	return &policy.Record{Type: policy.RecordRequest, RequestID: request(n).RequestID, Path: "/api/claims/" + strconv.Itoa(n)}
}

// twoBatches returns the folder before and after a batch of two entries that
// nobody was told is durable, and where in the newest segment the batch stands.
func twoBatches(t *testing.T) (x *testLog, before, after image, from, to int) {
	x = newTestLog(t, nil)
	newShim(&x.cfg)
	x.open()
	x.commitBatch(tiny(1), tiny(2))
	before, from = takeImage(t, x.cfg.Dir), int(x.c.seg.off)
	x.commitBatch(tiny(3), tiny(4))
	after, to = takeImage(t, x.cfg.Dir), int(x.c.seg.off)
	x.crash()
	return x, before, after, from, to
}

// TestOpen_TornBatch cuts the last batch at every byte, with what a disk may
// hold behind the cut: nothing was acknowledged there, so nothing is lost, and
// nothing half written is taken for an entry.
func TestOpen_TornBatch(t *testing.T) {
	x, _, after, from, to := twoBatches(t)
	name := after.newest()
	rng := rand.New(rand.NewPCG(1, 2))
	tails := map[string]func([]byte){
		"zeros":   func(b []byte) { clear(b) },
		"garbage": func(b []byte) { fillRandom(rng, b) },
		"holes": func(b []byte) { // sectors that did and did not arrive
			for len(b) > 0 {
				n := min(len(b), 1+rng.IntN(64))
				if rng.IntN(2) == 0 {
					clear(b[:n])
				}
				b = b[n:]
			}
		},
	}
	for tail, spoil := range tails {
		step := 1
		switch {
		case testing.Short() || raceEnabled:
			step = 17
		case tail == "holes":
			step = 5
		}
		for cut := from; cut < to; cut += step {
			im := after.clone()
			spoil(im[name][cut:to])
			im.put(t, x.cfg.Dir)
			x.open()
			got := x.all(Filter{Type: "request", Ascending: true})
			dropped := x.all(Filter{Action: ActionRecovered})
			x.close()
			if len(got) < 2 || len(got) > 4 {
				t.Fatalf("%s from byte %d: %d requests after recovery", tail, cut, len(got))
			}
			for i, e := range got {
				if want := "/api/claims/" + strconv.Itoa(i+1); e.Path != want {
					t.Fatalf("%s from byte %d: request %d is for %s", tail, cut, i, e.Path)
				}
			}
			if cut > from && bytes.Count(im[name][from:to], []byte{0}) < to-from && len(got) < 4 && len(dropped) != 1 && !onlyWhole(im[name][from:to], after[name][from:to]) {
				t.Fatalf("%s from byte %d: %d records of recovery", tail, cut, len(dropped))
			}
			if cut%5 != 0 && cut+1 < to {
				continue
			}
			if rep := x.verify(); rep.Entries != rep.Signed || rep.Entries < 4 {
				t.Fatalf("%s from byte %d: %+v", tail, cut, rep)
			}
		}
	}
}

func fillRandom(rng *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
}

// onlyWhole reports whether what is left of a batch is whole frames and zeros,
// so that recovery has nothing to drop.
func onlyWhole(have, want []byte) bool {
	at := 0
	for at+frameHead < len(want) {
		n := frameHead + int(want[at]) + int(want[at+1])<<8
		if !bytes.Equal(have[at:at+n], want[at:at+n]) {
			break
		}
		at += n
	}
	return allZero(have[at:])
}

// TestOpen_DamageIsNotATornTail changes bytes that were synced: a later batch
// or a checkpoint vouches for them, and the log must not be cut there.
func TestOpen_DamageIsNotATornTail(t *testing.T) {
	x, _, after, from, to := twoBatches(t)
	name := after.newest()
	for off := headerLen; off < from; off++ {
		im := after.clone()
		im[name][off] ^= 0x40
		im.put(t, x.cfg.Dir)
		l, err := Open(t.Context(), x.cfg)
		te, ok := errors.AsType[*TamperedError](err)
		if l != nil || !ok {
			t.Fatalf("byte %d changed: opened with %v", off, err)
		}
		if te.Segment != name || te.Offset > int64(off) {
			t.Errorf("byte %d changed: named %s, byte %d", off, te.Segment, te.Offset)
		}
		if again := takeImage(t, x.cfg.Dir); !bytes.Equal(again[name], im[name]) {
			t.Fatalf("byte %d changed: the refused log was written to", off)
		}
	}
	// The same bytes under a checkpoint alone.
	after.put(t, x.cfg.Dir)
	x.open()
	x.close()
	im := takeImage(t, x.cfg.Dir)
	for off := from; off < to; off += 7 {
		bad := im.clone()
		bad[name][off] ^= 1
		bad.put(t, x.cfg.Dir)
		if _, err := Open(t.Context(), x.cfg); !isTampered(err) {
			t.Fatalf("byte %d changed under a checkpoint: %v", off, err)
		}
	}
}

func isTampered(err error) bool {
	_, ok := errors.AsType[*TamperedError](err)
	return ok
}

// TestOpen_RecycledSegment puts a torn batch into a file that still holds the
// frames of an earlier life, of the same lengths at the same places, in case a
// disk brings old sectors back.
func TestOpen_RecycledSegment(t *testing.T) {
	x, _, after, from, to := twoBatches(t)
	name := after.newest()
	h, err := parseHeader(after[name])
	if err != nil {
		t.Fatal(err)
	}
	// The older life: the same frames under another epoch.
	old := bytes.Clone(after[name])
	for at, seq := headerLen, uint64(0); at < to; seq++ {
		n := frameHead + int(old[at]) + int(old[at+1])<<8
		closeFrame(old[at:at+n], 0, h.epoch+6, seq)
		at += n
	}
	for cut := from; cut < to; cut += 5 {
		im := after.clone()
		copy(im[name][cut:], old[cut:to])
		im.put(t, x.cfg.Dir)
		x.open()
		got := x.all(Filter{Type: "request", Ascending: true})
		x.close()
		if len(got) < 2 || len(got) > 4 || got[len(got)-1].RequestID != request(len(got)).RequestID {
			t.Fatalf("cut at %d: %d requests", cut, len(got))
		}
		x.verify()
	}
}

func TestOpen_RefusesALogBehindItsCheckpoint(t *testing.T) {
	x := newTestLog(t, nil).run()
	x.record(denied(1))
	x.close()
	older := takeImage(t, x.cfg.Dir)
	x.run()
	for i := range 20 {
		x.record(denied(i))
	}
	x.close()
	now := takeImage(t, x.cfg.Dir)
	for what, change := range map[string]func(image){
		"an older segment was put back":      func(im image) { im[im.newest()] = older[older.newest()] },
		"the newest entries were zeroed":     func(im image) { clear(im[im.newest()][9000:]) },
		"the file was cut":                   func(im image) { im[im.newest()] = im[im.newest()][:9000] },
		"the segment was removed":            func(im image) { delete(im, im.newest()) },
		"the checkpoint was removed":         func(im image) { delete(im, checkpointName) },
		"the checkpoint was rolled back":     func(im image) { im[checkpointName] = older[checkpointName] },
		"the checkpoint is another key's":    func(im image) { im[checkpointName] = foreignCheckpoint(t) },
		"the history is another key's":       func(im image) { im[historyName] = foreignCheckpoint(t) },
		"the segment's header was changed":   func(im image) { im[im.newest()][100] ^= 1 },
		"the segment is another log's":       func(im image) { im[im.newest()] = foreignSegment() },
		"the segment was renamed":            func(im image) { im[segmentName(3, rawEnding)] = im[im.newest()]; delete(im, segmentName(0, rawEnding)) },
		"segments are gone but a checkpoint": func(im image) { delete(im, im.newest()); delete(im, historyName) },
	} {
		im := now.clone()
		change(im)
		im.put(t, x.cfg.Dir)
		if l, err := Open(t.Context(), x.cfg); err == nil {
			l.Close()
			t.Errorf("%s: opened", what)
		} else if what != "the segment is another log's" && !isTampered(err) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := Verify(t.Context(), x.cfg.Dir, x.vkey, nil); !isTampered(err) {
			t.Errorf("%s: verified with %v", what, err)
		}
	}
	now.put(t, x.cfg.Dir)
	x.run().close()
}

func foreignCheckpoint(t *testing.T) []byte {
	y := newTestLog(t, nil).open()
	defer y.close()
	return y.Checkpoint()
}

func foreignSegment() []byte {
	h := header{origin: "other.example/log", size: minSegmentSize, root: (&tree{}).root()}
	return append(h.encode(), make([]byte, minSegmentSize-headerLen)...)
}

func TestOpen_Locked(t *testing.T) {
	x := newTestLog(t, nil).open()
	if _, err := Open(t.Context(), x.cfg); !errors.Is(err, ErrLocked) {
		t.Fatalf("second writer: %v", err)
	}
	x.close()
	x.open()
	x.close()
}

// TestOpen_Interrupted leaves requests open over several segments and a crash.
func TestOpen_Interrupted(t *testing.T) {
	x := newTestLog(t, nil)
	newShim(&x.cfg)
	x.open()
	x.commitBatch(request(1), request(2), denied(3))
	for i := 100; i < 600; i++ {
		x.commitBatch(request(i), outcome(i))
	}
	x.commitBatch(outcome(2), request(700), request(701), outcome(701))
	if x.c.seg.first == 0 {
		t.Fatal("the log is still in its first segment")
	}
	x.crash()
	x.open()
	got := x.all(Filter{Type: "outcome", Ascending: true, After: uint64(x.c.seg.first)})
	var ids []string
	for _, e := range got {
		if e.Ended == EndedInterrupted {
			ids = append(ids, e.RequestID)
			if e.Cluster != "claims" || e.Account != "acc-7" {
				t.Errorf("outcome of %s names cluster %q, account %q", e.RequestID, e.Cluster, e.Account)
			}
		}
	}
	if len(ids) != 2 || ids[0] != "r000001" || ids[1] != "r000700" {
		t.Fatalf("interrupted: %v", ids)
	}
	x.crash()
	x.open()
	if again := x.all(Filter{Type: "outcome", Text: EndedInterrupted}); len(again) != 2 {
		t.Fatalf("%d interrupted outcomes after a second crash", len(again))
	}
	x.close()
	x.verify()
}

// TestOpen_MakesKeptHashesAnew removes and damages files that can be made again.
func TestOpen_MakesKeptHashesAnew(t *testing.T) {
	x := newTestLog(t, nil).run()
	for i := range 1500 {
		x.record(denied(i))
	}
	sealedSome(x)
	x.close()
	for level := range 2 {
		name := filepath.Join(x.cfg.Dir, tileName(level))
		good, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, make([]byte, len(good)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(t.Context(), x.cfg.Dir, x.vkey, nil); !isTampered(err) {
			t.Fatalf("level %d zeroed: %v", level, err)
		}
		x.run().close()
		if now, _ := os.ReadFile(name); !bytes.HasPrefix(now, good) {
			t.Fatalf("level %d is not as it was", level)
		}
		x.verify()
	}
}

// sealedSome waits until a segment has been compressed.
func sealedSome(x *testLog) {
	x.t.Helper()
	waitFor(x.t, "a sealed segment", func() bool { return x.Stats().Sealed > 0 && !x.keep.waiting() })
}
