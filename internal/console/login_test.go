package console

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestSignIn_FormsAlone(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.visit(gateURL+"/").has(200, "Sign in", "E-mail address")
	if b.at.Path != "/login" {
		t.Fatalf("an anonymous visitor of the portal is at %s", b.at)
	}
	b.submit(map[string]string{"email": "kim@example.com", "password": password}).has(200, "Your code", "kim@example.com")
	b.submit(map[string]string{"code": w.code("kim")}).has(200, "My clusters", "Claims archive", "Confidential", "Migrating old claims",
		"Read only", "Only what lies below /reports", "Claims migration", "Tom Abara", "This is your first sign-in", "What is recorded about you")
	b.lacks("Flood maps", "maps.test")
	b.visit("/login").has(200, "My clusters")
	b.submit(map[string]string{}).has(200, "You are signed out")
	b.visit(gateURL+"/").has(200, "E-mail address")
}

func TestSignIn_CookiesAreHostOnly(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	b.visit(gateURL + "/login").submit(map[string]string{"email": "kim@example.com", "password": password})
	var seen int
	check := func() {
		for _, k := range b.last.Cookies() {
			seen++
			if !strings.HasPrefix(k.Name, "__Host-ringfence") || !k.Secure || !k.HttpOnly || k.SameSite != http.SameSiteLaxMode || k.Path != "/" || k.Domain != "" {
				t.Errorf("cookie %s is not host-only, secure, hidden from scripts and lax: %s", k.Name, k.Raw)
			}
		}
	}
	check()
	b.visit(gateURL + "/login/code").submit(map[string]string{"code": w.code("kim")})
	check()
	if seen < 3 {
		t.Fatalf("%d cookies were set, want the sign-in's, the session's and the device's", seen)
	}
}

// A wrong password, an unknown address, a disabled account and one that never
// enrolled must not be told apart.
func TestSignIn_NoEnumeration(t *testing.T) {
	w := newWorld(t).enrolled("kim", "lee")
	disabled, err := w.store.Account(t.Context(), "lee")
	if err != nil {
		t.Fatal(err)
	}
	disabled.Disabled = true
	w.store.SetAccount(disabled)
	answers := map[string]bool{}
	for email, pass := range map[string]string{"kim@example.com": "not the password", "nobody@example.com": password, "lee@example.com": password, "ada@example.com": password, "not an address": "x"} {
		b := w.browser()
		b.visit(gateURL + "/login").submit(map[string]string{"email": email, "password": pass})
		b.has(http.StatusUnauthorized, "is not right, or the account is not active")
		answers[strings.ReplaceAll(b.body, email, "")] = true
		if got := attrOf(b, "email"); got != email {
			t.Errorf("the form forgot the address %q: %q", email, got)
		}
		b.lacks(pass + `"`)
	}
	if len(answers) != 1 {
		t.Fatalf("there are %d different answers, want one", len(answers))
	}
}

func attrOf(b *browser, field string) string {
	for in := range elements(b.page, "input") {
		if attr(in, "name") == field {
			return attr(in, "value")
		}
	}
	return ""
}

func TestSignIn_WrongCodeAndThrottle(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.visit(gateURL + "/login").submit(map[string]string{"email": "kim@example.com", "password": password})
	b.submit(map[string]string{"code": "000000"}).has(http.StatusUnauthorized, "That code is not right")
	for range 10 {
		if b.submit(map[string]string{"code": "000000"}); b.status == http.StatusTooManyRequests {
			break
		}
	}
	b.has(http.StatusTooManyRequests, "Please wait")
	if b.last.Header.Get("Retry-After") == "" {
		t.Fatal("a throttled answer names no Retry-After")
	}
}

func TestSignIn_CodeIsSpentOnce(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	code := w.code("kim")
	w.browser().signIn("kim").has(200, "My clusters")
	b := w.browser()
	b.visit(gateURL + "/login").submit(map[string]string{"email": "kim@example.com", "password": password})
	b.submit(map[string]string{"code": code}).has(http.StatusUnauthorized, "has been used already")
}

func TestSignIn_EndedFlowStartsAgain(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.visit(gateURL + "/login").submit(map[string]string{"email": "kim@example.com", "password": password})
	w.pass(time.Hour)
	b.submit(map[string]string{"code": w.code("kim")}).has(200, "took too long", "Password")
	b.visit(gateURL + "/login/code")
	if b.at.Path != "/login" {
		t.Fatalf("the code page without a sign-in under way is at %s", b.at)
	}
}

// Signing out must revoke: a copy of the cookie is worth nothing afterwards.
func TestSignOut_RevokesTheSession(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.signIn("kim").has(200, "My clusters")
	gate, _ := url.Parse(gateURL)
	copied := b.Jar.Cookies(gate)
	b.submit(map[string]string{})
	thief := w.browser()
	thief.Jar.SetCookies(gate, copied)
	thief.visit(gateURL+"/").has(200, "E-mail address")
}

func TestHandoff_BackToWhereOneWasHeaded(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.visit(claimsURL+"/reports/2025?q=a%20b&page=2").has(200, "Sign in", "Then you go on to claims.test")
	b.submit(map[string]string{"email": "kim@example.com", "password": password}).has(200)
	csp := b.last.Header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "form-action 'self' "+claimsURL+" ") && !strings.HasSuffix(csp, "form-action 'self' "+claimsURL) {
		t.Fatalf("browsers would stop the way to the cluster: %s", csp)
	}
	b.submit(map[string]string{"code": w.code("kim")}).has(200, "upstream claims.test /reports/2025?q=a%20b&page=2 for kim@example.com")
	// The next cluster needs no form: the gate knows the browser already.
	b.visit(mapsURL+"/tiles").has(200, "upstream maps.test /tiles")
}

// A link to a callback that somebody else started must not sign the victim in
// as that somebody.
func TestHandoff_LoginCSRF(t *testing.T) {
	w := newWorld(t).enrolled("kim", "lee")
	attacker := w.browser()
	attacker.signIn("lee")
	attacker.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.Path, callbackPath) {
			return http.ErrUseLastResponse
		}
		return nil
	}
	attacker.visit(claimsURL + "/")
	link := attacker.last.Header.Get("Location")
	if !strings.HasPrefix(link, claimsURL+callbackPath) {
		t.Fatalf("no hand-off: %q", link)
	}
	victim := w.browser()
	victim.visit(link).has(http.StatusBadRequest, "That took too long")
	victim.visit(claimsURL+"/").has(200, "Sign in")
}

func TestClusterSignOut(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.signIn("kim").visit(claimsURL+"/").has(200, "upstream")
	res, err := b.PostForm(claimsURL+reservedPrefix+"/logout", nil)
	b.take(res, err).has(200, "You are signed out")
	b.visit(gateURL+"/").has(200, "E-mail address")
	b.visit(claimsURL+"/").has(200, "E-mail address")
}

func TestConfirm_ReturnsToThePage(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.signIn("kim")
	w.pass(20 * time.Minute)
	b.visit("/tokens").submit(map[string]string{"name": "import <1>", "cluster": "claims", "minutes": "30"}).has(200, "Confirm that it is you")
	b.submit(map[string]string{"code": "123456"}).has(http.StatusUnauthorized, "That code is not right")
	b.submit(map[string]string{"code": w.code("kim")}).has(200, "Make a token?", "import <1>", "Nothing has been done yet")
	b.press("Do it now").has(200, "it is not shown again", "rft_")
}
