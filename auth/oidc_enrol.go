package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/ringfence/ringfence/auth/totp"
	"github.com/ringfence/ringfence/policy"
)

// acceptExternal accepts an invitation with the provider's word in place of a
// password, and begins the same enrolment: the second factor here is set up as ever.
func (s *Service) acceptExternal(ctx context.Context, o Origin, a *Account, invitation string, external External) (enrol string, err error) {
	now := s.now()
	enrol = NewSecret()
	e := Enrolment{
		Hash: hashSecret(enrol), Account: a.ID, Step: StepTOTP, PasswordSet: now, External: external, Expires: now.Add(enrolmentLife),
		Secret: s.seal.seal("credential", "totp", a.ID, totp.NewSecret()),
	}
	for _, action := range []string{actionInviteAccept, actionTOTPAdd} {
		if err := s.record(ctx, s.event(action, "ok", a, o)); err != nil {
			return "", err
		}
	}
	err = s.cfg.Store.AcceptInvitation(ctx, invitation, "", e)
	if errors.Is(err, ErrNotFound) {
		return "", errors.Join(ErrInviteInvalid, s.record(ctx, s.event(actionInviteAccept, "used_already", a, o)))
	}
	if err != nil {
		return "", fmt.Errorf("accepting invitation: %w", err)
	}
	return enrol, nil
}

// factors adds what a provider vouched for, as old as it is at now, to the
// factors of a subject that nobody else has yet.
func (e External) factors(sub policy.Subject, now time.Time) policy.Subject {
	if e.At.IsZero() {
		return sub
	}
	sub.Factors[policy.FactorExternal] = age(e.At, now)
	if !e.FactorAt.IsZero() {
		sub.Factors[policy.FactorProvider] = age(e.FactorAt, now)
	}
	return sub
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
