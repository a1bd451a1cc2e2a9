package accesslog

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

// TestClaim_Records: who may have what of the reserve.
func TestClaim_Records(t *testing.T) {
	l := &Log{cfg: Config{Mends: func(r *policy.Record) bool { return r.Result == "ok" && r.Account == "ada" }}}
	for _, c := range []struct {
		r    policy.Record
		want claim
	}{
		{policy.Record{Type: policy.RecordRequest, Account: "ada"}, claimNone},
		{policy.Record{Type: policy.RecordOutcome}, claimNone},
		{policy.Record{Type: policy.RecordAdmin, Action: "account.disable"}, claimAll},
		{policy.Record{Type: policy.RecordPolicy, Action: "policy.publish"}, claimAll},
		{policy.Record{Type: policy.RecordLogin, Action: "session.start", Account: "ada", Result: "ok"}, claimAll},
		{policy.Record{Type: policy.RecordLogin, Action: "password.failed", Account: "ada", Result: "bad_credentials"}, claimSome},
		{policy.Record{Type: policy.RecordLogin, Action: "session.start", Account: "kim", Result: "ok"}, claimSome},
		{policy.Record{Type: policy.RecordLog, Action: ActionDisk}, claimAll},
		{policy.Record{Type: policy.RecordLog, Action: ActionPrune, Actor: "operator"}, claimAll},
		{policy.Record{Type: policy.RecordLog, Action: "log.query", Actor: "ada", Account: "ada"}, claimSome},
		{policy.Record{Type: policy.RecordLog, Action: "log.query", Actor: "operator"}, claimSome},
	} {
		if got := l.claimOf(&c.r); got != c.want {
			t.Errorf("%s %s %s: %d, want %d", c.r.Type, c.r.Action, c.r.Account, got, c.want)
		}
	}
	if got := (&Log{}).claimOf(&policy.Record{Type: policy.RecordLogin, Result: "ok", Account: "ada"}); got != claimSome {
		t.Errorf("nobody says who mends, and a sign-in may have all: %d", got)
	}
}

// TestLogLoss_ReserveUnderAttack: wrong passwords and readings of the log
// cannot use up what is kept for administrators: they get a sixteenth and are
// refused then, and almost a whole segment is left for who makes room.
func TestLogLoss_ReserveUnderAttack(t *testing.T) {
	x := newTestLog(t, func(c *Config) {
		c.SegmentSize = 1 << 20
		c.Mends = func(r *policy.Record) bool { return r.Account == "ada" }
	})
	s := newShim(&x.cfg)
	x.run()
	waitFor(t, "spares", func() bool { return x.Stats().Spares == 2 && x.Stats().Reserved })
	s.setFull(true)
	var err error
	for n := 0; err == nil; n++ {
		_, err = x.Record(t.Context(), denied(n))
	}
	if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrReserved) {
		t.Fatal(err)
	}
	attack := func(most int) (bytes uint64) {
		t.Helper()
		before := x.Stats().Bytes
		for n := 0; ; n++ {
			r := &policy.Record{Type: policy.RecordLogin, Action: "password.failed", Result: "bad_credentials", SourceIP: "192.0.2.1"}
			if n%3 == 0 {
				r = &policy.Record{Type: policy.RecordLog, Action: "log.query", Result: "ok", Actor: "rae", Account: "rae", Detail: map[string]string{"query": fmt.Sprint("path:/", n)}}
			}
			if _, err := x.Record(t.Context(), r); err != nil {
				if !errors.Is(err, ErrUnavailable) || !errors.Is(err, ErrReserved) {
					t.Fatal(err)
				}
				return x.Stats().Bytes - before
			}
			if n > most {
				t.Fatal("wrong passwords go on without end")
			}
		}
	}
	// Before administrators need the reserve, a part of the segment's end is all there is.
	if got := attack(1000); got > uint64(reserveOf(x.cfg.SegmentSize))/16 || !x.Stats().Reserved {
		t.Fatalf("%d bytes taken", got)
	}
	signIn := &policy.Record{Type: policy.RecordLogin, Action: "session.start", Result: "ok", Account: "ada", Email: "ada@example.com"}
	x.record(signIn)
	for x.Stats().Reserved {
		x.record(signIn)
	}
	begun := x.Stats().Bytes
	if got := attack(1000); got == 0 || got > uint64(x.cfg.SegmentSize)/16 {
		t.Fatalf("%d bytes taken of the reserve", got)
	}
	taken := x.Stats().Bytes - begun
	for err = nil; err == nil; {
		_, err = x.Record(t.Context(), signIn)
	}
	if wrote := x.Stats().Bytes - begun - taken; wrote < uint64(x.cfg.SegmentSize)*9/10 {
		t.Errorf("%d bytes were left for administrators: less than nine tenths of a segment", wrote)
	}
	s.setFull(false)
	waitFor(t, "room", func() bool { return x.Healthy() == nil })
	x.record(&policy.Record{Type: policy.RecordLogin, Action: "password.failed", Result: "bad_credentials"})
	x.close()
	x.verify()
}
