package auth_test

import (
	"encoding/base64"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/policy"
)

func byToken(t testing.TB, e *authtest.Env, authorization, host string) policy.Subject {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", authorization)
	sub, err := e.Identify(r, host)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestToken(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	e.Clock.Advance(5 * time.Minute)
	secret, tok, err := e.CreateToken(t.Context(), p.Origin, sess, "claims", " git push ", 0)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(secret, "rft_") || len(secret) != 47 || tok.Name != "git push" || tok.Expires.Sub(tok.Created) != time.Hour {
		t.Errorf("secret of %d characters, token %+v", len(secret), tok)
	}
	e.Clock.Advance(time.Minute)
	for _, header := range []string{"Bearer " + secret, "bearer " + secret, basic("kim", secret), basic("", secret), basic("x", secret)} {
		who := byToken(t, e, header, authtest.Claims)
		if who.Account != p.ID || who.Credential != policy.CredentialToken || who.TokenCluster != "claims" || who.Session != tok.ID {
			t.Errorf("%.12s…: %+v", header, who)
		}
		// Factors are the session's and go on ageing.
		if who.Factors[policy.FactorTOTP] != 360 {
			t.Errorf("the code is %d s old", who.Factors[policy.FactorTOTP])
		}
	}
	for _, header := range []string{
		"Bearer " + secret + "x", "Bearer " + secret[:46], "Bearer rft_", "Bearer " + strings.ToUpper(secret), secret, "Bearer  x " + secret,
		basic("kim", secret+"x"), basic(secret, ""), "Basic !!!", "Digest " + secret, "Bearer " + secret + strings.Repeat("x", 600),
	} {
		if who := byToken(t, e, header, authtest.Claims); !who.IsAnonymous() {
			t.Errorf("%.60q: %+v", header, who)
		}
	}
	if who := byToken(t, e, "Bearer "+secret, authtest.GateHost); !who.IsAnonymous() {
		t.Errorf("at the gate: %+v", who)
	}
	// The portal is for sessions: Current does not look at tokens.
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+secret)
	if s, err := e.Current(r, authtest.GateHost); s != nil || err != nil {
		t.Errorf("a token is a session at the gate: %+v, %v", s, err)
	}
}

// A token that is not in force is nobody, even beside a good cookie; a
// credential that is not ours is the upstream's business.
func TestToken_BesideCookie(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	cookie := e.AtCluster(t, sess, authtest.Claims)
	for header, want := range map[string]bool{"Bearer rft_wrong": false, basic("x", "rft_wrong"): false, "Bearer eyJhbGciOi": true, basic("app", "secret"): true} {
		r := authtest.Request(cookie)
		r.Header.Set("Authorization", header)
		if sub, err := e.Identify(r, authtest.Claims); err != nil || sub.IsAnonymous() == want {
			t.Errorf("%q: %+v, %v", header, sub, err)
		}
	}
	r := authtest.Request(cookie)
	r.Header["Authorization"] = []string{basic("app", "secret"), "Bearer rft_wrong"}
	if sub, err := e.Identify(r, authtest.Claims); err != nil || !sub.IsAnonymous() {
		t.Errorf("two credentials: %+v, %v", sub, err)
	}
}

func TestToken_Ends(t *testing.T) {
	e, store := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	make := func(ttl time.Duration) (string, auth.Token) {
		secret, tok, err := e.CreateToken(t.Context(), p.Origin, sess, "claims", "x", ttl)
		if err != nil {
			t.Fatal(err)
		}
		return secret, tok
	}
	short, _ := make(time.Minute)
	long, tok := make(time.Hour)
	stream := byToken(t, e, "Bearer "+long, authtest.Claims)
	e.Clock.Advance(time.Minute)
	if who := byToken(t, e, "Bearer "+short, authtest.Claims); !who.IsAnonymous() {
		t.Errorf("after its end: %+v", who)
	}
	// It outlives its session …
	if err := e.Logout(t.Context(), p.Origin, sess); err != nil {
		t.Fatal(err)
	}
	if _, ok := e.Refresh(stream); !ok {
		t.Error("the token ended with its session")
	}
	all, err := e.Tokens(t.Context(), p.ID)
	if err != nil || len(all) != 1 || all[0].ID != tok.ID {
		t.Errorf("listed %+v, %v", all, err)
	}
	// … and not its account.
	a := p.Account
	a.Disabled = true
	store.SetAccount(a)
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := e.Refresh(stream); ok || !byToken(t, e, "Bearer "+long, authtest.Claims).IsAnonymous() {
		t.Error("the token goes on without its account")
	}
	if left, _ := store.AllTokens(t.Context()); len(left) != 0 {
		t.Errorf("%d token rows are left", len(left))
	}
}

func TestToken_Revoke(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	secret, tok, err := e.CreateToken(t.Context(), p.Origin, sess, "claims", "x", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.RevokeToken(t.Context(), auth.Actor{Account: p.ID}, tok.ID); err != nil {
		t.Fatal(err)
	}
	if who := byToken(t, e, "Bearer "+secret, authtest.Claims); !who.IsAnonymous() {
		t.Errorf("after it was revoked: %+v", who)
	}
	if err := e.RevokeToken(t.Context(), auth.Actor{Account: p.ID}, tok.ID); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("a second time: %v", err)
	}
	if r, ok := e.Recorder.Last("token.revoke"); !ok || r.Cluster != "claims" || r.Detail["token"] != tok.ID {
		t.Errorf("recorded %+v", r)
	}
}

func TestToken_Refused(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	for _, c := range []struct {
		cluster, name string
		ttl           time.Duration
	}{
		{"", "x", 0}, {"*", "x", 0}, {"Claims", "x", 0}, {"claims", "x", time.Hour + 1}, {"claims", "x", -1},
		{"claims", strings.Repeat("x", 65), 0}, {"claims", "a\nb", 0}, {"../claims", "x", 0},
	} {
		if secret, _, err := e.CreateToken(t.Context(), p.Origin, sess, c.cluster, c.name, c.ttl); !errors.Is(err, auth.ErrInvalid) || secret != "" {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for range 50 {
		if _, _, err := e.CreateToken(t.Context(), p.Origin, sess, "claims", "x", 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := e.CreateToken(t.Context(), p.Origin, sess, "claims", "x", 0); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("the fifty-first: %v", err)
	}
	if err := e.Logout(t.Context(), p.Origin, sess); err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.CreateToken(t.Context(), p.Origin, sess, "claims", "x", 0); !errors.Is(err, auth.ErrSessionEnded) {
		t.Errorf("from a session that ended: %v", err)
	}
}
