package auth_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/policy"
)

// otherKey is nobody's that the provider knows.
var otherKey, _ = rsa.GenerateKey(rand.Reader, 2048)

// newExternal returns a service with Kim enrolled and a provider for her vendor.
func newExternal(t *testing.T, edit func(*auth.Config)) (*authtest.Env, *authtest.IDP, *authtest.Person) {
	t.Helper()
	store := authtest.New(authtest.Everyone()...)
	e := authtest.NewEnv(t, store, func(c *auth.Config) {
		c.ProviderNetworks = authtest.Loopback()
		if edit != nil {
			edit(c)
		}
	})
	idp := authtest.NewIDP(t, e.Clock.Now)
	e.Provider(t, idp, nil)
	return e, idp, e.Enrol(t, authtest.Kim)
}

// through goes to the provider and back in one browser.
func through(t *testing.T, e *authtest.Env, idp *authtest.IDP, p *authtest.Person) (auth.ProviderFinish, error) {
	t.Helper()
	to, cookie, err := e.StartProvider(t.Context(), auth.ProviderStart{Vendor: p.Vendor, Email: p.Email, Return: "target"})
	if err != nil {
		t.Fatal(err)
	}
	return e.FinishProvider(t.Context(), p.Origin, p.Vendor, cookie, idp.Visit(t, to))
}

// failed checks that a sign-in came to nothing, and how it was recorded.
func failed(t *testing.T, e *authtest.Env, f auth.ProviderFinish, err error, result string) {
	t.Helper()
	if err == nil || f.Flow != "" || f.Cookie != "" || f.Enrol != "" || f.Session != nil {
		t.Errorf("got %+v, %v", f, err)
	}
	rec, ok := e.Recorder.Last("oidc.failed")
	if !ok || rec.Result != result {
		t.Errorf("recorded %q (%v), want %q", rec.Result, err, result)
	}
}

func TestExternalSignIn(t *testing.T) {
	e, idp, kim := newExternal(t, nil)
	f, err := through(t, e, idp, kim)
	if err != nil || f.Flow == "" || f.Session != nil || f.Return != "target" {
		t.Fatalf("got %+v, %v", f, err)
	}
	if rec, _ := e.Recorder.Last("oidc.success"); rec.Result != "ok" || rec.Account != kim.ID || rec.Detail["issuer"] != idp.URL {
		t.Errorf("recorded %+v", rec)
	}
	// The provider's word alone is nobody's session: our code is asked for.
	if _, _, err := e.LoginCode(t.Context(), kim.Origin, f.Flow, "000000"); !errors.Is(err, auth.ErrBadCredentials) {
		t.Errorf("got %v", err)
	}
	cookie, sess, err := e.LoginCode(t.Context(), kim.Origin, f.Flow, e.FreshCode(t, kim))
	if err != nil {
		t.Fatal(err)
	}
	sub := e.Who(t, e.AtCluster(t, sess, authtest.Claims), authtest.Claims)
	_, password := sub.Factors[policy.FactorPassword]
	_, external := sub.Factors[policy.FactorExternal]
	_, provider := sub.Factors[policy.FactorProvider]
	if age, ok := sub.CodeAge(); password || !external || provider || !ok || age != 0 {
		t.Errorf("factors %v", sub.Factors)
	}
	if e.Who(t, cookie, authtest.GateHost).Account != kim.ID {
		t.Error("nobody is signed in at the gate")
	}
	// Another start of the process keeps what the session was begun with.
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := e.Who(t, cookie, authtest.GateHost).Factors; len(got) != 2 {
		t.Errorf("after a reload: %v", got)
	}
	if n, err := e.Notices(t.Context(), kim.ID); err != nil || len(n) != 1 || n[0].Kind != auth.NoticeProviderLinked {
		t.Errorf("told %v, %v", n, err)
	}
}

