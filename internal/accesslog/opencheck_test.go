package accesslog

import (
	"errors"
	"testing"
)

// TestOpen_DamagedSealed: a start finds damage inside the newest sealed
// segment wherever it is, and damage to what describes an older one, and
// changes nothing.
func TestOpen_DamagedSealed(t *testing.T) {
	x := newTestLog(t, nil)
	newShim(&x.cfg)
	x.open()
	for i := range 60 {
		x.commitBatch(denied(10*i), denied(10*i+1), denied(10*i+2), denied(10*i+3), denied(10*i+4), denied(10*i+5))
	}
	x.keepOnce()
	x.close()
	good := takeImage(t, x.cfg.Dir)
	list, err := listFolder(x.cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var sealed []string
	for _, s := range list.segments {
		if s.sealed {
			sealed = append(sealed, s.name)
		}
	}
	if len(sealed) < 2 {
		t.Fatalf("%d sealed segments", len(sealed))
	}
	spoil := func(name string, off int) {
		t.Helper()
		im := good.clone()
		im[name][off] ^= 4
		im.put(t, x.cfg.Dir)
		l, err := Open(t.Context(), x.cfg)
		te, ok := errors.AsType[*TamperedError](err)
		if l != nil || !ok {
			t.Fatalf("%s, byte %d of %d changed: %v", name, off, len(im[name]), err)
		}
		if te.Segment != name {
			t.Errorf("%s, byte %d changed: names %s", name, off, te.Segment)
		}
		if now := takeImage(t, x.cfg.Dir); string(now[name]) != string(im[name]) || len(now) != len(im) {
			t.Fatalf("%s, byte %d changed: the refused log was written to", name, off)
		}
	}
	newest, oldest := sealed[len(sealed)-1], sealed[0]
	step := 97
	if testing.Short() || raceEnabled {
		step = 1009
	}
	for off := 0; off < len(good[newest]); off += step {
		spoil(newest, off)
	}
	spoil(newest, len(good[newest])-1)
	spoil(oldest, 30)                                           // header
	spoil(oldest, len(good[oldest])-footerLen-10)               // index
	spoil(oldest, len(good[oldest])-footerLen+len("rflogv1")+3) // footer

	// Check sums that fit what was changed do not help: the tree tells.
	im := good.clone()
	other := newTestLog(t, func(c *Config) { c.Key = x.cfg.Key })
	newShim(&other.cfg)
	other.open()
	for i := range 60 {
		other.commitBatch(denied(10*i), denied(10*i+1), denied(10*i+2), denied(10*i+3), denied(10*i+4), denied(10*i+5))
	}
	other.keepOnce()
	other.close()
	theirs := takeImage(t, other.cfg.Dir)
	if theirs[newest] != nil {
		copy(theirs[newest], good[newest][:headerLen])
		im[newest] = theirs[newest]
		im.put(t, x.cfg.Dir)
		if _, err := Open(t.Context(), x.cfg); !isTampered(err) {
			t.Errorf("another log's entries: %v", err)
		}
	}
	good.put(t, x.cfg.Dir)
	x.open()
	x.close()
	x.verify()
}

// TestOpen_SecondCopyVouches: damage at the log's very end, with the folder's
// own checkpoints put back to before it, looks like a batch that a crash cut
// short. The checkpoint that is kept elsewhere tells that it is none.
func TestOpen_SecondCopyVouches(t *testing.T) {
	x := newTestLog(t, nil)
	newShim(&x.cfg)
	x.open()
	x.commitBatch(tiny(1))
	if err := x.sign(true); err != nil {
		t.Fatal(err)
	}
	before := takeImage(t, x.cfg.Dir)
	from := int(x.c.seg.off)
	x.commitBatch(tiny(2), tiny(3))
	if err := x.sign(true); err != nil {
		t.Fatal(err)
	}
	elsewhere := x.Checkpoint()
	im := takeImage(t, x.cfg.Dir)
	x.crash()
	im[checkpointName], im[historyName] = before[checkpointName], before[historyName]
	im[im.newest()][from+40] ^= 1

	size, err := CheckpointSize(elsewhere)
	if err != nil || size < 4 {
		t.Fatal(size, err)
	}
	im.put(t, x.cfg.Dir)
	x.cfg.Vouched = size
	if _, err := Open(t.Context(), x.cfg); !isTampered(err) {
		t.Fatalf("with the second copy: %v", err)
	}
	if now := takeImage(t, x.cfg.Dir); string(now[im.newest()]) != string(im[im.newest()]) {
		t.Fatal("the damage was cut away")
	}
	before.put(t, x.cfg.Dir) // whole, and an older state
	if _, err := Open(t.Context(), x.cfg); !errors.Is(err, ErrBehind) {
		t.Fatalf("an older state: %v", err)
	}
	im.put(t, x.cfg.Dir)
	x.cfg.Vouched = 0
	x.open() // it is this that the second copy is for
	if got := x.all(Filter{Action: ActionRecovered}); len(got) != 1 {
		t.Error("the damage would have been found all the same")
	}
	x.close()
}
