package authtest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ringfence/ringfence/auth"
)

// An IDP is an OpenID Connect provider that does what a test tells it to, and
// otherwise is stricter than most: a code is good once, for the client, the
// redirect URI and the verifier that it was made for.
type IDP struct {
	*httptest.Server
	ClientID, Secret string
	Now              func() time.Time

	mu    sync.Mutex
	key   *rsa.PrivateKey
	kid   int
	codes map[string]issued

	// What the next sign-in says; change it through Set.
	Subject string
	Claims  map[string]any // of the ID token, in place of the usual ones; nil values take away
	Info    map[string]any // of the userinfo endpoint; nil: there is none
	Sign    func(claims jwt.MapClaims) string
	Answer  func(q url.Values)
	Meta    func(m map[string]any)
	// Serve answers a request in place of the provider when it returns true.
	Serve func(w http.ResponseWriter, r *http.Request) bool
}

type issued struct {
	nonce, challenge, redirect, subject string
}

// NewIDP starts a provider that vouches for Kim.
func NewIDP(t testing.TB, now func() time.Time) *IDP {
	t.Helper()
	p := &IDP{ClientID: "ringfence", Secret: "canary-client-secret", Now: now, codes: map[string]issued{}, Subject: "kim-1", key: firstKey(), kid: 1}
	p.Server = httptest.NewTLSServer(p)
	t.Cleanup(p.Close)
	return p
}

// Set changes what the provider does, while nobody else looks.
func (p *IDP) Set(edit func(*IDP)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	edit(p)
}

// Rotate replaces the signing key.
func (p *IDP) Rotate() {
	key := newKey()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key = key
	p.kid++
}

// firstKey is the one that every provider begins with: making one takes long.
var firstKey = sync.OnceValue(newKey)

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// CA is the provider's certificate as PEM.
func (p *IDP) CA() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
}

// Loopback is the network in which test providers are.
func Loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// Provider registers the provider for a vendor with e's store.
func (e *Env) Provider(t testing.TB, p *IDP, edit func(*auth.IdentityProvider)) {
	t.Helper()
	row := auth.IdentityProvider{Vendor: Kim.Vendor, Issuer: p.URL, ClientID: p.ClientID, Domains: []string{"vendor.example"}, CA: p.CA()}
	if edit != nil {
		edit(&row)
	}
	row.SealedSecret = e.SealSecret("identity_provider", "client_secret", row.Vendor, []byte(p.Secret))
	e.Store.(*Store).SetProvider(row)
}

// Visit does what a browser does at the authorization endpoint once the person
// has signed in there, and returns the query that it comes back with.
func (p *IDP) Visit(t testing.TB, to string) url.Values {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for name, want := range map[string]string{"response_type": "code", "client_id": p.ClientID, "code_challenge_method": "S256"} {
		if q.Get(name) != want {
			t.Fatalf("%s is %q, want %q", name, q.Get(name), want)
		}
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if len(q.Get(name)) < 43 {
			t.Fatalf("%s has %d characters", name, len(q.Get(name)))
		}
	}
	return p.authorize(q)
}

func (p *IDP) authorize(q url.Values) url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	code := auth.NewSecret()
	p.codes[code] = issued{q.Get("nonce"), q.Get("code_challenge"), q.Get("redirect_uri"), p.Subject}
	back := url.Values{"code": {code}, "state": {q.Get("state")}}
	if p.Answer != nil {
		p.Answer(back)
	}
	return back
}

// ServeHTTP is the provider's own site.
func (p *IDP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	serve := p.Serve
	p.mu.Unlock()
	if serve != nil && serve(w, r) {
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		p.mu.Lock()
		defer p.mu.Unlock()
		m := map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/jwks",
			"id_token_signing_alg_values_supported": []string{"RS256"}, "code_challenge_methods_supported": []string{"S256"}}
		if p.Info != nil {
			m["userinfo_endpoint"] = p.URL + "/userinfo"
		}
		if p.Meta != nil {
			p.Meta(m)
		}
		answer(w, m)
	case "/authorize":
		q := p.authorize(r.URL.Query())
		http.Redirect(w, r, r.URL.Query().Get("redirect_uri")+"?"+q.Encode(), http.StatusFound)
	case "/token":
		p.token(w, r)
	case "/jwks":
		p.mu.Lock()
		defer p.mu.Unlock()
		answer(w, map[string]any{"keys": []any{map[string]any{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": strconv.Itoa(p.kid),
			"n": base64.RawURLEncoding.EncodeToString(p.key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(p.key.E)).Bytes())}}})
	case "/userinfo":
		p.mu.Lock()
		defer p.mu.Unlock()
		answer(w, p.Info)
	default:
		http.NotFound(w, r)
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func (p *IDP) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	refuse := func(why string) {
		w.WriteHeader(http.StatusBadRequest)
		answer(w, map[string]any{"error": why, "error_description": "canary-description"})
	}
	id, secret, ok := r.BasicAuth()
	if !ok || id != p.ClientID || secret != p.Secret {
		refuse("invalid_client")
		return
	}
	c, known := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !known || c.redirect != r.PostFormValue("redirect_uri") || c.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
		refuse("invalid_grant")
		return
	}
	answer(w, map[string]any{"access_token": accessToken, "token_type": "Bearer", "expires_in": 60, "id_token": p.idToken(c)})
}

const accessToken = "canary-access-token"

func (p *IDP) idToken(c issued) string {
	now := p.Now()
	sum := sha256.Sum256([]byte(accessToken))
	claims := jwt.MapClaims{"iss": p.URL, "aud": p.ClientID, "sub": c.subject, "nonce": c.nonce, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		"at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]), "email": Kim.Email, "email_verified": true}
	maps.Copy(claims, p.Claims)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	if p.Sign != nil {
		return p.Sign(claims)
	}
	return p.SignWith(jwt.SigningMethodRS256, p.key, strconv.Itoa(p.kid), claims)
}

// SignWith makes a token with a key of the test's own choice.
func (p *IDP) SignWith(m jwt.SigningMethod, key any, kid string, claims jwt.MapClaims) string {
	t := jwt.NewWithClaims(m, claims)
	if kid != "" {
		t.Header["kid"] = kid
	}
	s, err := t.SignedString(key)
	if err != nil {
		panic(err)
	}
	return s
}

// PublicKey is the provider's public key; to sign by it is an old attack.
func (p *IDP) PublicKey() crypto.PublicKey { return p.key.Public() }
