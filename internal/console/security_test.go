package console

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// checkHeaders fails the test unless the answer carries what every answer of
// ours must.
func checkHeaders(t *testing.T, what string, h http.Header) {
	t.Helper()
	csp := h.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(csp, part) {
			t.Errorf("%s: the content security policy %q lacks %s", what, csp, part)
		}
	}
	if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") || strings.Contains(csp, "data:") {
		t.Errorf("%s: the content security policy %q is too wide", what, csp)
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin"} {
		if h.Get(name) != want {
			t.Errorf("%s: %s is %q, want %q", what, name, h.Get(name), want)
		}
	}
	if cc := h.Get("Cache-Control"); cc == "" || strings.Contains(cc, "public") && !strings.Contains(what, "jwks") && !strings.Contains(what, "assets") {
		t.Errorf("%s: Cache-Control is %q", what, cc)
	}
}

// fill makes a path out of a route's pattern.
func fill(pattern string) (method, path string) {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok { // a pattern for every method
		method, path = http.MethodGet, pattern
	}
	path = strings.ReplaceAll(path, "{$}", "")
	for strings.Contains(path, "{") {
		before, rest, _ := strings.Cut(path, "{")
		_, after, _ := strings.Cut(rest, "}")
		path = before + "1" + after
	}
	return method, path
}

// TestRoutes_RoleMatrix walks every route with every role and with nobody:
// what the table does not allow is refused, and every answer carries the
// security headers.
func TestRoutes_RoleMatrix(t *testing.T) {
	w := newWorld(t).enrolled("kim", "ada", "abe", "rae")
	jars := map[string]http.CookieJar{"nobody": nil}
	roles := map[string]policy.Role{"nobody": "", "kim": policy.Contractor, "ada": policy.Administrator, "abe": policy.Approver, "rae": policy.Reviewer}
	for _, id := range []string{"kim", "ada", "abe", "rae"} {
		b := w.browser()
		b.signIn(id)
		jars[id] = b.Jar
	}
	gate, _ := url.Parse(gateURL)
	routes := slices.Concat(w.gateRoutes(), w.keyRoutes(), w.deviceRoutes(), w.tokenRoutes(), w.consoleRoutes())
	for _, rt := range routes {
		for who, role := range roles {
			method, path := fill(rt.pattern)
			r := httptest.NewRequest(method, gateURL+path, strings.NewReader(""))
			r.Header.Set("Accept", "text/html")
			if jars[who] != nil {
				for _, k := range jars[who].Cookies(gate) {
					r.AddCookie(k)
				}
			}
			what := rt.pattern + " by " + who
			// Ending the session would change what follows.
			if strings.HasSuffix(path, "/logout") && who != "nobody" {
				continue
			}
			rec := httptest.NewRecorder()
			w.ServeHTTP(rec, r)
			checkHeaders(t, what, rec.Header())
			allowed := rt.need.level == levelAnyone || rt.need.level == levelSignedIn && role != "" || rt.need.level == levelRoles && slices.Contains(rt.need.roles, role)
			toLogin := rec.Code == http.StatusSeeOther && strings.HasPrefix(rec.Header().Get("Location"), "/login")
			switch {
			case allowed && role != "" && (rec.Code == http.StatusForbidden && !strings.Contains(rec.Body.String(), "may not")):
				t.Errorf("%s: refused with %d, want allowed", what, rec.Code)
			case !allowed && role == "" && !rt.json && !toLogin:
				t.Errorf("%s: status %d to %q, want a way to the sign-in", what, rec.Code, rec.Header().Get("Location"))
			case !allowed && role == "" && rt.json && rec.Code != http.StatusUnauthorized:
				t.Errorf("%s: status %d, want 401", what, rec.Code)
			case !allowed && role != "" && rec.Code != http.StatusForbidden:
				t.Errorf("%s: status %d, want 403", what, rec.Code)
			}
		}
	}
	if len(routes) < 25 {
		t.Fatalf("only %d routes were walked", len(routes))
	}
}

