package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Purposes of signing keys, each with its own keys and its own token type, so
// that a token made for one is refused by the other.
const (
	purposeSession   = "session"
	purposeAssertion = "assertion"
	purposeDevice    = "device"

	typeSession   = "ringfence-session+jwt"
	typeAssertion = "ringfence-assertion+jwt"
	typeDevice    = "ringfence-device+jwt"
)

const (
	// maxToken is how long a cookie's value may be before anything parses it.
	maxToken = 1024
	// keyLife is how long a signing key signs, unless the configuration says otherwise.
	keyLife = 90 * 24 * time.Hour
	// clockLeeway covers nodes whose clocks differ a little.
	clockLeeway = 10 * time.Second
)

var errToken = errors.New("token refused")

// A keyring holds the keys of one purpose. Reading it takes no lock.
type keyring struct {
	purpose, typ string
	keys         atomic.Pointer[ringKeys]
}

type ringKeys struct {
	current string
	private ed25519.PrivateKey
	public  map[string]ed25519.PublicKey
	jwks    []byte
}

// load reads the purpose's keys and makes a new one when the newest is too old to sign.
func (k *keyring) load(ctx context.Context, store Keys, seal *sealer, now time.Time, life time.Duration) error {
	fresh, err := k.fresh(seal, now)
	if err != nil {
		return err
	}
	rows, err := store.EnsureKey(ctx, fresh, now.Add(-life))
	if err != nil {
		return fmt.Errorf("reading %s keys: %w", k.purpose, err)
	}
	ring := &ringKeys{public: make(map[string]ed25519.PublicKey, len(rows))}
	var newest time.Time
	for _, row := range rows {
		seed, err := seal.open("signing_key", "sealed", k.purpose+"/"+row.ID, row.Sealed)
		if err != nil {
			return err
		}
		if len(seed) != ed25519.SeedSize {
			return fmt.Errorf("reading %s key %s: wrong length", k.purpose, row.ID)
		}
		private := ed25519.NewKeyFromSeed(seed)
		ring.public[row.ID] = private.Public().(ed25519.PublicKey)
		if ring.current == "" || row.Created.After(newest) {
			ring.current, ring.private, newest = row.ID, private, row.Created
		}
	}
	if ring.current == "" {
		return fmt.Errorf("reading %s keys: there is none", k.purpose)
	}
	ring.jwks = ring.encode()
	k.keys.Store(ring)
	return nil
}

// fresh makes a key of the purpose. It is nowhere until it is stored.
func (k *keyring) fresh(seal *sealer, now time.Time) (SigningKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return SigningKey{}, fmt.Errorf("making %s key: %w", k.purpose, err)
	}
	key := SigningKey{ID: newID(""), Purpose: k.purpose, Created: now}
	key.Sealed = seal.seal("signing_key", "sealed", k.purpose+"/"+key.ID, private.Seed())
	return key, nil
}

// sign returns the claims as a token under the newest key.
func (k *keyring) sign(claims jwt.Claims) (string, error) {
	ring := k.keys.Load()
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	t.Header["typ"], t.Header["kid"] = k.typ, ring.current
	signed, err := t.SignedString(ring.private)
	if err != nil {
		return "", fmt.Errorf("signing %s token: %w", k.purpose, err)
	}
	return signed, nil
}

// verify reads a token into claims and demands everything: one algorithm, a
// key of this purpose by its id, type, issuer, audience, expiry and issue
// time. Every fault is errToken.
func (k *keyring) verify(token string, claims jwt.Claims, issuer, audience string, now time.Time) error {
	// The library's base64 skips line ends: a token would have many spellings.
	if len(token) > maxToken || audience == "" || strings.ContainsAny(token, "\r\n") {
		return errToken
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(clockLeeway),
		jwt.WithStrictDecoding(), jwt.WithTimeFunc(func() time.Time { return now }))
	ring := k.keys.Load()
	_, err := parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		// Exactly our three fields: jku, x5u, jwk, crit and the rest have no business here.
		if len(t.Header) != 3 || t.Header["typ"] != k.typ {
			return nil, errToken
		}
		id, ok := t.Header["kid"].(string)
		if !ok {
			return nil, errToken
		}
		key, ok := ring.public[id]
		if !ok {
			return nil, errToken
		}
		return key, nil
	})
	if err != nil {
		return errToken
	}
	if at, err := claims.GetIssuedAt(); err != nil || at == nil {
		return errToken
	}
	return nil
}

// encode returns the public keys as a JSON Web Key Set (RFC 7517, RFC 8037).
func (r *ringKeys) encode() []byte {
	type key struct {
		Kty string `json:"kty"`
		Crv string `json:"crv"`
		X   string `json:"x"`
		Kid string `json:"kid"`
		Use string `json:"use"`
		Alg string `json:"alg"`
	}
	set := struct {
		Keys []key `json:"keys"`
	}{Keys: []key{}}
	for _, id := range sortedKeys(r.public) {
		set.Keys = append(set.Keys, key{Kty: "OKP", Crv: "Ed25519", Kid: id, Use: "sig", Alg: "EdDSA",
			X: base64.RawURLEncoding.EncodeToString(r.public[id])})
	}
	b, err := json.Marshal(set)
	if err != nil {
		return []byte(`{"keys":[]}`) // strings alone cannot fail to encode
	}
	return b
}

// sessionClaims are all that a cookie says: ids, no person.
type sessionClaims struct {
	jwt.RegisteredClaims
	Session string `json:"sid"`
	Epoch   int64  `json:"epoch"`
}

// cookieFor returns the value of [SessionCookie] for the session on host.
func (s *Service) cookieFor(v *StoredSession, host string) (string, error) {
	return s.sessionKeys.sign(&sessionClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    s.issuer,
			Audience:  jwt.ClaimStrings{host},
			IssuedAt:  jwt.NewNumericDate(s.now()),
			ExpiresAt: jwt.NewNumericDate(v.Ends),
		},
		Session: v.ID,
		Epoch:   v.Epoch,
	})
}
