package authtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// Flags of a key's answer (WebAuthn section 6.1).
const (
	FlagPresent        = 1 << 0
	FlagVerified       = 1 << 2
	FlagBackupEligible = 1 << 3
	FlagBackedUp       = 1 << 4
	flagAttested       = 1 << 6
)

// A SoftKey is a security key in memory. Its fields can be set to what a
// hostile key, browser or site would make of them.
type SoftKey struct {
	ID         []byte
	Signer     crypto.Signer
	Algorithm  int // COSE: -7, -8 or -257; others are made up
	Count      uint32
	NoCount    bool // a passkey that does not count
	Flags      byte
	RPID       string // "" is the gate's
	Origin     string // "" is the gate's
	Type       string // "" is the ceremony's
	Challenge  string // "" is the question's
	CrossFrame bool   // asked within another site's page
	UserHandle []byte
	Format     string // of the attestation; "" is none
}

// NewSoftKey returns a key that signs with ES256.
func NewSoftKey(t testing.TB) *SoftKey {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := make([]byte, 32)
	rand.Read(id)
	return &SoftKey{ID: id, Signer: signer, Algorithm: -7, Flags: FlagPresent | FlagVerified, RPID: GateHost, Origin: Issuer}
}

// question is what a key reads of the options.
type question struct {
	PublicKey struct {
		Challenge string `json:"challenge"`
		RPID      string `json:"rpId"`
		RP        struct {
			ID string `json:"id"`
		} `json:"rp"`
		User struct {
			ID string `json:"id"`
		} `json:"user"`
	} `json:"publicKey"`
}

func (k *SoftKey) clientData(t testing.TB, q question, kind string) []byte {
	t.Helper()
	or := func(a, b string) string {
		if a != "" {
			return a
		}
		return b
	}
	b, err := json.Marshal(map[string]any{"type": or(k.Type, kind), "challenge": or(k.Challenge, q.PublicKey.Challenge),
		"origin": or(k.Origin, Issuer), "crossOrigin": k.CrossFrame})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (k *SoftKey) authData(flags byte) []byte {
	sum := sha256.Sum256([]byte(k.RPID))
	b := append(sum[:], flags)
	if !k.NoCount {
		k.Count++
		return binary.BigEndian.AppendUint32(b, k.Count)
	}
	return binary.BigEndian.AppendUint32(b, 0)
}

func (k *SoftKey) coseKey(t testing.TB) []byte {
	t.Helper()
	var m map[int]any
	switch p := k.Signer.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := p.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		half := (len(point) - 1) / 2
		curve := map[string]int{"P-256": 1, "P-384": 2, "P-521": 3}[p.Curve.Params().Name]
		m = map[int]any{1: 2, 3: k.Algorithm, -1: curve, -2: point[1 : 1+half], -3: point[1+half:]}
	case ed25519.PublicKey:
		m = map[int]any{1: 1, 3: k.Algorithm, -1: 6, -2: []byte(p)}
	case *rsa.PublicKey:
		m = map[int]any{1: 3, 3: k.Algorithm, -1: p.N.Bytes(), -2: []byte{1, 0, 1}}
	}
	return encodeCBOR(t, m)
}

func encodeCBOR(t testing.TB, v any) []byte {
	t.Helper()
	mode, err := cbor.CTAP2EncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := mode.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (k *SoftKey) sign(t testing.TB, message []byte) []byte {
	t.Helper()
	var sig []byte
	var err error
	if _, ok := k.Signer.Public().(ed25519.PublicKey); ok {
		sig, err = k.Signer.Sign(rand.Reader, message, crypto.Hash(0))
	} else {
		sum := sha256.Sum256(message)
		sig, err = k.Signer.Sign(rand.Reader, sum[:], crypto.SHA256)
	}
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func (k *SoftKey) answer(t testing.TB, response map[string]any) []byte {
	t.Helper()
	id := base64.RawURLEncoding.EncodeToString(k.ID)
	b, err := json.Marshal(map[string]any{"id": id, "rawId": id, "type": "public-key", "response": response, "clientExtensionResults": map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Create answers the question for a new key.
func (k *SoftKey) Create(t testing.TB, options []byte) []byte {
	t.Helper()
	var q question
	if err := json.Unmarshal(options, &q); err != nil {
		t.Fatal(err)
	}
	handle, err := base64.RawURLEncoding.DecodeString(q.PublicKey.User.ID)
	if err != nil {
		t.Fatal(err)
	}
	k.UserHandle = handle
	data := k.clientData(t, q, "webauthn.create")
	auth := k.authData(k.Flags | flagAttested)
	auth = append(auth, make([]byte, 16)...)
	auth = binary.BigEndian.AppendUint16(auth, uint16(len(k.ID)))
	auth = append(append(auth, k.ID...), k.coseKey(t)...)
	format, statement := "none", map[string]any{}
	if k.Format != "" {
		sum := sha256.Sum256(data)
		format, statement = k.Format, map[string]any{"alg": k.Algorithm, "sig": k.sign(t, append(auth[:len(auth):len(auth)], sum[:]...))}
	}
	object := encodeCBOR(t, map[string]any{"fmt": format, "attStmt": statement, "authData": auth})
	return k.answer(t, map[string]any{
		"clientDataJSON": base64.RawURLEncoding.EncodeToString(data), "attestationObject": base64.RawURLEncoding.EncodeToString(object),
		"transports": []string{"usb"},
	})
}

// Get answers the question to a key that is there.
func (k *SoftKey) Get(t testing.TB, options []byte) []byte {
	t.Helper()
	var q question
	if err := json.Unmarshal(options, &q); err != nil {
		t.Fatal(err)
	}
	data := k.clientData(t, q, "webauthn.get")
	auth := k.authData(k.Flags)
	sum := sha256.Sum256(data)
	response := map[string]any{
		"clientDataJSON": base64.RawURLEncoding.EncodeToString(data), "authenticatorData": base64.RawURLEncoding.EncodeToString(auth),
		"signature": base64.RawURLEncoding.EncodeToString(k.sign(t, append(auth[:len(auth):len(auth)], sum[:]...))),
	}
	if k.UserHandle != nil {
		response["userHandle"] = base64.RawURLEncoding.EncodeToString(k.UserHandle)
	}
	return k.answer(t, response)
}
