package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAdvisories attacks a running gateway in the ways in which its neighbours
// fell, one test for each published advisory, under its number. Several
// advisories of one class share an attack.
func TestAdvisories(t *testing.T) {
	slow(t)
	p := startDemo(t)
	a := &advisories{p: p, kim: p.signIn(t, "kim@northwind.example", 0)}
	for _, c := range []struct {
		ids    string // advisories, separated by spaces
		attack func(*testing.T, *advisories)
	}{
		{"CVE-2021-29456 GHSA-qqxw CVE-2020-11053 GHSA-j7px CVE-2020-4037 GHSA-5m6c CVE-2020-5233 CVE-2024-21497", openRedirects},
		{"CVE-2021-21291 GHSA-4mf2", redirectToLookalike},
		{"CVE-2021-32637 GHSA-68wm GHSA-pxq7 caddy-security-275", malformedTargets},
		{"GHSA-x883-2vmg-xwf7", staleAssignment},
		{"CVE-2025-24806 CVE-2026-47203", aliasesShareOneCount},
		{"GHSA-gmfg-3v4q-9qr4", cookiesAreNeverRepeated},
		{"CVE-2026-48794 CVE-2026-27588", hostSpellings},
		{"CVE-2021-21411 GHSA-652x", notAssigned},
		{"CVE-2025-54576 GHSA-7rh7", queryIsNotPath},
		{"CVE-2025-64484 CVE-2026-30851 GHSA-f59h", headerVariants},
		{"GHSA-5hvv", healthCheckAgents},
		{"CVE-2026-40575 GHSA-7x63", forwardedTargets},
		{"CVE-2026-40574 GHSA-c5c4", twoAtSigns},
		{"GHSA-f24x", staleCookieAtSignIn},
		{"CVE-2023-52430 CVE-2024-21496", reflectedText},
		{"caddy-security-273 caddy-security-274", foreignForms},
		{"CVE-2024-21493", brokenConfiguration},
		{"CVE-2024-21495", predictableRandomness},
		{"CVE-2024-21494 CVE-2024-21498 CVE-2024-21499", forwardedIdentity},
		{"CVE-2024-21500", restartedFlow},
		{"CVE-2024-21492", signOutRevokes},
		{"CVE-2025-30204", hugeTokens},
	} {
		for id := range strings.FieldsSeq(c.ids) {
			t.Run(id, func(t *testing.T) {
				a.kim.t = t
				c.attack(t, a)
			})
		}
	}
}

type advisories struct {
	p       *process
	kim     *browser // signed in, assigned to claims alone
	attacks int      // how many ran, for texts that must differ
}

// raw sends bytes over TLS to host and returns the status line's code, 0 when
// the connection was closed without an answer.
func (a *advisories) raw(t *testing.T, host, request string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(mustURL(t, a.p.ready.Gate).Host)
	if err != nil {
		t.Fatal(err)
	}
	cfg := a.p.transport(t).TLSClientConfig.Clone()
	cfg.ServerName, cfg.NextProtos = host, []string{"http/1.1"}
	c, err := tls.Dial("tcp", "127.0.0.1:"+port, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		return 0
	}
	answer, _ := io.ReadAll(io.LimitReader(c, 64<<10)) // a reset is an answer as well
	var status int
	_, _ = fmt.Sscanf(string(answer), "HTTP/1.1 %d", &status)
	return status
}

// stays fails the test unless u is at the gate or a cluster of this gateway.
func (a *advisories) stays(t *testing.T, from, location string) {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil || strings.ContainsAny(location, "\\\t\r\n") || strings.HasPrefix(location, "//") {
		t.Errorf("%s led to %q", from, location)
		return
	}
	if u.Host == "" && strings.HasPrefix(u.Path, "/") || u.Host == mustURL(t, a.p.ready.Gate).Host {
		return
	}
	for _, c := range a.p.ready.Clusters {
		if u.Host == mustURL(t, c.URL).Host {
			return
		}
	}
	t.Errorf("%s led to %q", from, location)
}

