package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/proxy"
)

// A watcher reads the live view as its page's script does.
type watcher struct {
	t    *testing.T
	b    *browser
	stop context.CancelFunc
	done chan struct{}

	mu   sync.Mutex
	next string // where to go on
	seen map[uint64]time.Time
	last uint64
}

var entryLink = regexp.MustCompile(`href="/console/log/(\d+)"`)

// watch connects, or connects again where the connection was lost.
func (w *watcher) watch() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	w.stop, w.done = cancel, make(chan struct{})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.b.p.ready.Gate+"/console/log/live/events?from="+w.next, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Last-Event-ID", w.next)
	stream := &http.Client{Transport: w.b.client.Transport, Jar: w.b.client.Jar}
	res, err := stream.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		w.t.Fatalf("the live view: %v %v", res, err)
	}
	go func() {
		defer close(w.done)
		defer res.Body.Close()
		w.read(bufio.NewScanner(res.Body))
	}()
}

func (w *watcher) read(lines *bufio.Scanner) {
	lines.Buffer(nil, 16<<20)
	id := ""
	var rows []uint64
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "data":
			for _, m := range entryLink.FindAllStringSubmatch(value, -1) {
				if n, err := strconv.ParseUint(m[1], 10, 64); err == nil && (len(rows) == 0 || rows[len(rows)-1] != n) {
					rows = append(rows, n)
				}
			}
		case "": // an event is whole: only now does it count
			now := time.Now()
			w.mu.Lock()
			for _, n := range rows {
				if _, twice := w.seen[n]; twice || n <= w.last && w.last > 0 {
					w.t.Errorf("entry %d came twice or out of order, after %d", n, w.last)
				}
				w.seen[n], w.last = now, n
			}
			w.next, rows = id, rows[:0]
			w.mu.Unlock()
		}
	}
}

// A load asks clusters for things at a steady rate.
type load struct {
	mu      sync.Mutex
	entries map[uint64]time.Time // of requests, and when each was answered
}

// run makes n requests, rate a second, of which every other one is refused.
func (l *load) run(t *testing.T, b *browser, rate, n int) {
	allowed, denied := b.p.cluster(t, "claims"), strings.Replace(b.p.cluster(t, "claims"), "claims.", "billing.", 1)
	var at atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range 32 {
		wg.Go(func() {
			for i := int(at.Add(1)) - 1; i < n; i = int(at.Add(1)) - 1 {
				time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(rate)))) // a steady load is what is tested
				host := allowed
				if i%2 == 1 {
					host = denied
				}
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("%s/live/%d", host, i), nil)
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Accept", "application/json")
				res, err := b.client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				_, index, _ := strings.Cut(res.Header.Get(proxy.HeaderEntry), "#")
				entry, err := strconv.ParseUint(index, 10, 64)
				if err != nil {
					t.Errorf("request %d: %s names no entry: %v", i, res.Status, err)
					return
				}
				l.mu.Lock()
				l.entries[entry] = time.Now()
				l.mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// TestLive_ThousandASecond: with more than 1,000 entries a second through the
// running program, the live view of a reviewer has each of its lines once, in
// order and soon, also where the connection breaks meanwhile.
func TestLive_ThousandASecond(t *testing.T) {
	slow(t)
	const rate, seconds = 1000, 3 // requests; every other one has an outcome too
	p := startDemo(t)
	kim, cleo := p.signIn(t, "kim@northwind.example", 0), p.signIn(t, "cleo@harbour.example", 0)
	if pg := kim.get(p.cluster(t, "claims") + "/"); pg.status != http.StatusOK {
		t.Fatalf("claims: %d", pg.status)
	}
	kim.get(strings.Replace(p.cluster(t, "claims"), "claims.", "billing.", 1) + "/")
	first := uint64(len(p.entries(t, "--limit", "1000000")))
	w := &watcher{t: t, b: cleo, next: strconv.FormatUint(first, 10), seen: map[uint64]time.Time{}}
	w.watch()
	l := &load{entries: map[uint64]time.Time{}}
	began := time.Now()
	half := make(chan struct{})
	time.AfterFunc(seconds*time.Second/2, func() { close(half) })
	finished := make(chan struct{})
	go func() { defer close(finished); l.run(t, kim, rate, rate*seconds) }()
	<-half
	w.stop()
	<-w.done
	w.watch()
	<-finished
	took := time.Since(began)
	eventually(t, 5*time.Second, "the live view has every request", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		for n := range l.entries {
			if _, ok := w.seen[n]; !ok {
				return false
			}
		}
		return true
	})
	w.stop()
	<-w.done
	var late []time.Duration
	for n, answered := range l.entries {
		late = append(late, w.seen[n].Sub(answered))
	}
	slices.Sort(late)
	written := 0
	for _, e := range p.entries(t, "--limit", "1000000") {
		index := uint64(e["index"].(float64))
		if index < first || index > w.last {
			continue
		}
		written++
		_, ok := w.seen[index]
		if note := e["type"] == "outcome" || e["action"] == accesslog.ActionFacts; !note && !ok { // those are no lines of their own
			t.Errorf("entry %d, %v %v, was never seen", index, e["type"], e["action"])
		}
	}
	if len(l.entries) != rate*seconds || written < len(l.entries)+len(l.entries)/2-100 {
		t.Errorf("%d requests and %d entries: not the load that was meant", len(l.entries), written)
	}
	t.Logf("%d entries in %.1f s, %.0f a second, of which %d are lines of the live view; behind the answer by %v (half), %v (99 of 100), %v (most)",
		written, took.Seconds(), float64(written)/took.Seconds(), len(w.seen), late[len(late)/2].Round(time.Millisecond), late[len(late)*99/100].Round(time.Millisecond), late[len(late)-1].Round(time.Millisecond))
}