// With an engagement that trusts it, the provider's second factor starts the
// session; it is as old as the provider says, and does not pass for ours.
func TestExternalSignIn_TrustedFactor(t *testing.T) {
	e, idp, kim := newExternal(t, nil)
	e.Provider(t, idp, func(p *auth.IdentityProvider) { p.TrustedAMR = []string{"mfa"} })
	e.Store.(*authtest.Store).SetTrusted(kim.ID, true)
	idp.Set(func(p *authtest.IDP) {
		p.Claims = map[string]any{"amr": []string{"pwd", "mfa"}, "auth_time": e.Clock.Now().Add(-7 * time.Minute).Unix()}
	})
	f, err := through(t, e, idp, kim)
	if err != nil || f.Session == nil || f.Flow != "" {
		t.Fatalf("got %+v, %v", f, err)
	}
	sub := e.Who(t, f.Cookie, authtest.GateHost)
	if _, ok := sub.CodeAge(); ok {
		t.Error("the provider's factor passes for our code")
	}
	trusting, err := policy.NewDocument(policy.Facts{Engagement: &policy.EngagementFacts{TrustProviderFactor: true}})
	if err != nil {
		t.Fatal(err)
	}
	if age, ok := sub.CodeAgeUnder(trusting); !ok || age != 420 {
		t.Errorf("age %d, %v", age, ok)
	}
	for _, d := range []*policy.Document{nil, {}} {
		if _, ok := sub.CodeAgeUnder(d); ok {
			t.Error("the provider's factor counts where nobody trusts it")
		}
	}
	// Our own code can still be given, and then counts everywhere.
	cookie, err := e.Confirm(t.Context(), kim.Origin, f.Session, e.FreshCode(t, kim))
	if err != nil {
		t.Fatal(err)
	}
	sub = e.Who(t, cookie, authtest.GateHost)
	if age, ok := sub.CodeAge(); !ok || age != 0 || len(sub.Factors) != 3 {
		t.Errorf("factors %v", sub.Factors)
	}
}

func TestExternalSignIn_FactorNotCounted(t *testing.T) {
	now := authtest.NewClock().Now()
	for name, c := range map[string]struct {
		claims  map[string]any
		amr     []string
		trusted bool
	}{
		"no engagement trusts it":    {map[string]any{"amr": []string{"mfa"}, "auth_time": now.Unix()}, []string{"mfa"}, false},
		"no value is trusted":        {map[string]any{"amr": []string{"mfa"}, "auth_time": now.Unix()}, nil, true},
		"another value":              {map[string]any{"amr": []string{"pwd", "mfa2"}, "auth_time": now.Unix()}, []string{"mfa"}, true},
		"no amr":                     {map[string]any{"auth_time": now.Unix()}, []string{"mfa"}, true},
		"amr is a text":              {map[string]any{"amr": "mfa", "auth_time": now.Unix()}, []string{"mfa"}, true},
		"no auth_time":               {map[string]any{"amr": []string{"mfa"}}, []string{"mfa"}, true},
		"auth_time too long ago":     {map[string]any{"amr": []string{"mfa"}, "auth_time": now.Add(-62 * time.Minute).Unix()}, []string{"mfa"}, true},
		"auth_time in the future":    {map[string]any{"amr": []string{"mfa"}, "auth_time": now.Add(time.Hour).Unix()}, []string{"mfa"}, true},
		"auth_time is no number":     {map[string]any{"amr": []string{"mfa"}, "auth_time": "yesterday"}, []string{"mfa"}, true},
		"auth_time before the epoch": {map[string]any{"amr": []string{"mfa"}, "auth_time": -1}, []string{"mfa"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			e, idp, kim := newExternal(t, nil)
			e.Provider(t, idp, func(p *auth.IdentityProvider) { p.TrustedAMR = c.amr })
			e.Store.(*authtest.Store).SetTrusted(kim.ID, c.trusted)
			idp.Set(func(p *authtest.IDP) { p.Claims = c.claims })
			f, err := through(t, e, idp, kim)
			if f.Session != nil || f.Cookie != "" {
				t.Fatal("a session began without a second factor")
			}
			// A token that is odd may also be refused as a whole.
			if err == nil && f.Flow == "" {
				t.Error("there is neither a sign-in nor an error")
			}
		})
	}
}

