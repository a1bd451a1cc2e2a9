package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

// liveOffice is an office whose log is a real one, on disk.
func liveOffice(t *testing.T) (*office, *accesslog.Log) {
	t.Helper()
	o := newOffice(t, plainText)
	key, _, err := accesslog.GenerateKey("gw1.northwind.example")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	log, err := accesslog.Open(t.Context(), accesslog.Config{Dir: folder, Node: "gw1", Key: key, SegmentSize: 1 << 20, Now: func() time.Time { return sampleNow }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- log.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	o.Console.Log, o.Console.Search, o.Console.Follow, o.LogFolder = log, logEngine{log, func() time.Time { return sampleNow }}, log, folder
	return o, log
}

func liveRecord(id string, i int) *policy.Record {
	return &policy.Record{Type: policy.RecordRequest, RequestID: id, Account: "kim", Email: "kim@example.com", Session: "ses_kim", Cluster: "claims", Method: "GET",
		Path: fmt.Sprintf("/reports/%d", i), Effect: []string{"allow", "deny"}[i%2]}
}

// A stream reads events as a browser does.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
	close func()
}

type event struct {
	id         uint64
	name, data string
}

func openStream(t *testing.T, server *httptest.Server, target string, headers ...string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	r, err := http.NewRequestWithContext(ctx, "GET", server.URL+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("%s: %s %s", target, res.Status, res.Header.Get("Content-Type"))
	}
	s := &stream{t, bufio.NewScanner(res.Body), func() { cancel(); res.Body.Close() }}
	s.lines.Buffer(nil, 8<<20)
	return s
}

// next returns the next event, and false once the stream has ended.
func (s *stream) next() (e event, ok bool) {
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch name {
		case "id":
			e.id, _ = strconv.ParseUint(value, 10, 64)
		case "event":
			e.name = value
		case "data":
			e.data += value + "\n"
		case "":
			return e, true
		}
	}
	return event{}, false
}

// A client that comes and goes sees every entry once, in order, whatever it
// missed meanwhile, and nothing that it did not ask for.
func TestLive_NothingLost(t *testing.T) {
	o, log := liveOffice(t)
	var who atomic.Value
	who.Store("rae")
	server := httptest.NewServer(o.signedIn(&who))
	defer server.Close()
	const sum = 3000
	go func() {
		for i := range sum {
			if err := log.Append(liveRecord(fmt.Sprintf("r%04d", i), i)); err != nil {
				t.Error(err)
			}
		}
	}()
	seen, headers := 0, []string{}
	target := "/console/log/live/events?q=cluster:claims+effect:deny&from=0"
	for seen < sum/2 {
		s := openStream(t, server, target, headers...)
		for batches := 0; batches < 2; {
			e, ok := s.next()
			if !ok {
				break
			}
			headers = []string{"Last-Event-ID", strconv.FormatUint(e.id, 10)}
			if e.name != "lines" {
				continue
			}
			batches++
			for _, line := range strings.Split(e.data, "\n") {
				_, path, found := strings.Cut(line, "GET /reports/")
				if !found {
					continue
				}
				n, _, _ := strings.Cut(path, "<")
				if want := strconv.Itoa(2*seen + 1); n != want {
					t.Fatalf("line %s came where %s was due", n, want)
				}
				seen++
			}
			if seen >= sum/2 {
				break
			}
		}
		s.close()
	}
	if seen != sum/2 {
		t.Errorf("%d lines came, want %d", seen, sum/2)
	}
	n := 0
	err := log.Query(t.Context(), accesslog.Filter{Action: "log.tail"}, func(e *accesslog.Entry) bool {
		n++
		if e.Actor != "rae" || e.Detail["query"] != "cluster:claims effect:deny" {
			t.Errorf("following is recorded as %v", e.Detail)
		}
		return true
	})
	if err != nil || n == 0 {
		t.Errorf("following was recorded %d times (%v)", n, err)
	}
}

