package auth_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/policy"
)

// upstreamKeys reads the key set as an upstream does.
func upstreamKeys(t *testing.T, e *authtest.Env) map[string]ed25519.PublicKey {
	t.Helper()
	var set struct {
		Keys []struct{ Kty, Crv, X, Kid, Use, Alg string }
	}
	if err := json.Unmarshal(e.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	keys := make(map[string]ed25519.PublicKey)
	for _, k := range set.Keys {
		x, err := base64.RawURLEncoding.DecodeString(k.X)
		if err != nil || k.Kty != "OKP" || k.Crv != "Ed25519" || k.Alg != "EdDSA" || k.Use != "sig" {
			t.Fatalf("key %+v, %v", k, err)
		}
		keys[k.Kid] = x
	}
	return keys
}

func TestAssert(t *testing.T) {
	e, store := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	cookie := e.AtCluster(t, sess, authtest.Claims)
	sub := e.Who(t, cookie, authtest.Claims)
	keys := upstreamKeys(t, e)
	read := func(token string) jwt.MapClaims {
		claims := jwt.MapClaims{}
		_, err := jwt.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) { return keys[t.Header["kid"].(string)], nil },
			jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithAudience(authtest.Claims), jwt.WithIssuer(authtest.Issuer),
			jwt.WithExpirationRequired(), jwt.WithTimeFunc(e.Clock.Now))
		if err != nil {
			t.Fatal(err)
		}
		return claims
	}
	token, err := e.Assert(sub, "claims", authtest.Claims, "req-1")
	if err != nil {
		t.Fatal(err)
	}
	c := read(token)
	if c["sub"] != p.ID || c["email"] != p.Email || c["vendor"] != "acme" || c["cluster"] != "claims" || c["sid"] != sess.ID ||
		c["exp"].(float64)-c["iat"].(float64) != 60 {
		t.Errorf("claims %v", c)
	}
	// Shared for 20 seconds, apart for each cluster and host.
	e.Clock.Advance(19 * time.Second)
	if again, _ := e.Assert(sub, "claims", authtest.Claims, "req-2"); again != token {
		t.Error("signed anew within 20 seconds")
	}
	e.Clock.Advance(time.Second)
	if again, _ := e.Assert(sub, "claims", authtest.Claims, "req-3"); again == token {
		t.Error("kept for longer than 20 seconds")
	}
	if other, _ := e.Assert(sub, "ledger", authtest.Ledger, ""); other == token {
		t.Error("two hosts share an assertion")
	}
	// What it says of the person is what is so now.
	a := p.Account
	a.Roles = []policy.Role{policy.Reviewer}
	store.SetAccount(a)
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	token, err = e.Assert(e.Who(t, cookie, authtest.Claims), "claims", authtest.Claims, "")
	if err != nil || read(token)["roles"].([]any)[0] != "reviewer" {
		t.Errorf("%v, %v", read(token), err)
	}
	// An upstream that sends its assertion back as a cookie is nobody.
	wantNobody(t, e, token, authtest.Claims, authtest.GateHost)
	// The keys of cookies are not among the ones that are published.
	kid := strings.Split(cookie, ".")[0]
	h, err := base64.RawURLEncoding.DecodeString(kid)
	if err != nil {
		t.Fatal(err)
	}
	var header struct{ Kid string }
	if err := json.Unmarshal(h, &header); err != nil || header.Kid == "" || keys[header.Kid] != nil || len(keys) == 0 {
		t.Errorf("header %s, published %v, %v", h, keys, err)
	}
	for _, nobody := range []policy.Subject{policy.Anonymous, {Account: "x"}} {
		if token, err := e.Assert(nobody, "claims", authtest.Claims, ""); err == nil || token != "" {
			t.Errorf("an assertion for %+v", nobody)
		}
	}
}

// The cookie names ids and times, and nothing about the person.
func TestCookie_SaysNothing(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	cookie, sess := e.SignIn(t, p)
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(cookie, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(b, &claims); err != nil {
		t.Fatal(err)
	}
	for name := range claims {
		switch name {
		case "iss", "aud", "iat", "exp", "sid", "epoch":
		default:
			t.Errorf("claim %s", name)
		}
	}
	if claims["sid"] != sess.ID || len(claims) != 6 {
		t.Errorf("claims %s", b)
	}
	c := auth.Cookie(auth.SessionCookie, cookie, time.Hour)
	if !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.MaxAge != 3600 || c.Valid() != nil {
		t.Errorf("cookie %+v", c)
	}
	if gone := auth.Cookie(auth.SessionCookie, "", 0); gone.MaxAge >= 0 {
		t.Errorf("deleting: %+v", gone)
	}
}

// Two session cookies in one request are nobody's; other cookies do not matter.
func TestCookie_Several(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	good, _ := e.SignIn(t, p)
	name := auth.SessionCookie + "="
	for header, want := range map[string]bool{
		name + good:                             true,
		"a=b; " + name + good + "; c=d":         true,
		name + good + "; " + name + good:        true,
		name + good + "; " + name + "x":         false,
		name + "x; " + name + good:              false,
		"x" + name + good:                       false,
		strings.ToLower(name) + good:            false,
		auth.LoginCookie + "=" + good:           false,
		name:                                    false,
		name + good + strings.Repeat("x", 2000): false,
		"":                                      false,
	} {
		r := authtest.Request("")
		r.Header.Set("Cookie", header)
		if sub, err := e.Identify(r, authtest.GateHost); err != nil || !sub.IsAnonymous() != want {
			t.Errorf("%.60q: %+v, %v", header, sub, err)
		}
	}
}