// What the provider says of a person that must not let them in: advisories
// GHSA-4mf2 (a domain that ends like the allowed one), GHSA-652x (the
// restriction is not applied) and CVE-2026-40574 (an address with two @), an
// address that nobody verified, and tokens made for others or by others.
func TestExternalSignIn_HostileTokens(t *testing.T) {
	now := authtest.NewClock().Now()
	claim := func(name string, v any) func(*authtest.IDP) {
		return func(p *authtest.IDP) { p.Claims = map[string]any{name: v} }
	}
	email := func(s string) func(*authtest.IDP) { return claim("email", s) }
	sign := func(f func(p *authtest.IDP, c jwt.MapClaims) string) func(*authtest.IDP) {
		return func(p *authtest.IDP) { p.Sign = func(c jwt.MapClaims) string { return f(p, c) } }
	}
	for name, c := range map[string]struct {
		edit   func(*authtest.IDP)
		result string
	}{
		"a domain that ends like ours":      {email("kim@evil-vendor.example"), "domain_refused"},
		"a domain that begins like ours":    {email("kim@vendor.example.evil.example"), "domain_refused"},
		"below our domain":                  {email("kim@sub.vendor.example"), "domain_refused"},
		"above our domain":                  {email("kim@example"), "domain_refused"},
		"a trailing dot":                    {email("kim@vendor.example."), "domain_refused"},
		"two @":                             {email("kim@evil.example@vendor.example"), "email_invalid"},
		"two @, ours first":                 {email("kim@vendor.example@evil.example"), "email_invalid"},
		"a wide @":                          {email("kim@evil.example＠vendor.example"), "email_invalid"},
		"wide letters":                      {email("ｋim@vendor.example"), "email_invalid"},
		"the Kelvin sign":                   {email("\u212aim@vendor.example"), "email_invalid"},
		"space around":                      {email(" kim@vendor.example"), "email_invalid"},
		"a display name":                    {email("Kim <kim@vendor.example>"), "email_invalid"},
		"a null byte":                       {email("kim@vendor.example\x00.evil.example"), "email_invalid"},
		"an address of nobody":              {email("nobody@vendor.example"), "account_unknown"},
		"the customer's own people":         {email(authtest.Ada.Email), "domain_refused"},
		"somebody not enrolled":             {email(authtest.Lee.Email), "not_enrolled"},
		"no address":                        {claim("email", nil), "email_missing"},
		"a list of addresses":               {claim("email", []string{authtest.Kim.Email}), "email_missing"},
		"not verified":                      {claim("email_verified", false), "email_not_verified"},
		"verified is a text":                {claim("email_verified", "true"), "email_not_verified"},
		"verified is a number":              {claim("email_verified", 1), "email_not_verified"},
		"verified is not said":              {claim("email_verified", nil), "email_not_verified"},
		"for another client":                {claim("aud", "other"), "id_token_invalid"},
		"for another client as well":        {claim("aud", []string{"other", "ringfence"}), "id_token_invalid"},
		"authorised party is another":       {claim("azp", "other"), "id_token_invalid"},
		"of another issuer":                 {claim("iss", "https://evil.example"), "id_token_invalid"},
		"of the issuer with a slash":        {func(p *authtest.IDP) { p.Claims = map[string]any{"iss": p.URL + "/"} }, "id_token_invalid"},
		"over":                              {claim("exp", now.Add(-time.Second).Unix()), "id_token_invalid"},
		"without an end":                    {claim("exp", nil), "id_token_invalid"},
		"issued long ago":                   {claim("iat", now.Add(-time.Hour).Unix()), "id_token_invalid"},
		"issued in the future":              {claim("iat", now.Add(time.Hour).Unix()), "id_token_invalid"},
		"not said when issued":              {claim("iat", nil), "id_token_invalid"},
		"not yet good":                      {claim("nbf", now.Add(time.Hour).Unix()), "id_token_invalid"},
		"of nobody":                         {claim("sub", nil), "id_token_invalid"},
		"of a subject too long":             {claim("sub", strings.Repeat("s", 256)), "id_token_invalid"},
		"with another access token":         {claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), "id_token_invalid"},
		"nonce of another sign-in (replay)": {claim("nonce", auth.NewSecret()), "nonce_mismatch"},
		"without a nonce":                   {claim("nonce", nil), "nonce_mismatch"},
		"alg none": {sign(func(p *authtest.IDP, c jwt.MapClaims) string {
			return p.SignWith(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "1", c)
		}), "id_token_invalid"},
		"HS256 with the client secret": {sign(func(p *authtest.IDP, c jwt.MapClaims) string {
			return p.SignWith(jwt.SigningMethodHS256, []byte(p.Secret), "1", c)
		}), "id_token_invalid"},
		"HS256 with the public key": {sign(func(p *authtest.IDP, c jwt.MapClaims) string {
			return p.SignWith(jwt.SigningMethodHS256, fmt.Append(nil, p.PublicKey()), "1", c)
		}), "id_token_invalid"},
		"another key with a known kid": {sign(func(p *authtest.IDP, c jwt.MapClaims) string {
			return p.SignWith(jwt.SigningMethodRS256, otherKey, "1", c)
		}), "id_token_invalid"},
		"an unknown kid": {sign(func(p *authtest.IDP, c jwt.MapClaims) string {
			return p.SignWith(jwt.SigningMethodRS256, otherKey, "no-such-key", c)
		}), "id_token_invalid"},
		"a key of its own": {sign(func(p *authtest.IDP, c jwt.MapClaims) string {
			t := jwt.NewWithClaims(jwt.SigningMethodRS256, c)
			t.Header["jku"], t.Header["kid"] = "https://evil.example/keys", "../../x"
			s, _ := t.SignedString(otherKey)
			return s
		}), "id_token_invalid"},
		"no token at all": {sign(func(*authtest.IDP, jwt.MapClaims) string { return "" }), "id_token_invalid"},
		"something else":  {sign(func(*authtest.IDP, jwt.MapClaims) string { return "a.b.c" }), "id_token_invalid"},
		"the person said no": {func(p *authtest.IDP) {
			p.Answer = func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }
		}, "provider_refused"},
		"two codes":    {func(p *authtest.IDP) { p.Answer = func(q url.Values) { q.Add("code", "other") } }, "provider_refused"},
		"no code":      {func(p *authtest.IDP) { p.Answer = func(q url.Values) { q.Del("code") } }, "provider_refused"},
		"another code": {func(p *authtest.IDP) { p.Answer = func(q url.Values) { q.Set("code", "guessed") } }, "exchange_failed"},
		"userinfo of another": {func(p *authtest.IDP) {
			p.Claims = map[string]any{"email": nil}
			p.Info = map[string]any{"sub": "somebody-else", "email": authtest.Kim.Email, "email_verified": true}
		}, "id_token_invalid"},
		"userinfo not verified": {func(p *authtest.IDP) {
			p.Claims = map[string]any{"email": nil}
			p.Info = map[string]any{"sub": "kim-1", "email": authtest.Kim.Email, "email_verified": "true"}
		}, "email_not_verified"},
		// One source vouches for the whole: not the address of one and the word of the other.
		"userinfo vouches for another address": {func(p *authtest.IDP) {
			p.Claims = map[string]any{"email_verified": false}
			p.Info = map[string]any{"sub": "kim-1", "email": authtest.Kim.Email, "email_verified": true}
		}, "email_not_verified"},
	} {
		t.Run(name, func(t *testing.T) {
			e, idp, kim := newExternal(t, nil)
			idp.Set(c.edit)
			f, err := through(t, e, idp, kim)
			failed(t, e, f, err, c.result)
			if _, err := e.Pinned(t.Context(), kim.ID); !errors.Is(err, auth.ErrNotFound) {
				t.Error("somebody was made the account's owner")
			}
		})
	}
}