// A stream ends with the session that opened it, and with the gateway.
func TestLive_Ends(t *testing.T) {
	o, _ := liveOffice(t)
	var who atomic.Value
	who.Store("rae")
	server := httptest.NewServer(o.signedIn(&who))
	defer server.Close()
	first := openStream(t, server, "/console/log/live/events?from=0")
	defer first.close()
	v := o.visitOf(t, "rae")
	if err := o.Auth.EndSession(t.Context(), v.AuthActor(), v.Session.ID); err != nil {
		t.Fatal(err)
	}
	over := false
	for e, ok := first.next(); ok; e, ok = first.next() {
		over = over || e.name == "over"
	}
	if !over {
		t.Error("the stream did not say that it is over")
	}
	if w := o.get("rae", "/console/log/live/events?from=0"); w.Code != http.StatusSeeOther {
		t.Errorf("without a session: status %d", w.Code)
	}
	who.Store("ada")
	var open []*stream
	for range tailsAnAccount {
		s := openStream(t, server, "/console/log/live/events?from=0")
		defer s.close()
		open = append(open, s)
	}
	if w := o.get("ada", "/console/log/live/events?from=0"); w.Code != http.StatusTooManyRequests {
		t.Errorf("one stream more: status %d", w.Code)
	}
	o.StopTails()
	for _, s := range open {
		for _, ok := s.next(); ok; _, ok = s.next() {
		}
	}
	for _, bad := range []string{"from=x", "", "from=0&q=(", "from=-1", "from=0&nonsense=1"} {
		if w := o.get("ada", "/console/log/live/events?"+bad); w.Code != http.StatusBadRequest {
			t.Errorf("%q: status %d", bad, w.Code)
		}
	}
}

// slowFollower hands over entries as fast as they are taken.
type slowFollower struct {
	taken atomic.Int64
	full  chan struct{} // closed once as many were taken as are sent together
}

func (f *slowFollower) Subscribe(ctx context.Context, from uint64) iter.Seq2[*accesslog.Entry, error] {
	return func(yield func(*accesslog.Entry, error) bool) {
		for i := from; ctx.Err() == nil; i++ {
			e := &accesslog.Entry{Index: i, Record: *liveRecord("r", int(i))}
			e.Time = sampleNow
			if f.taken.Add(1) == tailBatch {
				close(f.full)
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// A stream that has more to send than there is time for ends with the session
// all the same, and with the gateway.
func TestLive_BacklogEnds(t *testing.T) {
	for what, end := range map[string]func(*office, *visit) error{
		"its session": func(o *office, v *visit) error { return o.Auth.EndSession(t.Context(), v.AuthActor(), v.Session.ID) },
		"the gateway": func(o *office, _ *visit) error { o.StopTails(); return nil },
	} {
		t.Run(what, func(t *testing.T) {
			o := newOffice(t, plainText)
			o.Console.Follow = &slowFollower{full: make(chan struct{})}
			var who atomic.Value
			who.Store("rae")
			server := httptest.NewServer(o.signedIn(&who))
			defer server.Close()
			s := openStream(t, server, "/console/log/live/events?from=0")
			defer s.close()
			for e, ok := s.next(); ok && e.name != "lines"; e, ok = s.next() {
			}
			if err := end(o, o.visitOf(t, "rae")); err != nil {
				t.Fatal(err)
			}
			for began := time.Now(); ; {
				if _, ok := s.next(); !ok {
					break
				}
				if time.Since(began) > 10*time.Second {
					t.Fatal("the stream outlives " + what)
				}
			}
		})
	}
}

// A client that reads nothing holds up its own reading of the log, in bounded space.
func TestLive_SlowClientIsBounded(t *testing.T) {
	o := newOffice(t, plainText)
	f := &slowFollower{full: make(chan struct{})}
	o.Console.Follow = f
	w := &stuckWriter{header: http.Header{}, wrote: make(chan struct{}, 1), release: make(chan struct{})}
	r := httptest.NewRequest("GET", officeGate+"/console/log/live/events?from=0", nil)
	ctx, cancel := context.WithCancel(t.Context())
	r = r.WithContext(ctx)
	v := o.visitOf(t, "rae")
	v.r = r
	done := make(chan struct{})
	go func() { defer close(done); _ = o.liveEvents(w, r, v) }()
	<-w.wrote
	<-f.full
	if n := f.taken.Load(); n > 2*tailBatch+2 {
		t.Errorf("%d entries were taken ahead of a client that reads nothing", n)
	}
	cancel()
	close(w.release)
	<-done
}

// A stuckWriter takes nothing until it is released.
type stuckWriter struct {
	header  http.Header
	wrote   chan struct{}
	release chan struct{}
}

func (w *stuckWriter) Header() http.Header { return w.header }
func (w *stuckWriter) WriteHeader(int)     {}
func (w *stuckWriter) Write(b []byte) (int, error) {
	select {
	case w.wrote <- struct{}{}:
	default:
	}
	<-w.release
	return 0, errors.New("the client is gone")
}
