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
	r := s.event(actionRecoveryReplace, "ok", a, o)
	r.Session = sess.ID
	if err := s.record(ctx, r); err != nil {
		return err
	}
	if err := s.cfg.Store.ReplaceRecovery(ctx, a.ID, set); err != nil {
		return fmt.Errorf("replacing recovery codes: %w", err)
	}
	s.shown.put(sess.ID, codes, s.now(), shownLife)
	s.tell(ctx, a, NoticeRecoveryReplaced, o, nil)
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
	typed, factor := normalCode(typed)
	for _, code := range codes {
		if factor == factorRecovery && subtle.ConstantTimeCompare([]byte(code), []byte(typed)) == 1 {
			s.shown.take(sess.ID, now)
			return nil
		}
	}
	return ErrBadCredentials
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
