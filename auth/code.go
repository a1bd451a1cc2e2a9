package auth

import (
	"context"
	"errors"
	"fmt"
)

// activeAccount returns the account if it may sign in now. Otherwise the error
// wraps [ErrAccountInactive] or [ErrNotFound].
func (s *Service) activeAccount(ctx context.Context, id string) (*Account, error) {
	a, err := s.cfg.Store.Account(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("reading account: %w", err)
	}
	if !a.Active(s.now()) {
		return nil, fmt.Errorf("reading account: %w", ErrAccountInactive)
	}
	return &a, nil
}

// proveCode checks a code of either kind and spends it. Every wrong code
// counts; right ones never do.
func (s *Service) proveCode(ctx context.Context, o Origin, a *Account, typed string) (proof, error) {
	if typed == "" {
		return proof{}, ErrBadCredentials // nothing was tried
	}
	code, factor := normalCode(typed)
	t, first, err := s.beginTry(ctx, a.ID, o.IP, factor)
	if refused := throttled(err); refused != nil {
		if first {
			r := detail(s.event(actionTOTPSlow, "throttled", a, o), "retry_after", refused.RetryAfter.String())
			if err := s.record(ctx, r); err != nil {
				return proof{}, err
			}
		}
		return proof{}, refused
	}
	if err != nil {
		return proof{}, err
	}
	c, err := s.cfg.Store.Credential(ctx, a.ID)
	if err != nil {
		return proof{}, fmt.Errorf("reading factor: %w", err)
	}
	p := proof{codeAt: s.now(), factor: factor, failedCodes: t.unseen, recoveryLeft: recoveryLeft(c.Recovery)}
	var spent RecoveryCode
	switch factor {
	case factorTOTP:
		err = s.spendStep(ctx, a.ID, c, code)
	case factorRecovery:
		p.recoveryLeft--
		spent, err = s.spendRecovery(ctx, a.ID, c, code)
	default:
		err = ErrBadCredentials
	}
	if err := s.settleTry(ctx, o, a, t, factor, err); err != nil {
		return proof{}, err
	}
	if factor == factorRecovery {
		s.renewRecovery(ctx, o, a, spent, &p)
	}
	return p, nil
}

// spendRecovery spends a recovery code and returns it.
func (s *Service) spendRecovery(ctx context.Context, account string, c Credential, code string) (RecoveryCode, error) {
	s.hashes.Add(1)
	found, ok, err := s.hasher.matchRecovery(ctx, account, code, c.Recovery)
	switch {
	case err != nil:
		return RecoveryCode{}, err
	case !ok:
		return RecoveryCode{}, ErrBadCredentials
	case !found.Used.IsZero():
		return RecoveryCode{}, ErrCodeSpent
	}
	won, err := s.cfg.Store.UseRecovery(ctx, account, found.Slot, s.now())
	if err != nil {
		return RecoveryCode{}, fmt.Errorf("spending recovery code: %w", err)
	}
	if !won {
		return RecoveryCode{}, ErrCodeSpent
	}
	return found, nil
}

// settleTry counts and records how a try went, and returns what to answer.
func (s *Service) settleTry(ctx context.Context, o Origin, a *Account, t try, factor string, outcome error) error {
	switch {
	case outcome == nil:
		if err := s.succeed(ctx, t, factor); err != nil {
			return err
		}
		if factor == factorRecovery {
			return s.record(ctx, s.event(actionRecoveryUsed, "ok", a, o))
		}
		return nil
	case errors.Is(outcome, ErrCodeSpent):
		if err := s.refund(ctx, t); err != nil {
			return err
		}
		r := s.event(actionTOTPReuse, "code_spent", a, o)
		if err := s.record(ctx, detail(r, "factor", factor)); err != nil {
			return err
		}
		return ErrCodeSpent
	case errors.Is(outcome, ErrClockBehind):
		if err := s.refund(ctx, t); err != nil {
			return err
		}
		if err := s.record(ctx, s.event(actionTOTPFail, "clock_behind", a, o)); err != nil {
			return err
		}
		return ErrClockBehind
	case errors.Is(outcome, ErrBadCredentials):
		tell, codes, err := s.fail(ctx, t)
		if err != nil {
			return err
		}
		s.cfg.CodeFailed()
		action := actionTOTPFail
		if factor == factorRecovery {
			action = actionRecoveryFail
		}
		if err := s.record(ctx, s.event(action, "bad_credentials", a, o)); err != nil {
			return err
		}
		s.tellCodes(ctx, a, o, tell, codes)
		return ErrBadCredentials
	}
	// Nothing was judged: a busy hasher or a broken store is not a failure.
	return errors.Join(outcome, s.refund(ctx, t))
}
