package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// rawUpstream answers every connection's first head with text, then closes it.
func rawUpstream(t testing.TB, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					io.WriteString(c, text)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// TestHostileUpstream_IsAnsweredFor: whatever an upstream sends, the client gets
// a whole refusal or a broken response, and the gateway serves on.
func TestHostileUpstream_IsAnsweredFor(t *testing.T) {
	big := strings.Repeat("X-Big: "+strings.Repeat("a", 1000)+"\r\n", 600)
	for _, tt := range []struct {
		name, answer string
		status       int // 0: the response breaks off
		ended        string
	}{
		{"nothing", "", 502, policy.ReasonUpstreamDown},
		{"no HTTP", "SSH-2.0-OpenSSH\r\n", 502, policy.ReasonUpstreamDown},
		{"huge headers", "HTTP/1.1 200 OK\r\n" + big + "\r\n", 502, policy.ReasonUpstreamDown},
		{"status below 100", "HTTP/1.1 042 Hm\r\nContent-Length: 0\r\n\r\n", 502, policy.ReasonUpstreamDown},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 502, policy.ReasonUpstreamDown},
		{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", 502, policy.ReasonUpstreamDown},
		{"unasked upgrade", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tunnel\r\n\r\n", 502, policy.ReasonUpstreamDown},
		{"many informational heads", strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: "+strings.Repeat("a", 4000)+"\r\n\r\n", 200), 502, policy.ReasonUpstreamDown},
		{"shorter than it said", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", 0, "upstream_failed"},
		{"chunks that break off", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 0, "upstream_failed"},
		{"chunks that are none", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n", 0, "upstream_failed"},
		{"longer than it said", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nowned", 200, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := start(t, claims(rawUpstream(t, tt.answer)))
			res, err := g.client.Do(request(t, "POST", "https://"+testHost+"/", nil))
			if err != nil {
				if tt.status != 0 {
					t.Fatal(err)
				}
			} else {
				defer res.Body.Close()
				b, err := io.ReadAll(res.Body)
				switch {
				case tt.status == 0 && err == nil:
					t.Errorf("the client took %q for whole", b)
				case tt.status == 502:
					wantRefusal(t, res, string(b), 502, policy.ReasonUpstreamDown)
				case tt.status == 200 && (err != nil || string(b) != "hello"):
					t.Errorf("got %q, %v", b, err)
				}
			}
			if out := g.outcome(0); out.Ended != tt.ended {
				t.Errorf("the outcome says %q, want %q", out.Ended, tt.ended)
			}
			if s := g.log.String(); strings.Contains(s, "panic") {
				t.Errorf("it panicked: %s", s)
			}
			if res, _ := g.do(request(t, "GET", "https://"+testGate+"/", nil)); res.StatusCode != 200 {
				t.Error("the gate no longer answers")
			}
		})
	}
}

func TestUpstream_FirstByteTimeout(t *testing.T) {
	c := claims(streamServer(t))
	c[0].Routes[0].Timeout = 50 * time.Millisecond
	g := start(t, c)
	res, body := g.get("/wait")
	wantRefusal(t, res, body, 504, policy.ReasonUpstreamDown)
}

func TestUpstream_RedirectsPassAndAreNotFollowed(t *testing.T) {
	var followed atomic.Bool
	var self string
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/own":
			http.Redirect(w, r, self+"/next?x=1", http.StatusFound)
		case "/gate":
			http.Redirect(w, r, "https://"+testGate+"/logout", http.StatusTemporaryRedirect)
		default:
			followed.Store(true)
		}
	})
	self = up.URL
	g := start(t, claims(up.URL))
	for path, want := range map[string]string{"/own": "https://" + testHost + "/next?x=1", "/gate": "https://" + testGate + "/logout"} {
		if res, _ := g.get(path); res.StatusCode/100 != 3 || res.Header.Get("Location") != want {
			t.Errorf("%s: got %d, %s", path, res.StatusCode, res.Header.Get("Location"))
		}
	}
	if followed.Load() {
		t.Error("a redirect was followed")
	}
}

func allow(o policy.Obligations) func(*policy.Input) policy.Decision {
	return func(*policy.Input) policy.Decision { return policy.Decision{Effect: policy.Allow, Obligations: o} }
}

func TestObligations_MaxResponseBytes(t *testing.T) {
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/announced" {
			w.Header().Set("Content-Length", "1001")
		}
		for range 1001 {
			fmt.Fprint(w, "x")
			if r.URL.Path == "/streamed" {
				w.(http.Flusher).Flush()
			}
		}
	})
	g := start(t, claims(up.URL))
	g.decide = allow(policy.Obligations{MaxResponseBytes: 1000})
	res, body := g.get("/announced")
	wantRefusal(t, res, body, 502, policy.ReasonResponseTooLarge)
	if res, _ := g.do(request(t, "HEAD", "https://"+testHost+"/announced", nil)); res.StatusCode != 200 {
		t.Errorf("HEAD got %d", res.StatusCode)
	}
	for i, h2 := range []bool{true, false} {
		res, err := g.newClient(h2).Do(request(t, "GET", "https://"+testHost+"/streamed", nil))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		if err == nil || len(b) > 1000 {
			t.Errorf("got %d bytes, %v", len(b), err)
		}
		if out := g.outcome(2 + i); out.Ended != policy.ReasonResponseTooLarge || *out.BytesOut != 1000 {
			t.Errorf("outcome: %q, %d bytes", out.Ended, *out.BytesOut)
		}
	}
	if out := g.outcome(0); out.Status != 502 || out.Ended != policy.ReasonResponseTooLarge {
		t.Errorf("outcome %+v", out)
	}
	if rec := g.of(policy.RecordRequest)[0]; rec.Obligations == nil || rec.Obligations.MaxResponseBytes != 1000 {
		t.Errorf("recorded %+v", rec)
	}
}