// Accounts that may not sign in may not do so through a provider either.
func TestExternalSignIn_AccountsRefused(t *testing.T) {
	for result, edit := range map[string]func(*auth.Account){
		"account_disabled":          func(a *auth.Account) { a.Disabled = true },
		"vendor_suspended":          func(a *auth.Account) { a.VendorSuspended = true },
		"account_ended":             func(a *auth.Account) { a.Ends = authtest.NewClock().Now() },
		"account_of_another_vendor": func(a *auth.Account) { a.Vendor = "other" },
	} {
		e, idp, kim := newExternal(t, nil)
		a := authtest.Kim
		edit(&a)
		e.Store.(*authtest.Store).SetAccount(a)
		f, err := through(t, e, idp, kim)
		failed(t, e, f, err, result)
		if !errors.Is(err, auth.ErrBadCredentials) {
			t.Errorf("%s: told %v", result, err)
		}
	}
	// One of the customer's own people has no vendor, and so no provider.
	e, idp, kim := newExternal(t, nil)
	a := authtest.Kim
	a.Vendor, a.Roles = "", []policy.Role{policy.Administrator}
	e.Store.(*authtest.Store).SetAccount(a)
	f, err := through(t, e, idp, kim)
	failed(t, e, f, err, "account_of_another_vendor")
}

