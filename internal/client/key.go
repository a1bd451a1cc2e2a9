package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// A Key is a computer's own key. Its text forms show nothing.
type Key struct{ private *ecdsa.PrivateKey }

// NewKey makes a key (P-256).
func NewKey() (Key, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("making a key: %w", err)
	}
	return Key{k}, nil
}

// String shows nothing of a Key.
func (Key) String() string { return "[secret]" }

// GoString shows nothing of a Key.
func (Key) GoString() string { return "[secret]" }

// encode writes the key for the vault.
func (k Key) encode() ([]byte, error) { return jose.JSONWebKey{Key: k.private}.MarshalJSON() }

func decodeKey(b []byte) (Key, error) {
	var j jose.JSONWebKey
	if err := j.UnmarshalJSON(b); err != nil {
		return Key{}, fmt.Errorf("reading this computer's key: %w", err)
	}
	k, ok := j.Key.(*ecdsa.PrivateKey)
	if !ok {
		return Key{}, fmt.Errorf("reading this computer's key: it is of another kind")
	}
	return Key{k}, nil
}

// Proof returns a proof of the key for one request (RFC 9449 section 4): good
// once, for the method and the address without its query, for about a minute.
// token is what the request shows, empty when it shows none.
func (k Key) Proof(method, address, token string, now time.Time) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("making a proof: %q is not the address of a request", address)
	}
	claims := map[string]any{"htm": method, "htu": target(u), "iat": now.Unix(), "jti": rand.Text()}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("making a proof: %w", err)
	}
	opts := (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt")
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: k.private}, opts)
	if err != nil {
		return "", fmt.Errorf("making a proof: %w", err)
	}
	signed, err := s.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("making a proof: %w", err)
	}
	return signed.CompactSerialize()
}

// target writes the address as a proof names it.
func target(u *url.URL) string {
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return u.Scheme + "://" + u.Host + path
}
