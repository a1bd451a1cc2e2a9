package proxy

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

func TestHandler_ServesAndRecords(t *testing.T) {
	up := upstream(t, echo)
	g := start(t, claims(up.URL))
	r := request(t, "POST", "https://"+testHost+"/api/a%20b?q=secret&p=2", strings.NewReader("hello"))
	r.Header.Set("Origin", "https://"+testHost)
	r.AddCookie(&http.Cookie{Name: "app", Value: "1"})
	res, body := g.do(r)
	if res.StatusCode != 200 {
		t.Fatalf("got %d %s", res.StatusCode, body)
	}
	e := readEcho(t, body)
	if e.URI != "/api/a%20b?q=secret&p=2" || e.Body != "hello" || e.Host != strings.TrimPrefix(up.URL, "http://") {
		t.Errorf("upstream got %+v", e)
	}
	for name, want := range map[string]string{
		HeaderAccount: "kim", HeaderEmail: "kim@vendor.example", HeaderVendor: "acme", HeaderRoles: "contractor",
		HeaderCluster: "claims", HeaderAssertion: "assertion-of-kim", HeaderEntry: "log.example.com#0",
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": testHost, "X-Forwarded-Proto": "https", "Cookie": "app=1",
	} {
		if got := e.Header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("upstream got %s: %q, want %q", name, got, want)
		}
	}
	id := res.Header.Get(HeaderRequestID)
	if len(id) != 26 || e.Header.Get(HeaderRequestID) != id || res.Header.Get(HeaderEntry) != "log.example.com#0" {
		t.Errorf("request id %q, upstream %q, entry %q", id, e.Header.Get(HeaderRequestID), res.Header.Get(HeaderEntry))
	}
	out := g.outcome(0)
	rec := g.of(policy.RecordRequest)[0]
	if rec.RequestID != id || rec.Effect != "allow" || rec.Path != "/api/a%20b" || !slices.Equal(rec.QueryNames, []string{"p", "q"}) ||
		rec.Account != "kim" || rec.Engagement != "e1" || rec.Cluster != "claims" || *rec.CodeAge != 5 || rec.SourceIP != "127.0.0.1" {
		t.Errorf("recorded %+v", rec)
	}
	if out.RequestID != id || out.Status != 200 || *out.BytesIn != 5 || *out.BytesOut != int64(len(body)) || out.Upstream != up.URL || out.Ended != "" {
		t.Errorf("outcome %+v", out)
	}
	if in := g.lastInput(); !slices.Equal(in.Request.Path, []string{"api", "a b"}) || in.Request.RawPath != "/api/a%20b" || in.Request.TLS == nil {
		t.Errorf("policy saw %+v", in.Request)
	}
	if strings.Contains(g.log.String(), "secret") {
		t.Error("a query's value is in the operational log")
	}
}

