package accesslog

import (
	"errors"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// TestSpace_Alarms: a disk that fills up is an entry at a fifth and at a tenth
// of free space, once each, and another one when there is room again.
func TestSpace_Alarms(t *testing.T) {
	x := newTestLog(t, nil)
	s := newShim(&x.cfg)
	x.run()
	var want []string
	for _, c := range []struct {
		free  uint64
		level string
		entry string
	}{
		{80, "", ""}, {21, "", ""}, {20, "low", "low"}, {21, "low", ""}, {22, "low", ""}, {19, "low", ""},
		{10, "critical", "critical"}, {12, "critical", ""}, {13, "low", "low"}, {3, "critical", "critical"}, {40, "", "ok"},
	} {
		s.setSpace(c.free, 100)
		x.lookAtSpace()
		if got := x.Space(); got.Level != c.level || got.Percent() != int(c.free) {
			t.Fatalf("%d %% free: %+v", c.free, got)
		}
		if c.entry != "" {
			want = append(want, c.entry)
		}
	}
	if err := x.Healthy(); err != nil {
		t.Errorf("a disk that is getting full stops service: %v", err)
	}
	x.close()
	got := x.all(Filter{Action: ActionDisk, Ascending: true})
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %q", len(got), want)
	}
	for i, e := range got {
		if e.Result != want[i] || e.Detail["free_percent"] == "" {
			t.Errorf("entry %d: %s %v, want %s", i, e.Result, e.Detail, want[i])
		}
	}
}

// TestLogLoss_ReservedSegment: with the disk full, requests are refused and
// administrators' changes go on for a whole segment, so that
// someone can help; then they are refused as well, and nothing is lost.
func TestLogLoss_ReservedSegment(t *testing.T) {
	x := newTestLog(t, nil)
	s := newShim(&x.cfg)
	x.run()
	waitFor(t, "spares", func() bool { return x.Stats().Spares == 2 && x.Stats().Reserved })
	s.setFull(true)
	var err error
	n := 0
	for ; err == nil; n++ {
		_, err = x.Record(t.Context(), denied(n))
	}
	if !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	before := x.Stats()
	if !before.Reserved {
		t.Fatal("requests took the reserve")
	}
	change := &policy.Record{Type: policy.RecordAdmin, Action: "account.disable", Actor: "operator", Object: "account:kim@example.com"}
	last, privileged := uint64(0), 0
	for err = nil; err == nil; privileged++ {
		var i uint64
		if i, err = x.Record(t.Context(), change); err == nil {
			last = i
		}
		if _, rerr := x.Record(t.Context(), denied(n)); !errors.Is(rerr, ErrUnavailable) {
			t.Fatalf("a request beside it: %v", rerr)
		}
	}
	if !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	if wrote := x.Stats().Bytes - before.Bytes; wrote < uint64(x.cfg.SegmentSize)*9/10 {
		t.Errorf("%d changes in %d bytes: less than a segment", privileged, wrote)
	}
	s.setFull(false)
	waitFor(t, "room", func() bool { return x.Healthy() == nil })
	if i := x.record(denied(n + 1)); i <= last {
		t.Errorf("entry %d follows %d", i, last)
	}
	waitFor(t, "the reserve", func() bool { return x.Stats().Reserved })
	x.close()
	if got := x.all(Filter{Action: "account.disable"}); len(got) != privileged-1 {
		t.Errorf("%d of %d changes", len(got), privileged-1)
	}
	x.verify()
}

// TestLog_ClockJumpsAhead: a clock that is set ahead is an entry too; time that
// passes while nothing is recorded is not.
func TestLog_ClockJumpsAhead(t *testing.T) {
	base := time.Now() // with the reading of the clock that nobody sets
	now := base
	x := newTestLog(t, func(c *Config) { c.Now = func() time.Time { return now } })
	newShim(&x.cfg)
	x.open()
	x.commitBatch(denied(1))
	now = base.Add(time.Hour) // both clocks went on
	x.commitBatch(denied(2))
	if got := x.all(Filter{Action: ActionClock}); len(got) != 0 {
		t.Fatalf("an idle hour is a jump: %v", got[0].Detail)
	}
	x.c.read = x.c.read.Add(-time.Second) // the wall clock is an hour ahead of what passed
	x.c.wall -= int64(time.Hour)
	x.commitBatch(denied(3))
	got := x.all(Filter{Action: ActionClock})
	if len(got) != 1 || got[0].Detail["by"] != "59m59s" {
		t.Fatalf("%d jumps: %+v", len(got), got)
	}
	x.close()
	x.verify()
}