// An address passes on to somebody else; the account does not.
func TestExternalSignIn_SubjectPinned(t *testing.T) {
	e, idp, kim := newExternal(t, nil)
	if _, err := through(t, e, idp, kim); err != nil {
		t.Fatal(err)
	}
	idp.Set(func(p *authtest.IDP) { p.Subject = "kim-2" })
	f, err := through(t, e, idp, kim)
	failed(t, e, f, err, "subject_changed")
	if n, _ := e.Notices(t.Context(), kim.ID); len(n) != 2 || n[0].Kind != auth.NoticeProviderOther && n[1].Kind != auth.NoticeProviderOther {
		t.Errorf("told %v", n)
	}
	// The same subject at another issuer is another person.
	other := authtest.NewIDP(t, e.Clock.Now)
	e.Provider(t, other, nil)
	f, err = through(t, e, other, kim)
	failed(t, e, f, err, "subject_changed")

	if err := e.Unpin(t.Context(), auth.Actor{Account: authtest.Lee.ID}, kim.ID); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("a contractor unpins: %v", err)
	}
	e.Recorder.Fail(errors.New("full"))
	if err := e.Unpin(t.Context(), authtest.Operator, kim.ID); err == nil {
		t.Error("unpinned without a record")
	}
	e.Recorder.Fail(nil)
	if err := e.Unpin(t.Context(), authtest.Operator, kim.ID); err != nil {
		t.Fatal(err)
	}
	if f, err := through(t, e, other, kim); err != nil || f.Flow == "" {
		t.Errorf("got %+v, %v", f, err)
	}
	// Two accounts are never one person at the provider.
	lee := e.Enrol(t, authtest.Lee)
	other.Set(func(p *authtest.IDP) { p.Claims = map[string]any{"email": lee.Email} })
	f, err = through(t, e, other, lee)
	failed(t, e, f, err, "subject_changed")
}

// The answer of a provider is worth something once, in the browser that went
// there, within ten minutes, at the address of that provider.
func TestExternalSignIn_OtherBrowser(t *testing.T) {
	e, idp, kim := newExternal(t, nil)
	start := func() (url.Values, string) {
		t.Helper()
		to, cookie, err := e.StartProvider(t.Context(), auth.ProviderStart{Vendor: kim.Vendor})
		if err != nil {
			t.Fatal(err)
		}
		return idp.Visit(t, to), cookie
	}
	finish := func(vendor, cookie string, q url.Values) (auth.ProviderFinish, error) {
		return e.FinishProvider(t.Context(), kim.Origin, vendor, cookie, q)
	}
	mine, cookie := start()
	his, _ := start()

	// Login CSRF: the victim's browser is sent back with the attacker's answer.
	f, err := finish(kim.Vendor, cookie, his)
	failed(t, e, f, err, "state_mismatch")
	// The same with a browser that went nowhere, or with a cookie that was made up.
	for _, c := range []string{"", "x", strings.Repeat("A", 5000), cookie[:len(cookie)-2]} {
		if f, err := finish(kim.Vendor, c, his); !errors.Is(err, auth.ErrFlowEnded) || f.Flow != "" {
			t.Errorf("cookie of %d bytes: %+v, %v", len(c), f, err)
		}
	}
	// Code injection: a code of another browser's sign-in under one's own state.
	mixed := url.Values{"state": mine["state"], "code": his["code"]}
	f, err = finish(kim.Vendor, cookie, mixed)
	failed(t, e, f, err, "exchange_failed")
	// The state was spent by that, also for the right code.
	f, err = finish(kim.Vendor, cookie, mine)
	failed(t, e, f, err, "replayed")
	// At the address of another vendor's provider.
	q, c := start()
	f, err = finish("other", c, q)
	failed(t, e, f, err, "issuer_mismatch")
	// Once it was good, it is not good again.
	if f, err := finish(kim.Vendor, c, q); err != nil || f.Flow == "" {
		t.Errorf("got %+v, %v", f, err)
	}
	f, err = finish(kim.Vendor, c, q)
	failed(t, e, f, err, "replayed")
	// Too late.
	q, c = start()
	e.Clock.Advance(10*time.Minute + time.Second)
	if _, err := finish(kim.Vendor, c, q); !errors.Is(err, auth.ErrFlowEnded) {
		t.Errorf("got %v", err)
	}
}