// locations asks without following and returns where the answer leads.
func locations(t *testing.T, b *browser, method, target string, form url.Values) (status int, location string) {
	t.Helper()
	once := *b.client
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	header := []string{}
	var body io.Reader
	if form != nil {
		body, header = strings.NewReader(form.Encode()), []string{"Content-Type", "application/x-www-form-urlencoded"}
	}
	pg := (&browser{t: t, p: b.p, client: &once, accept: b.accept}).do(method, target, body, header...)
	return pg.status, pg.header.Get("Location")
}

var evilTargets = []string{
	"https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "/%09/evil.example", "/\t/evil.example", "/%5cevil.example",
	"https:evil.example", "///evil.example", "/%2f/evil.example", "javascript:alert(1)", "https://gate.localhost@evil.example", " //evil.example",
}

func openRedirects(t *testing.T, a *advisories) {
	gate, stranger := a.p.ready.Gate, a.p.browser(t)
	for _, evil := range evilTargets {
		for _, name := range []string{"return", "rd", "redirect", "redirect_url", "next", "to"} {
			q := url.Values{name: {evil}}
			for _, b := range []*browser{stranger, a.kim} {
				if _, to := locations(t, b, http.MethodGet, gate+"/login?"+q.Encode(), nil); to != "" {
					a.stays(t, name+"="+evil, to)
				}
			}
			if _, to := locations(t, stranger, http.MethodPost, gate+"/logout?"+q.Encode(), q); to != "" {
				a.stays(t, "signing out with "+name+"="+evil, to)
			}
		}
		if pg := stranger.get(gate + "/login?" + url.Values{"return": {evil}}.Encode()); strings.Contains(pg.body, "evil.example") {
			t.Errorf("the sign-in page repeats %q", evil)
		}
	}
}

func redirectToLookalike(t *testing.T, a *advisories) {
	host := mustURL(t, a.p.cluster(t, "claims")).Hostname()
	for _, evil := range []string{host + ".evil.example", "evil" + host, "evil.example/" + host, "evil.example#." + host} {
		if _, to := locations(t, a.kim, http.MethodGet, a.p.ready.Gate+"/login?"+url.Values{"return": {"https://" + evil}}.Encode(), nil); to != "" {
			a.stays(t, evil, to)
		}
		if status := a.raw(t, host, "GET / HTTP/1.1\r\nHost: "+strings.SplitN(evil, "/", 2)[0]+"\r\nConnection: close\r\n\r\n"); status == 200 || status == 302 {
			t.Errorf("host %s was answered with %d", evil, status)
		}
	}
}

func malformedTargets(t *testing.T, a *advisories) {
	host := mustURL(t, a.p.cluster(t, "claims")).Hostname()
	cookie := a.cookieHeader(t, "claims")
	for _, target := range []string{
		"//claims", "/claims%00", "/%zz", "/%2e%2e/claims", "/a/../claims", "/a%2f..%2fclaims", "/claims#/../x", "/claims#", "/claims;x=/y",
		"/%252e%252e/", "http:///claims", "", "*", "claims", "?x", "/claims%5c..", "/claims\\..", "https://claims.localhost:bad/",
	} {
		status := a.raw(t, host, "GET "+target+" HTTP/1.1\r\nHost: "+host+"\r\nAccept: application/json\r\n"+cookie+"Connection: close\r\n\r\n")
		if status < 300 && status != 0 {
			t.Errorf("target %q was served: %d", target, status)
		}
	}
	if status := a.raw(t, host, "GET /claims HTTP/1.1\r\nHost: "+host+"\r\nAccept: application/json\r\n"+cookie+"Connection: close\r\n\r\n"); status != 200 {
		t.Errorf("an ordinary target: %d, want 200", status)
	}
}

