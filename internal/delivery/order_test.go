package delivery

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/accesslogtest"
	"github.com/ringfence/ringfence/policy"
)

// Refused entries are sent again or left out when somebody says so, while the
// gateway runs and while it does not.
func TestOrder_Refused(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, filepath.Join(dir, "log"))
	fill(t, l, 60)
	var mended atomic.Bool
	sink := newSink()
	sink.send = func(batch []*accesslog.Entry) error {
		bad := map[int]string{}
		for i, e := range batch {
			if !mended.Load() && (e.Index == 7 || e.Index == 21 || e.Index == 33) || e.Index == 40 {
				bad[i] = "mapping"
			}
		}
		if len(bad) > 0 {
			return &RefusedError{Entries: bad, Reason: "mapping"}
		}
		return nil
	}
	folder := filepath.Join(dir, "delivery")
	c := testConfig(l, folder, Destination{Name: "siem", Sender: sink})
	s, stop := start(t, c)
	until(t, "four are refused", func() bool { return s.States()[0].Refused == 4 })
	mended.Store(true)
	if err := s.Give("siem", Order{Act: Retry, Entries: []uint64{7}}); err != nil {
		t.Fatal(err)
	}
	until(t, "one is taken", func() bool { return s.States()[0].Refused == 3 && !Ordered(folder, "siem") })
	stop()
	if err := Give(folder, "siem", Order{Act: Skip, Entries: []uint64{21}}); err != nil {
		t.Fatal(err)
	}
	if err := Give(folder, "siem", Order{Act: Skip}); !errors.Is(err, ErrOrdered) {
		t.Errorf("a second order: %v", err)
	}
	s, _ = start(t, c)
	until(t, "one is skipped", func() bool { return s.States()[0].Refused == 2 && !Ordered(folder, "siem") })
	if err := s.Give("siem", Order{Act: Retry}); err != nil {
		t.Fatal(err)
	}
	until(t, "the rest was sent", func() bool { return s.States()[0].Refused == 1 && !Ordered(folder, "siem") })
	list, err := s.Refusals("siem")
	if err != nil || len(list) != 1 || list[0].Index != 40 || list[0].Reason != "mapping" {
		t.Errorf("%+v, %v", list, err)
	}
	if got := sink.indexes(); slices.Contains(got, 21) || !slices.Contains(got, 33) || !slices.Contains(got, 7) {
		t.Errorf("took %v", got)
	}
	fill(t, l, 5)
	until(t, "it goes on", func() bool { return s.States()[0].Lag == 0 })
	for _, bad := range []error{Give(folder, "other", Order{Act: Skip}), Give(folder, "../siem", Order{Act: Skip}), Give(folder, "siem", Order{Act: "drop"}), s.Give("other", Order{Act: Skip})} {
		if bad == nil {
			t.Error("no order was taken for one")
		}
	}
}

// A delivery that stopped at a replaced log goes on where somebody says.
func TestOrder_Reset(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, filepath.Join(dir, "log"))
	fill(t, l, 50)
	folder := filepath.Join(dir, "delivery")
	sink := newSink()
	c := testConfig(l, folder, Destination{Name: "siem", Sender: sink})
	s, stop := start(t, c)
	until(t, "all is delivered", func() bool { return s.States()[0].Lag == 0 })
	stop()
	if err := (cursor{Origin: testOrigin, Next: 900, Last: "00"}).write(filepath.Join(folder, "siem.cursor")); err != nil {
		t.Fatal(err)
	}
	s, _ = start(t, c)
	until(t, "it stopped", func() bool { return s.States()[0].Stopped })
	before := len(sink.indexes())
	if err := s.Give("siem", Order{Act: Reset, To: 45}); err != nil {
		t.Fatal(err)
	}
	until(t, "all is delivered", func() bool { st := s.States()[0]; return st.Lag == 0 && !st.Stopped && st.Fault == "" })
	if got := sink.indexes()[before:]; got[0] != 45 || uint64(len(got)) != l.Size()-45 {
		t.Errorf("came again: %v", got)
	}
	if err := s.Give("siem", Order{Act: Reset, To: 1 << 60}); err != nil {
		t.Fatal(err)
	}
	until(t, "the order is carried out", func() bool { return !Ordered(folder, "siem") })
	if n := len(sink.indexes()); uint64(n-before) != l.Size()-45 {
		t.Error("a reset to the end sent entries again")
	}
}

// A reset to entries that went by age goes to the first that is left.
func TestOrder_ResetRemoved(t *testing.T) {
	l := accesslogtest.NewSigning(t)
	for i := range 600 {
		l.Add(t, &policy.Record{Type: policy.RecordRequest, Effect: "deny", RequestID: fmt.Sprint(i), Path: "/" + strings.Repeat("x", 300)})
	}
	var first uint64
	until(t, "a segment can go", func() bool {
		sealed, err := accesslog.Sealed(l.Dir, 0)
		if err != nil || len(sealed) < 2 {
			return false
		}
		first = sealed[1].First
		return l.Prune(t.Context(), accesslog.Removal{Before: first, Actor: "operator"}) == nil
	})
	folder, sink := t.TempDir(), newSink()
	c := testConfig(l.Log, folder, Destination{Name: "siem", Sender: sink})
	c.Origin, c.LogDir = "test.example/log", l.Dir
	s, _ := start(t, c)
	for n, to := range []uint64{0, 3, first} {
		before := len(sink.indexes())
		if n > 0 {
			if err := s.Give("siem", Order{Act: Reset, To: to}); err != nil {
				t.Fatal(err)
			}
			until(t, "the order is carried out", func() bool { return !Ordered(folder, "siem") })
		}
		until(t, "all is delivered", func() bool { st := s.States()[0]; return st.Lag == 0 && !st.Stopped && st.Fault == "" })
		if got := sink.indexes()[before:]; got[0] != first || uint64(len(got)) != l.Size()-first {
			t.Errorf("from %d: %d entries from %d on, want %d from %d on", to, len(got), got[0], l.Size()-first, first)
		}
	}
}

// Entries of other types are passed over, and do not hold the delivery up.
func TestTypes(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, filepath.Join(dir, "log"))
	fill(t, l, 50)
	sink := newSink()
	c := testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: "siem", Sender: sink, Types: []string{"log"}, Batch: 10})
	s, _ := start(t, c)
	until(t, "all is passed", func() bool { return s.States()[0].Lag == 0 })
	for _, i := range sink.indexes() {
		if e, err := l.Get(t.Context(), i); err != nil || e.Type != "log" {
			t.Errorf("entry %d of type %s was delivered, %v", i, e.Type, err)
		}
	}
	if n := len(sink.indexes()); n == 0 || uint64(n) != s.States()[0].Delivered {
		t.Errorf("%d came, %d are counted", n, s.States()[0].Delivered)
	}
}
