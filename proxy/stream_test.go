package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/ringfence/ringfence/policy"
)

// streamServer serves every kind of long request.
func streamServer(t *testing.T) string {
	return upstream(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ws":
			c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
			if err != nil {
				return
			}
			defer c.CloseNow()
			for {
				kind, b, err := c.Read(r.Context())
				if err != nil || c.Write(r.Context(), kind, b) != nil {
					return
				}
			}
		case "/sse":
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: first\n\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case "/download":
			for block := make([]byte, 64<<10); ; {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		case "/upload":
			io.Copy(io.Discard, r.Body)
		case "/wait":
			<-r.Context().Done()
		}
	}).URL
}

func (g *gateway) websocket(t testing.TB) *websocket.Conn {
	t.Helper()
	c, res, err := websocket.Dial(t.Context(), "wss://"+testHost+"/ws", &websocket.DialOptions{HTTPClient: g.newClient(false),
		HTTPHeader: http.Header{"Cookie": {"__Host-ringfence=kim"}, "Origin": {"https://" + testHost}}})
	if err != nil {
		t.Fatalf("opening WebSocket: %v, %v", err, res)
	}
	t.Cleanup(func() { c.CloseNow() })
	return c
}

func TestWebSocket_RoundTrip(t *testing.T) {
	g := start(t, claims(streamServer(t)))
	c := g.websocket(t)
	for i := range 3 {
		if err := c.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, b, err := c.Read(t.Context()); err != nil || string(b) != "hello" {
			t.Fatalf("message %d: %q, %v", i, b, err)
		}
	}
	if n := g.h.OpenStreams(); n != 1 {
		t.Errorf("%d streams are open", n)
	}
	c.Close(websocket.StatusNormalClosure, "")
	out := g.outcome(0)
	if out.Status != 101 || out.Protocol != "websocket" || *out.BytesIn < 3*11 || *out.BytesOut < 3*7 || out.Ended != "" {
		t.Errorf("outcome %+v, in %d, out %d", out, *out.BytesIn, *out.BytesOut)
	}
}

// TestWebSocket_CrossOrigin is the hijack of a WebSocket by a foreign page.
func TestWebSocket_CrossOrigin(t *testing.T) {
	g := start(t, claims(streamServer(t)))
	for _, h := range []http.Header{{"Origin": {"https://evil.example"}}, {"Origin": {"https://gate.example.com"}}, {"Origin": {"null"}},
		{"Origin": {"https://" + testHost}, "Sec-Fetch-Site": {"cross-site"}}} {
		h.Set("Cookie", "__Host-ringfence=kim")
		_, res, err := websocket.Dial(t.Context(), "wss://"+testHost+"/ws", &websocket.DialOptions{HTTPClient: g.newClient(false), HTTPHeader: h})
		if err == nil || res == nil || res.StatusCode != 403 {
			t.Errorf("%v: got %v, %v", h, res, err)
		}
	}
	if n := len(g.of(policy.RecordOutcome)); n != 0 {
		t.Errorf("%d were forwarded", n)
	}
}

func TestUpgrade_OthersAreNotOffered(t *testing.T) {
	up := upstream(t, echo)
	g := start(t, claims(up.URL))
	got := g.raw("GET / HTTP/1.1\r\nHost: " + testHost + "\r\nCookie: __Host-ringfence=kim\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n" +
		"GET / HTTP/1.1\r\nHost: " + testHost + "\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 200") || strings.Contains(got, "Upgrade") || strings.Contains(got, "Http2-Settings") {
		t.Errorf("got %s", got)
	}
}

