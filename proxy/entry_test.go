package proxy

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

// TestEntryHeader_EveryResponse: whatever a request on a cluster's host is
// answered with, it names its entry, so that a client's and an upstream's log
// can be matched with ours; only where there is no entry it names none.
func TestEntryHeader_EveryResponse(t *testing.T) {
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header[HeaderEntry]; len(got) != 1 || !strings.HasPrefix(got[0], "log.example.com#") {
			t.Errorf("%s: the upstream got %q", r.URL.Path, got)
		}
		switch r.URL.Path {
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			w.Write([]byte("data: x\n\n"))
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/same":
			w.WriteHeader(http.StatusNotModified)
		case "/moved":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "/large":
			w.Header().Set("Content-Length", "100000")
			w.Write(make([]byte, 100000))
		}
	})
	g := start(t, claims(up.URL))
	allowed := policy.Decision{Effect: policy.Allow}
	decide := func(d policy.Decision) func(*policy.Input) policy.Decision {
		return func(*policy.Input) policy.Decision { return d }
	}
	for name, c := range map[string]struct {
		method, target string
		decision       policy.Decision
		status         int
	}{
		"plain":      {"GET", "/", allowed, 200},
		"head":       {"HEAD", "/", allowed, 200},
		"events":     {"GET", "/events", allowed, 200},
		"no content": {"GET", "/none", allowed, 204},
		"unchanged":  {"GET", "/same", allowed, 304},
		"redirect":   {"GET", "/moved", allowed, 302},
		"its fault":  {"GET", "/broken", allowed, 500},
		"cut down":   {"GET", "/large", policy.Decision{Effect: policy.Allow, Obligations: policy.Obligations{MaxResponseBytes: 10}}, 502},
		"unmaskable": {"GET", "/", policy.Decision{Effect: policy.Allow, Obligations: policy.Obligations{Mask: []string{"ssn"}}}, 200},
		"denied":     {"GET", "/", policy.Decision{Effect: policy.Deny, Reasons: []policy.Reason{{Code: "x"}}}, 403},
		"challenged": {"GET", "/", policy.Decision{Effect: policy.Challenge, Reasons: []policy.Reason{{Code: "x"}}}, 401},
		"two ways":   {"GET", "/a//b", allowed, 400},
		"method":     {"TRACE", "/", allowed, 403},
	} {
		t.Run(name, func(t *testing.T) {
			g.set(func() { g.decide = decide(c.decision) })
			res, _ := g.do(request(t, c.method, "https://"+testHost+c.target, nil))
			if name != "unmaskable" && res.StatusCode != c.status {
				t.Errorf("status %d, want %d", res.StatusCode, c.status)
			}
			all := g.of(policy.RecordRequest)
			if got := res.Header[HeaderEntry]; len(got) != 1 || !strings.HasPrefix(got[0], "log.example.com#") || all[len(all)-1].Mode != policy.ModeStrict {
				t.Errorf("entry %q, mode %q", got, all[len(all)-1].Mode)
			}
		})
	}
	g.set(func() { g.decide = decide(allowed) })
	up.Close()
	if res, _ := g.do(request(t, "GET", "https://"+testHost+"/", nil)); res.StatusCode < 500 || len(res.Header[HeaderEntry]) != 1 {
		t.Errorf("upstream gone: %d, entry %q", res.StatusCode, res.Header[HeaderEntry])
	}
}

// TestEntryHeader_Upgrade: the answer that opens a WebSocket names it too.
func TestEntryHeader_Upgrade(t *testing.T) {
	up := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		rw.Flush()
	})
	g := start(t, claims(up.URL))
	conn := g.rawConn()
	defer conn.Close()
	conn.Write([]byte("GET / HTTP/1.1\r\nHost: " + testHost + "\r\nCookie: __Host-ringfence=kim\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: https://" + testHost + "\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 101 || len(res.Header[HeaderEntry]) != 1 {
		t.Errorf("%d, entry %q", res.StatusCode, res.Header[HeaderEntry])
	}
}