// cookieHeader returns kim's cookies for a cluster as a header line.
func (a *advisories) cookieHeader(t *testing.T, cluster string) string {
	t.Helper()
	target := a.p.cluster(t, cluster) + "/"
	if pg := a.kim.get(target); pg.status != 200 {
		t.Fatalf("kim at %s: %d", cluster, pg.status)
	}
	var all []string
	for _, c := range a.kim.client.Jar.Cookies(mustURL(t, target)) {
		all = append(all, c.Name+"="+c.Value)
	}
	return "Cookie: " + strings.Join(all, "; ") + "\r\n"
}

func staleAssignment(t *testing.T, a *advisories) {
	b := a.p.signIn(t, "sam@meridian.example", 0)
	target := a.p.cluster(t, "telemetry") + "/"
	if pg := b.get(target); pg.status != 200 {
		t.Fatalf("before: %d", pg.status)
	}
	file := filepath.Join(t.TempDir(), "directory.yaml")
	all := ringfence(t, "export", "--data", a.p.ready.Data)
	before, _, ok := strings.Cut(all, "  - account: sam@meridian.example\n")
	if !ok {
		t.Fatalf("the export has no assignment of sam:\n%s", all)
	}
	if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	ringfence(t, "apply", "-f", file, "--prune", "--data", a.p.ready.Data)
	b.accept = "application/json"
	if pg := b.get(target); pg.status != http.StatusForbidden {
		t.Errorf("after the assignment was taken away: %d", pg.status)
	}
}

func aliasesShareOneCount(t *testing.T, a *advisories) {
	b := a.p.browser(t)
	throttled := false
	for i, email := range []string{"ben@harbour.example", "BEN@harbour.example", " ben@harbour.example", "Ben@Harbour.Example", "ｂｅｎ@harbour.example", "ben@harbour.example ", "bEn@harbour.example"} {
		pg := b.post(a.p.ready.Gate+"/login", url.Values{"email": {email}, "password": {fmt.Sprint("wrong ", i)}})
		throttled = throttled || pg.status == http.StatusTooManyRequests
	}
	if !throttled {
		t.Error("seven wrong passwords under seven spellings were all looked at")
	}
}

func cookiesAreNeverRepeated(t *testing.T, a *advisories) {
	b := a.p.browser(t)
	const evil = `en"><script>alert(1)</script>`
	for _, path := range []string{"/login", "/login/code", "/enrol", "/nothing"} {
		pg := b.get(a.p.ready.Gate+path, "Cookie", "language="+evil+"; lang="+evil+"; __Host-ringfence-language="+evil, "Accept-Language", evil)
		if strings.Contains(pg.body, "alert(1)") {
			t.Errorf("%s repeats a cookie", path)
		}
		csp := pg.header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "alert") {
			t.Errorf("%s has the policy %q", path, csp)
		}
	}
}

func hostSpellings(t *testing.T, a *advisories) {
	host := mustURL(t, a.p.cluster(t, "billing")).Hostname() // kim is not assigned to it
	cookie := a.cookieHeader(t, "claims")
	for _, spelling := range []string{strings.ToUpper(host), host + ".", strings.ToUpper(host) + ".", host + ":443", "ＢＩＬＬＩＮＧ.localhost", " " + host} {
		for _, c := range []string{"", cookie} {
			status := a.raw(t, host, "GET / HTTP/1.1\r\nHost: "+spelling+"\r\nAccept: application/json\r\n"+c+"Connection: close\r\n\r\n")
			if status < 400 && status != 0 {
				t.Errorf("host %q was answered with %d", spelling, status)
			}
		}
	}
}

func notAssigned(t *testing.T, a *advisories) {
	a.kim.accept = "application/json"
	defer func() { a.kim.accept = "text/html" }()
	for _, cluster := range []string{"billing", "telemetry"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions, http.MethodHead, "PROPFIND"} {
			if pg := a.kim.do(method, a.p.cluster(t, cluster)+"/", nil); pg.status < 400 {
				t.Errorf("%s at %s: %d", method, cluster, pg.status)
			}
		}
	}
}

