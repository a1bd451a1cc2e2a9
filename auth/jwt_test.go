package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// memoryKeys is a [Keys] for tests inside the package.
type memoryKeys struct{ keys []SigningKey }

func (m *memoryKeys) EnsureKey(_ context.Context, k SigningKey, since time.Time) (out []SigningKey, err error) {
	for _, have := range append(m.keys, k) {
		if have.Purpose == k.Purpose {
			out = append(out, have)
		}
	}
	if len(out) > 1 && !out[len(out)-2].Created.Before(since) {
		return out[:len(out)-1], nil
	}
	m.keys = append(m.keys, k)
	return out, nil
}

func (m *memoryKeys) DeleteKeys(context.Context, string, time.Time) error { return nil }

func testSealer(t testing.TB) *sealer {
	t.Helper()
	s, err := newSealer([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func testRing(t testing.TB, store Keys, purpose, typ string, now time.Time) *keyring {
	t.Helper()
	k := &keyring{purpose: purpose, typ: typ}
	if err := k.load(t.Context(), store, testSealer(t), now, keyLife); err != nil {
		t.Fatal(err)
	}
	return k
}

const (
	testIssuer = "https://gate.example.com"
	testHost   = "claims.example.com"
)

var testNow = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)

func goodClaims() *sessionClaims {
	return &sessionClaims{Session: "ses_1", Epoch: 1, RegisteredClaims: jwt.RegisteredClaims{
		Issuer: testIssuer, Audience: jwt.ClaimStrings{testHost},
		IssuedAt: jwt.NewNumericDate(testNow), ExpiresAt: jwt.NewNumericDate(testNow.Add(time.Hour)),
	}}
}

// forge signs header and claims with the ring's own key, as an attacker who
// found a way to have anything signed could.
func forge(t testing.TB, k *keyring, header, claims map[string]any) string {
	t.Helper()
	h, err1 := json.Marshal(header)
	c, err2 := json.Marshal(claims)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	body := b64(h) + "." + b64(c)
	return body + "." + b64(ed25519.Sign(k.keys.Load().private, []byte(body)))
}

// Token confusion: every case is signed or taken from a good token, and each
// has one thing wrong.
func TestTokenConfusion(t *testing.T) {
	store := new(memoryKeys)
	session := testRing(t, store, purposeSession, typeSession, testNow)
	assertion := testRing(t, store, purposeAssertion, typeAssertion, testNow)
	ring := session.keys.Load()
	good, err := session.sign(goodClaims())
	if err != nil {
		t.Fatal(err)
	}
	header := map[string]any{"alg": "EdDSA", "kid": ring.current, "typ": typeSession}
	claims := map[string]any{"iss": testIssuer, "aud": testHost, "iat": testNow.Unix(), "exp": testNow.Add(time.Hour).Unix(), "sid": "ses_1", "epoch": 1}
	with := func(m map[string]any, k string, v any) map[string]any {
		m = maps.Clone(m)
		if m[k] = v; v == nil {
			delete(m, k)
		}
		return m
	}
	if err := session.verify(forge(t, session, header, claims), new(sessionClaims), testIssuer, testHost, testNow); err != nil {
		t.Fatalf("the forged token that has nothing wrong: %v", err)
	}
	other, err := assertion.sign(goodClaims())
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	hs := func(key []byte) string {
		h, _ := json.Marshal(with(header, "alg", "HS256"))
		body := b64(h) + "." + parts[1]
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(body))
		return body + "." + b64(mac.Sum(nil))
	}
	none, _ := json.Marshal(with(header, "alg", "none"))
	public := ring.public[ring.current]
	corpus := map[string]string{
		"empty":                  "",
		"dots":                   "..",
		"none without signature": b64(none) + "." + parts[1] + ".",
		"none with signature":    b64(none) + "." + parts[1] + "." + parts[2],
		"signature removed":      parts[0] + "." + parts[1] + ".",
		"signature of another":   parts[0] + "." + parts[1] + "." + strings.Split(other, ".")[2],
		"HS256 with public key":  hs(public),
		"HS256 with its text":    hs([]byte(base64.StdEncoding.EncodeToString(public))),
		"HS256 with empty key":   hs(nil),
		"padding":                good + "=",
		"trailing space":         good + " ",
		"trailing newline":       good + "\n",
		"four parts":             good + ".x",
		"too long":               good + strings.Repeat("A", maxToken),
		"other purpose":          other,
		"alg in lower case":      forge(t, session, with(header, "alg", "eddsa"), claims),
		"alg none, signed":       forge(t, session, with(header, "alg", "none"), claims),
		"alg missing":            forge(t, session, with(header, "alg", nil), claims),
		"typ of assertions":      forge(t, session, with(header, "typ", typeAssertion), claims),
		"typ JWT":                forge(t, session, with(header, "typ", "JWT"), claims),
		"typ missing":            forge(t, session, with(header, "typ", nil), claims),
		"kid missing":            forge(t, session, with(header, "kid", nil), claims),
		"kid unknown":            forge(t, session, with(header, "kid", "../../dev/null"), claims),
		"kid of assertions":      forge(t, session, with(header, "kid", assertion.keys.Load().current), claims),
		"kid empty":              forge(t, session, with(header, "kid", ""), claims),
		"kid a number":           forge(t, session, with(header, "kid", 1), claims),
		"kid a list":             forge(t, session, with(header, "kid", []string{ring.current}), claims),
		"kid SQL":                forge(t, session, with(header, "kid", "' OR 1=1 --"), claims),
		"jwk":                    forge(t, session, with(header, "jwk", map[string]string{"kty": "OKP"}), claims),
		"jku":                    forge(t, session, with(header, "jku", "https://evil.example/jwks"), claims),
		"x5u":                    forge(t, session, with(header, "x5u", "https://evil.example/c"), claims),
		"crit":                   forge(t, session, with(header, "crit", []string{"b64"}), claims),
		"other host":             forge(t, session, header, with(claims, "aud", "ledger.example.com")),
		"host of the gate":       forge(t, session, header, with(claims, "aud", "gate.example.com")),
		"audience missing":       forge(t, session, header, with(claims, "aud", nil)),
		"audience empty":         forge(t, session, header, with(claims, "aud", "")),
		"audience a prefix":      forge(t, session, header, with(claims, "aud", "claims.example")),
		"other issuer":           forge(t, session, header, with(claims, "iss", "https://evil.example")),
		"issuer missing":         forge(t, session, header, with(claims, "iss", nil)),
		"expired":                forge(t, session, header, with(claims, "exp", testNow.Add(-time.Minute).Unix())),
		"never expires":          forge(t, session, header, with(claims, "exp", nil)),
		"expiry a text":          forge(t, session, header, with(claims, "exp", "never")),
		"expiry zero":            forge(t, session, header, with(claims, "exp", 0)),
		"not yet issued":         forge(t, session, header, with(claims, "iat", testNow.Add(time.Hour).Unix())),
		"issue time missing":     forge(t, session, header, with(claims, "iat", nil)),
		"not before":             forge(t, session, header, with(claims, "nbf", testNow.Add(time.Hour).Unix())),
	}
	for name, token := range corpus {
		if err := session.verify(token, new(sessionClaims), testIssuer, testHost, testNow); err != errToken {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
	if err := session.verify(good, new(sessionClaims), testIssuer, "", testNow); err != errToken {
		t.Errorf("for no host: %v", err)
	}
	if err := assertion.verify(good, new(sessionClaims), testIssuer, testHost, testNow); err != errToken {
		t.Errorf("as an assertion: %v", err)
	}
}

// A token has one encoding: whatever is accepted is one that was signed.
func FuzzToken(f *testing.F) {
	store := new(memoryKeys)
	session := testRing(f, store, purposeSession, typeSession, testNow)
	good, err := session.sign(goodClaims())
	if err != nil {
		f.Fatal(err)
	}
	p := strings.Split(good, ".")
	for _, s := range []string{good, "", "..", good + "=", p[0] + "." + p[1] + ".", strings.ToLower(good), p[0] + ".." + p[2], "eyJhbGciOiJub25lIn0.e30."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if err := session.verify(token, new(sessionClaims), testIssuer, testHost, testNow); err == nil && token != good {
			t.Fatalf("%q was accepted", token)
		}
	})
}

// Secrets at rest: a ciphertext opens in its own row and nowhere else.
func TestSealer(t *testing.T) {
	s := testSealer(t)
	sealed := s.seal("credential", "totp", "acc-kim", []byte("the secret"))
	if plain, err := s.open("credential", "totp", "acc-kim", sealed); err != nil || string(plain) != "the secret" {
		t.Fatalf("%q, %v", plain, err)
	}
	if string(sealed) == string(s.seal("credential", "totp", "acc-kim", []byte("the secret"))) {
		t.Error("two seals are alike")
	}
	flipped := append([]byte(nil), sealed...)
	flipped[len(flipped)-1] ^= 1
	otherKey := append([]byte("00000000"), sealed[sealedPrefix:]...)
	for name, open := range map[string]func() ([]byte, error){
		"other row":    func() ([]byte, error) { return s.open("credential", "totp", "acc-lee", sealed) },
		"other column": func() ([]byte, error) { return s.open("credential", "password", "acc-kim", sealed) },
		"other table":  func() ([]byte, error) { return s.open("enrolment", "totp", "acc-kim", sealed) },
		"shifted":      func() ([]byte, error) { return s.open("credential", "totp|acc", "-kim", sealed) },
		"flipped":      func() ([]byte, error) { return s.open("credential", "totp", "acc-kim", flipped) },
		"other key id": func() ([]byte, error) { return s.open("credential", "totp", "acc-kim", otherKey) },
		"empty":        func() ([]byte, error) { return s.open("credential", "totp", "acc-kim", nil) },
		"short":        func() ([]byte, error) { return s.open("credential", "totp", "acc-kim", sealed[:12]) },
	} {
		if plain, err := open(); err == nil || plain != nil {
			t.Errorf("%s: %q, %v", name, plain, err)
		}
	}
	// Rotation: the new key seals, the old one still opens.
	rotated, err := newSealer([]byte(strings.Repeat("n", 32)), []byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := rotated.open("credential", "totp", "acc-kim", sealed); err != nil || string(plain) != "the secret" {
		t.Errorf("after rotation: %q, %v", plain, err)
	}
	if _, err := s.open("credential", "totp", "acc-kim", rotated.seal("credential", "totp", "acc-kim", []byte("x"))); err == nil {
		t.Error("the old key opens what the new one sealed")
	}
	if _, err := newSealer([]byte("short")); err == nil {
		t.Error("a short root key was accepted")
	}
}

// Signing keys are renewed; the old ones still verify.
func TestKeyring_Renewal(t *testing.T) {
	store := new(memoryKeys)
	k := testRing(t, store, purposeSession, typeSession, testNow)
	old, err := k.sign(goodClaims())
	if err != nil {
		t.Fatal(err)
	}
	first := k.keys.Load().current
	if again := testRing(t, store, purposeSession, typeSession, testNow.Add(time.Hour)); again.keys.Load().current != first {
		t.Error("a restart made another key")
	}
	if err := k.load(t.Context(), store, testSealer(t), testNow.Add(keyLife+time.Hour), keyLife); err != nil {
		t.Fatal(err)
	}
	if k.keys.Load().current == first || len(k.keys.Load().public) != 2 {
		t.Error("an old key goes on signing")
	}
	if err := k.verify(old, new(sessionClaims), testIssuer, testHost, testNow); err != nil {
		t.Errorf("a cookie from before: %v", err)
	}
	// A key's row moved to another purpose does not open.
	moved := &memoryKeys{keys: []SigningKey{store.keys[0]}}
	moved.keys[0].Purpose = purposeAssertion
	a := &keyring{purpose: purposeAssertion, typ: typeAssertion}
	if err := a.load(t.Context(), moved, testSealer(t), testNow, keyLife); err == nil {
		t.Error("a key of cookies signs assertions")
	}
}

// A stored hash cannot demand more than is sane, and has one spelling.
func TestParsePHC(t *testing.T) {
	good := phc{cost: HashCost{Memory: 64, Passes: 1}, salt: make([]byte, 16), hash: make([]byte, 32)}.String()
	if _, err := parsePHC(good); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		"", "$", good + "x", " " + good, strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1),
		strings.Replace(good, "m=64", "m=99999999", 1), strings.Replace(good, "t=1", "t=0", 1), strings.Replace(good, "t=1", "t=999", 1),
		strings.Replace(good, "m=64", "m=064", 1), strings.Replace(good, "p=1", "p=4", 1), good[:len(good)-4],
	} {
		if p, err := parsePHC(s); err == nil {
			t.Errorf("%q: %+v", s, p)
		}
	}
}

// A hash that was copied to another account's row is wrong there.
func TestHasher_BoundToAccount(t *testing.T) {
	h := newHasher(2, HashCost{Memory: 8, Passes: 1}, []byte("pepper"))
	hash, err := h.hash(t.Context(), "acc-kim", "plum anvil quiet harbour")
	if err != nil {
		t.Fatal(err)
	}
	for account, want := range map[string]bool{"acc-kim": true, "acc-lee": false} {
		if right, _, err := h.verify(t.Context(), account, "plum anvil quiet harbour", hash); err != nil || right != want {
			t.Errorf("%s: %v, %v", account, right, err)
		}
	}
	bare := newHasher(2, HashCost{Memory: 8, Passes: 1}, nil)
	if right, _, _ := bare.verify(t.Context(), "acc-kim", "plum anvil quiet harbour", hash); right {
		t.Error("the pepper does not matter")
	}
	dearer := newHasher(2, HashCost{Memory: 16, Passes: 1}, []byte("pepper"))
	if right, stale, err := dearer.verify(t.Context(), "acc-kim", "plum anvil quiet harbour", hash); err != nil || !right || !stale {
		t.Errorf("right %v, stale %v, %v", right, stale, err)
	}
	// Composed and decomposed text is one password.
	hash, err = h.hash(t.Context(), "a", "caf\u00e9 au lait, encore")
	if err != nil {
		t.Fatal(err)
	}
	if right, _, err := h.verify(t.Context(), "a", "cafe\u0301 au lait, encore", hash); err != nil || !right {
		t.Errorf("decomposed: %v, %v", right, err)
	}
	for _, none := range []string{"", "$argon2id$", "x"} {
		if right, _, err := h.verify(t.Context(), "a", "", none); err != nil || right {
			t.Errorf("no hash %q: %v, %v", none, right, err)
		}
	}
}

func TestDerivedKeysDiffer(t *testing.T) {
	seen := make(map[string]string)
	for _, purpose := range []string{"seal", "pepper", "key id"} {
		k, err := deriveKey([]byte(strings.Repeat("k", 32)), purpose, 32)
		if err != nil {
			t.Fatal(err)
		}
		if was, ok := seen[fmt.Sprint(k)]; ok {
			t.Errorf("%s and %s share a key", purpose, was)
		}
		seen[fmt.Sprint(k)] = purpose
	}
}
