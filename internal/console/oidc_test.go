package console

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/internal/directory"
)

// withCompany gives the vendor of kim a provider at which she is known.
func (w *world) withCompany(edit func(*directory.IdentityProvider)) *authtest.IDP {
	w.t.Helper()
	idp := authtest.NewIDP(w.t, w.clock)
	idp.Set(func(p *authtest.IDP) { p.Claims = map[string]any{"email": "kim@example.com"} })
	w.company = idp
	p := &directory.IdentityProvider{Issuer: idp.URL, ClientID: idp.ClientID, Domains: []string{"example.com"}, CA: idp.CA(), TrustedAMR: []string{"mfa"}}
	if edit != nil {
		edit(p)
	}
	vendor := ""
	w.dir.mu.Lock()
	for i := range w.dir.d.Accounts {
		if w.dir.d.Accounts[i].ID == "kim" {
			vendor = w.dir.d.Accounts[i].Vendor
		}
	}
	for i := range w.dir.d.Vendors {
		if w.dir.d.Vendors[i].Name == vendor {
			w.dir.d.Vendors[i].IdentityProvider = p
		}
	}
	w.dir.mu.Unlock()
	w.store.SetProvider(auth.IdentityProvider{Vendor: vendor, Issuer: p.Issuer, ClientID: p.ClientID, Domains: p.Domains, CA: p.CA, TrustedAMR: p.TrustedAMR, Required: p.Required,
		SealedSecret: w.Auth.SealSecret("identity_provider", "client_secret", vendor, []byte(idp.Secret))})
	return idp
}

// toCompany goes from the sign-in page to the page before the provider.
func (b *browser) toCompany(email string) *browser {
	b.w.t.Helper()
	for a := range elements(b.page, "a") {
		if strings.HasPrefix(attr(a, "href"), companyPath) {
			b.visit(attr(a, "href"))
			return b.submit(map[string]string{"email": email})
		}
	}
	b.w.t.Fatalf("no way to the company at %s:\n%s", b.at, b.text())
	return b
}

func TestCompany_SignIn(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	idp := w.withCompany(nil)
	b := w.browser()
	b.visit(claimsURL + "/reports?x=1").toCompany("Kim@Example.com")
	b.has(http.StatusOK, "Go on to "+strings.TrimPrefix(idp.URL, "https://"))
	// The form may lead to the provider and nowhere else.
	if csp := b.last.Header.Get("Content-Security-Policy"); !strings.HasSuffix(csp, "form-action 'self' "+idp.URL) {
		t.Errorf("policy %q", csp)
	}
	b.submit(map[string]string{"vendor": "acme"}).has(http.StatusOK, "Your code")
	for _, at := range b.trail {
		if strings.Contains(at, idp.Secret) {
			t.Errorf("the client secret stands in %s", at)
		}
	}
	b.submit(map[string]string{"code": w.code("kim")}).has(http.StatusOK, "upstream claims.test /reports?x=1 for kim@example.com")
}

// The provider's second factor leads straight on to where the person was headed.
func TestCompany_TrustedFactor(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	idp := w.withCompany(nil)
	w.store.SetTrusted("kim", true)
	idp.Set(func(p *authtest.IDP) { p.Claims["amr"], p.Claims["auth_time"] = []string{"mfa"}, w.clock().Unix() })
	b := w.browser()
	b.visit(claimsURL + "/reports").toCompany("kim@example.com").submit(map[string]string{"vendor": "acme"})
	b.has(http.StatusOK, "upstream claims.test /reports for kim@example.com")
	// It does not pass for a fresh code of ours.
	s, err := w.Auth.SessionsOf(t.Context(), "kim")
	if err != nil || len(s) != 1 {
		t.Fatalf("%v, %v", s, err)
	}
	if err := (&visit{Session: &s[0], Now: w.clock()}).fresh("/"); err == nil {
		t.Error("the provider's factor opens what asks for a fresh code")
	}
}

