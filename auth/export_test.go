package auth

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// Hashes returns how many password hashes were computed so far.
func (s *Service) Hashes() int64 { return s.hashes.Load() }

// Sweep runs one round of Run.
var Sweep = (*Service).sweep

// SetElapsed gives the clock a time since start that nobody sets.
func (s *Service) SetElapsed(f func() time.Duration) { s.clock.elapsed = f }

// Hashing returns how many password hashes are being computed.
func Hashing(s *Service) int { return len(s.hasher.run) }

// Forge puts n sessions of the account in force and returns a request of each on host.
func Forge(t testing.TB, s *Service, store Store, a Account, n int, host string) []*http.Request {
	t.Helper()
	out := make([]*http.Request, n)
	for i := range out {
		now := s.now()
		row := StoredSession{ID: newID("ses_"), Account: a.ID, Epoch: 1, Created: now, LastSeen: now, Ends: now.Add(12 * time.Hour), PasswordAt: now, CodeAt: now, CodeFactor: factorTOTP}
		if err := store.PutSession(t.Context(), row); err != nil {
			t.Fatal(err)
		}
		s.publish(&row, &a)
		cookie, err := s.cookieFor(&row, host)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = httptest.NewRequest("GET", "/", nil)
		out[i].Header.Set("Cookie", SessionCookie+"="+cookie)
	}
	return out
}

// HashBefore returns a password's hash as deployments made it whose pepper
// was derived from the root key.
func HashBefore(t testing.TB, root []byte, account, password string) string {
	t.Helper()
	pepper, err := deriveKey(root, "pepper", 32)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := newHasher(1, HashCost{Memory: 8, Passes: 1}, pepper).hash(t.Context(), account, password)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// ReadKeyAnswers reads answer as a new key's and as an old key's, each to a
// question that nobody was asked before.
func ReadKeyAnswers(s *Service, a Account, answer []byte) error {
	ctx := context.Background()
	owner, _, err := s.owner(ctx, &a)
	if err != nil {
		panic(err)
	}
	_, create, err := s.relyingParty.BeginRegistration(owner)
	if err != nil {
		panic(err)
	}
	_, get, err := s.relyingParty.BeginLogin(owner)
	if err != nil {
		panic(err)
	}
	if _, err := s.readNewKey(ctx, &a, create, answer); err == nil {
		return nil
	} else if _, ok := errors.AsType[refusal](err); !ok {
		panic(err)
	}
	_, _, err = s.readAnswer(owner, get, answer)
	return err
}

// SealTOTP seals a secret as the device's.
func SealTOTP(s *Service, account, id string, secret []byte) []byte {
	return s.sealTOTP(account, id, secret)
}
