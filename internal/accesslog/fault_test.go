package accesslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// TestLogLoss_DeadlineLeavesATrace: a disk that is slower than the deadline
// makes Record fail, and the entry that is durable later gets an outcome.
func TestLogLoss_DeadlineLeavesATrace(t *testing.T) {
	x := newTestLog(t, func(c *Config) { c.CommitDeadline = 20 * time.Millisecond })
	s := newShim(&x.cfg)
	x.run()
	release := make(chan struct{})
	s.setSync(func() error { <-release; return nil })
	if _, err := x.Record(t.Context(), request(1)); !errors.Is(err, ErrDeadline) {
		t.Fatalf("slow disk: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := x.Record(ctx, request(2)); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: %v", err)
	}
	if _, err := x.Record(t.Context(), denied(3)); !errors.Is(err, ErrDeadline) {
		t.Fatalf("slow disk: %v", err)
	}
	s.setSync(nil)
	close(release)
	waitFor(t, "an outcome", func() bool { return len(x.all(Filter{Type: "outcome", RequestID: request(1).RequestID})) > 0 })
	x.close()
	if got := x.all(Filter{Type: "outcome", RequestID: request(1).RequestID}); len(got) != 1 || got[0].Ended != EndedTimedOut {
		t.Fatalf("outcomes of the first: %v", got)
	}
	if len(x.all(Filter{RequestID: denied(3).RequestID, Type: "outcome"})) != 0 {
		t.Error("a denied request has an outcome")
	}
	// The one whose caller gave up is either not in the log or closed.
	if r, o := x.all(Filter{Type: "request", RequestID: request(2).RequestID}), x.all(Filter{Type: "outcome", RequestID: request(2).RequestID}); len(r) != len(o) {
		t.Errorf("%d requests and %d outcomes of the abandoned one", len(r), len(o))
	}
	x.verify()
}

// TestLogLoss_FailedSyncIsFinal: after a failed fsync the kernel may call the
// next one good although pages are gone, so there is no next one.
func TestLogLoss_FailedSyncIsFinal(t *testing.T) {
	x := newTestLog(t, nil)
	s := newShim(&x.cfg)
	x.run()
	x.record(denied(1))
	s.setSync(func() error { return syscall.EIO })
	if _, err := x.Record(t.Context(), request(2)); !errors.Is(err, ErrUnavailable) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("Record: %v", err)
	}
	if err := <-x.done; !errors.Is(err, syscall.EIO) {
		t.Fatalf("Run: %v", err)
	}
	s.setSync(nil)
	before := s.syncs
	if _, err := x.Record(t.Context(), request(3)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Record afterwards: %v", err)
	}
	if err := x.Append(outcome(3)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Append afterwards: %v", err)
	}
	if x.Healthy() == nil {
		t.Error("a broken log is healthy")
	}
	if err := x.Log.Close(); err == nil {
		t.Error("Close hides the fault")
	}
	if s.syncs != before {
		t.Error("a segment was synced again after a failure")
	}
	x.done = nil
	x.run() // a new start recovers
	x.record(denied(4))
	x.close()
	x.verify()
}

// TestLogLoss_FullDisk: without room for another segment requests are refused
// at once, administrators and outcomes are not lost, and all is well once
// there is room.
func TestLogLoss_FullDisk(t *testing.T) {
	x := newTestLog(t, func(c *Config) {
		c.Spares, c.Mends = 1, func(r *policy.Record) bool { return r.Account == "admin" }
	})
	s := newShim(&x.cfg)
	x.run()
	waitFor(t, "a spare", func() bool { return x.Stats().Spares == 1 })
	s.setFull(true)
	var last error
	n := 0
	for ; n < 10000 && last == nil; n++ {
		_, last = x.Record(t.Context(), denied(n))
	}
	if !errors.Is(last, ErrUnavailable) || !errors.Is(last, syscall.ENOSPC) {
		t.Fatalf("after %d records: %v", n, last)
	}
	if x.Healthy() == nil {
		t.Error("a full log is healthy")
	}
	start := time.Now()
	if _, err := x.Record(t.Context(), denied(n)); !errors.Is(err, ErrUnavailable) || time.Since(start) > time.Second {
		t.Errorf("Record took %v: %v", time.Since(start), err)
	}
	if err := x.Append(outcome(77)); err != nil {
		t.Errorf("an outcome on a full disk: %v", err)
	}
	if _, err := x.Record(t.Context(), &policy.Record{Type: policy.RecordLogin, Action: "login", Account: "admin"}); err != nil {
		t.Errorf("a sign-in on a full disk: %v", err)
	}
	s.setFull(false)
	waitFor(t, "room", func() bool { return x.Healthy() == nil })
	x.record(denied(n + 1))
	x.close()
	if got := x.all(Filter{RequestID: outcome(77).RequestID, Type: "outcome"}); len(got) != 1 {
		t.Errorf("%d of the outcome that was held back", len(got))
	}
	x.verify()
}

