package auth

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// Kinds of notices about passwords, recovery codes and wrong codes.
const (
	NoticePasswordChanged  NoticeKind = "password_changed"  // detail: sessions, how many others ended
	NoticeSignInReset      NoticeKind = "sign_in_reset"     // detail: by, the administrator's address
	NoticeRecoveryUsed     NoticeKind = "recovery_used"     // detail: left, how many are left
	NoticeRecoveryReplaced NoticeKind = "recovery_replaced" // the old set is void
	NoticeWrongCodes       NoticeKind = "wrong_codes"       // detail: codes, how many since the last sign-in
	NoticeCodesStopped     NoticeKind = "codes_stopped"     // codes of the app are refused
)

// warned are the kinds that whoever answers for the account's vendor hears of
// as well: signs that somebody else knows the password.
var warned = map[NoticeKind]bool{NoticeWrongCodes: true, NoticeCodesStopped: true, NoticeRecoveryUsed: true, NoticeSignInReset: true, NoticePolicyBackAlone: true}

const actionWarningPass = "notice.pass_on"

const (
	// warnAfter is how many wrong codes after a right password make a warning:
	// one or two are slips of the finger.
	warnAfter = 3
	// warnEvery is how often an account is warned of wrong codes at most.
	warnEvery = time.Hour
)

// warnCodes says what wrong codes on a lane are to be told about, and notes it.
// Call while editing the lanes, once the wrong code is counted. stop is how
// many the account's lanes take.
func warnCodes(lanes map[string]Failures, lane string, stop int, now time.Time) (kind NoticeKind) {
	all, total := lanes[everywhere], judged(lanes, lane, now).Total
	switch {
	case total == stop || total > stop && now.Sub(all.Warned) >= warnEvery:
		kind = NoticeCodesStopped
	case all.Unseen >= warnAfter && now.Sub(all.Warned) >= warnEvery:
		kind = NoticeWrongCodes
	default:
		return ""
	}
	all.Warned = now
	lanes[everywhere] = all
	return kind
}

// tellCodes leaves the notice that wrong codes are worth.
func (s *Service) tellCodes(ctx context.Context, a *Account, o Origin, kind NoticeKind, codes int) {
	if kind != "" {
		s.tell(ctx, a, kind, o, map[string]string{"codes": strconv.Itoa(codes)})
	}
}

// warn leaves a notice for whoever answers for the account's vendor, if it is of such a kind.
func (s *Service) warn(ctx context.Context, a *Account, n Notice) {
	if !warned[n.Kind] {
		return
	}
	w := Warning{Notice: n, Email: a.Email, Vendor: a.Vendor}
	if err := s.cfg.Store.PutWarning(context.WithoutCancel(ctx), w); err != nil {
		s.log.ErrorContext(ctx, "leaving a warning to pass on", "kind", n.Kind, "account", a.ID, "err", err)
	}
}

// Warned reports whether notices of the kind are for whoever answers for the
// account's vendor as well.
func Warned(kind NoticeKind) bool { return warned[kind] }

// OpenWarnings returns the warnings that were not passed on yet, the newest first.
func (s *Service) OpenWarnings(ctx context.Context) ([]Warning, error) {
	w, err := s.cfg.Store.OpenWarnings(ctx, 50)
	if err != nil {
		return nil, fmt.Errorf("reading warnings: %w", err)
	}
	return w, nil
}

// PassWarning notes that an administrator has passed a warning on. One that is
// not open is [ErrNotFound].
func (s *Service) PassWarning(ctx context.Context, actor Actor, id string) error {
	if err := s.mayAdminister(ctx, actor); err != nil {
		return fmt.Errorf("passing a warning on: %w", err)
	}
	all, err := s.OpenWarnings(ctx)
	if err != nil {
		return err
	}
	for _, w := range all {
		if w.ID != id {
			continue
		}
		a := Account{ID: w.Account, Email: w.Email, Vendor: w.Vendor}
		r := detail(s.eventBy(actionWarningPass, actor, &a), "kind", string(w.Kind))
		r.Type = policy.RecordAdmin
		if err := s.record(ctx, detail(r, "notice", w.ID)); err != nil {
			return err
		}
		won, err := s.cfg.Store.PassWarning(ctx, id, actor.Account, s.now())
		if err == nil && !won {
			err = ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("passing a warning on: %w", err)
		}
		return nil
	}
	return fmt.Errorf("passing a warning on: %w", ErrNotFound)
}

// WarningMailed notes that a warning has reached the vendor's owner by mail.
func (s *Service) WarningMailed(ctx context.Context, id string) error {
	if _, err := s.cfg.Store.PassWarning(ctx, id, "mail", s.now()); err != nil {
		return fmt.Errorf("passing a warning on: %w", err)
	}
	return nil
}
