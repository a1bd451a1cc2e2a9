package accesslog

import (
	"testing"
	"time"
)

// TestScan compares reading by index and by time with reading everything.
func TestScan(t *testing.T) {
	x := newTestLog(t, func(c *Config) { c.SegmentSize = minSegmentSize }).run()
	for i := range 1500 {
		if err := x.Append(denied(i)); err != nil {
			t.Fatal(err)
		}
	}
	x.record(denied(1))
	waitFor(t, "compression", func() bool { return !x.keep.waiting() })
	sealed, err := SealedUntil(x.cfg.Dir)
	if err != nil || sealed == 0 || sealed >= x.Size() {
		t.Fatalf("sealed until %d of %d, %v", sealed, x.Size(), err)
	}
	var all []*Entry
	collect := func(e *Entry) error { all = append(all, e); return nil }
	if err := x.Log.Scan(t.Context(), 0, ^uint64(0), collect); err != nil || len(all) != int(x.Size()) {
		t.Fatalf("%d entries, %v, want %d", len(all), err, x.Size())
	}
	for i, e := range all {
		if e.Index != uint64(i) {
			t.Fatalf("entry %d stands at %d", e.Index, i)
		}
	}
	for _, at := range []uint64{0, 1, sealed / 2, sealed - 1} {
		when := all[at].Time
		want := at
		for want > 0 && !all[want-1].Time.Before(when) {
			want--
		}
		if got, err := FirstAt(x.cfg.Dir, when); err != nil || got != want {
			t.Errorf("first at the time of entry %d: %d, %v, want %d", at, got, err, want)
		}
	}
	if got, err := FirstAt(x.cfg.Dir, all[sealed-1].Time.Add(time.Hour)); err != nil || got != sealed {
		t.Errorf("first after all: %d, %v, want %d", got, err, sealed)
	}
	n := 0
	if err := Scan(t.Context(), x.cfg.Dir, sealed-3, sealed+2, func(e *Entry) error { n++; return nil }); err != nil || n != 5 {
		t.Errorf("%d entries around the end of the sealed ones, %v, want 5", n, err)
	}
}