// TestLogLoss_FullDiskForReal fills a small file system of its own.
func TestLogLoss_FullDiskForReal(t *testing.T) {
	dir := t.TempDir()
	if err := mountSmall(dir, "600k"); err != nil {
		t.Skip("mounting a small file system:", err)
	}
	t.Cleanup(func() { unmount(dir) })
	ballast := dir + "/ballast"
	if err := os.WriteFile(ballast, make([]byte, 200<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	x := newTestLog(t, func(c *Config) { c.Dir = dir + "/log"; c.Spares = 1 }).run()
	var last error
	acked := map[uint64]string{}
	for n := 0; n < 20000 && last == nil; n++ {
		var i uint64
		r := denied(n)
		r.UserAgent = randomText(n) // so that compressing does not make room for ever
		if i, last = x.Record(t.Context(), r); last == nil {
			acked[i] = r.RequestID
		}
	}
	if !errors.Is(last, ErrUnavailable) {
		t.Fatalf("after %d records: %v", len(acked), last)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "room", func() bool { return x.Healthy() == nil })
	acked[x.record(denied(1e6))] = denied(1e6).RequestID
	x.close()
	x.verify()
	for _, e := range x.all(Filter{Type: "request"}) {
		if acked[e.Index] == e.RequestID {
			delete(acked, e.Index)
		}
	}
	if len(acked) > 0 {
		t.Errorf("%d acknowledged records are gone", len(acked))
	}
}

func randomText(n int) string {
	var b strings.Builder
	for x := uint64(n)*0x9e3779b97f4a7c15 + 1; b.Len() < 400; {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b.WriteByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[x&63])
	}
	return b.String()
}

// TestLog_QueueBlocks: a record beyond the queue waits, and none is dropped.
func TestLog_QueueBlocks(t *testing.T) {
	x := newTestLog(t, func(c *Config) { c.Queue = 4 })
	s := newShim(&x.cfg)
	x.run()
	release, syncing := make(chan struct{}), make(chan struct{}, 1)
	free := sync.OnceFunc(func() { close(release) })
	t.Cleanup(free) // before the log is closed, which waits for the committer
	s.setSync(func() error {
		select {
		case syncing <- struct{}{}:
		default:
		}
		<-release
		return nil
	})
	// The committer must be busy before the others come, or it takes them all.
	if err := x.Append(outcome(100)); err != nil {
		t.Fatal(err)
	}
	<-syncing
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			if err := x.Append(outcome(i)); err != nil {
				t.Error(err)
			}
		})
	}
	waitFor(t, "a full queue", func() bool { return x.Stats().Queued == 4 })
	s.setSync(nil)
	free()
	wg.Wait()
	x.close()
	if got := x.all(Filter{Type: "outcome"}); len(got) != 101 {
		t.Errorf("%d of 101 outcomes", len(got))
	}
}

func TestLog_ConcurrentWritersLeaveNoGap(t *testing.T) {
	x := newTestLog(t, func(c *Config) { c.CheckpointEvery = time.Millisecond })
	newShim(&x.cfg)
	x.run()
	docs := []*policy.Document{document(t, "office"), document(t, "home"), document(t, "lab")}
	var mu sync.Mutex
	at := map[uint64]string{}
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for n := range 100 {
				r := request(w*1000 + n)
				r.Document = docs[n%3]
				i, err := x.Record(t.Context(), r)
				if err != nil {
					t.Error(err)
					return
				}
				if err := x.Append(outcome(w*1000 + n)); err != nil {
					t.Error(err)
				}
				mu.Lock()
				if was, ok := at[i]; ok {
					t.Errorf("index %d given to %s and %s", i, was, r.RequestID)
				}
				at[i] = r.RequestID
				mu.Unlock()
			}
		})
	}
	// A verifier and a search beside the writers.
	for range 5 {
		x.verify()
		x.all(Filter{Type: "outcome", Limit: 50})
	}
	wg.Wait()
	x.close()
	next := uint64(0)
	known := map[string]bool{}
	segments, err := listFolder(x.cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	starts := map[uint64]bool{}
	for _, s := range segments.segments {
		starts[s.first] = true
	}
	for _, e := range x.all(Filter{Ascending: true}) {
		if starts[e.Index] {
			clear(known) // each segment stands alone
		}
		if e.Index != next {
			t.Fatalf("entry %d follows %d", e.Index, next-1)
		}
		next++
		if e.Action == ActionFacts {
			if known[e.Facts] {
				t.Errorf("entry %d repeats a facts document within its segment", e.Index)
			}
			known[e.Facts] = true
		} else if e.Facts != "" && !known[e.Facts] {
			t.Errorf("entry %d names facts that its segment does not hold", e.Index)
		}
		if id, ok := at[e.Index]; ok && id != e.RequestID {
			t.Errorf("entry %d is %s, acknowledged as %s", e.Index, e.RequestID, id)
		}
	}
	x.verify()
}

