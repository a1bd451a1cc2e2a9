package accesslog

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

// A life is a log's work up to where it went wrong, and what it promised.
type life struct {
	*testLog
	disk    *powerDisk
	acked   map[uint64]string // request ids of entries that somebody was told are durable
	vouched uint64            // by the newest checkpoint, as kept in the second place
	n       int
}

func newLife(t testing.TB, key string, dir string) *life {
	x := newTestLog(t, func(c *Config) { c.Dir = dir; c.Spares = 2 })
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if key != "" {
		x.cfg.Key = key
		x.vkey, _ = verifierKey(key)
	}
	y := &life{testLog: x, acked: map[uint64]string{}}
	y.disk = newPowerDisk(t, dir)
	x.cfg.disk = y.disk
	return y
}

// batch commits some requests as one and notes which were promised.
func (y *life) batch(size int) error {
	var items []*item
	var ids []string
	for range size {
		y.n++
		r := request(y.n)
		r.UserAgent = randomText(y.n) + randomText(y.n+1e6) + randomText(y.n+2e6)
		if y.n%3 == 0 {
			r = &policy.Record{Type: policy.RecordAdmin, Action: "account.disable", RequestID: r.RequestID}
		}
		it, err := y.newItem(r, true)
		if err != nil {
			return err
		}
		items, ids = append(items, it), append(ids, r.RequestID)
	}
	err := y.commit(items)
	for i, it := range items {
		select {
		case res := <-it.result:
			if res.err == nil {
				y.acked[res.index] = ids[i]
			}
		default: // nobody was told anything
		}
	}
	return err
}

// live works through two starts, several segments, their sealing, and
// checkpoints, until something is final.
func (y *life) live() {
	for start := range 2 {
		y.cfg.Vouched = y.vouched
		l, err := Open(y.t.Context(), y.cfg)
		if err != nil {
			return
		}
		y.Log = l
		for b := range 10 - 6*start {
			if y.batch(5) != nil {
				return
			}
			if b%3 == 1 {
				y.keepOnce()
			}
			if b%4 == 2 && y.sign(true) == nil {
				y.vouched, _ = CheckpointSize(y.Checkpoint())
			}
			if y.disk.dead {
				return
			}
		}
		err = y.Close()
		y.Log = nil
		if err != nil {
			return
		}
	}
}

// abandon leaves the folder as a process that is gone does.
func (y *life) abandon() {
	if y.Log != nil {
		y.c.tiles.close()
		if y.c.seg != nil {
			y.c.seg.f.Close()
		}
		y.lock.Close()
		y.Log = nil
	}
}