func TestHandler_Refusals(t *testing.T) {
	var hits atomic.Int64
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) { hits.Add(1) })
	c := claims(up.URL)
	c[0].Routes[0].Path = "/app"
	for _, tt := range []struct {
		name   string
		make   func(r *http.Request)
		world  func(w *world)
		status int
		code   string
		effect string
	}{
		{name: "anonymous", make: func(r *http.Request) { r.Header.Del("Cookie") }, status: 401, code: policy.ReasonSignIn, effect: "challenge"},
		{name: "anonymous preflight", make: func(r *http.Request) {
			r.Header.Del("Cookie")
			r.Method = "OPTIONS"
			r.Header.Set("Origin", "https://evil.example")
			r.Header.Set("Access-Control-Request-Method", "POST")
		}, status: 401, code: policy.ReasonSignIn, effect: "challenge"},
		{name: "denied", world: func(w *world) {
			w.decide = func(*policy.Input) policy.Decision {
				return policy.Decision{Reasons: []policy.Reason{{Code: policy.ReasonNoAssignment}}}
			}
		}, status: 403, code: policy.ReasonNoAssignment, effect: "deny"},
		{name: "stale code", world: func(w *world) {
			w.decide = func(*policy.Input) policy.Decision {
				return policy.Decision{Effect: policy.Challenge, Reasons: []policy.Reason{{Code: policy.ReasonCodeStale}}}
			}
		}, status: 401, code: policy.ReasonCodeStale, effect: "challenge"},
		{name: "unknown route", make: func(r *http.Request) { r.URL.Path = "/appx" }, status: 403, code: policy.ReasonUnknownRoute, effect: "deny"},
		{name: "trace", make: func(r *http.Request) { r.Method = "TRACE" }, status: 403, code: policy.ReasonMethodOutOfScope, effect: "deny"},
		{name: "method in lower case", make: func(r *http.Request) { r.Method = "post" }, status: 400, code: policy.ReasonRequestAmbiguous, effect: "deny"},
		{name: "identity cannot be told", world: func(w *world) { w.identErr = errors.New("store is down") }, status: 503, code: policy.ReasonFactsMissing, effect: "deny"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := start(t, c)
			if tt.world != nil {
				tt.world(g.world)
			}
			r := request(t, "GET", "https://"+testHost+"/app", nil)
			if tt.make != nil {
				tt.make(r)
			}
			res, body := g.do(r)
			wantRefusal(t, res, body, tt.status, tt.code)
			all := g.of(policy.RecordRequest)
			if len(all) != 1 || all[0].Effect != tt.effect || !slices.Contains(all[0].Reasons, tt.code) || all[0].RequestID != res.Header.Get(HeaderRequestID) {
				t.Errorf("recorded %+v", all)
			}
			if n := len(g.of(policy.RecordOutcome)); n != 0 {
				t.Errorf("%d outcomes of a refused request", n)
			}
		})
	}
	if hits.Load() != 0 {
		t.Errorf("%d refused requests reached the upstream", hits.Load())
	}
}

func TestHandler_LogUnavailable(t *testing.T) {
	var hits atomic.Int64
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) { hits.Add(1) })
	g := start(t, claims(up.URL))
	g.set(func() { g.failing = errors.New("disk full") })
	for _, anonymous := range []bool{false, true} {
		r := request(t, "GET", "https://"+testHost+"/", nil)
		if anonymous {
			r.Header.Del("Cookie")
		}
		res, body := g.do(r)
		wantRefusal(t, res, body, 503, policy.ReasonLogUnavailable)
		if res.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if hits.Load() != 0 {
		t.Error("the upstream was reached without a record")
	}
}

func TestHandler_RecordsBeforeForwarding(t *testing.T) {
	var g *gateway
	var early atomic.Bool
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		for _, rec := range g.of(policy.RecordRequest) {
			if rec.RequestID == r.Header.Get(HeaderRequestID) {
				return
			}
		}
		early.Store(true)
	})
	g = start(t, claims(up.URL))
	for range 20 {
		g.get("/")
	}
	if early.Load() {
		t.Error("a request reached the upstream before its record was durable")
	}
}