// A hundred copies of one answer at once are one sign-in.
func TestExternalSignIn_ParallelAnswers(t *testing.T) {
	e, idp, kim := newExternal(t, nil)
	to, cookie, err := e.StartProvider(t.Context(), auth.ProviderStart{Vendor: kim.Vendor})
	if err != nil {
		t.Fatal(err)
	}
	q := idp.Visit(t, to)
	var wins atomic.Int64
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if f, err := e.FinishProvider(t.Context(), kim.Origin, kim.Vendor, cookie, q); err == nil && f.Flow != "" {
				wins.Add(1)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 1 {
		t.Errorf("%d sign-ins", wins.Load())
	}
}

// Mix-up (RFC 9207, RFC 9700 section 4.4): a dishonest provider passes on the
// code of an honest one.
func TestExternalSignIn_MixUp(t *testing.T) {
	for name, c := range map[string]struct {
		meta   bool
		answer func(url.Values, string)
		ok     bool
	}{
		"announced and right":   {true, func(q url.Values, own string) { q.Set("iss", own) }, true},
		"right though not said": {false, func(q url.Values, own string) { q.Set("iss", own) }, true},
		"another's":             {true, func(q url.Values, _ string) { q.Set("iss", "https://honest.example") }, false},
		"another's, not said":   {false, func(q url.Values, _ string) { q.Set("iss", "https://honest.example") }, false},
		"missing":               {true, func(url.Values, string) {}, false},
		"empty":                 {false, func(q url.Values, _ string) { q.Set("iss", "") }, false},
		"twice":                 {false, func(q url.Values, own string) { q["iss"] = []string{own, own} }, false},
		"an error of another": {true, func(q url.Values, _ string) {
			q.Del("code")
			q.Set("error", "access_denied")
			q.Set("iss", "https://honest.example")
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			e, idp, kim := newExternal(t, nil)
			asked := false
			idp.Set(func(p *authtest.IDP) {
				p.Meta = func(m map[string]any) { m["authorization_response_iss_parameter_supported"] = c.meta }
				p.Answer = func(q url.Values) { c.answer(q, p.URL) }
				p.Serve = func(_ http.ResponseWriter, r *http.Request) bool {
					asked = asked || r.URL.Path == "/token"
					return false
				}
			})
			f, err := through(t, e, idp, kim)
			if c.ok {
				if err != nil || f.Flow == "" {
					t.Fatalf("got %+v, %v", f, err)
				}
				return
			}
			if name == "twice" {
				failed(t, e, f, err, "provider_refused")
			} else {
				failed(t, e, f, err, "issuer_mismatch")
			}
			if asked {
				t.Error("the code went to a token endpoint all the same")
			}
		})
	}
	// Each provider has a redirect URI of its own.
	e, _, _ := newExternal(t, nil)
	if e.ProviderRedirect("acme") == e.ProviderRedirect("other") {
		t.Error("two providers share a redirect URI")
	}
}

// The registration that a person was sent with is the one that they come back to.
func TestExternalSignIn_RegistrationChanged(t *testing.T) {
	e, idp, kim := newExternal(t, nil)
	to, cookie, err := e.StartProvider(t.Context(), auth.ProviderStart{Vendor: kim.Vendor})
	if err != nil {
		t.Fatal(err)
	}
	q := idp.Visit(t, to)
	e.Provider(t, authtest.NewIDP(t, e.Clock.Now), nil)
	f, err := e.FinishProvider(t.Context(), kim.Origin, kim.Vendor, cookie, q)
	failed(t, e, f, err, "provider_changed")
	e.Store.(*authtest.Store).RemoveProvider(kim.Vendor)
	if _, _, err := e.StartProvider(t.Context(), auth.ProviderStart{Vendor: kim.Vendor}); !errors.Is(err, auth.ErrNoProvider) {
		t.Errorf("got %v", err)
	}
}

// Keys are replaced at the provider; sign-ins go on, and the old key is worth nothing.
func TestExternalSignIn_KeysRotated(t *testing.T) {
	e, idp, kim := newExternal(t, nil)
	for range 3 {
		if f, err := through(t, e, idp, kim); err != nil || f.Flow == "" {
			t.Fatalf("got %+v, %v", f, err)
		}
		idp.Rotate()
	}
}

// The address may be told at the userinfo endpoint alone.
func TestExternalSignIn_UserInfo(t *testing.T) {
	e, idp, kim := newExternal(t, nil)
	idp.Set(func(p *authtest.IDP) {
		p.Claims = map[string]any{"email": nil, "email_verified": nil}
		p.Info = map[string]any{"sub": "kim-1", "email": "Kim@Vendor.Example", "email_verified": true}
	})
	if f, err := through(t, e, idp, kim); err != nil || f.Flow == "" {
		t.Errorf("got %+v, %v", f, err)
	}
}

// A vendor whose provider is required has no way past it: not with a password
// that was right, not with an invitation, not with a sign-in that began before.
func TestExternalSignIn_Required(t *testing.T) {
	e, idp, kim := newExternal(t, nil)
	flow, err := e.Login(t.Context(), kim.Origin, kim.Email, kim.Password)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := e.Invite(t.Context(), authtest.Operator, authtest.Lee.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, token, _ = strings.Cut(token, "invite=")
	_, sess := e.SignIn(t, kim)
	e.Provider(t, idp, func(p *auth.IdentityProvider) { p.Required = true })
	if _, _, err := e.ChangePassword(t.Context(), kim.Origin, sess, kim.Password, "another long pass phrase 9", false); !errors.Is(err, auth.ErrPasswordClosed) {
		t.Errorf("changing the password: %v", err)
	}
	if has, err := e.HasPassword(t.Context(), kim.ID); has || err != nil {
		t.Errorf("has a password: %v %v", has, err)
	}

	before := e.Hashes()
	if _, err := e.Login(t.Context(), kim.Origin, kim.Email, kim.Password); !errors.Is(err, auth.ErrBadCredentials) {
		t.Errorf("got %v", err)
	}
	if e.Hashes() != before+1 {
		t.Error("no password was hashed, which can be timed")
	}
	if rec, _ := e.Recorder.Last("password.failed"); rec.Detail["reason"] != "password_closed" {
		t.Errorf("recorded %v", rec.Detail)
	}
	if _, _, err := e.LoginCode(t.Context(), kim.Origin, flow, e.FreshCode(t, kim)); !errors.Is(err, auth.ErrFlowEnded) {
		t.Errorf("got %v", err)
	}
	if _, err := e.AcceptInvite(t.Context(), kim.Origin, token, authtest.Password); !errors.Is(err, auth.ErrPasswordClosed) {
		t.Errorf("got %v", err)
	}
	info, err := e.OpenInvite(t.Context(), token)
	if err != nil || info.Provider != kim.Vendor || !info.PasswordClosed {
		t.Errorf("got %+v, %v", info, err)
	}
	f, err := through(t, e, idp, kim)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.LoginCode(t.Context(), kim.Origin, f.Flow, e.FreshCode(t, kim)); err != nil {
		t.Errorf("got %v", err)
	}
}

// An invitation is accepted through the provider in place of a password; the
// second factor is set up as ever.
func TestExternalSignIn_Enrolment(t *testing.T) {
	e, idp, kim := newExternal(t, nil)
	invite := func() string {
		link, _, err := e.Invite(t.Context(), authtest.Operator, authtest.Lee.ID)
		if err != nil {
			t.Fatal(err)
		}
		_, token, _ := strings.Cut(link, "invite=")
		return token
	}
	lee := &authtest.Person{Account: authtest.Lee, Origin: kim.Origin}
	come := func(token string) (auth.ProviderFinish, error) {
		t.Helper()
		to, cookie, err := e.StartProvider(t.Context(), auth.ProviderStart{Vendor: lee.Vendor, Invite: token})
		if err != nil {
			return auth.ProviderFinish{}, err
		}
		return e.FinishProvider(t.Context(), lee.Origin, lee.Vendor, cookie, idp.Visit(t, to))
	}
	token := invite()
	// Kim is no party to Lee's invitation.
	f, err := come(token)
	failed(t, e, f, err, "invitation_of_another")
	idp.Set(func(p *authtest.IDP) { p.Claims, p.Subject = map[string]any{"email": lee.Email}, "lee-1" })
	if f, err = come(token); err != nil || f.Enrol == "" {
		t.Fatalf("got %+v, %v", f, err)
	}
	if _, err := come(token); !errors.Is(err, auth.ErrInviteInvalid) {
		t.Errorf("an invitation was used twice: %v", err)
	}
	// Until the authenticator is confirmed nobody is signed in.
	g, err := through(t, e, idp, lee)
	failed(t, e, g, err, "not_enrolled")
	enrolment, err := e.Enrolment(t.Context(), f.Enrol)
	if err != nil {
		t.Fatal(err)
	}
	if err := lee.Scan(enrolment.URI); err != nil {
		t.Fatal(err)
	}
	if _, err := e.ConfirmTOTP(t.Context(), lee.Origin, f.Enrol, "phone", e.FreshCode(t, lee)); err != nil {
		t.Fatal(err)
	}
	_, sess, err := e.FinishEnrolment(t.Context(), lee.Origin, f.Enrol)
	if err != nil {
		t.Fatal(err)
	}
	factors := sess.Subject(e.Clock.Now()).Factors
	if _, password := factors[policy.FactorPassword]; password || len(factors) != 2 {
		t.Errorf("factors %v", factors)
	}
	// There is no password, not even the empty one.
	for _, p := range []string{"", authtest.Password} {
		if _, err := e.Login(t.Context(), lee.Origin, lee.Email, p); !errors.Is(err, auth.ErrBadCredentials) {
			t.Errorf("password %q: %v", p, err)
		}
	}
	// An invitation for another vendor's account is not for this provider.
	other := authtest.Lee
	other.ID, other.Email, other.Vendor = "acc-other", "other@vendor.example", "other"
	e.Store.(*authtest.Store).SetAccount(other)
	link, _, err := e.Invite(t.Context(), authtest.Operator, other.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, token, _ = strings.Cut(link, "invite=")
	if _, err := come(token); !errors.Is(err, auth.ErrNoProvider) {
		t.Errorf("got %v", err)
	}
}

// A factor reset takes away who the account is at its provider as well.
func TestExternalSignIn_Reset(t *testing.T) {
	e, idp, kim := newExternal(t, nil)
	if _, err := through(t, e, idp, kim); err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.ResetFactor(t.Context(), authtest.Operator, kim.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Pinned(t.Context(), kim.ID); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	f, err := through(t, e, idp, kim)
	failed(t, e, f, err, "not_enrolled")
}

// What cannot be recorded does not happen.
func TestExternalSignIn_RecordsFirst(t *testing.T) {
	e, idp, kim := newExternal(t, nil)
	to, cookie, err := e.StartProvider(t.Context(), auth.ProviderStart{Vendor: kim.Vendor})
	if err != nil {
		t.Fatal(err)
	}
	q := idp.Visit(t, to)
	e.Recorder.Fail(errors.New("full"))
	f, err := e.FinishProvider(t.Context(), kim.Origin, kim.Vendor, cookie, q)
	if err == nil || f.Flow != "" {
		t.Errorf("got %+v, %v", f, err)
	}
	e.Recorder.Fail(nil)
	if _, err := e.Pinned(t.Context(), kim.ID); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("pinned without a record: %v", err)
	}
}

// Neither records nor the operational log nor errors hold what a provider or
// its client keeps secret.
func TestExternalSignIn_SecretsNowhere(t *testing.T) {
	var log bytes.Buffer
	e, idp, kim := newExternal(t, func(c *auth.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	var tokens []string
	idp.Set(func(p *authtest.IDP) {
		p.Serve = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				r.ParseForm()
				tokens = append(tokens, r.PostForm.Get("code"), r.PostForm.Get("code_verifier"))
			}
			return false
		}
	})
	_, err1 := through(t, e, idp, kim)
	idp.Set(func(p *authtest.IDP) { p.Secret = "canary-other-secret" })
	_, err2 := through(t, e, idp, kim)
	idp.Set(func(p *authtest.IDP) {
		p.Serve = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				w.Write([]byte("canary-body"))
				return true
			}
			return false
		}
	})
	_, err3 := through(t, e, idp, kim)
	all, err := json.Marshal(e.Recorder.Records())
	if err != nil {
		t.Fatal(err)
	}
	text := log.String() + string(all) + fmt.Sprintf("%v %v %v", err1, err2, err3)
	if len(tokens) != 4 || err1 != nil || err2 == nil || err3 == nil {
		t.Fatalf("%d tokens, %v, %v, %v", len(tokens), err1, err2, err3)
	}
	for _, secret := range append(tokens, "canary", "kim-1") {
		if strings.Contains(text, secret) {
			t.Errorf("%q stands in the records, the log or an error", secret)
		}
	}
}

// A provider that does not answer, floods, redirects or leads elsewhere stops
// its own vendor's people and nobody else.
func TestExternalSignIn_Outage(t *testing.T) {
	e, idp, kim := newExternal(t, nil)
	idp.Close()
	_, _, err := e.StartProvider(t.Context(), auth.ProviderStart{Vendor: kim.Vendor})
	p, ok := errors.AsType[*auth.ProviderError](err)
	if !ok || p.Result != "provider_unavailable" {
		t.Fatalf("got %v", err)
	}
	if _, sess := e.SignIn(t, kim); sess == nil {
		t.Error("the password way is closed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := e.StartProvider(ctx, auth.ProviderStart{Vendor: kim.Vendor}); err == nil {
		t.Error("started after the request was over")
	}
}