func queryIsNotPath(t *testing.T, a *advisories) {
	b := a.p.browser(t)
	b.accept = "application/json"
	for _, q := range []string{"?/.ringfence/", "?path=/login", "/x?/assets/", "/x?.css", "?/healthz"} {
		if pg := b.get(a.p.cluster(t, "claims") + q); pg.status != http.StatusUnauthorized {
			t.Errorf("%s without a session: %d", q, pg.status)
		}
	}
}

func headerVariants(t *testing.T, a *advisories) {
	a.kim.accept = "application/json"
	defer func() { a.kim.accept = "text/html" }()
	header := []string{}
	for _, name := range []string{"X-Ringfence-Email", "X_Ringfence_Email", "x-ringfence_email", "X.Ringfence.Email", "X-Ringfence-Roles", "X_Ringfence_Roles", "X-Ringfence-Assertion"} {
		header = append(header, name, "forged@evil.example")
	}
	old := *a.kim.client // HTTP/1.1: the other version has no Connection header
	old.Transport = a.p.transport(t)
	old.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	header = append(header, "Connection", "X-Ringfence-Email, X-Ringfence-Roles")
	pg := (&browser{t: t, p: a.p, client: &old, accept: a.kim.accept}).get(a.p.cluster(t, "claims")+"/echo", header...)
	if pg.status != 200 || strings.Contains(pg.body, "forged") || !strings.Contains(pg.body, "kim@northwind.example") {
		t.Errorf("%d: the upstream saw %s", pg.status, pg.body)
	}
}

func healthCheckAgents(t *testing.T, a *advisories) {
	b := a.p.browser(t)
	b.accept = "application/json"
	for _, agent := range []string{"GoogleHC/1.0", "kube-probe/1.30", "ELB-HealthChecker/2.0", "GoogleStackdriverMonitoring-UptimeChecks", "Ringfence"} {
		for _, path := range []string{"/", "/healthz", "/ping", "/ready"} {
			if pg := b.get(a.p.cluster(t, "claims")+path, "User-Agent", agent); pg.status != http.StatusUnauthorized {
				t.Errorf("%s as %s: %d", path, agent, pg.status)
			}
		}
	}
}

func forwardedTargets(t *testing.T, a *advisories) {
	b := a.p.browser(t)
	b.accept = "application/json"
	for _, name := range []string{"X-Forwarded-Uri", "X-Original-Url", "X-Original-Uri", "X-Rewrite-Url", "X-Forwarded-Path", "X-Auth-Request-Redirect"} {
		if pg := b.get(a.p.cluster(t, "claims")+"/claims", name, "/.ringfence/assets/base.css"); pg.status != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, pg.status)
		}
	}
	pg := b.get(a.p.cluster(t, "claims")+"/claims", "X-Http-Method-Override", "OPTIONS")
	if pg.status != http.StatusUnauthorized {
		t.Errorf("an overridden method: %d", pg.status)
	}
}

func twoAtSigns(t *testing.T, a *advisories) {
	b := a.p.browser(t)
	for _, email := range []string{"kim@evil.example@northwind.example", "kim@northwind.example@evil.example", "@northwind.example", "kim@"} {
		pg := b.post(a.p.ready.Gate+"/login", url.Values{"email": {email}, "password": {a.p.account(t, "kim@northwind.example").Password}})
		if pg.url.Path != "/login" || pg.status < 400 {
			t.Errorf("%s: %d at %s", email, pg.status, pg.url)
		}
	}
	file := filepath.Join(t.TempDir(), "directory.yaml")
	text := "version: 1\naccounts:\n  - email: eve@evil.example@northwind.example\n    name: Eve\n    vendor: northwind\n    roles: [contractor]\n    ends: 2099-01-01\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := program("apply", "-f", file, "--data", a.p.ready.Data).CombinedOutput(); err == nil {
		t.Errorf("an account with two @ was applied:\n%s", out)
	}
}