// check opens what is left as im says and looks for what was promised.
func (y *life) check(im image) error {
	im.put(y.t, y.cfg.Dir)
	cfg := y.cfg
	cfg.Vouched = y.vouched
	newShim(&cfg)
	l, err := Open(y.t.Context(), cfg)
	if err != nil {
		return fmt.Errorf("the next start: %w", err)
	}
	if err := l.Close(); err != nil {
		return err
	}
	rep, err := Verify(y.t.Context(), cfg.Dir, y.vkey, nil)
	if err != nil {
		return err
	}
	if n, err := SecondVerify(cfg.Dir, y.vkey); err != nil || uint64(n) != rep.Entries {
		return fmt.Errorf("the second verifier finds %d of %d entries: %w", n, rep.Entries, err)
	}
	missing := maps.Clone(y.acked)
	ends := map[string]int{}
	err = Scan(y.t.Context(), cfg.Dir, 0, rep.Entries, func(e *Entry) error {
		if id, ok := missing[e.Index]; ok && id == e.RequestID {
			delete(missing, e.Index)
		}
		switch e.Type {
		case policy.RecordRequest:
			if e.Effect == "allow" {
				ends[e.RequestID]++
			}
		case policy.RecordOutcome:
			ends[e.RequestID]--
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("%d of %d acknowledged entries are gone: %v", len(missing), len(y.acked), missing)
	}
	for id, n := range ends {
		if n != 0 {
			return fmt.Errorf("request %s has %d outcomes too few", id, n)
		}
	}
	return nil
}

// faultRows lists the writes of a life by what they are, and how many of each.
func faultRows(t *testing.T, from image) (rows map[string]int, key string) {
	y := newLife(t, keyOf(from), filepath.Join(t.TempDir(), "log"))
	if from != nil {
		from.put(t, y.cfg.Dir)
		delete(from, "key")
		y.disk = newPowerDisk(t, y.cfg.Dir)
		y.cfg.disk = y.disk
	}
	y.live()
	if y.Log != nil || len(y.acked) == 0 {
		t.Fatal("the undisturbed life went wrong")
	}
	return y.disk.calls, y.cfg.Key
}

func keyOf(im image) string { return string(im["key"]) }

// TestFaultTable makes every kind of write of the log go wrong in every way,
// at its first, a middle and its last time, then takes the process away with
// and without the power. Nothing that was acknowledged may be gone, the next
// start must succeed by itself, and both verifiers must agree.
func TestFaultTable(t *testing.T) {
	rows, key := faultRows(t, nil)
	for _, want := range []string{"create spare", "rename to spare", "write spare", "sync spare", "rename to segment", "write segment", "sync segment",
		"sync hashes", "replace sealed segment", "zero spare", "replace checkpoint", "append to checkpoints", "replace log.pub"} {
		if rows[want] == 0 {
			t.Errorf("no row for: %s", want)
		}
	}
	runFaults(t, rows, key, nil)
}

// TestFaultTable_Recovery is the same for a start that finds a torn batch.
func TestFaultTable_Recovery(t *testing.T) {
	_, _, torn, from, to := twoBatchesOf(t)
	clear(torn[torn.newest()][(from+to)/2 : to])
	key := string(torn["key"])
	rows, _ := faultRows(t, torn.clone())
	if rows["write segment"] == 0 {
		t.Fatal("recovery writes nothing")
	}
	runFaults(t, rows, key, torn)
}

// twoBatchesOf is [twoBatches] with the log's key in the image.
func twoBatchesOf(t *testing.T) (x *testLog, before, after image, from, to int) {
	x, before, after, from, to = twoBatches(t)
	after["key"] = []byte(x.cfg.Key)
	return x, before, after, from, to
}

func runFaults(t *testing.T, rows map[string]int, key string, start image) {
	if raceEnabled {
		t.Skip("one goroutine does all of it")
	}
	rng := rand.New(rand.NewPCG(7, 11))
	base := memoryDir(t)
	for _, label := range slices.Sorted(maps.Keys(rows)) {
		times := []int{0, rows[label] / 2, rows[label] - 1}
		switch {
		case testing.Short():
			times = times[1:2]
		case start != nil:
			times = times[:1] // the start is what differs
		}
		for at, nth := range slices.Compact(times) {
			for _, kind := range faultKinds {
				name := fmt.Sprintf("%s %d %s", label, nth, kind)
				y := newLife(t, key, filepath.Join(base, strings.ReplaceAll(name, " ", "_")))
				if start != nil {
					im := start.clone()
					delete(im, "key")
					im.put(t, y.cfg.Dir)
					y.disk = newPowerDisk(t, y.cfg.Dir)
					y.cfg.disk = y.disk
				}
				y.disk.label, y.disk.nth, y.disk.kind = label, nth, kind
				y.live()
				if !y.disk.hit {
					t.Errorf("%s: never came", name)
				}
				power := y.disk.cut(t, rng)
				killed := takeImage(t, y.cfg.Dir)
				y.abandon()
				if at == 0 || !y.disk.dead { // losing the power as well is harsher
					if err := y.check(killed); err != nil {
						t.Errorf("%s, process gone: %v", name, err)
					}
				}
				if err := y.check(power); err != nil {
					t.Errorf("%s, power gone: %v", name, err)
				}
				os.RemoveAll(y.cfg.Dir)
			}
		}
	}
}

// TestFaultTable_CanFail: on a disk whose syncs do nothing the table finds
// what is lost. It would otherwise prove nothing.
func TestFaultTable_CanFail(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	lost := 0
	for range 20 {
		y := newLife(t, "", filepath.Join(t.TempDir(), "log"))
		l, err := Open(t.Context(), y.cfg)
		if err != nil {
			t.Fatal(err)
		}
		y.Log = l
		y.disk.lies = true
		for range 3 {
			if err := y.batch(3); err != nil {
				t.Fatal(err)
			}
		}
		power := y.disk.cut(t, rng)
		y.abandon()
		if err := y.check(power); err != nil {
			lost++
		}
	}
	if lost < 10 {
		t.Errorf("losses found in %d of 20 power cuts of a disk that lies", lost)
	}
}

// memoryDir returns a folder in memory where there is one: what the disk under
// a powerDisk does has no part in the test but its time.
func memoryDir(t *testing.T) string {
	if dir, err := os.MkdirTemp("/dev/shm", "ringfence-test-"); err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		return dir
	}
	return t.TempDir()
}