func TestObligations_MaxResponseBytesOnWebSocket(t *testing.T) {
	g := start(t, claims(streamServer(t)))
	g.decide = allow(policy.Obligations{MaxResponseBytes: 1000})
	c := g.websocket(t)
	var err error
	for i := 0; err == nil && i < 100; i++ {
		if err = c.Write(t.Context(), 1, []byte(strings.Repeat("x", 100))); err == nil {
			_, _, err = c.Read(t.Context())
		}
	}
	if out := g.outcome(0); err == nil || out.Ended != policy.ReasonResponseTooLarge || *out.BytesOut > 1000 {
		t.Errorf("%v; outcome %q, %d bytes", err, out.Ended, *out.BytesOut)
	}
}

func TestObligations_NarrowedWhileOpen(t *testing.T) {
	g := start(t, claims(streamServer(t)))
	ended := openStalled(t, g, true)
	g.set(func() { g.decide = allow(policy.Obligations{MaxResponseBytes: 1}) })
	g.h.recheck(t.Context())
	if err := ended(); err == nil {
		t.Error("the download went on")
	}
	if out := g.outcome(0); out.Ended != policy.ReasonResponseTooLarge {
		t.Errorf("the outcome says %q", out.Ended)
	}
}

func TestObligations_StripHeaders(t *testing.T) {
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Internal", "1")
		w.Header().Set("Server", "internal/1.0")
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprint(w, "x")
		w.Header().Set("X-Sum", "1")
	})
	g := start(t, claims(up.URL))
	g.decide = allow(policy.Obligations{StripHeaders: []string{"x-internal", "SERVER", "x-sum"}})
	res, _ := g.get("/")
	if res.Header.Get("X-Internal") != "" || res.Header.Get("Server") != "" || res.Trailer.Get("X-Sum") != "" {
		t.Errorf("got %v, trailers %v", res.Header, res.Trailer)
	}
}

func TestLimits_RequestBody(t *testing.T) {
	var whole atomic.Int64
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			whole.Add(1)
		}
	})
	g := start(t, claims(up.URL), func(c *Config) { c.Limits.BodyBytes = 1000 })
	for _, announced := range []bool{true, false} {
		for _, size := range []int{1000, 1001} {
			var body io.Reader = strings.NewReader(strings.Repeat("x", size))
			if !announced {
				body = io.MultiReader(body)
			}
			res, text := g.do(request(t, "POST", "https://"+testHost+"/", body))
			if size == 1000 && res.StatusCode != 200 {
				t.Errorf("announced %v: got %d %s", announced, res.StatusCode, text)
			}
			if size == 1001 {
				wantRefusal(t, res, text, 413, policy.ReasonRequestTooLarge)
			}
		}
	}
	if whole.Load() != 2 {
		t.Errorf("%d bodies were whole", whole.Load())
	}
}

// TestLimits_StalledBody: a client that announces a body and sends none does
// not hold an upstream for ever; a long response after a body is not cut.
func TestLimits_StalledBody(t *testing.T) {
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		time.Sleep(400 * time.Millisecond) // longer than the stall timeout
		fmt.Fprint(w, "done")
	})
	g := start(t, claims(up.URL), func(c *Config) { c.Limits.StallTimeout = 150 * time.Millisecond })
	c := g.rawConn()
	defer c.Close()
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: "+testHost+"\r\nCookie: __Host-ringfence=kim\r\nContent-Length: 10\r\n\r\nhalf")
	if out := g.outcome(0); out.Ended != "client_closed" {
		t.Errorf("the outcome says %q", out.Ended)
	}
	for _, h2 := range []bool{true, false} {
		g.client = g.newClient(h2)
		if res, body := g.do(request(t, "POST", "https://"+testHost+"/", strings.NewReader("hello"))); res.StatusCode != 200 || body != "done" {
			t.Errorf("got %d %q", res.StatusCode, body)
		}
	}
}