// Every route that answers strangers is named here, so that none is opened by
// accident.
func TestRoutes_OpenToStrangers(t *testing.T) {
	w := newWorld(t)
	known := []string{"GET /.well-known/jwks.json", "GET /ca.pem", "GET /enrol", "GET /enrol/authenticator", "GET /enrol/qr.png", "GET /enrol/recovery", "GET /enrol/recovery.txt",
		"GET /login/oidc", "POST /login/oidc", "GET /login/oidc/{vendor}", "POST /login/oidc/start", "GET /login/oidc/callback/{vendor}", "POST /enrol/company",
		"GET /login", "GET /login/code", "GET /.well-known/oauth-authorization-server", "POST /device/code", "POST /device/token", "POST /device/clusters", "POST /device/revoke", "POST /enrol", "POST /enrol/authenticator", "POST /enrol/recovery", "GET /enrol/devices", "POST /enrol/devices", "POST /enrol/devices/new", "POST /enrol/devices/cancel", "POST /language", "POST /login", "POST /login/code", "POST /login/key", "POST /logout", "GET /resume", "POST /resume",
		"/api/v1/" /* says that nothing is there */, "GET /api/v1/openapi.json"}
	for pattern, n := range w.needs {
		if n.level == levelAnyone && !slices.Contains(known, pattern) {
			t.Errorf("%s answers strangers", pattern)
		}
		if strings.Contains(pattern, " /console") && n.level != levelRoles {
			t.Errorf("%s names no role", pattern)
		}
	}
}

// What a role may not do is not drawn.
func TestNavigation_FollowsTheTable(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.signIn("kim").has(200, "My sessions")
	for a := range elements(b.page, "a") {
		if strings.HasPrefix(attr(a, "href"), "/console") {
			t.Errorf("a contractor is shown %s", attr(a, "href"))
		}
	}
}

func TestNeed_ZeroIsNobody(t *testing.T) {
	w := newWorld(t).enrolled("ada")
	b := w.browser()
	b.signIn("ada")
	s, err := w.Auth.SessionsOf(t.Context(), "ada")
	if err != nil || len(s) != 1 {
		t.Fatal(s, err)
	}
	if (need{}).met(&s[0]) || only().met(&s[0]) || only("").met(&s[0]) || signedIn.met(nil) {
		t.Error("a need that names nobody is met")
	}
}

func TestCSRF_CrossOriginPostsAreRefused(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.signIn("kim")
	for name, headers := range map[string]http.Header{
		"another site":             {"Sec-Fetch-Site": {"cross-site"}},
		"the host of a cluster":    {"Sec-Fetch-Site": {"same-site"}, "Origin": {claimsURL}},
		"an old browser":           {"Origin": {"https://evil.example"}},
		"an opaque origin":         {"Origin": {"null"}},
		"a port beside the gate's": {"Origin": {"https://gate.test:9999"}},
	} {
		for _, path := range []string{"/logout", "/sessions/end", "/tokens", "/agreements", "/login", "/login/code", "/enrol", "/confirm", "/resume", "/step-up/x", "/console/sessions/end", "/console/sessions/x/end", "/console/vendors/acme/sessions/end"} {
			b.headers = headers.Clone()
			b.headers.Set("Accept", "text/html")
			res, err := b.PostForm(gateURL+path, url.Values{"id": {"others"}})
			b.take(res, err).has(http.StatusForbidden, "another site")
			checkHeaders(t, name+" "+path, b.last.Header)
		}
	}
	b.headers = http.Header{"Accept": {"text/html"}}
	b.visit(gateURL+"/").has(200, "My clusters")

	// A form of a sibling host, written as text, has no header that tells it
	// from ours in old browsers: the type gives it away.
	res, err := b.Post(gateURL+"/logout", "text/plain", strings.NewReader("a=b"))
	b.take(res, err).has(http.StatusUnsupportedMediaType)
	res, err = b.Post(claimsURL+reservedPrefix+"/logout", "application/x-www-form-urlencoded", nil)
	b.take(res, err)
	b.headers.Set("Sec-Fetch-Site", "cross-site")
	res, err = b.PostForm(claimsURL+reservedPrefix+"/logout", nil)
	b.take(res, err).has(http.StatusForbidden, "another site")
}