func TestLog_ClockGoesBack(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	set := func(d time.Duration) { mu.Lock(); now = now.Add(d); mu.Unlock() }
	x := newTestLog(t, func(c *Config) { c.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now } }).run()
	rec := func(n int) {
		r := denied(n)
		r.Time = x.cfg.Now()
		x.record(r)
	}
	rec(1)
	set(-500 * time.Millisecond)
	rec(2)
	set(-time.Hour)
	rec(3)
	rec(4)
	set(3 * time.Hour)
	rec(5)
	x.close()
	set(-5 * time.Hour)
	x.run()
	x.close()
	if got := x.all(Filter{Action: ActionClock, Ascending: true}); len(got) != 2 || got[0].Detail["to"] != "2026-03-01T10:59:59.5Z" {
		t.Fatalf("jumps recorded: %v", got)
	}
	var last time.Time
	for _, e := range x.all(Filter{Ascending: true}) {
		if e.Time.Before(last) {
			t.Errorf("entry %d is earlier than the one before", e.Index)
		}
		last = e.Time
		if e.RequestID == denied(3).RequestID && (e.Clock.Hour() != 10 || e.Time.Hour() != 12) {
			t.Errorf("while the clock was back: time %v, clock %v", e.Time, e.Clock)
		}
	}
	x.verify()
}

func TestLog_TooLargeIsRefused(t *testing.T) {
	x := newTestLog(t, nil).run()
	r := denied(1)
	r.UserAgent = strings.Repeat("x", 64<<10)
	if _, err := x.Record(t.Context(), r); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("Record: %v", err)
	}
	// The largest that is taken, with the largest document, fits any segment.
	for n := 1; n < 40; n++ {
		r.UserAgent = strings.Repeat("x", x.maxPayload-x.headLen()-800)
		r.Document = document(t, strings.Repeat("z", x.maxPayload-x.headLen()-factsLen-200-n))
		x.record(r)
	}
	x.close()
	x.verify()
}

func TestRun_EndsWithItsContext(t *testing.T) {
	x := newTestLog(t, nil).open()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	x.record(request(1))
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, err := x.Record(t.Context(), request(2)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Record after the end: %v", err)
	}
	if err := x.Append(outcome(1)); err != nil {
		t.Errorf("the outcome of a request that was open: %v", err)
	}
	x.close()
	if got := x.all(Filter{Type: "outcome"}); len(got) != 1 {
		t.Errorf("%d outcomes", len(got))
	}
	x.verify()
}

// TestClose_WhileOutcomesCome: each outcome that was taken is in the log, and
// Close waits for none that is not.
func TestClose_WhileOutcomesCome(t *testing.T) {
	x := newTestLog(t, func(c *Config) { c.Queue = 1 })
	newShim(&x.cfg)
	x.run()
	var wg sync.WaitGroup
	var taken atomic.Int64
	for w := range 50 {
		wg.Go(func() {
			for n := 0; ; n++ {
				err := x.Append(outcome(w*1000 + n))
				if errors.Is(err, ErrUnavailable) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				taken.Add(1)
			}
		})
	}
	waitFor(t, "outcomes", func() bool { return taken.Load() > 200 })
	if err := x.Log.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	<-x.done
	x.Log = nil
	if got := x.all(Filter{Type: "outcome"}); int64(len(got)) != taken.Load() {
		t.Errorf("%d outcomes in the log, %d taken", len(got), taken.Load())
	}
	x.verify()
}

// TestSecretsInLogs_Key: no way of printing a configuration shows the key.
func TestSecretsInLogs_Key(t *testing.T) {
	x := newTestLog(t, nil)
	secret := x.cfg.Key[len(x.cfg.Key)-20:]
	var buf bytes.Buffer
	slog.New(slog.NewJSONHandler(&buf, nil)).Info("x", "config", x.cfg)
	_, err := Open(t.Context(), Config{Dir: t.TempDir(), Key: "x" + x.cfg.Key})
	for _, out := range []string{fmt.Sprint(x.cfg), fmt.Sprintf("%+v %#v", x.cfg, x.cfg), buf.String(), fmt.Sprint(err)} {
		if strings.Contains(out, secret) {
			t.Errorf("the key shows in %s", out)
		}
	}
	if err == nil {
		t.Error("opened with a broken key")
	}
}
