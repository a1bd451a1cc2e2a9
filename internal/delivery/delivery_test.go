package delivery

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
)

func TestDelivery_EachEntryOverFaultsRestartsAndRotation(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, filepath.Join(dir, "log"))
	sink := newSink()
	tries := 0
	sink.send = func(batch []*accesslog.Entry) error {
		if tries++; tries%3 == 0 {
			return errors.New("not now")
		}
		return nil
	}
	for round := range 4 {
		s, stop := start(t, testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: "siem", Kind: "test", Sender: sink, Batch: 37}))
		fill(t, l, 600) // many segments, far more than what is in memory
		if round%2 == 1 {
			until(t, "all is delivered", func() bool { return s.States()[0].Lag == 0 })
		}
		stop() // anywhere, otherwise
	}
	s, _ := start(t, testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: "siem", Kind: "test", Sender: sink, Batch: 37}))
	until(t, "all is delivered", func() bool { return s.States()[0].Lag == 0 })
	dense(t, sink.indexes(), l.Size())
	if l.Size() < 2400 {
		t.Fatalf("the log has only %d entries", l.Size())
	}
	if list, err := accesslog.Sealed(filepath.Join(dir, "log"), 0); err != nil || len(list) < 3 {
		t.Errorf("%d sealed segments, %v: nothing rotated", len(list), err)
	}
}

// A destination that took a batch and a gateway that died before it noted so.
func TestDelivery_CrashBetweenSendAndCursor(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, filepath.Join(dir, "log"))
	fill(t, l, 50)
	sink := newSink()
	c := testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: "siem", Sender: sink, Batch: 10})
	s, stop := start(t, c)
	until(t, "all is delivered", func() bool { return s.States()[0].Lag == 0 })
	stop()
	file := filepath.Join(dir, "delivery", "siem.cursor")
	e, err := l.Get(t.Context(), 39)
	if err != nil {
		t.Fatal(err)
	}
	if err := (cursor{Origin: testOrigin, Next: 40, Last: payloadHash(e)}).write(file); err != nil {
		t.Fatal(err)
	}
	s, _ = start(t, c)
	until(t, "all is delivered", func() bool { return s.States()[0].Lag == 0 })
	got := sink.indexes()
	dense(t, got, l.Size())
	if n := uint64(len(got)); n != l.Size()+l.Size()-40 {
		t.Errorf("%d entries came of %d: those from 40 on should have come twice", n, l.Size())
	}
}

func TestDelivery_ARefusedEntryIsSetAside(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, filepath.Join(dir, "log"))
	fill(t, l, 100)
	for _, whole := range []bool{true, false} {
		name := map[bool]string{true: "whole", false: "single"}[whole]
		sink := newSink()
		sink.send = func(batch []*accesslog.Entry) error {
			bad := map[int]string{}
			for i, e := range batch {
				if e.Index == 7 || e.Index == 61 {
					bad[i] = "mapping\nconflict"
				}
			}
			switch {
			case len(bad) == 0:
				return nil
			case whole:
				return &RefusedError{Reason: "mapping\nconflict"}
			}
			return &RefusedError{Entries: bad, Reason: "mapping conflict"}
		}
		s, stop := start(t, testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: name, Sender: sink, Batch: 50}))
		until(t, "all is delivered", func() bool { return s.States()[0].Lag == 0 })
		if st := s.States()[0]; st.Refused != 2 || st.Fault != "" || st.Delivered != l.Size()-2 {
			t.Errorf("%s: %+v", name, st)
		}
		stop()
		b, err := os.ReadFile(filepath.Join(dir, "delivery", name+".refused"))
		if err != nil || strings.Count(string(b), "\n") != 2 || !strings.Contains(string(b), `"index":7,`) || !strings.Contains(string(b), `"index":61,`) || !strings.Contains(string(b), "mapping conflict") {
			t.Errorf("%s: list %q, %v", name, b, err)
		}
		if got := sink.indexes(); whole && (slices.Contains(got, 7) || !slices.Contains(got, 8) || !slices.Contains(got, 62)) {
			t.Errorf("%s: took %v", name, got)
		}
		// It is still told after a restart.
		s, err = New(testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: name, Sender: sink}))
		if err != nil || s.States()[0].Refused != 2 {
			t.Errorf("%s: after a restart %+v, %v", name, s.States()[0], err)
		}
	}
}

// What is refused altogether is a wrong configuration, and nothing is lost to it.
func TestDelivery_WhereAllIsRefusedNothingMoves(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, filepath.Join(dir, "log"))
	fill(t, l, 20)
	sink := newSink()
	sink.send = func([]*accesslog.Entry) error { return &RefusedError{Reason: "no such field"} }
	s, stop := start(t, testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: "siem", Sender: sink}))
	until(t, "it has failed twice", func() bool { return s.States()[0].Failures >= 2 })
	if st := s.States()[0]; st.Next != 0 || st.Refused != 0 || st.Lag != l.Size() || st.Since.IsZero() || !strings.Contains(st.Fault, "no such field") {
		t.Errorf("%+v", st)
	}
	stop()
	sink.send = nil
	s, _ = start(t, testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: "siem", Sender: sink}))
	until(t, "all is delivered", func() bool { return s.States()[0].Lag == 0 })
	dense(t, sink.indexes(), l.Size())
}