func TestBody_TooLarge(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	res, err := b.Post(gateURL+"/login", "application/x-www-form-urlencoded", io.LimitReader(zeros{}, 1<<20))
	b.take(res, err).has(http.StatusRequestEntityTooLarge, "Too much at once")
	res, err = b.Post(gateURL+"/login", "application/x-www-form-urlencoded", strings.NewReader("email=%zz"))
	b.take(res, err).has(http.StatusBadRequest)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

// TestOpenRedirect follows every way in which an address from outside could
// become a place to go to.
func TestOpenRedirect(t *testing.T) {
	corpus, err := os.ReadFile("testdata/redirects.txt")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.signIn("kim")
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	ours := func(what, location string) {
		t.Helper()
		if location == "" {
			return
		}
		for _, host := range []string{gateURL, claimsURL, mapsURL} {
			if strings.HasPrefix(location, host+"/") {
				return
			}
		}
		u, err := url.Parse(location)
		if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(location, "/") || strings.HasPrefix(location, "//") || strings.Contains(location, `\`) {
			t.Errorf("%s leads to %q", what, location)
		}
	}
	lines := strings.Split(strings.TrimSpace(string(corpus)), "\n")
	for _, line := range lines {
		bad, err := url.QueryUnescape(line)
		if err != nil {
			t.Fatalf("corpus line %q: %v", line, err)
		}
		for _, page := range []string{"/login", "/confirm", "/agreements", "/login/code"} {
			b.visit(gateURL + page + "?return=" + url.QueryEscape(bad) + "&next=" + url.QueryEscape(bad) + "&rd=" + url.QueryEscape(bad))
			ours(page+" with "+line, b.last.Header.Get("Location"))
			if strings.Contains(b.body, html.EscapeString(bad)) && len(bad) > 8 {
				t.Errorf("%s repeats %q", page, bad)
			}
		}
		// The path itself, as a request to a cluster and to the gate.
		r := httptest.NewRequest("GET", claimsURL+"/", nil)
		r.URL.Opaque, r.RequestURI = bad, bad
		r.Header.Set("Accept", "text/html")
		rec := httptest.NewRecorder()
		w.Refuse(rec, r, refusalOf(401, policy.Challenge, policy.ReasonSignIn, ""))
		ours("refusing "+line, rec.Header().Get("Location"))
		if loc, err := url.Parse(rec.Header().Get("Location")); err == nil {
			if target, ok := w.Auth.Target(loc.Query().Get("return")); ok {
				ours("the target of "+line, target.URI)
			}
		}
		if back := w.remember(bad); back.id != "" {
			ours("the path "+line, back.target.URI)
		}
	}
	if len(lines) < 100 {
		t.Fatalf("the corpus has only %d lines", len(lines))
	}
}

// Host headers must not reach redirects or links.
func TestHostHeader_IsNotRepeated(t *testing.T) {
	w := newWorld(t)
	for _, host := range []string{"evil.example", "gate.test:1@evil.example", "claims.test.evil.example"} {
		r := request("GET", claimsURL+"/", "Accept", "text/html")
		r.Host = host
		rec := w.refuse(r, refusalOf(401, policy.Challenge, policy.ReasonSignIn, ""))
		if loc := rec.Header().Get("Location"); loc != gateURL+"/login" {
			t.Errorf("host %s leads to %q", host, loc)
		}
		rec = httptest.NewRecorder()
		r = request("GET", "https://x"+callbackPath+"?code=abc", "Accept", "text/html")
		r.Host = host
		w.Reserved().ServeHTTP(rec, r)
		if rec.Code != http.StatusBadRequest || strings.Contains(rec.Body.String(), "evil") {
			t.Errorf("callback on %s: %d %s", host, rec.Code, rec.Body)
		}
	}
}

// hostile are texts that break out of one place of a page or another.
var hostile = []string{
	`<script>alert(1)</script>`,
	`"><img src=x onerror=alert(1)>`,
	`' onmouseover='alert(1)`,
	`javascript:alert(1)`,
	`</title></textarea></style><svg onload=alert(1)>`,
	"{{template \"main\" .}}",
	`<a href="javascript:alert(1)">x</a> [x](javascript:alert(1)) ![x](https://evil.example/p.png) <iframe src=//evil.example></iframe>`,
	"\u202e\x00\x1b[31m<!--",
}

// TestXSS puts what an attacker would write into every field of every page and
// looks at the elements that a browser would make of it.
func TestXSS(t *testing.T) {
	u := newRenderer(t)
	for _, bad := range hostile {
		clean := gateSamples(plainText)
		for i, s := range gateSamples(func(string) string { return bad }) {
			w := render(t, u, s)
			checkHeaders(t, s.name, w.Header())
			assertInert(t, s.name+" with "+bad, w.Body.String())
			if scripts := strings.Count(render(t, u, clean[i]).Body.String(), "<script"); strings.Count(w.Body.String(), "<script") != scripts {
				t.Errorf("%s: %q made another script", s.name, bad)
			}
		}
	}
}

// assertInert fails the test if the page holds anything that could run.
func assertInert(t *testing.T, what, page string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for n := range elements(root, "") {
		switch n.Data {
		case "script":
			if !strings.Contains(attr(n, "src"), "/assets/app.") || n.FirstChild != nil {
				t.Errorf("%s: a script that is not ours: %v", what, n.Attr)
			}
		case "style", "iframe", "object", "embed", "base", "applet", "frame":
			t.Errorf("%s: an element %s", what, n.Data)
		case "img":
			if src := attr(n, "src"); src != "/enrol/qr.png" && !strings.HasPrefix(src, "https://evil.example/") {
				t.Errorf("%s: a picture from %q", what, src)
			}
		}
		for _, a := range n.Attr {
			v := strings.ToLower(strings.TrimSpace(a.Val))
			switch {
			case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "srcdoc":
				t.Errorf("%s: an attribute %s=%q", what, a.Key, a.Val)
			case slices.Contains([]string{"href", "src", "action", "formaction"}, a.Key) && (strings.HasPrefix(v, "javascript:") || strings.HasPrefix(v, "data:") || strings.HasPrefix(v, "vbscript:")):
				t.Errorf("%s: an address %s=%q", what, a.Key, a.Val)
			case a.Key == "http-equiv":
				t.Errorf("%s: a header in the page", what)
			}
		}
	}
}

func TestUnmatched(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		method, path, accept string
		status               int
	}{
		{"GET", "/nothing", "text/html", 404}, {"GET", "/nothing", "application/json", 404}, {"DELETE", "/login", "text/html", 405}, {"POST", "/.well-known/jwks.json", "text/html", 405},
		{"GET", "/assets/", "text/html", 404}, {"GET", "/assets/../login", "text/html", 307}, {"POST", "/assets/app.css", "", 405}, {"GET", "/console/../../etc/passwd", "", 307}, {"OPTIONS", "/login", "", 405},
		{"GET", "/.ringfence/callback", "text/html", 404},
	} {
		r := request(c.method, gateURL+c.path, "Accept", c.accept)
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, r)
		if rec.Code != c.status {
			t.Errorf("%s %s: status %d, want %d", c.method, c.path, rec.Code, c.status)
		}
		if rec.Code != 307 {
			checkHeaders(t, c.method+" "+c.path, rec.Header())
		}
		if c.accept == "application/json" && !strings.HasPrefix(rec.Header().Get("Content-Type"), "application/json") {
			t.Errorf("%s %s: not JSON: %s", c.method, c.path, rec.Body)
		}
	}
}

func TestWellKnown(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.visit(gateURL+"/.well-known/jwks.json").has(200, `"keys"`)
	b.visit(gateURL+"/ca.pem").has(200, "BEGIN CERTIFICATE")
	w.CAPEM = nil
	b.visit(gateURL + "/ca.pem").has(404)
	b.visit(gateURL + "/login").lacks("certificate authority")
}

func TestNew_RefusesWhatCannotWork(t *testing.T) {
	good := newWorld(t).Config
	for name, change := range map[string]func(*Config){
		"no auth":      func(c *Config) { c.Auth = nil },
		"no directory": func(c *Config) { c.Directory = nil },
		"no address":   func(c *Config) { c.ClientIP = nil },
		"no renderer":  func(c *Config) { c.UI = nil },
		"plain gate":   func(c *Config) { c.GateURL = "http://gate.test" },
		"gate's path":  func(c *Config) { c.GateURL = "https://gate.test/portal" },
		"no gate":      func(c *Config) { c.GateURL = "" },
	} {
		c := good
		change(&c)
		if k, err := New(c); err == nil || k != nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}

// Errors that a person sees carry no cause; the operational log has it.
func TestFail_CauseIsNotShown(t *testing.T) {
	w := newWorld(t)
	rec := httptest.NewRecorder()
	rt := route{need: anyone, handle: func(http.ResponseWriter, *http.Request, *visit) error {
		return fmt.Errorf("reading row: %w", &ui.Error{Status: 500, Err: fmt.Errorf("secret cause")})
	}}
	w.serve(rt).ServeHTTP(rec, request("GET", gateURL+"/x", "Accept", "text/html"))
	id := rec.Header().Get("X-Ringfence-Request-Id")
	if rec.Code != 500 || strings.Contains(rec.Body.String(), "secret cause") || len(id) < 20 || !strings.Contains(rec.Body.String(), id) {
		t.Fatalf("status %d, id %q: %s", rec.Code, id, rec.Body)
	}
	checkHeaders(t, "error", rec.Header())
}