// Enumeration: what the gate says of an address depends on its domain alone.
func TestEnumeration_Company(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	w.withCompany(func(p *directory.IdentityProvider) { p.Required = true })
	page := func(email string) string {
		b := w.browser()
		b.visit(gateURL + companyPath)
		b.submit(map[string]string{"email": email})
		return strings.ReplaceAll(b.body, email, "ADDRESS") + b.last.Status
	}
	login := func(email string) string {
		b := w.browser()
		b.visit(gateURL + "/login")
		b.submit(map[string]string{"email": email, "password": password})
		return strings.ReplaceAll(b.body, email, "ADDRESS") + b.last.Status
	}
	for name, f := range map[string]func(string) string{"company": page, "password": login} {
		known := f("kim@example.com")
		for _, email := range []string{"nobody@example.com", "ada@example.com", "zed@example.com"} {
			if got := f(email); got != known {
				t.Errorf("%s: the answer to %s differs from the one to kim:\n%s\n%s", name, email, got, known)
			}
		}
	}
	if other := login("nobody@elsewhere.test"); strings.Contains(other, "People with an address of this company") {
		t.Error("another domain's people are sent to this company")
	}
	b := w.browser()
	b.visit(gateURL + companyPath)
	b.submit(map[string]string{"email": "kim@evil-example.com"}).has(http.StatusUnprocessableEntity, "No company sign-in is set up")
	b.visit(gateURL+companyPath+"/no-such-vendor").has(http.StatusOK, "Your e-mail address at work")
}

// GHSA-f24x (a stale cookie kept at sign-in): whatever the browser held before
// is no part of the session.
func TestFixation_Company(t *testing.T) {
	w := newWorld(t).enrolled("kim", "lee")
	w.withCompany(nil)
	b := w.browser()
	b.signIn("lee")
	gate, _ := url.Parse(gateURL)
	old := ""
	for _, c := range b.Jar.Cookies(gate) {
		if c.Name == auth.SessionCookie {
			old = c.Value
		}
	}
	// Somebody else at the same browser, without having signed out.
	b.take(b.Client.PostForm(gateURL+startPath, url.Values{"vendor": {"acme"}}))
	b.has(http.StatusOK, "Your code")
	for _, c := range b.Jar.Cookies(gate) {
		if c.Name == auth.SessionCookie {
			t.Error("the old session's cookie is still there while a sign-in is under way")
		}
	}
	b.submit(map[string]string{"code": w.code("kim")})
	for _, c := range b.Jar.Cookies(gate) {
		if c.Name == auth.SessionCookie && c.Value == old || c.Name == auth.ProviderCookie {
			t.Errorf("the browser still holds %s", c.Name)
		}
	}
}

// Open redirect: nothing of a query is followed, and what a provider sends back
// beside its answer counts for nothing.
func TestRedirects_Company(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	idp := w.withCompany(nil)
	idp.Set(func(p *authtest.IDP) {
		p.Answer = func(q url.Values) {
			for _, name := range []string{"return", "next", "redirect_uri", "target_link_uri", "r"} {
				q.Set(name, "https://evil.example/")
			}
		}
	})
	for _, at := range []string{"https://evil.example/", "//evil.example", "/\\evil.example", "gate-x", strings.Repeat("x", 500)} {
		b := w.browser()
		b.take(b.Client.PostForm(gateURL+startPath+"?return="+url.QueryEscape(at), url.Values{"vendor": {"acme"}}))
		b.has(http.StatusOK, "Your code")
		b.submit(map[string]string{"code": w.code("kim")})
		if b.at.Host != "gate.test:8443" || b.at.Path != "/" {
			t.Errorf("%q leads to %s", at, b.at)
		}
		w.pass(time.Minute)
	}
}

