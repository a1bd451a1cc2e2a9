package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

const testOrigin = "gate.example.com/log"

// newLog returns a running log in dir, with small segments so that they rotate.
func newLog(t *testing.T, dir string, change ...func(*accesslog.Config)) *accesslog.Log {
	t.Helper()
	key, _, err := accesslog.GenerateKey(testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	c := accesslog.Config{Dir: dir, Node: "node-1", Key: key, SegmentSize: 64 << 10, Recent: 64, Logger: quiet()}
	for _, f := range change {
		f(&c)
	}
	l, err := accesslog.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- l.Run(context.Background()) }()
	t.Cleanup(func() {
		if err := errors.Join(l.Close(), <-done); err != nil {
			t.Error(err)
		}
	})
	return l
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// fill records n requests; path numbers them.
func fill(t *testing.T, l *accesslog.Log, n int) {
	t.Helper()
	for i := range n {
		r := &policy.Record{Type: policy.RecordRequest, Time: time.Now().UTC(), RequestID: fmt.Sprintf("r-%d", i), Account: "kim",
			Cluster: "claims", Method: "GET", Host: "claims.example.com", Path: fmt.Sprintf("/claims/%d", i), Effect: "deny", Reasons: []string{"no_assignment"}}
		if err := l.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	end := &policy.Record{Type: policy.RecordLog, Time: time.Now().UTC(), Action: "test"}
	if _, err := l.Record(t.Context(), end); err != nil { // durable, and all before it
		t.Fatal(err)
	}
}

// A sink is a destination in memory.
type sink struct {
	mu   sync.Mutex
	got  []uint64
	send func(batch []*accesslog.Entry) error // nil: takes everything
	news chan struct{}
}

func newSink() *sink { return &sink{news: make(chan struct{}, 1)} }

func (s *sink) Send(ctx context.Context, batch []*accesslog.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		select {
		case s.news <- struct{}{}:
		default:
		}
	}()
	var err error
	if s.send != nil {
		err = s.send(batch)
	}
	if err == nil {
		for _, e := range batch {
			s.got = append(s.got, e.Index)
		}
	}
	return errors.Join(err, ctx.Err())
}

func (s *sink) Close() error { return nil }

func (s *sink) indexes() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]uint64(nil), s.got...)
}

// testConfig has no pauses between tries.
func testConfig(l *accesslog.Log, dir string, d ...Destination) Config {
	for i := range d {
		if d[i].Linger == 0 {
			d[i].Linger = 5 * time.Millisecond
		}
	}
	return Config{Source: l, Origin: testOrigin, Dir: dir, Destinations: d, Logger: quiet(), look: 20 * time.Millisecond,
		pause: func(ctx context.Context, _ time.Duration) error { return pause(ctx, time.Millisecond) }}
}

// start runs a service until the returned function is called.
func start(t *testing.T, c Config) (*Service, func()) {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	stop := sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return s, stop
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// dense fails unless got has each index below n, and each first time in order.
func dense(t *testing.T, got []uint64, n uint64) {
	t.Helper()
	next := uint64(0)
	for _, i := range got {
		if i > next {
			t.Fatalf("entry %d came before entry %d", i, next)
		}
		next = max(next, i+1)
	}
	if next != n {
		t.Fatalf("%d of %d entries came", next, n)
	}
}

func batchOf(e ...*accesslog.Entry) []*accesslog.Entry { return e }
