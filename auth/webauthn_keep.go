package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// RenameKey names a key of the session's account anew. Errors: [ErrInvalid]
// for the name, [ErrNotFound], [ErrSessionEnded].
func (s *Service) RenameKey(ctx context.Context, o Origin, sess *Session, id, name string) error {
	name, err := keyName(name)
	if err != nil {
		return err
	}
	_, a, err := s.inSession(ctx, sess)
	if err != nil {
		return err
	}
	k, _, err := s.keyOf(ctx, a.ID, id)
	if err != nil {
		return fmt.Errorf("renaming a key: %w", err)
	}
	r := detail(s.securityKeyEvent(s.event(actionKeyRename, "ok", a, o), k), "new_name", name)
	r.Session = sess.ID
	if err := s.record(ctx, r); err != nil {
		return err
	}
	if err := s.cfg.Store.RenameSecurityKey(ctx, a.ID, id, name); err != nil {
		return fmt.Errorf("renaming a key: %w", err)
	}
	return nil
}

// keyOf returns an account's key, and how many it has.
func (s *Service) keyOf(ctx context.Context, account, id string) (SecurityKey, int, error) {
	keys, err := s.SecurityKeys(ctx, account)
	if err != nil {
		return SecurityKey{}, 0, err
	}
	i := slices.IndexFunc(keys, func(k SecurityKey) bool { return k.ID == id })
	if i < 0 {
		return SecurityKey{}, 0, ErrNotFound
	}
	return keys[i], len(keys), nil
}

// RemoveKey removes a key of the session's account and returns the session's
// new cookie for the gate. It needs a factor that is not older than
// [FreshFor]. Other sessions, machines and tokens that some key of the
// account has proved end, and this one needs a factor anew: a key is removed because it
// was lost. Errors: [ErrCodeStale], [ErrLastFactor], [ErrNotFound],
// [ErrSessionEnded].
func (s *Service) RemoveKey(ctx context.Context, o Origin, sess *Session, id string) (cookie string, err error) {
	l, a, err := s.inSession(ctx, sess)
	if err != nil {
		return "", err
	}
	if age, ok := sess.Subject(s.now()).CodeAge(); !ok || age > int64(FreshFor/time.Second) {
		return "", ErrCodeStale
	}
	k, n, err := s.keyOf(ctx, a.ID, id)
	if err != nil {
		return "", fmt.Errorf("removing a key: %w", err)
	}
	if err := s.keepsFactor(ctx, a.ID, n); err != nil {
		return "", err
	}
	r := s.securityKeyEvent(s.event(actionKeyRemove, "ok", a, o), k)
	r.Session = sess.ID
	if err := s.record(ctx, r); err != nil {
		return "", err
	}
	if err := s.cfg.Store.RemoveSecurityKey(ctx, a.ID, id); err != nil {
		return "", fmt.Errorf("removing a key: %w", err)
	}
	s.tell(ctx, a, NoticeKeyRemoved, o, map[string]string{"name": k.Name})
	err = s.change(func() (err error) {
		if err := s.endProvedByKey(ctx, Actor{Account: a.ID, Email: a.Email, RequestID: o.RequestID}, a, sess.ID); err != nil {
			return err
		}
		cookie, err = s.renew(ctx, l, sess.epoch, nil, func(v *StoredSession) { v.KeyAt = time.Time{} })
		return err
	})
	return cookie, err
}

// RemoveKeyOf is [Service.RemoveKey] by an administrator for somebody else;
// others get [ErrForbidden]. All of the account's sessions and tokens that
// some key has proved end.
func (s *Service) RemoveKeyOf(ctx context.Context, actor Actor, accountID, id string) error {
	if err := s.mayAdminister(ctx, actor); err != nil || actor.Account == accountID {
		return fmt.Errorf("removing a key: %w", ErrForbidden)
	}
	a, err := s.cfg.Store.Account(ctx, accountID)
	if err != nil {
		return fmt.Errorf("removing a key: %w", err)
	}
	k, n, err := s.keyOf(ctx, a.ID, id)
	if err != nil {
		return fmt.Errorf("removing a key: %w", err)
	}
	if err := s.keepsFactor(ctx, a.ID, n); err != nil {
		return err
	}
	if err := s.record(ctx, s.securityKeyEvent(s.eventBy(actionKeyRemove, actor, &a), k)); err != nil {
		return err
	}
	if err := s.cfg.Store.RemoveSecurityKey(ctx, a.ID, id); err != nil {
		return fmt.Errorf("removing a key: %w", err)
	}
	s.tell(ctx, &a, NoticeKeyRemoved, Origin{}, map[string]string{"name": k.Name, "by": or(actor.Email, actor.Account)})
	return s.change(func() error { return s.endProvedByKey(ctx, actor, &a, "") })
}

