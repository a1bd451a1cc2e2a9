package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"strings"
	"unicode"
)

const (
	// RecoveryCodes is how many recovery codes an account gets.
	RecoveryCodes = 10
	// recoveryLength in base32 is 65 bits; NIST SP 800-63B-4 asks for 64.
	recoveryLength = 13
)

// newRecoveryCodes returns codes as they are shown.
func newRecoveryCodes() []string {
	codes := make([]string, RecoveryCodes)
	for i := range codes {
		var b [10]byte
		rand.Read(b[:])
		codes[i] = strings.ToLower(base32.StdEncoding.EncodeToString(b[:])[:recoveryLength])
	}
	return codes
}

// normalCode returns what somebody typed without spaces and hyphens, in lower
// case, and which factor it is a code of; empty when it can be neither.
func normalCode(s string) (code, factor string) {
	if len(s) > 64 {
		return "", ""
	}
	var b strings.Builder
	digits := true
	for _, r := range s {
		switch {
		case unicode.IsSpace(r) || r == '-':
			continue
		case r >= '0' && r <= '9':
		case r >= 'A' && r <= 'Z':
			r += 'a' - 'A'
			digits = false
		case r >= 'a' && r <= 'z':
			digits = false
		default:
			return "", ""
		}
		b.WriteRune(r)
	}
	switch {
	case digits && b.Len() == 6:
		return b.String(), factorTOTP
	case b.Len() == recoveryLength:
		// 0, 1 and 8 are not in the alphabet: what looks like them was meant.
		return strings.NewReplacer("0", "o", "1", "l", "8", "b").Replace(b.String()), factorRecovery
	}
	return "", ""
}

// hashRecovery returns the hashes of a new set under one salt, so that a try
// costs one hash and not ten.
func (h *hasher) hashRecovery(ctx context.Context, account string, codes []string) ([]RecoveryCode, error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	salt := make([]byte, saltSize)
	rand.Read(salt)
	set := make([]RecoveryCode, len(codes))
	for i, code := range codes {
		p := phc{cost: h.cost.forRecovery(), salt: salt}
		if p.hash, err = h.derive(ctx, h.prepare(account, code), salt, p.cost.Passes, p.cost.Memory, hashSize); err != nil {
			return nil, fmt.Errorf("hashing a recovery code: %w", err)
		}
		set[i] = RecoveryCode{Slot: i, Hash: p.String()}
	}
	return set, nil
}

// matchRecovery returns the code of the set that was typed, used or not.
func (h *hasher) matchRecovery(ctx context.Context, account, code string, set []RecoveryCode) (RecoveryCode, bool, error) {
	if len(set) == 0 {
		return RecoveryCode{}, false, nil
	}
	first, err := parsePHC(set[0].Hash)
	if err != nil {
		return RecoveryCode{}, false, err
	}
	leave, err := h.enter(ctx)
	if err != nil {
		return RecoveryCode{}, false, err
	}
	defer leave()
	sum, err := h.derive(ctx, h.prepare(account, code), first.salt, first.cost.Passes, first.cost.Memory, hashSize)
	if err != nil {
		return RecoveryCode{}, false, fmt.Errorf("hashing a recovery code: %w", err)
	}
	var found RecoveryCode
	ok := false
	for _, r := range set {
		p, err := parsePHC(r.Hash)
		if err != nil || string(p.salt) != string(first.salt) {
			return RecoveryCode{}, false, errHash
		}
		if subtle.ConstantTimeCompare(sum, p.hash) == 1 {
			found, ok = r, true
		}
	}
	return found, ok, nil
}

// recoveryLeft counts the codes that are not used.
func recoveryLeft(set []RecoveryCode) int {
	n := 0
	for _, r := range set {
		if r.Used.IsZero() {
			n++
		}
	}
	return n
}