func staleCookieAtSignIn(t *testing.T, a *advisories) {
	b := a.p.browser(t)
	gate := mustURL(t, a.p.ready.Gate)
	const planted = "planted-by-an-attacker"
	b.client.Jar.SetCookies(gate, []*http.Cookie{{Name: "__Host-ringfence", Value: planted, Path: "/", Secure: true}})
	who := a.p.account(t, "noor@meridian.example")
	b.post(a.p.ready.Gate+"/login", url.Values{"email": {who.Email}, "password": {who.Password}})
	if pg := b.post(a.p.ready.Gate+"/login/code", url.Values{"code": {code(t, who, 0)}}); pg.url.Path != "/" {
		t.Fatalf("signing in ended at %s", pg.url)
	}
	for _, c := range b.client.Jar.Cookies(gate) {
		if c.Name == "__Host-ringfence" && c.Value == planted {
			t.Error("the planted cookie was kept")
		}
	}
	if pg := a.p.browser(t).get(a.p.ready.Gate+"/", "Cookie", "__Host-ringfence="+planted); pg.url.Path != "/login" {
		t.Errorf("the planted cookie is worth something: %s", pg.url)
	}
}

func reflectedText(t *testing.T, a *advisories) {
	const evil = `"><img src=x onerror=alert(1)>`
	for _, b := range []*browser{a.p.browser(t), a.kim} {
		for _, target := range []string{a.p.ready.Gate + "/login?note=" + url.QueryEscape(evil), a.p.ready.Gate + "/" + url.PathEscape(evil), a.p.cluster(t, "billing") + "/x?" + url.QueryEscape(evil)} {
			pg := b.get(target, "Referer", "https://evil.example/"+evil, "User-Agent", evil)
			if strings.Contains(pg.body, "<img src=x") {
				t.Errorf("%s repeats what it was sent", target)
			}
		}
	}
}

func foreignForms(t *testing.T, a *advisories) {
	for _, origin := range []string{"https://evil.example", "null", strings.Replace(a.p.ready.Gate, "gate", "claims", 1)} {
		for _, path := range []string{"/logout", "/tokens", "/sessions/end", "/agreements", "/console/people/new", "/login"} {
			pg := a.kim.do(http.MethodPost, a.p.ready.Gate+path, strings.NewReader("cluster=claims"), "Content-Type", "application/x-www-form-urlencoded", "Origin", origin, "Sec-Fetch-Site", "cross-site")
			if pg.status != http.StatusForbidden {
				t.Errorf("a form of %s at %s: %d", origin, path, pg.status)
			}
		}
	}
	if pg := a.kim.do(http.MethodPost, a.p.ready.Gate+"/api/v1/tokens", strings.NewReader(`{"cluster":"claims"}`), "Content-Type", "text/plain"); pg.status < 400 {
		t.Errorf("JSON as text/plain: %d", pg.status)
	}
	if pg := a.kim.get(a.p.ready.Gate + "/"); pg.url.Path != "/" {
		t.Error("a foreign form signed kim out")
	}
}

