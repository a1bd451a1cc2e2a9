package proxy

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

// obliged starts a gateway whose every decision carries o.
func obliged(t testing.TB, o policy.Obligations, h http.HandlerFunc) *gateway {
	g := start(t, claims(upstream(t, h).URL))
	g.set(func() {
		g.decide = func(*policy.Input) policy.Decision { return policy.Decision{Effect: policy.Allow, Obligations: o} }
	})
	return g
}

var maskIBAN = policy.Obligations{Mask: []string{"iban"}}

// answers are what an upstream may send under a mask, and what is made of it.
var answers = []struct {
	name   string
	header map[string]string
	status int
	body   string
	want   string // empty with code: refused or cut
	code   string
}{
	{"json", map[string]string{"Content-Type": "application/json"}, 200, `{"iban":"DE02","a":1}`, `{"iban":null,"a":1}`, ""},
	{"json with a charset", map[string]string{"Content-Type": `application/json; charset="UTF-8"`}, 200, `{"iban":"DE02"}`, `{"iban":null}`, ""},
	{"a media type of its own", map[string]string{"Content-Type": "application/vnd.claims.v2+json"}, 200, `{"iban":"DE02"}`, `{"iban":null}`, ""},
	{"an error in JSON", map[string]string{"Content-Type": "application/problem+json"}, 422, `{"iban":"DE02"}`, `{"iban":null}`, ""},
	{"JSON lines", map[string]string{"Content-Type": "application/x-ndjson"}, 200, "{\"iban\":1}\n{\"iban\":2}\n", "{\"iban\":null}\n{\"iban\":null}\n", ""},
	{"compressed", map[string]string{"Content-Type": "application/json", "Content-Encoding": "gzip"}, 200, zipped(`{"iban":"DE02"}`), `{"iban":null}`, ""},
	{"no body", nil, 204, "", "", ""},
	{"an empty body", map[string]string{"Content-Length": "0", "Content-Type": "text/plain"}, 200, "", "", ""},
	{"a redirect with a page", map[string]string{"Content-Type": "text/html", "Location": "/x"}, 302, `<a href="/x?iban=DE02">`, "", ""},

	{"a page", map[string]string{"Content-Type": "text/html"}, 200, "<p>DE02</p>", "", policy.ReasonNotMaskable},
	{"text", map[string]string{"Content-Type": "text/plain"}, 200, `{"iban":"DE02"}`, "", policy.ReasonNotMaskable},
	{"no type", map[string]string{"Content-Type": ""}, 200, `{"iban":"DE02"}`, "", policy.ReasonNotMaskable},
	{"a type that is none", map[string]string{"Content-Type": "application/json, text/plain"}, 200, `{"iban":"DE02"}`, "", policy.ReasonNotMaskable},
	{"a script", map[string]string{"Content-Type": "application/javascript"}, 200, `f({"iban":"DE02"})`, "", policy.ReasonNotMaskable},
	{"XML", map[string]string{"Content-Type": "application/xml"}, 200, "<iban>DE02</iban>", "", policy.ReasonNotMaskable},
	{"events", map[string]string{"Content-Type": "text/event-stream"}, 200, "data: {\"iban\":1}\n\n", "", policy.ReasonNotMaskable},
	{"several parts", map[string]string{"Content-Type": "multipart/mixed; boundary=x"}, 200, "--x", "", policy.ReasonNotMaskable},
	{"another charset", map[string]string{"Content-Type": "application/json; charset=utf-16"}, 200, "{}", "", policy.ReasonNotMaskable},
	{"UTF-7", map[string]string{"Content-Type": "application/json; charset=utf-7"}, 200, "{}", "", policy.ReasonNotMaskable},
	{"UTF-16 that is not said", map[string]string{"Content-Type": "application/json"}, 200, "\xff\xfe{\x00\"\x00", "", policy.ReasonNotMaskable},
	{"brotli", map[string]string{"Content-Type": "application/json", "Content-Encoding": "br"}, 200, "x", "", policy.ReasonNotMaskable},
	{"compressed twice", map[string]string{"Content-Type": "application/json", "Content-Encoding": "gzip, gzip"}, 200, "x", "", policy.ReasonNotMaskable},
	{"said to be compressed", map[string]string{"Content-Type": "application/json", "Content-Encoding": "gzip"}, 200, `{"iban":"DE02"}`, "", policy.ReasonNotMaskable},
	{"compressed and not said", map[string]string{"Content-Type": "application/json"}, 200, zipped(`{"iban":"DE02"}`), "", policy.ReasonNotMaskable},
	{"a part", map[string]string{"Content-Type": "application/json", "Content-Range": "bytes 9-14/15"}, 206, `"DE02"`, "", policy.ReasonNotMaskable},
	{"a difference", map[string]string{"Content-Type": "application/json", "Im": "x"}, 226, `"DE02"`, "", policy.ReasonNotMaskable},
	{"a page of an error", map[string]string{"Content-Type": "text/html"}, 500, "DE02", "", policy.ReasonNotMaskable},
	{"not JSON at all", map[string]string{"Content-Type": "application/json"}, 200, `iban=DE02`, "", policy.ReasonNotMaskable},
	{"not JSON in the end", map[string]string{"Content-Type": "application/json"}, 200, `{"a":1} iban=DE02`, "", policy.ReasonNotMaskable},
	{"cut off", map[string]string{"Content-Type": "application/json"}, 200, `{"a":"x`, "", policy.ReasonNotMaskable},
}

func zipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.String()
}

