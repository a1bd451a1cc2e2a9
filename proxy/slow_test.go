package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A body that never comes must not hold a connection, neither one that our own
// pages read nor one that nobody does.
func TestBombsAndSlowness_BodyThatNeverComes(t *testing.T) {
	g := start(t, claims(upstream(t, echo).URL), func(c *Config) {
		c.Limits.FormTimeout = 50 * time.Millisecond
		c.Gate = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err != nil {
				http.Error(w, "incomplete", http.StatusBadRequest)
			}
		})
	})
	for name, tt := range map[string]struct{ host, cookie, status string }{
		"form of the gate": {testGate, "", " 400 "},
		"nobody":           {testHost, "", " 401 "},
		"unknown host":     {"other.example.com", "", " 421 "},
	} {
		t.Run(name, func(t *testing.T) {
			for _, framing := range []string{"Content-Length: 5000\r\n\r\nab", "Transfer-Encoding: chunked\r\n\r\n5\r\nab"} {
				c := g.rawConn()
				defer c.Close()
				fmt.Fprintf(c, "POST /x HTTP/1.1\r\nHost: %s\r\n%s", tt.host, framing)
				b, err := io.ReadAll(c)
				if err != nil || !strings.Contains(string(b), tt.status) {
					t.Errorf("%s: got %v, %q", framing, err, b)
				}
			}
		})
	}
}

// The deadline is for the body alone: neither a forwarded body that is slow to
// come nor our own answer after a whole body is cut by it.
func TestBombsAndSlowness_DeadlineIsForTheBodyAlone(t *testing.T) {
	const limit = 50 * time.Millisecond
	g := start(t, claims(upstream(t, echo).URL), func(c *Config) {
		c.Limits.FormTimeout = limit
		c.Gate = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			select {
			case <-r.Context().Done():
				http.Error(w, "cut", http.StatusInternalServerError)
			case <-time.After(4 * limit):
				io.WriteString(w, "whole")
			}
		})
	})
	for _, h2 := range []bool{true, false} {
		g.client = g.newClient(h2)
		if res, body := g.do(request(t, "POST", "https://"+testGate+"/", strings.NewReader("form"))); res.StatusCode != 200 || body != "whole" {
			t.Errorf("h2 %v: gate answers %d %q", h2, res.StatusCode, body)
		}
		pr, pw := io.Pipe()
		go func() {
			io.WriteString(pw, "first")
			time.Sleep(4 * limit) // the client's own slowness is what is tested
			io.WriteString(pw, "last")
			pw.Close()
		}()
		res, body := g.do(request(t, "POST", "https://"+testHost+"/api", pr))
		if res.StatusCode != 200 || readEcho(t, body).Body != "firstlast" {
			t.Errorf("h2 %v: upstream answers %d %q", h2, res.StatusCode, body)
		}
	}
}
