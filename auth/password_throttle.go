package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

const (
	// longestPasswordDelay is small enough for an owner who shares an address with an attacker.
	longestPasswordDelay = 15 * time.Minute
	// passwordFailureLife is how long a wrong password counts.
	passwordFailureLife = 24 * time.Hour
	// maxPasswordFailures bounds what guessing fills: some 10 MiB. Each count
	// has cost a password hash, so that pushing one out takes most of an hour.
	maxPasswordFailures = 100_000
)

// slowKey says what a wrong password counts for: the device if it is known,
// else the network, so that nobody is refused for what others did elsewhere: a
// lock here would be a weapon against the owner. The key is keyed itself, since
// people type passwords where the address goes.
func (s *Service) slowKey(o Origin, email string, now time.Time) string {
	if id, ok := s.device(o.Device, email, now); ok {
		return s.throttleKey(email, "device", id)
	}
	return s.throttleKey(email, "network", network(o.IP))
}

func (s *Service) throttleKey(who, kind, from string) string {
	mac := hmac.New(sha256.New, s.throttle)
	for _, part := range []string{kind, who, from} {
		mac.Write([]byte(part))
		mac.Write([]byte{0})
	}
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// wait returns the error with which f refuses a try at now, if it does.
func (f PasswordFailure) wait(now time.Time) *ThrottledError {
	if !now.Before(f.Next) {
		return nil
	}
	return &ThrottledError{RetryAfter: roundUp(f.Next.Sub(now))}
}

func (f PasswordFailure) charge(now time.Time) PasswordFailure {
	if now.Sub(f.Seen) >= passwordFailureLife {
		f.Count = 0
	}
	f.Count++
	f.Seen, f.Told = now, false
	if d := delayAfter(f.Count, longestPasswordDelay); d > 0 {
		f.Next = now.Add(d)
	}
	return f
}

// beginPassword refuses a try under key that comes too early, before anything
// is hashed. first means that it is the first refusal since the last failure,
// to be recorded.
func (s *Service) beginPassword(ctx context.Context, key string) (first bool, err error) {
	f, err := s.cfg.Store.PasswordFailure(ctx, key)
	if err != nil {
		return false, fmt.Errorf("counting wrong passwords: %w", err)
	}
	refused := f.wait(s.now())
	if refused == nil {
		return false, nil
	}
	if f.Told {
		return false, refused
	}
	err = s.editPassword(ctx, key, func(f PasswordFailure) PasswordFailure {
		first = !f.Told
		f.Told = true
		return f
	})
	if err != nil {
		return false, err
	}
	return first, refused
}

// failPassword counts a wrong password under key. Tries that were under way
// together are all hashed, but once the free ones are used up they are
// answered as those that come later, right or wrong: see passPassword.
func (s *Service) failPassword(ctx context.Context, key string) error {
	now := s.now()
	var refused *ThrottledError
	err := s.editPassword(ctx, key, func(f PasswordFailure) PasswordFailure {
		refused = f.wait(now)
		return f.charge(now)
	})
	if err != nil {
		return err
	}
	if refused != nil {
		return refused
	}
	return nil
}

// passPassword forgets the failures under key, unless tries that were under way
// together with this one have used up the free ones: a hundred at once must not
// be a hundred guesses. Without failures nothing is written.
func (s *Service) passPassword(ctx context.Context, key string) error {
	f, err := s.cfg.Store.PasswordFailure(ctx, key)
	if err != nil {
		return fmt.Errorf("counting wrong passwords: %w", err)
	}
	if refused := f.wait(s.now()); refused != nil {
		return refused
	}
	if f.Count == 0 {
		return nil
	}
	return s.editPassword(ctx, key, func(PasswordFailure) PasswordFailure { return PasswordFailure{} })
}

func (s *Service) editPassword(ctx context.Context, key string, edit func(PasswordFailure) PasswordFailure) error {
	if err := s.cfg.Store.EditPasswordFailure(ctx, key, maxPasswordFailures, edit); err != nil {
		return fmt.Errorf("counting wrong passwords: %w", err)
	}
	return nil
}
