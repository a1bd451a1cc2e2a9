package auth

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// Operator is the [Actor] account of whoever runs commands on the machine.
const Operator = "operator"

// mayAdminister refuses actors who are not administrators. The console's
// routes check this too; a route that forgot must not hand out accounts.
func (s *Service) mayAdminister(ctx context.Context, actor Actor) error {
	if actor.Account == Operator {
		return nil
	}
	a, err := s.cfg.Store.Account(ctx, actor.Account)
	if err != nil || !a.Active(s.now()) {
		return ErrForbidden
	}
	for _, r := range a.Roles {
		if r == policy.Administrator {
			return nil
		}
	}
	return ErrForbidden
}

// mayEnd refuses actors who are neither administrators nor the account itself.
func (s *Service) mayEnd(ctx context.Context, actor Actor, account string) error {
	if actor.Account == account {
		return nil
	}
	return s.mayAdminister(ctx, actor)
}

// ResetFactor takes away the account's password, factor, recovery codes,
// sessions and tokens, forgets its failures, and invites it anew: for a lost
// telephone, or a password that somebody else knows. Nobody resets their own
// account, and no administrator learns a password. Errors are those of [Service.Invite].
func (s *Service) ResetFactor(ctx context.Context, actor Actor, accountID string) (link string, expires time.Time, err error) {
	i, err := s.ResetFactorWith(ctx, actor, accountID, InviteOptions{})
	return i.Link, i.Expires, err
}

// ResetFactorWith does so with options for the invitation. An account that was
// invited with a second secret is so again, whatever the options say.
func (s *Service) ResetFactorWith(ctx context.Context, actor Actor, accountID string, opt InviteOptions) (Invited, error) {
	if err := s.mayAdminister(ctx, actor); err != nil || actor.Account == accountID {
		return Invited{}, fmt.Errorf("resetting factor: %w", ErrForbidden)
	}
	a, err := s.activeAccount(ctx, accountID)
	if err != nil {
		return Invited{}, fmt.Errorf("resetting factor: %w", err)
	}
	if err := s.record(ctx, s.eventBy(actionFactorReset, actor, a)); err != nil {
		return Invited{}, err
	}
	if _, err := s.endAll(ctx, actor, a, "factor_reset", s.cfg.Store.ResetCredential); err != nil {
		return Invited{}, fmt.Errorf("resetting factor: %w", err)
	}
	s.tell(ctx, a, NoticeSignInReset, Origin{RequestID: actor.RequestID}, map[string]string{"by": or(actor.Email, actor.Account)})
	return s.InviteWith(ctx, actor, accountID, opt)
}

// Unlock forgets the account's wrong codes, for an owner whom an attacker has
// locked out of codes. The password is known to that attacker: a reset is
// better. Nobody unlocks their own account.
func (s *Service) Unlock(ctx context.Context, actor Actor, accountID string) error {
	if err := s.mayAdminister(ctx, actor); err != nil || actor.Account == accountID {
		return fmt.Errorf("forgetting wrong codes: %w", ErrForbidden)
	}
	a, err := s.cfg.Store.Account(ctx, accountID)
	if err != nil {
		return fmt.Errorf("forgetting wrong codes: %w", err)
	}
	if err := s.record(ctx, s.eventBy(actionUnlock, actor, &a)); err != nil {
		return err
	}
	if err := s.cfg.Store.ClearFailures(ctx, accountID); err != nil {
		return fmt.Errorf("forgetting wrong codes: %w", err)
	}
	return nil
}

// EndSessions ends every session, token, machine and sign-in under way of the account,
// and returns how many sessions there were. Administrators and the account
// itself may; others get [ErrForbidden].
func (s *Service) EndSessions(ctx context.Context, actor Actor, accountID string) (int, error) {
	if err := s.mayEnd(ctx, actor, accountID); err != nil {
		return 0, fmt.Errorf("ending sessions: %w", err)
	}
	a, err := s.cfg.Store.Account(ctx, accountID)
	if err != nil {
		return 0, fmt.Errorf("ending sessions: %w", err)
	}
	n, err := s.endAll(ctx, actor, &a, "end_all", s.cfg.Store.EndAccount)
	if err != nil {
		return 0, fmt.Errorf("ending sessions: %w", err)
	}
	return n, nil
}

// endAll records the end of all that the account has open, removes the rows,
// and takes them out of force.
func (s *Service) endAll(ctx context.Context, actor Actor, a *Account, why string, remove func(context.Context, string) error) (n int, err error) {
	err = s.change(func() error {
		n, err = s.endAllLocked(ctx, actor, a, why, remove)
		return err
	})
	return n, err
}

func (s *Service) endAllLocked(ctx context.Context, actor Actor, a *Account, why string, remove func(context.Context, string) error) (int, error) {
	sessions, tokens := s.sessionsOf(a.ID), s.tokensOf(a.ID)
	// One record for the whole, so that one stands even for a session which
	// this process has not seen yet; then one for each.
	r := detail(s.eventBy(actionSessionEnd, actor, a), "reason", why)
	if err := s.record(ctx, detail(r, "sessions", strconv.Itoa(len(sessions)))); err != nil {
		return 0, err
	}
	for _, l := range sessions {
		r := detail(s.eventBy(actionSessionEnd, actor, a), "reason", why)
		r.Session = l.view.Load().ID
		if err := s.record(ctx, r); err != nil {
			return 0, err
		}
	}
	for _, l := range tokens {
		if err := s.record(ctx, s.tokenEvent(s.eventBy(actionTokenRevoke, actor, a), l.Token)); err != nil {
			return 0, err
		}
	}
	machines := s.machinesOf(a.ID)
	for _, l := range machines {
		if err := s.record(ctx, machineEvent(s.eventBy(actionMachineEnd, actor, a), &l.Machine)); err != nil {
			return 0, err
		}
	}
	if err := remove(ctx, a.ID); err != nil {
		return 0, err
	}
	for _, l := range machines {
		s.dropMachine(l.ID)
	}
	for _, l := range sessions {
		s.drop(l.view.Load().ID)
	}
	for _, l := range tokens {
		s.dropToken(l.ID)
	}
	return len(sessions), nil
}

// EndSession ends one session. Administrators and its owner may; others get
// [ErrForbidden]. One that has ended is [ErrSessionEnded].
func (s *Service) EndSession(ctx context.Context, actor Actor, sessionID string) error {
	l, ok := s.session(sessionID)
	if !ok {
		return ErrSessionEnded
	}
	v := l.view.Load()
	if err := s.mayEnd(ctx, actor, v.Account); err != nil {
		return fmt.Errorf("ending session: %w", err)
	}
	r := s.eventBy(actionSessionEnd, actor, l.account.p.Load())
	r.Session = v.ID
	return s.change(func() error { return s.endRecorded(ctx, v.ID, detail(r, "reason", "ended")) })
}