func TestHandler_HostSpellings(t *testing.T) {
	up := upstream(t, echo)
	c := claims(up.URL)
	c[0].Hosts = []string{"Claims.Example.com.", "müller.example.com", "xn--9ca.example.com"}
	g := start(t, c)
	for _, tt := range []struct {
		host   string
		status int
	}{
		{"claims.example.com", 200}, {"CLAIMS.example.COM", 200}, {"claims.example.com.", 200}, {"claims.example.com:8443", 200},
		{"claims.example.com.:443", 200}, {"xn--mller-kva.example.com", 200}, {"XN--MLLER-KVA.example.com", 200}, {"xn--9ca.example.com", 200},
		{"claims.example.com..", 421}, {"claims..example.com", 421}, {"other.example.com", 421}, {"example.com", 421}, {"xclaims.example.com", 421},
		{"claims.example.com.evil.example", 421}, {"claims.example.com:0", 421}, {"claims.example.com:99999", 421}, {"claims.example.com:+443", 421},
		{"[::1]", 421}, {"127.0.0.1", 421}, {"localhost", 421},
	} {
		got := g.raw("GET / HTTP/1.1\r\nHost: " + tt.host + "\r\nCookie: __Host-ringfence=kim\r\nConnection: close\r\n\r\n")
		if want := "HTTP/1.1 " + itoa(tt.status); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %.40q, want %d", tt.host, got, tt.status)
		}
		if tt.status == 200 {
			if h := g.lastInput().Request.Host; h != strings.ToLower(h) || strings.HasSuffix(h, ".") || strings.Contains(h, ":") {
				t.Errorf("%s: policy saw host %q", tt.host, h)
			}
		}
	}
	for _, rec := range g.of(policy.RecordRequest) {
		if rec.Cluster == "" && !slices.Contains(rec.Reasons, policy.ReasonUnknownHost) {
			t.Errorf("recorded %+v", rec)
		}
	}
}

func itoa(n int) string {
	return string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)})
}

func TestHandler_AbsoluteTarget(t *testing.T) {
	up := upstream(t, echo)
	g := start(t, claims(up.URL))
	const rest = "\r\nCookie: __Host-ringfence=kim\r\nConnection: close\r\n\r\n"
	for _, tt := range []struct{ target, host, want string }{
		{"https://claims.example.com/a?b=1", "claims.example.com", "HTTP/1.1 200"},
		{"https://CLAIMS.example.com", "claims.example.com", "HTTP/1.1 200"},
		{"https://claims.example.com/a", "gate.example.com", "HTTP/1.1 400"},
		{"https://gate.example.com/a", "claims.example.com", "HTTP/1.1 400"},
		{"https://claims.example.com/a%2fb", "claims.example.com", "HTTP/1.1 400"},
		{"https://kim@claims.example.com/a", "claims.example.com", "HTTP/1.1 400"},
		{"ftp://claims.example.com/a", "claims.example.com", "HTTP/1.1 400"},
		{"*", "claims.example.com", "HTTP/1.1 400"},
	} {
		if got := g.raw("GET " + tt.target + " HTTP/1.1\r\nHost: " + tt.host + rest); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s with host %s: got %.60q, want %s", tt.target, tt.host, got, tt.want)
		}
	}
}

func TestHandler_AuthorityAgainstHost(t *testing.T) {
	up := upstream(t, echo)
	g := start(t, claims(up.URL))
	for host, status := range map[string]int{testHost: 200, "Claims.Example.com:443": 200, testGate: 400, "": 400} {
		r := httptest.NewRequest("GET", "https://"+testHost+"/", nil)
		r.ProtoMajor, r.ProtoMinor, r.RequestURI = 2, 0, "/"
		r.Header["Host"] = []string{host}
		r.Header.Set("Cookie", "__Host-ringfence=kim")
		w := httptest.NewRecorder()
		g.h.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf(":authority %s, host %q: got %d, want %d", testHost, host, w.Code, status)
		}
	}
}

func TestHandler_GateAndReserved(t *testing.T) {
	up := upstream(t, echo)
	g := start(t, claims(up.URL))
	for _, tt := range []struct{ url, want string }{
		{"https://GATE.example.com./login?return=x", "gate gate.example.com /login?return=x "},
		{"https://" + testHost + "/.ringfence/callback?code=1", "reserved " + testHost + " /.ringfence/callback?code=1 "},
		{"https://" + testHost + "/%2eringfence/callback", "reserved " + testHost + " /.ringfence/callback "},
		{"https://" + testHost + "/.ringfence", "reserved " + testHost + " /.ringfence "},
	} {
		r := request(t, "GET", tt.url, nil)
		r.Header.Set("X_Ringfence_Request_Id", "forged")
		r.Header.Set(HeaderRequestID, "forged")
		res, body := g.do(r)
		if id := res.Header.Get(HeaderRequestID); len(id) != 26 || body != tt.want+id {
			t.Errorf("%s: got %q", tt.url, body)
		}
	}
	res, body := g.get("/.ringfence/..%2fx")
	wantRefusal(t, res, body, 400, policy.ReasonRequestAmbiguous)
}

