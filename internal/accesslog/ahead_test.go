package accesslog

import (
	"errors"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
)

func relaxed(n int) *policy.Record {
	r := request(n)
	r.Mode = policy.ModeRelaxed
	return r
}

// stuck makes the disk hang in its next sync, until free is called.
func (s *shim) stuck(t *testing.T) (syncing <-chan struct{}, free func()) {
	release, began := make(chan struct{}), make(chan struct{}, 1)
	free = sync.OnceFunc(func() { s.setSync(nil); close(release) })
	t.Cleanup(free) // before the log is closed, which waits for the committer
	s.setSync(func() error {
		select {
		case began <- struct{}{}:
		default:
		}
		<-release
		return nil
	})
	return began, free
}

// TestRelaxed_DoesNotWait: while the disk hangs, relaxed requests get their
// index and strict ones wait; nobody reads an entry before it is durable, and
// in the end each has the index that was told.
func TestRelaxed_DoesNotWait(t *testing.T) {
	x := newTestLog(t, nil)
	s := newShim(&x.cfg)
	x.run()
	x.record(relaxed(1)) // from here on batches are placed ahead
	waitFor(t, "the first", func() bool { return x.Size() == 2 })
	syncing, free := s.stuck(t)
	told := map[uint64]string{}
	for n := 10; n < 60; n++ {
		i, err := x.Record(t.Context(), relaxed(n))
		if err != nil {
			t.Fatal(err)
		}
		told[i] = relaxed(n).RequestID
	}
	<-syncing
	if x.Size() != 2 {
		t.Errorf("%d entries are said to be durable", x.Size())
	}
	strict := make(chan uint64, 2)
	for _, r := range []*policy.Record{request(100), func() *policy.Record { r := relaxed(101); r.Effect = "deny"; return r }()} {
		go func() { // also of a relaxed cluster: only what is forwarded is not waited for
			i, err := x.Record(t.Context(), r)
			if err != nil {
				t.Error(err)
			}
			strict <- i
		}()
	}
	i, err := x.Record(t.Context(), relaxed(200)) // comes after both, or between
	if err != nil {
		t.Fatal(err)
	}
	told[i] = relaxed(200).RequestID
	select {
	case <-strict:
		t.Fatal("a strict record was durable on a disk that hangs")
	default:
	}
	free()
	a, b := <-strict, <-strict
	if a == b {
		t.Errorf("two records at %d", a)
	}
	if st := x.Stats(); st.Early != 52 {
		t.Errorf("%d answered early, want 52", st.Early)
	}
	x.close()
	for _, e := range x.all(Filter{Type: "request"}) {
		if id, ok := told[e.Index]; ok && (id != e.RequestID || e.Mode != policy.ModeRelaxed) {
			t.Errorf("entry %d is %s in mode %q, told as %s", e.Index, e.RequestID, e.Mode, id)
		}
		delete(told, e.Index)
	}
	if len(told) > 0 {
		t.Errorf("gone: %v", told)
	}
	x.verify()
}

// TestRelaxed_IsBounded: no more relaxed requests than the queue is long go
// ahead of the disk; the next waits, and gives up at the deadline.
func TestRelaxed_IsBounded(t *testing.T) {
	x := newTestLog(t, func(c *Config) { c.Queue = 8; c.CommitDeadline = 50 * time.Millisecond })
	s := newShim(&x.cfg)
	x.run()
	x.record(relaxed(1))
	waitFor(t, "the first", func() bool { return x.Size() == 2 })
	_, free := s.stuck(t)
	n := 0
	var err error
	for ; err == nil && n < 1000; n++ {
		_, err = x.Record(t.Context(), relaxed(10+n))
	}
	if !errors.Is(err, ErrDeadline) || n != 9 {
		t.Fatalf("after %d records: %v", n, err)
	}
	if x.Stats().Missed != 1 {
		t.Errorf("%d missed deadlines are counted", x.Stats().Missed)
	}
	free()
	waitFor(t, "its outcome", func() bool { return len(x.all(Filter{Type: "outcome", RequestID: request(10 + n - 1).RequestID})) == 1 })
	x.record(relaxed(5000))
	x.close()
	x.verify()
}

// TestRelaxed_RefusedLikeAllOthers: what cannot be recorded at all is not
// forwarded in either mode.
func TestRelaxed_RefusedLikeAllOthers(t *testing.T) {
	x := newTestLog(t, nil)
	s := newShim(&x.cfg)
	x.run()
	waitFor(t, "spares", func() bool { return x.Stats().Spares == 2 && x.Stats().Reserved })
	s.setFull(true)
	var err error
	for n := 0; err == nil; n++ {
		_, err = x.Record(t.Context(), relaxed(n))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("on a full disk: %v", err)
	}
	s.setFull(false)
	waitFor(t, "room", func() bool { return x.Healthy() == nil })
	s.setSync(func() error { return syscall.EIO })
	x.Record(t.Context(), relaxed(1)) // may have gone ahead
	if err := <-x.done; !errors.Is(err, syscall.EIO) {
		t.Fatalf("Run: %v", err)
	}
	if _, err := x.Record(t.Context(), relaxed(2)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("after a failed sync: %v", err)
	}
	x.Log.Close()
	x.done = nil
	s.setSync(nil)
	x.run()
	x.close()
	x.verify()
}

// TestRelaxed_PowerCut: what a power cut takes of relaxed entries is the end
// of the log and no more than what was on its way; whatever is left is whole
// and in order, and strict entries are all there.
func TestRelaxed_PowerCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	lost := 0
	for round := range 30 {
		y := newLife(t, "", memoryDir(t)+"/log")
		l, err := Open(t.Context(), y.cfg)
		if err != nil {
			t.Fatal(err)
		}
		y.Log = l
		early := map[uint64]string{}
		for n := range 6 {
			var items []*item
			for k := range 4 {
				it, err := y.newItem(relaxed(n*4+k), true)
				if err != nil {
					t.Fatal(err)
				}
				items = append(items, it)
			}
			it, err := y.newItem(request(1000+n), true)
			if err != nil {
				t.Fatal(err)
			}
			last := n == 5
			if last && round%2 == 0 { // it stays in the air
				y.disk.label, y.disk.kind, y.disk.nth = "sync segment", crashBefore, y.disk.calls["sync segment"]
			}
			if err := y.commitAhead(append(items, it)); err != nil {
				t.Fatal(err)
			}
			for k, it := range items {
				early[(<-it.result).index] = relaxed(n*4 + k).RequestID
			}
			if last {
				break
			}
			if err := y.land(); err != nil {
				t.Fatal(err)
			}
			y.acked[(<-it.result).index] = request(1000 + n).RequestID
		}
		err = <-y.c.flight.done
		y.c.flight = nil
		power := y.disk.cut(t, rng)
		y.abandon()
		if err := y.check(power); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		end := uint64(0)
		for _, e := range y.all(Filter{Type: "request", Ascending: true}) {
			if id, ok := early[e.Index]; ok && id == e.RequestID {
				delete(early, e.Index)
				end = e.Index
			}
		}
		for i := range early {
			if i < end {
				t.Errorf("round %d: entry %d is gone and %d is there", round, i, end)
			}
		}
		if len(early) > 4 {
			t.Errorf("round %d: %d entries are gone, more than one commit", round, len(early))
		}
		if err != nil && len(early) > 0 {
			lost++
		}
	}
	if lost == 0 {
		t.Error("no power cut lost anything: the mode is not relaxed")
	}
}