// keepsFactor refuses to leave an account that has n keys without any second factor.
func (s *Service) keepsFactor(ctx context.Context, account string, n int) error {
	if n > 1 {
		return nil
	}
	c, err := s.cfg.Store.Credential(ctx, account)
	if err != nil {
		return fmt.Errorf("reading credential: %w", err)
	}
	if len(c.Devices) == 0 {
		return ErrLastFactor
	}
	return nil
}

// endProvedByKey ends the account's sessions but one, and its machines and
// tokens, that a key has proved. Call under mu.
func (s *Service) endProvedByKey(ctx context.Context, actor Actor, a *Account, but string) error {
	for _, l := range s.sessionsOf(a.ID) {
		v := l.view.Load()
		if v.KeyAt.IsZero() || v.ID == but {
			continue
		}
		r := detail(s.eventBy(actionSessionEnd, actor, a), "reason", "key_removed")
		r.Session = v.ID
		if err := s.endRecorded(ctx, v.ID, r); err != nil {
			return err
		}
	}
	for _, l := range s.machinesOf(a.ID) {
		if l.KeyAt.IsZero() {
			continue
		}
		r := detail(machineEvent(s.eventBy(actionMachineEnd, actor, a), &l.Machine), "reason", "key_removed")
		if err := s.endMachine(ctx, l, r); err != nil {
			return err
		}
	}
	for _, l := range s.tokensOf(a.ID) {
		if l.KeyAt.IsZero() {
			continue
		}
		if err := s.record(ctx, s.tokenEvent(s.eventBy(actionTokenRevoke, actor, a), l.Token)); err != nil {
			return err
		}
		if err := s.cfg.Store.DeleteTokens(ctx, []string{l.ID}); err != nil {
			return fmt.Errorf("revoking token: %w", err)
		}
		s.dropToken(l.ID)
	}
	return nil
}

// AllowKey lets an account add a key within 24 hours although a code alone
// would not do: for a person whose engagement demands a key and who has none,
// or has lost it. Whoever allows it has made sure that the request is the
// person's own. Administrators may, for others; else it is [ErrForbidden].
func (s *Service) AllowKey(ctx context.Context, actor Actor, accountID string) (until time.Time, err error) {
	if err := s.mayAdminister(ctx, actor); err != nil || actor.Account == accountID {
		return time.Time{}, fmt.Errorf("allowing a key: %w", ErrForbidden)
	}
	a, err := s.activeAccount(ctx, accountID)
	if err != nil {
		return time.Time{}, fmt.Errorf("allowing a key: %w", err)
	}
	until = s.now().Add(allowanceLife)
	if err := s.record(ctx, detail(s.eventBy(actionKeyAllow, actor, a), "until", until.Format(time.RFC3339))); err != nil {
		return time.Time{}, err
	}
	if err := s.cfg.Store.AllowKey(ctx, KeyAllowance{Account: a.ID, By: actor.Account, Expires: until}); err != nil {
		return time.Time{}, fmt.Errorf("allowing a key: %w", err)
	}
	s.tell(ctx, a, NoticeKeyAllowed, Origin{}, map[string]string{"by": or(actor.Email, actor.Account)})
	return until, nil
}

// KeyAllowedUntil returns until when an administrator lets the account add a
// key; the zero time when none does.
func (s *Service) KeyAllowedUntil(ctx context.Context, account string) (time.Time, error) {
	k, err := s.cfg.Store.KeyAllowed(ctx, account)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return time.Time{}, fmt.Errorf("reading permission for a key: %w", err)
	}
	if err != nil || k.By == "" || !s.now().Before(k.Expires) {
		return time.Time{}, nil
	}
	return k.Expires, nil
}

// allowEnrolled lets the session that an enrolment began add the account's
// first key: whoever holds it held the invitation. Without it the person asks
// an administrator, so a fault is logged only.
func (s *Service) allowEnrolled(ctx context.Context, sess *Session) {
	k := KeyAllowance{Account: sess.Account, Session: sess.ID, Expires: s.now().Add(enrolledFor)}
	if err := s.cfg.Store.AllowKey(ctx, k); err != nil {
		s.log.ErrorContext(ctx, "letting an enrolment add a key", "account", sess.Account, "err", err)
	}
}