func brokenConfiguration(t *testing.T, _ *advisories) {
	for _, text := range []string{"", "gate:", "gate: [", "\x00", "gate: {}", "tls: {mode: files, files: [{}]}", "zones: [null]", strings.Repeat("[", 5000), "&a [*a, *a]"} {
		file := filepath.Join(t.TempDir(), "ringfence.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := program("check", "--config", file).CombinedOutput()
		if err == nil || strings.Contains(string(out), "goroutine ") {
			t.Errorf("%.20q: %v\n%s", text, err, out)
		}
	}
}

// predictableRandomness holds every package of ours to crypto/rand, but for the
// one that makes up entries to measure with: those shall be the same each time.
func predictableRandomness(t *testing.T, _ *advisories) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}: {{join .Imports " "}}`, "github.com/ringfence/ringfence/...").Output()
	if err != nil {
		t.Skipf("listing packages: %v (go is needed)", err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "math/rand") && !strings.Contains(line, "/internal/accesslog/synthetic: ") {
			t.Errorf("randomness that can be predicted: %s", line)
		}
	}
}

func forwardedIdentity(t *testing.T, a *advisories) {
	a.attacks++
	path := fmt.Sprintf("/forwarded-%d", a.attacks)
	a.kim.accept = "application/json"
	defer func() { a.kim.accept = "text/html" }()
	pg := a.kim.get(a.p.cluster(t, "claims")+path, "X-Forwarded-For", "203.0.113.99", "X-Real-Ip", "203.0.113.99", "Forwarded", "for=203.0.113.99;host=evil.example",
		"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "http", "True-Client-Ip", "203.0.113.99", "Cf-Connecting-Ip", "203.0.113.99")
	if pg.status != 200 || strings.Contains(pg.body, "evil.example") {
		t.Errorf("%d: the upstream saw %s", pg.status, pg.body)
	}
	rows := a.p.entries(t, "--path", path, "--type", "request")
	if len(rows) != 1 || rows[0]["source_ip"] != "127.0.0.1" {
		t.Errorf("recorded %v", rows)
	}
}

func restartedFlow(t *testing.T, a *advisories) {
	who := a.p.account(t, "rio@meridian.example")
	for n := range 8 {
		b := a.p.browser(t) // a new browser and a new flow for each guess
		if pg := b.post(a.p.ready.Gate+"/login", url.Values{"email": {who.Email}, "password": {who.Password}}); pg.url.Path != "/login/code" {
			t.Fatalf("flow %d: %d at %s", n, pg.status, pg.url)
		}
		if pg := b.post(a.p.ready.Gate+"/login/code", url.Values{"code": {"00000" + fmt.Sprint(n)}}); pg.status == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("eight guesses in eight flows were all looked at")
}

func signOutRevokes(t *testing.T, a *advisories) {
	b := a.p.signIn(t, "lee@northwind.example", 0)
	target := a.p.cluster(t, "claims") + "/"
	if pg := b.get(target); pg.status != 200 {
		t.Fatalf("before: %d", pg.status)
	}
	stolen := map[string]string{}
	for _, at := range []string{a.p.ready.Gate + "/", target} {
		for _, c := range b.client.Jar.Cookies(mustURL(t, at)) {
			stolen[at] += c.Name + "=" + c.Value + "; "
		}
	}
	b.post(a.p.ready.Gate+"/logout", url.Values{})
	for at, cookies := range stolen {
		thief := a.p.browser(t)
		thief.accept = "application/json"
		if pg := thief.get(at, "Cookie", strings.TrimSuffix(cookies, "; ")); pg.status == 200 {
			t.Errorf("the cookies of %s are good after signing out", at)
		}
	}
}

func hugeTokens(t *testing.T, a *advisories) {
	b := a.p.browser(t)
	b.accept = "application/json"
	for _, dots := range []int{3, 1000, 30_000} {
		for _, header := range []string{"Authorization", "Cookie"} {
			value := "Bearer " + strings.Repeat(".", dots)
			if header == "Cookie" {
				value = "__Host-ringfence=" + strings.Repeat(".", dots)
			}
			began := time.Now()
			pg, err := b.try(http.MethodGet, a.p.cluster(t, "claims")+"/", nil, header, value)
			if err == nil && pg.status < 400 || time.Since(began) > 5*time.Second {
				t.Errorf("%d dots in %s: %d after %v", dots, header, pg.status, time.Since(began))
			}
		}
	}
}