func TestUpgrade_UnaskedByClient(t *testing.T) {
	up := rawUpstream(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nowned")
	g := start(t, claims(up))
	res, body := g.get("/")
	wantRefusal(t, res, body, 502, policy.ReasonUpstreamDown)
}

func TestSSE_FlushedAtOnce(t *testing.T) {
	g := start(t, claims(streamServer(t)))
	for _, h2 := range []bool{true, false} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		res, err := g.newClient(h2).Do(request(t, "GET", "https://"+testHost+"/sse", nil).WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(res.Body).ReadString('\n'); err != nil || line != "data: first\n" {
			t.Errorf("got %q, %v", line, err)
		}
		res.Body.Close()
		cancel()
	}
	if out := g.outcome(1); out.Ended != "client_closed" {
		t.Errorf("outcome says %q", out.Ended)
	}
}

// A change is something after which an open stream may no longer go on.
var changes = []struct {
	name, ended string
	make        func(g *gateway)
}{
	{"session ended", endedSession, func(g *gateway) { g.set(func() { g.ended["s-kim"] = true }) }},
	{"assignment ended", policy.ReasonAssignmentEnded, func(g *gateway) {
		g.set(func() {
			g.decide = func(in *policy.Input) policy.Decision {
				return policy.Decision{Reasons: []policy.Reason{{Code: policy.ReasonAssignmentEnded}}}
			}
		})
	}},
	{"code stale", policy.ReasonCodeStale, func(g *gateway) {
		g.set(func() {
			g.decide = func(in *policy.Input) policy.Decision {
				return policy.Decision{Effect: policy.Challenge, Reasons: []policy.Reason{{Code: policy.ReasonCodeStale}}}
			}
		})
	}},
	{"facts gone", policy.ReasonFactsMissing, func(g *gateway) {
		g.set(func() {
			g.facts = nil
			g.decide = func(in *policy.Input) policy.Decision {
				if in.Facts == nil {
					return policy.Decision{Reasons: []policy.Reason{{Code: policy.ReasonFactsMissing}}}
				}
				return policy.Decision{Effect: policy.Allow}
			}
		})
	}},
	{"policy panics", policy.ReasonPolicyError, func(g *gateway) {
		g.set(func() { g.decide = func(*policy.Input) policy.Decision { panic("engine fault") } })
	}},
	{"mask demanded", policy.ReasonNotMaskable, func(g *gateway) {
		g.set(func() {
			g.decide = func(*policy.Input) policy.Decision {
				return policy.Decision{Effect: policy.Allow, Obligations: policy.Obligations{Mask: []string{"x"}}}
			}
		})
	}},
	{"cluster removed", endedRoute, func(g *gateway) { g.h.SetClusters(nil) }},
	{"no service", "unwitnessed", func(g *gateway) { g.h.CutStreams("unwitnessed") }},
	{"shutdown", "going_down", func(g *gateway) { g.h.CloseStreams("going_down") }},
}

// A stream opens one kind of long request and returns a function that waits
// until the client sees its end.
var kinds = []struct {
	name string
	open func(t *testing.T, g *gateway) (ended func() error)
}{
	{"WebSocket", func(t *testing.T, g *gateway) func() error {
		c := g.websocket(t)
		c.Write(t.Context(), websocket.MessageText, []byte("x"))
		c.Read(t.Context())
		return func() error { _, _, err := c.Read(t.Context()); return err }
	}},
	{"SSE over h1", func(t *testing.T, g *gateway) func() error { return openBody(t, g, false, "/sse") }},
	{"SSE over h2", func(t *testing.T, g *gateway) func() error { return openBody(t, g, true, "/sse") }},
	{"slow download over h1", func(t *testing.T, g *gateway) func() error { return openStalled(t, g, false) }},
	{"slow download over h2", func(t *testing.T, g *gateway) func() error { return openStalled(t, g, true) }},
	{"upload over h1", func(t *testing.T, g *gateway) func() error { return openUpload(t, g, false) }},
	{"upload over h2", func(t *testing.T, g *gateway) func() error { return openUpload(t, g, true) }},
	{"waiting for the first byte", func(t *testing.T, g *gateway) func() error { return openWaiting(t, g, true) }},
}

func openBody(t *testing.T, g *gateway, h2 bool, path string) func() error {
	res, err := g.newClient(h2).Do(request(t, "GET", "https://"+testHost+path, nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	io.ReadFull(res.Body, make([]byte, 5))
	return func() error { _, err := io.Copy(io.Discard, res.Body); return err }
}

// openStalled begins a download that the client does not read: cancelling alone would not end the write.
func openStalled(t *testing.T, g *gateway, h2 bool) func() error {
	ended := openBody(t, g, h2, "/download")
	// It stalls once every buffer on the way is full; then nothing more is counted.
	last := int64(-1)
	until(t, "the download stalls", func() bool {
		all := g.h.streams.all()
		if len(all) != 1 {
			return false
		}
		n := all[0].out.n.Load()
		stalled := n == last && n > 0
		last = n
		time.Sleep(50 * time.Millisecond)
		return stalled
	})
	return ended
}

func openUpload(t *testing.T, g *gateway, h2 bool) func() error {
	if !h2 { // net/http's client would wait for the body's next part before telling the end
		c := g.rawConn()
		t.Cleanup(func() { c.Close() })
		io.WriteString(c, "POST /upload HTTP/1.1\r\nHost: "+testHost+"\r\nCookie: __Host-ringfence=kim\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")
		return func() error {
			if b, err := io.ReadAll(c); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				return nil
			}
			return io.ErrUnexpectedEOF
		}
	}
	pr, pw := io.Pipe()
	t.Cleanup(func() { pw.Close() })
	done := make(chan error, 1)
	client := g.newClient(h2)
	r := request(t, "POST", "https://"+testHost+"/upload", pr)
	go func() {
		res, err := client.Do(r)
		if err == nil {
			res.Body.Close()
			err = fmt.Errorf("answered %d", res.StatusCode)
		}
		done <- err
	}()
	if _, err := pw.Write([]byte("part")); err != nil {
		t.Fatal(err)
	}
	return func() error { return <-done }
}

func openWaiting(t *testing.T, g *gateway, h2 bool) func() error {
	done := make(chan error, 1)
	client, r := g.newClient(h2), request(t, "GET", "https://"+testHost+"/wait", nil)
	go func() { _, err := client.Do(r); done <- err }()
	return func() error { return <-done }
}

// TestStreams_CutWithinASecond: each kind of stream ends within a second of
// each kind of change, at the client and in the log.
func TestStreams_CutWithinASecond(t *testing.T) {
	url := streamServer(t)
	for _, k := range kinds {
		for _, c := range changes {
			t.Run(k.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				g := start(t, claims(url))
				ended := k.open(t, g)
				until(t, "the stream is open", func() bool { return g.h.OpenStreams() == 1 })
				begun := time.Now()
				c.make(g)
				g.h.Recheck()
				if out := g.outcome(0); out.Ended != c.ended {
					t.Errorf("the outcome says %q, want %q", out.Ended, c.ended)
				}
				if took := time.Since(begun); took > time.Second {
					t.Errorf("cut after %v", took)
				}
				if err := ended(); err == nil {
					t.Error("the client was told that the response is whole")
				}
				until(t, "no stream is registered", func() bool { return g.h.OpenStreams() == 0 })
			})
		}
	}
}

// TestStreams_SweepFindsWhatNobodyAnnounced: without Recheck a change is found by the sweep.
func TestStreams_SweepFindsWhatNobodyAnnounced(t *testing.T) {
	g := start(t, claims(streamServer(t)))
	openBody(t, g, true, "/sse")
	begun := time.Now()
	changes[0].make(g)
	if out := g.outcome(0); out.Ended != endedSession || time.Since(begun) > 1500*time.Millisecond {
		t.Errorf("%q after %v", out.Ended, time.Since(begun))
	}
}

func TestStreams_StillAllowedGoOn(t *testing.T) {
	g := start(t, claims(streamServer(t)))
	c := g.websocket(t)
	for range 5 {
		g.h.recheck(t.Context())
		if err := c.Write(t.Context(), websocket.MessageText, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStreams_DecidedWhileChanging: a change between a request's decision and
// its forwarding is not missed, without waiting for the sweep.
func TestStreams_DecidedWhileChanging(t *testing.T) {
	g := start(t, claims(streamServer(t)))
	first := true
	g.decide = func(*policy.Input) policy.Decision {
		if first {
			first = false
			g.h.Recheck()
			for len(g.h.wake) > 0 { // until Run has taken it
				time.Sleep(time.Millisecond)
			}
			return policy.Decision{Effect: policy.Allow}
		}
		return policy.Decision{Reasons: []policy.Reason{{Code: policy.ReasonAssignmentEnded}}}
	}
	begun := time.Now()
	ended := openWaiting(t, g, true)
	if out := g.outcome(0); out.Ended != policy.ReasonAssignmentEnded || time.Since(begun) > 900*time.Millisecond {
		t.Errorf("%q after %v", out.Ended, time.Since(begun))
	}
	ended()
}

func TestStreams_RequestsPerAccount(t *testing.T) {
	g := start(t, claims(streamServer(t)), func(c *Config) { c.Limits.RequestsPerAccount = 2 })
	for range 2 {
		openBody(t, g, true, "/sse")
	}
	res, body := g.get("/")
	wantRefusal(t, res, body, 429, policy.ReasonRateLimited)
	r, _ := http.NewRequest("GET", "https://"+testHost+"/", nil)
	r.Header.Set("Cookie", "__Host-ringfence=lee")
	if res, _ := g.do(r); res.StatusCode != 200 {
		t.Errorf("another account got %d", res.StatusCode)
	}
}