// An answer that this browser did not ask for signs nobody in, and does not
// end the sign-in that is under way.
func TestCSRF_CompanyCallback(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	idp := w.withCompany(nil)
	attacker, victim := w.browser(), w.browser()
	answerOf := func(b *browser) string {
		t.Helper()
		b.Client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			if strings.Contains(r.URL.Path, "/callback/") {
				return http.ErrUseLastResponse
			}
			return nil
		}
		b.take(b.Client.PostForm(gateURL+startPath, url.Values{"vendor": {"acme"}}))
		b.Client.CheckRedirect = nil
		return b.last.Header.Get("Location")
	}
	his, mine := answerOf(attacker), answerOf(victim)
	if !strings.HasPrefix(his, gateURL+auth.ProviderCallback+"acme?") {
		t.Fatalf("sent back to %s", his)
	}
	stranger := w.browser()
	stranger.visit(his).has(http.StatusBadRequest, "Please start again")
	victim.visit(his).has(http.StatusBadRequest, "Please start again")
	victim.visit(mine).has(http.StatusOK, "Your code")
	victim.visit(mine).has(http.StatusBadRequest, "Please start again")
	// A form of another site starts nothing.
	r, _ := http.NewRequest("POST", gateURL+startPath, strings.NewReader("vendor=acme"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	victim.headers.Set("Sec-Fetch-Site", "cross-site")
	victim.take(victim.Client.Do(r))
	victim.has(http.StatusForbidden)
	_ = idp
}

// What people are told when it does not work: never why an account is refused,
// always what to do.
func TestCompany_Faults(t *testing.T) {
	for name, c := range map[string]struct {
		edit   func(*authtest.IDP)
		status int
		says   string
	}{
		"nobody here":  {func(p *authtest.IDP) { p.Claims["email"] = "nobody@example.com" }, 403, "This account cannot sign in here"},
		"not enrolled": {func(p *authtest.IDP) { p.Claims["email"] = "lee@example.com" }, 403, "This account cannot sign in here"},
		"not verified": {func(p *authtest.IDP) { p.Claims["email_verified"] = false }, 403, "does not vouch for your address"},
		"cancelled": {func(p *authtest.IDP) {
			p.Answer = func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }
		}, 403, "said no"},
		"a bad token": {func(p *authtest.IDP) { p.Claims["aud"] = "other" }, 502, "cannot be used"},
		"down midway": {func(p *authtest.IDP) {
			p.Serve = func(rw http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/token" {
					http.Error(rw, "canary", http.StatusBadGateway)
				}
				return r.URL.Path == "/token"
			}
		}, 503, "does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).enrolled("kim")
			w.withCompany(nil).Set(c.edit)
			b := w.browser()
			b.take(b.Client.PostForm(gateURL+startPath, url.Values{"vendor": {"acme"}}))
			b.has(c.status, c.says).lacks("canary", "id_token", "nobody@example.com")
		})
	}
	w := newWorld(t).enrolled("kim")
	w.withCompany(nil).Close()
	b := w.browser()
	b.visit(gateURL+companyPath+"/acme").has(http.StatusServiceUnavailable, "Your company's sign-in does not answer")
	b.signIn("kim").has(http.StatusOK, "My clusters")
}

// An invited person chooses the company's account in place of a password.
func TestCompany_Enrolment(t *testing.T) {
	for _, required := range []bool{false, true} {
		w := newWorld(t)
		w.withCompany(func(p *directory.IdentityProvider) { p.Required = required })
		link, _, err := w.Auth.Invite(t.Context(), auth.Actor{Account: auth.Operator}, "kim")
		if err != nil {
			t.Fatal(err)
		}
		b := w.browser()
		b.visit(link).has(http.StatusOK, "Use my company's account")
		if strings.Contains(b.text(), "Choose a password") == required {
			t.Errorf("required %v:\n%s", required, b.text())
		}
		for form := range elements(b.page, "form") {
			if attr(form, "action") == "/enrol/company" {
				for in := range elements(form, "input") {
					b.take(b.Client.PostForm(gateURL+"/enrol/company", url.Values{"invite": {attr(in, "value")}}))
				}
				break
			}
		}
		b.has(http.StatusOK, "You go on to your company's own sign-in").lacks("Sign in with a password instead")
		b.submit(map[string]string{"vendor": "acme"}).has(http.StatusOK, "Connect your authenticator app")
		b.visit(link).has(http.StatusGone)
	}
}

// The client secret that was typed is not sent back, not even beside a fault.
func TestProviderForm_ShowsNoSecret(t *testing.T) {
	w := newWorld(t).enrolled("ada")
	b := w.browser()
	b.signIn("ada")
	b.visit(gateURL+"/console/vendors/acme/provider").has(http.StatusOK, gateURL+auth.ProviderCallback+"acme")
	fields := map[string]string{"issuer": "https://login.acme.example", "client_id": "", "client_secret": "canary-of-the-secret", "domains": "@Acme.Example", "scopes": "", "trusted_amr": "mfa", "ca": ""}
	b.submit(fields).has(http.StatusUnprocessableEntity, "Give the client ID.").lacks("canary")
	fields["client_id"] = "ringfence"
	b.submit(fields).has(http.StatusOK, "acme.example").lacks("canary")
	w.dir.mu.Lock()
	defer w.dir.mu.Unlock()
	for _, v := range w.dir.d.Vendors {
		if p := v.IdentityProvider; v.Name == "acme" && (p == nil || p.ClientSecret != "canary-of-the-secret" || p.Domains[0] != "acme.example" || p.TrustedAMR[0] != "mfa") {
			t.Errorf("kept %+v", p)
		}
	}
}