func TestHandler_RouteByWholeSegments(t *testing.T) {
	up := func(name string) string {
		return upstream(t, func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(name)) }).URL
	}
	c := claims(up("root"))
	c[0].Routes = append(c[0].Routes, Route{Name: "api", Path: "/api", Upstreams: []string{up("api")}},
		Route{Name: "admin", Path: "/api/admin/", Upstreams: []string{up("admin")}})
	g := start(t, c)
	for path, want := range map[string]string{"/": "root", "/api": "api", "/api/": "api", "/apix": "root", "/api/x": "api", "/API": "root",
		"/api/admin": "admin", "/api/admin/x": "admin", "/api/adminx": "api", "/%61pi": "api"} {
		if _, body := g.get(path); body != want {
			t.Errorf("%s went to %s, want %s", path, body, want)
		}
	}
}

func TestHandler_CrossOrigin(t *testing.T) {
	up := upstream(t, echo)
	g := start(t, claims(up.URL))
	for _, tt := range []struct {
		name, method, origin, site string
		token                      bool
		status                     int
	}{
		{name: "own page", method: "POST", origin: "https://claims.example.com", site: "same-origin", status: 200},
		{name: "no browser", method: "POST", status: 200},
		{name: "typed by the person", method: "DELETE", site: "none", status: 200},
		{name: "reading from elsewhere", method: "GET", origin: "https://evil.example", site: "cross-site", status: 200},
		{name: "foreign origin", method: "POST", origin: "https://evil.example", status: 403},
		{name: "sibling host", method: "POST", origin: "https://gate.example.com", site: "same-site", status: 403},
		{name: "sibling host says nothing of origin", method: "POST", site: "same-site", status: 403},
		{name: "cross-site", method: "PUT", site: "cross-site", status: 403},
		{name: "opaque origin", method: "POST", origin: "null", status: 403},
		{name: "other scheme", method: "POST", origin: "http://claims.example.com", status: 403},
		{name: "other port", method: "POST", origin: "https://claims.example.com:8443", status: 403},
		{name: "prefix of ours", method: "POST", origin: "https://claims.example.com.evil.example", status: 403},
		{name: "token", method: "POST", origin: "https://evil.example", site: "cross-site", token: true, status: 200},
	} {
		r := request(t, tt.method, "https://"+testHost+"/form", nil)
		r.Header.Set("Content-Type", "text/plain")
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		if tt.site != "" {
			r.Header.Set("Sec-Fetch-Site", tt.site)
		}
		if tt.token {
			r.Header.Del("Cookie")
			r.Header.Set("Authorization", "Bearer rft_kim")
		}
		res, body := g.do(r)
		if tt.status == 403 {
			wantRefusal(t, res, body, 403, policy.ReasonCrossOrigin)
		} else if res.StatusCode != tt.status {
			t.Errorf("%s: got %d %s", tt.name, res.StatusCode, body)
		}
	}
}

