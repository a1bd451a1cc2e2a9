package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"strconv"
	"time"
)

const actionRecoveryReplace = "recovery.replace"

// shownLife is how long new recovery codes can be looked at.
const shownLife = 10 * time.Minute

// ReplaceRecovery gives the session's account a new set of recovery codes,
// which voids every code from before at once. The codes are shown by
// [Service.ShownRecovery] until [Service.KeepRecovery]. Ask for a fresh code first.
func (s *Service) ReplaceRecovery(ctx context.Context, o Origin, sess *Session) error {
	a, err := s.activeAccount(ctx, sess.Account)
	if err != nil {
		return errors.Join(ErrSessionEnded, err)
	}
	codes := newRecoveryCodes()
	set, err := s.hasher.hashRecovery(ctx, a.ID, codes)
	if err != nil {
		return err
	}
	if err := s.replaceRecovery(ctx, o, sess, a, set, codes); err != nil {
		return err
	}
	s.tell(ctx, a, NoticeRecoveryReplaced, o, nil)
	return nil
}

// replaceRecovery puts the set in force and shows it, in one: of two sets made
// at once, the one that is shown must be the one that counts, and other
// sessions must not go on showing codes that are void.
func (s *Service) replaceRecovery(ctx context.Context, o Origin, sess *Session, a *Account, set []RecoveryCode, codes []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.session(sess.ID)
	if !ok {
		return ErrSessionEnded
	}
	if _, _, ok := s.alive(l, s.now()); !ok {
		return ErrSessionEnded
	}
	r := s.event(actionRecoveryReplace, "ok", a, o)
	r.Session = sess.ID
	if err := s.record(ctx, r); err != nil {
		return err
	}
	if err := s.cfg.Store.ReplaceRecovery(ctx, a.ID, set); err != nil {
		return fmt.Errorf("replacing recovery codes: %w", err)
	}
	for _, other := range l.account.allSessions() {
		s.shown.take(other.view.Load().ID, s.now())
	}
	s.shown.put(sess.ID, codes, s.now(), shownLife)
	return nil
}

// ShownRecovery returns the new recovery codes that the session may look at:
// a whole set, or the one that replaces a used one. They are secrets, and nil
// once they were kept or ten minutes are over.
func (s *Service) ShownRecovery(sess *Session) []string {
	codes, _ := s.shown.get(sess.ID, s.now())
	return codes
}

// KeepRecovery ends the showing of new recovery codes once one of them was
// typed again, which proves that they were noted. Anything else is
// [ErrBadCredentials], and without codes that are shown [ErrNotFound].
func (s *Service) KeepRecovery(sess *Session, typed string) error {
	now := s.now()
	codes, ok := s.shown.get(sess.ID, now)
	if !ok {
		return ErrNotFound
	}
	if !oneOf(codes, typed) {
		return ErrBadCredentials
	}
	s.shown.take(sess.ID, now)
	return nil
}

// Noted reports whether typed is one of the recovery codes that the enrolment
// shows, however it is spelt: whoever typed one has noted them.
func (e *EnrolmentInfo) Noted(typed string) bool { return oneOf(e.Recovery, typed) }

func oneOf(codes []string, typed string) bool {
	typed, factor := normalCode(typed)
	if factor != factorRecovery {
		return false
	}
	for _, code := range codes {
		if code, _ := normalCode(code); subtle.ConstantTimeCompare([]byte(code), []byte(typed)) == 1 {
			return true
		}
	}
	return false
}

// RecoveryLeft returns how many recovery codes of the account are not used.
func (s *Service) RecoveryLeft(ctx context.Context, account string) (int, error) {
	c, err := s.cfg.Store.Credential(ctx, account)
	if err != nil {
		return 0, fmt.Errorf("reading recovery codes: %w", err)
	}
	return recoveryLeft(c.Recovery), nil
}

// renewRecovery puts a new recovery code in place of a spent one, tells the
// owner, and returns the code to be shown; empty when it did not work, which is
// no reason to refuse somebody who has proved who they are.
func (s *Service) renewRecovery(ctx context.Context, o Origin, a *Account, spent RecoveryCode, p *proof) {
	code := newRecoveryCodes()[0]
	hash, err := s.hasher.hashLike(ctx, a.ID, code, spent.Hash)
	added := false
	if err == nil {
		added, err = s.cfg.Store.AddRecovery(ctx, a.ID, spent, hash)
	}
	if err != nil {
		s.log.WarnContext(ctx, "replacing a used recovery code", "account", a.ID, "err", err)
	}
	if added && err == nil {
		p.renewed = code
		p.recoveryLeft++
	}
	s.tell(ctx, a, NoticeRecoveryUsed, o, map[string]string{"left": strconv.Itoa(p.recoveryLeft)})
}

// showRenewed lets the session look at the code that p brought.
func (s *Service) showRenewed(session string, p proof) {
	if p.renewed != "" {
		s.shown.put(session, []string{p.renewed}, s.now(), shownLife)
	}
}

// hashLike returns the hash of a code under the salt and cost of another one
// of its set.
func (h *hasher) hashLike(ctx context.Context, account, code, like string) (string, error) {
	p, err := parsePHC(like)
	if err != nil {
		return "", err
	}
	leave, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	if p.hash, err = h.derive(ctx, h.prepare(account, code), p.salt, p.cost.Passes, p.cost.Memory, hashSize); err != nil {
		return "", fmt.Errorf("hashing a recovery code: %w", err)
	}
	return p.String(), nil
}