// stuck never answers.
type stuck struct{}

func (stuck) Send(ctx context.Context, _ []*accesslog.Entry) error {
	<-ctx.Done()
	return context.Cause(ctx)
}
func (stuck) Close() error { return nil }

func TestDelivery_AStuckDestinationHoldsNobodyUp(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, filepath.Join(dir, "log"))
	sink := newSink()
	s, stop := start(t, testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: "stuck", Sender: stuck{}}, Destination{Name: "siem", Sender: sink}))
	fill(t, l, 2000)
	until(t, "the other one has everything", func() bool { return s.States()[1].Lag == 0 })
	if st := s.States()[0]; st.Lag != l.Size() || st.Oldest.IsZero() {
		t.Errorf("%+v", st)
	}
	stop() // returns though a batch is being sent
}

func TestDelivery_Newest(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, filepath.Join(dir, "log"))
	fill(t, l, 10)
	from := l.Size()
	sink := newSink()
	c := testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: "siem", Sender: sink, Newest: true})
	if _, err := New(c); err != nil { // its place is kept from here on, though it never ran
		t.Fatal(err)
	}
	fill(t, l, 10)
	s, _ := start(t, c)
	until(t, "all is delivered", func() bool { return s.States()[0].Lag == 0 })
	if got := sink.indexes(); uint64(len(got)) != l.Size()-from || got[0] != from {
		t.Errorf("got %v from %d on", got, from)
	}
}

func TestCursor_OfAnotherLogStops(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, filepath.Join(dir, "log"))
	fill(t, l, 10)
	for name, c := range map[string]cursor{
		"origin": {Origin: "other.example.com/log", Next: 3},
		"beyond": {Origin: testOrigin, Next: 1000},
		"forked": {Origin: testOrigin, Next: 5, Last: strings.Repeat("0", 64)},
	} {
		file := filepath.Join(dir, "delivery", name+".cursor")
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), c.write(file)); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadFile(file)
		sink := newSink()
		s, stop := start(t, testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: name, Sender: sink}))
		until(t, name+" has stopped", func() bool { return s.States()[0].Stopped })
		stop()
		if after, _ := os.ReadFile(file); len(sink.indexes()) != 0 || string(after) != string(before) {
			t.Errorf("%s: sent %v, cursor %s", name, sink.indexes(), after)
		}
	}
	for _, damage := range []string{"", "{}", `{"version":2,"origin":"x","next":1}`, `{"version":1,"origin":"x","next":1,"more":1}`} {
		if err := os.WriteFile(filepath.Join(dir, "delivery", "bad.cursor"), []byte(damage), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: "bad", Sender: newSink()})); err == nil {
			t.Errorf("cursor %q was taken", damage)
		}
	}
}

func TestBackOff(t *testing.T) {
	spread := map[time.Duration]bool{}
	for tries := 1; tries < 100; tries++ {
		whole := min(longestPause, firstPause<<min(tries-1, 16))
		for range 20 {
			d := backOff(tries, 0)
			if d < whole/2 || d > whole {
				t.Fatalf("pause %s after %d tries", d, tries)
			}
			spread[d] = true
		}
	}
	if len(spread) < 1000 {
		t.Errorf("only %d different pauses", len(spread))
	}
	if d := backOff(1, 40*time.Second); d != 40*time.Second {
		t.Errorf("asked for 40 s, got %s", d)
	}
	if d := backOff(1, 48*time.Hour); d != longestAsked {
		t.Errorf("asked for two days, got %s", d)
	}
}

// What a destination has yet to take, or has refused, stays in the log.
func TestLowest(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, filepath.Join(dir, "log"))
	fill(t, l, 100)
	if s, err := New(testConfig(l, filepath.Join(dir, "none"))); err != nil || s.Lowest() != math.MaxUint64 {
		t.Errorf("without destinations: %d, %v", s.Lowest(), err)
	}
	ahead, picky := newSink(), newSink()
	picky.send = func(batch []*accesslog.Entry) error {
		for i, e := range batch {
			if e.Index == 11 {
				return &RefusedError{Entries: map[int]string{i: "no"}, Reason: "no"}
			}
		}
		return nil
	}
	c := testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: "ahead", Sender: ahead}, Destination{Name: "picky", Sender: picky})
	s, err := New(c)
	if err != nil || s.Lowest() != 0 {
		t.Errorf("at the beginning: %d, %v", s.Lowest(), err)
	}
	s, _ = start(t, c)
	until(t, "all is delivered", func() bool { return s.States()[0].Lag == 0 && s.States()[1].Lag == 0 })
	if s.Lowest() != 11 {
		t.Errorf("%d, want the refused entry", s.Lowest())
	}
}
