package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"sync/atomic"
)

const redacted = "[secret]"

// NewSecret returns 256 random bits in base64url: a value for [StartCookie],
// an invitation, a flow. Running out of randomness ends the program.
func NewSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// newID returns 128 random bits after a prefix that says what it names.
func newID(prefix string) string {
	var b [16]byte
	rand.Read(b[:])
	return prefix + hex.EncodeToString(b[:])
}

// hashSecret is how a random secret is kept: it has 256 bits, so that a fast
// hash without salt cannot be reversed.
func hashSecret(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// minRootKey is the least that a root key must hold.
const minRootKey = 32

// A sealer encrypts secrets at rest. Each is bound to its place, so that
// somebody who can write to the database cannot move one person's secret into
// another's row. Its root keys can be exchanged while it is in use.
type sealer struct{ ring atomic.Pointer[sealRing] }

// A sealRing is the root keys in force: the first seals, all of them open.
type sealRing struct {
	current string // key id
	keys    map[string]cipher.AEAD
}

func newSealer(root []byte, old ...[]byte) (*sealer, error) {
	ring, err := newSealRing(root, old...)
	if err != nil {
		return nil, err
	}
	s := new(sealer)
	s.ring.Store(ring)
	return s, nil
}

func newSealRing(root []byte, old ...[]byte) (*sealRing, error) {
	s := &sealRing{keys: make(map[string]cipher.AEAD)}
	for i, k := range append([][]byte{root}, old...) {
		id, err := RootKeyID(k)
		if err != nil {
			return nil, err
		}
		key, err := deriveKey(k, "seal", 32)
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("deriving sealing key: %w", err)
		}
		if s.keys[id], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, fmt.Errorf("deriving sealing key: %w", err)
		}
		if i == 0 {
			s.current = id
		}
	}
	return s, nil
}

// RootKeyID returns the id under which values name the root key that sealed
// them. It tells nothing of the key.
func RootKeyID(root []byte) (string, error) {
	if len(root) < minRootKey {
		return "", fmt.Errorf("reading root key: %d bytes are fewer than %d", len(root), minRootKey)
	}
	id, err := deriveKey(root, "key id", sealedPrefix/2)
	return hex.EncodeToString(id), err
}

// deriveKey gives each purpose a key of its own.
func deriveKey(root []byte, purpose string, n int) ([]byte, error) {
	k, err := hkdf.Key(sha256.New, root, nil, "ringfence 1 "+purpose, n)
	if err != nil {
		return nil, fmt.Errorf("deriving key: %w", err)
	}
	return k, nil
}

// sealedPrefix is the length of the key id before the ciphertext.
const sealedPrefix = 8

// seal encrypts plain for one place: table, column and row.
func (s *sealer) seal(table, column, row string, plain []byte) []byte {
	return s.ring.Load().seal(table, column, row, plain)
}

// open decrypts what seal made for the same place, and nothing else.
func (s *sealer) open(table, column, row string, sealed []byte) ([]byte, error) {
	return s.ring.Load().open(table, column, row, sealed)
}

func (s *sealRing) seal(table, column, row string, plain []byte) []byte {
	return s.keys[s.current].Seal([]byte(s.current), nil, plain, place(table, column, row, s.current))
}

func (s *sealRing) open(table, column, row string, sealed []byte) ([]byte, error) {
	if len(sealed) < sealedPrefix {
		return nil, fmt.Errorf("opening %s.%s: too short", table, column)
	}
	id := string(sealed[:sealedPrefix])
	aead, ok := s.keys[id]
	if !ok {
		return nil, fmt.Errorf("opening %s.%s: sealed under the unknown root key %q", table, column, id)
	}
	plain, err := aead.Open(nil, nil, sealed[sealedPrefix:], place(table, column, row, id))
	if err != nil {
		return nil, fmt.Errorf("opening %s.%s: not sealed for this row", table, column)
	}
	return plain, nil
}

func place(table, column, row, key string) []byte {
	return []byte(table + "|" + column + "|" + row + "|" + key)
}

// SealAt seals plain under a root key for one place.
func SealAt(root []byte, at Place, plain []byte) ([]byte, error) {
	ring, err := newSealRing(root)
	if err != nil {
		return nil, err
	}
	return ring.seal(at.Table, at.Column, at.Row, plain), nil
}

// OpenAt opens what was sealed for the same place under one of the root keys.
func OpenAt(v SealedValue, root []byte, old ...[]byte) ([]byte, error) {
	ring, err := newSealRing(root, old...)
	if err != nil {
		return nil, err
	}
	return ring.open(v.Table, v.Column, v.Row, v.Sealed)
}