func TestClientIP(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tt := range []struct {
		peer    string
		trusted []netip.Prefix
		lines   []string
		want    string
	}{
		{"192.0.2.1:5", nil, []string{"198.51.100.7"}, "192.0.2.1"},
		{"192.0.2.1:5", trusted, []string{"198.51.100.7"}, "192.0.2.1"},
		{"10.1.1.1:5", nil, []string{"198.51.100.7"}, "10.1.1.1"},
		{"10.1.1.1:5", trusted, []string{"198.51.100.7"}, "198.51.100.7"},
		{"10.1.1.1:5", trusted, []string{"127.0.0.1, 198.51.100.7, 10.2.2.2"}, "198.51.100.7"},
		{"10.1.1.1:5", trusted, []string{"127.0.0.1", "198.51.100.7"}, "198.51.100.7"},
		{"10.1.1.1:5", trusted, []string{"198.51.100.7, nonsense, 10.2.2.2"}, "10.2.2.2"},
		{"10.1.1.1:5", trusted, []string{"198.51.100.7:9000"}, "198.51.100.7"},
		{"10.1.1.1:5", trusted, []string{"[2001:db8::1]:9000"}, "2001:db8::1"},
		{"10.1.1.1:5", trusted, []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		{"10.1.1.1:5", trusted, nil, "10.1.1.1"},
		{"10.1.1.1:5", trusted, []string{""}, "10.1.1.1"},
		{"[::ffff:10.1.1.1]:5", trusted, []string{"198.51.100.7"}, "198.51.100.7"},
		{"[fe80::1%eth0]:5", trusted, nil, "fe80::1"},
		{"@", trusted, []string{"198.51.100.7"}, "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{"X-Forwarded-For": tt.lines}}
		if got := ClientIP(r, tt.trusted); got.String() != tt.want {
			t.Errorf("peer %s, header %q: got %s, want %s", tt.peer, tt.lines, got, tt.want)
		}
	}
}

func TestHandler_ForwardedHeadersNotTrusted(t *testing.T) {
	up := upstream(t, echo)
	spoofed := []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "X-Client-Ip", "True-Client-Ip", "X_Forwarded_For", "Cf-Connecting-Ip"}
	for _, trust := range []bool{false, true} {
		g := start(t, claims(up.URL), func(c *Config) {
			if trust {
				c.TrustedProxies = loopback
			}
		})
		r := request(t, "GET", "https://"+testHost+"/", nil)
		for _, name := range spoofed {
			r.Header[name] = []string{"198.51.100.7"}
		}
		r.Header.Set("X-Forwarded-Host", "evil.example")
		r.Header.Set("X-Forwarded-Proto", "http")
		_, body := g.do(r)
		want := "127.0.0.1"
		if trust {
			want = "198.51.100.7" // as the trusted proxy says
		}
		e := readEcho(t, body)
		if got := e.Header.Get("X-Forwarded-For"); got != want {
			t.Errorf("trust %v: upstream got address %q", trust, got)
		}
		if e.Header.Get("X-Forwarded-Host") != testHost || e.Header.Get("X-Forwarded-Proto") != "https" {
			t.Errorf("upstream got %v", e.Header)
		}
		for _, name := range spoofed[1:] {
			if e.Header[name] != nil {
				t.Errorf("%s reached the upstream", name)
			}
		}
		if in, rec := g.lastInput(), g.of(policy.RecordRequest)[0]; in.Request.SourceIP != want || rec.SourceIP != want {
			t.Errorf("policy saw %s, the log %s", in.Request.SourceIP, rec.SourceIP)
		}
	}
}

func TestHandler_SetClustersFaults(t *testing.T) {
	g := start(t, nil)
	err := g.h.SetClusters([]Cluster{
		{Name: "a", Hosts: []string{testGate}, Routes: []Route{{Name: "r", Upstreams: []string{"http://x/base"}}}},
		{Name: "b", Hosts: []string{"b.example.com", "B.example.com."}, Routes: []Route{{Name: "r", Upstreams: []string{"ftp://x"}}, {Name: "s", Path: "/a%2fb", Upstreams: []string{"http://x"}}}},
		{Name: "b"},
		{Name: "c", Routes: []Route{{Name: "r"}, {Name: "ca", Path: "/x", Upstreams: []string{"https://x"}, UpstreamCA: "no PEM"}}},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"is the gate's", "without a path", "used twice", "none of http", "plain path", "no host", "no upstream", "no PEM"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}