// TestMask holds that nothing comes through that is not masked, over both
// versions of HTTP, with a length and in chunks.
func TestMask(t *testing.T) {
	for _, c := range answers {
		for _, h2 := range []bool{false, true} {
			for _, flush := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/h2=%v/chunked=%v", c.name, h2, flush), func(t *testing.T) {
					g := obliged(t, maskIBAN, func(w http.ResponseWriter, _ *http.Request) {
						for k, v := range c.header {
							w.Header().Set(k, v)
							if v == "" {
								w.Header()[k] = nil
							}
						}
						w.Header().Set("Etag", `"DE02"`)
						w.Header().Set("Content-Digest", "sha-256=:DE02:")
						w.Header().Set("Last-Modified", "Mon, 05 Jan 2026 00:00:00 GMT")
						w.WriteHeader(c.status)
						if flush && c.status != 204 && c.header["Content-Length"] == "" {
							w.(http.Flusher).Flush()
						}
						for i := range c.body {
							io.WriteString(w, c.body[i:i+1])
						}
					})
					g.client = g.newClient(h2)
					r := request(t, "GET", "https://"+testHost+"/x", nil)
					r.Header.Set("Cookie", "__Host-ringfence=a1")
					res, err := g.client.Do(r)
					var body []byte
					if err == nil {
						body, err = io.ReadAll(res.Body)
						res.Body.Close()
					}
					if strings.Contains(string(body), "DE02") {
						t.Fatalf("the client got %q", body)
					}
					out := g.outcome(0)
					if out.Ended != c.code {
						t.Errorf("ended %q, want %q", out.Ended, c.code)
					}
					if c.code == "" {
						if err != nil || string(body) != c.want || res.StatusCode != c.status {
							t.Errorf("got %d %q %v, want %q", res.StatusCode, body, err, c.want)
						}
						for name, v := range res.Header {
							if strings.Contains(strings.Join(v, ""), "DE02") || name == "Last-Modified" {
								t.Errorf("header %s: %v", name, v)
							}
						}
						return
					}
					if err == nil && res.StatusCode != http.StatusForbidden {
						t.Errorf("got %d %q", res.StatusCode, body)
					}
				})
			}
		}
	}
}

// TestMask_Request: what is asked of the upstream is the whole, plain answer.
func TestMask_Request(t *testing.T) {
	var got http.Header
	g := obliged(t, maskIBAN, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "15")
		w.Header().Set("Etag", `"x"`)
		if r.Method != "HEAD" {
			io.WriteString(w, `{"iban":"DE021"}`[:15])
		}
	})
	r := request(t, "HEAD", "https://"+testHost+"/x", nil)
	for name, v := range map[string]string{"Range": "bytes=9-14", "If-Range": `"x"`, "If-None-Match": `"x"`, "If-Modified-Since": "x", "Accept-Encoding": "gzip, br", "A-IM": "feed", "Want-Digest": "md5"} {
		r.Header.Set(name, v)
	}
	res, body := g.do(r)
	if body != "" || res.StatusCode != 200 || res.Header.Get("Content-Length") != "" || res.ContentLength > 0 || res.Header.Get("Etag") != "" {
		t.Errorf("HEAD: %d %v %q", res.StatusCode, res.Header, body)
	}
	for _, name := range []string{"Range", "If-Range", "If-None-Match", "If-Modified-Since", "A-Im", "Want-Digest"} {
		if got.Get(name) != "" {
			t.Errorf("%s went up: %v", name, got)
		}
	}
	if got.Get("Accept-Encoding") != "identity" {
		t.Errorf("asked for %q", got.Get("Accept-Encoding"))
	}
}

// TestMask_NoStreams: neither WebSockets nor gRPC are opened under a mask.
func TestMask_NoStreams(t *testing.T) {
	g := obliged(t, maskIBAN, func(w http.ResponseWriter, _ *http.Request) { t.Error("it was forwarded") })
	text := g.raw("GET /x HTTP/1.1\r\nHost: " + testHost + "\r\nCookie: __Host-ringfence=a1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: https://" + testHost + "\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if !strings.HasPrefix(text, "HTTP/1.1 403") || !strings.Contains(text, policy.ReasonNotMaskable) {
		t.Errorf("WebSocket: %q", text)
	}
	r := request(t, "POST", "https://"+testHost+"/x", strings.NewReader("x"))
	r.Header.Set("Content-Type", "application/grpc")
	res, body := g.do(r)
	wantRefusal(t, res, body, http.StatusForbidden, policy.ReasonNotMaskable)
	for _, rec := range g.of(policy.RecordRequest) {
		if rec.Effect != "deny" || len(rec.Reasons) != 1 || rec.Reasons[0] != policy.ReasonNotMaskable {
			t.Errorf("recorded %s %v", rec.Effect, rec.Reasons)
		}
	}
}

// TestMask_Trailers: a digest in a trailer tells as much as one in a header.
func TestMask_Trailers(t *testing.T) {
	g := obliged(t, maskIBAN, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Trailer", "Content-Digest, X-Rows")
		io.WriteString(w, `{"iban":"DE02"}`)
		w.Header().Set("Content-Digest", "sha-256=:DE02:")
		w.Header().Set(http.TrailerPrefix+"Etag", "DE02")
		w.Header().Set("X-Rows", "1")
	})
	res, body := g.get("/x")
	if body != `{"iban":null}` || res.Trailer.Get("Content-Digest") != "" || res.Trailer.Get("Etag") != "" || res.Trailer.Get("X-Rows") != "1" {
		t.Errorf("%q, trailers %v", body, res.Trailer)
	}
}
