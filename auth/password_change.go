package auth

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

const actionPasswordChange = "password.change"

// ChangePassword puts next in place of the password current and returns the
// session's new cookie for the gate: every cookie of the session from before is
// void, and so is every sign-in under way. With endOthers the account's other
// sessions, its tokens and its machines end; others is how many sessions that were. Ask for a
// fresh code first. Errors: [ErrBadCredentials] when current is wrong, a
// [ThrottledError], a [PasswordError], [ErrPasswordClosed] where a provider signs the vendor's people in, [ErrBusy], [ErrSessionEnded], or internal.
func (s *Service) ChangePassword(ctx context.Context, o Origin, sess *Session, current, next string, endOthers bool) (cookie string, others int, err error) {
	l, ok := s.session(sess.ID)
	if !ok {
		return "", 0, ErrSessionEnded
	}
	a, err := s.activeAccount(ctx, sess.Account)
	if err != nil {
		return "", 0, errors.Join(ErrSessionEnded, err)
	}
	closed, err := s.passwordClosed(ctx, a.Vendor)
	if err != nil {
		return "", 0, err
	}
	if closed {
		return "", 0, ErrPasswordClosed
	}
	old, err := s.provePassword(ctx, o, a, current)
	if err != nil {
		return "", 0, err
	}
	if next == current {
		return "", 0, &PasswordError{Reason: PasswordSame}
	}
	if err := CheckPassword(next, append(a.words(), hostWords(s.cfg.GateHost, s.cfg.Organisation)...)); err != nil {
		return "", 0, err
	}
	s.hashes.Add(1)
	hash, err := s.hasher.hash(ctx, a.ID, next)
	if err != nil {
		return "", 0, err
	}
	err = s.change(func() (err error) {
		cookie, others, err = s.changePassword(ctx, o, l, sess.epoch, a, PasswordChange{Account: a.ID, Old: old, New: hash, EndOthers: endOthers})
		return err
	})
	if err != nil {
		return "", 0, err
	}
	s.tell(ctx, a, NoticePasswordChanged, o, map[string]string{"sessions": strconv.Itoa(others)})
	return cookie, others, nil
}

// HasPassword reports whether the account has a password that signs it in:
// accounts that a vendor's provider signs in may have none.
func (s *Service) HasPassword(ctx context.Context, account string) (bool, error) {
	a, err := s.cfg.Store.Account(ctx, account)
	if err != nil {
		return false, fmt.Errorf("reading account: %w", err)
	}
	closed, err := s.passwordClosed(ctx, a.Vendor)
	if err != nil || closed {
		return false, err
	}
	c, err := s.cfg.Store.Credential(ctx, account)
	if err != nil {
		return false, fmt.Errorf("reading credential: %w", err)
	}
	return c.PasswordHash != "", nil
}

// provePassword checks the password of somebody who is signed in and returns
// its hash. Wrong ones are slowed, apart from those at the sign-in: somebody at
// an unlocked screen shall not keep the owner out.
func (s *Service) provePassword(ctx context.Context, o Origin, a *Account, password string) (hash string, err error) {
	key := s.throttleKey(a.ID, "change", "")
	first, err := s.beginPassword(ctx, key)
	if err != nil {
		if first {
			err = errors.Join(err, s.record(ctx, s.event(actionPasswordSlow, "throttled", a, o)))
		}
		return "", err
	}
	c, err := s.cfg.Store.Credential(ctx, a.ID)
	if err != nil {
		return "", fmt.Errorf("reading credential: %w", err)
	}
	if len(password) > maxPasswordBytes {
		password = ""
	}
	s.hashes.Add(1)
	right, _, err := s.hasher.verify(ctx, a.ID, password, c.PasswordHash)
	if err != nil {
		return "", err
	}
	if !right {
		slow := s.failPassword(ctx, key)
		if slow != nil && throttled(slow) == nil {
			return "", slow
		}
		return "", errors.Join(s.badPassword(ctx, o, a, "password"), slow)
	}
	return c.PasswordHash, s.passPassword(ctx, key)
}

// changePassword records and stores a change, ends what is to end, and gives
// the session a new epoch. Call under mu.
func (s *Service) changePassword(ctx context.Context, o Origin, l *liveSession, epoch int64, a *Account, p PasswordChange) (cookie string, others int, err error) {
	v, _, ok := s.alive(l, s.now())
	if !ok || v.Epoch != epoch {
		return "", 0, ErrSessionEnded
	}
	row := *v
	row.Epoch++
	row.PasswordAt = s.now()
	p.At, p.Session, p.Epoch = row.PasswordAt, v.ID, epoch
	if cookie, err = s.cookieFor(&row, s.cfg.GateHost); err != nil {
		return "", 0, err
	}
	r := s.event(actionPasswordChange, "ok", a, o)
	r.Session = v.ID
	if err := s.record(ctx, detail(r, "end_others", strconv.FormatBool(p.EndOthers))); err != nil {
		return "", 0, err
	}
	var ended []*liveSession
	var tokens []*liveToken
	var machines []*liveMachine
	if p.EndOthers {
		machines = s.machinesOf(a.ID)
		if ended, tokens, err = s.recordOthersEnd(ctx, o, a, v.ID); err != nil {
			return "", 0, err
		}
	}
	err = s.cfg.Store.ChangePassword(ctx, p)
	if errors.Is(err, ErrNotFound) {
		// Another change was first: neither the password nor this session is what it was.
		return "", 0, errors.Join(ErrSessionEnded, s.record(ctx, s.event(actionPasswordChange, "conflict", a, o)))
	}
	if err != nil {
		return "", 0, fmt.Errorf("changing password: %w", err)
	}
	l.view.Store(&row)
	for _, x := range ended {
		s.drop(x.view.Load().ID)
	}
	for _, x := range tokens {
		s.dropToken(x.ID)
	}
	for _, x := range machines {
		s.dropMachine(x.ID)
	}
	return cookie, len(ended), nil
}

// recordOthersEnd records the end of every session of the account but one, and
// of its tokens and machines. Call under mu.
func (s *Service) recordOthersEnd(ctx context.Context, o Origin, a *Account, keep string) (ended []*liveSession, tokens []*liveToken, err error) {
	for _, x := range s.sessionsOf(a.ID) {
		id := x.view.Load().ID
		if id == keep {
			continue
		}
		r := detail(s.event(actionSessionEnd, "ok", a, o), "reason", "password_change")
		r.Session = id
		if err := s.record(ctx, r); err != nil {
			return nil, nil, err
		}
		ended = append(ended, x)
	}
	tokens = s.tokensOf(a.ID)
	for _, t := range tokens {
		if err := s.record(ctx, s.tokenEvent(s.event(actionTokenRevoke, "ok", a, o), t.Token)); err != nil {
			return nil, nil, err
		}
	}
	for _, m := range s.machinesOf(a.ID) {
		r := detail(s.event(actionMachineEnd, "ok", a, o), "reason", "password_change")
		if err := s.record(ctx, machineEvent(r, &m.Machine)); err != nil {
			return nil, nil, err
		}
	}
	return ended, tokens, nil
}
