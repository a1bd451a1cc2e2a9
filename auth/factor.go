package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/ringfence/ringfence/policy"
)

// Actions of the records about an account's second factors.
const (
	actionTOTPRemove    = "totp.remove"
	actionTOTPRename    = "totp.rename"
	actionTOTPCancel    = "totp.cancel"
	actionSessionRotate = "session.rotate"
)

// Kinds of notices about second factors.
const (
	NoticeFactorAdded   NoticeKind = "factor_added"   // detail: name, kind
	NoticeFactorRemoved NoticeKind = "factor_removed" // detail: name, kind
)

// FreshFor is how old a session's newest code may be for a change of its
// account's factors.
const FreshFor = 15 * time.Minute

// An Authenticator is one second factor as its owner and administrators see
// it. It holds no secret.
type Authenticator struct {
	ID       string
	Account  string
	Name     string
	Kind     string    // a factor's name, such as [policy.FactorTOTP]
	Created  time.Time // when it was added
	LastUsed time.Time // when it last let somebody in; zero: not yet
	// Offset is how many steps of 30 seconds its newest code was from the
	// gate's clock: below zero, the device is slow or the code was typed late.
	Offset int
}

func (d *TOTPDevice) authenticator() Authenticator {
	return Authenticator{ID: d.ID, Account: d.Account, Name: d.Name, Kind: policy.FactorTOTP, Created: d.Confirmed, LastUsed: d.LastUsed, Offset: d.LastOffset}
}

// Authenticators returns the account's second factors, the oldest first.
func (s *Service) Authenticators(ctx context.Context, account string) ([]Authenticator, error) {
	c, err := s.cfg.Store.Credential(ctx, account)
	if err != nil {
		return nil, fmt.Errorf("reading factors: %w", err)
	}
	return authenticators(c.Devices), nil
}

// AllAuthenticators returns every account's second factors by account id, the
// oldest first.
func (s *Service) AllAuthenticators(ctx context.Context) (map[string][]Authenticator, error) {
	all, err := s.cfg.Store.AllTOTP(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading factors: %w", err)
	}
	out := make(map[string][]Authenticator)
	for _, a := range authenticators(all) {
		out[a.Account] = append(out[a.Account], a)
	}
	return out, nil
}

func authenticators(devices []TOTPDevice) []Authenticator {
	out := make([]Authenticator, len(devices))
	for i := range devices {
		out[i] = devices[i].authenticator()
	}
	return out
}

const (
	// MaxFactorName is how many characters the name of a factor may have.
	MaxFactorName = 64
	// defaultTOTPName is what a device is called whose owner gave no name.
	defaultTOTPName = "Authenticator app"
)

// factorName returns what somebody called a factor as it is kept, or
// [ErrInvalid]. An empty name becomes one that the account does not have yet.
func factorName(typed string, have []Authenticator) (string, error) {
	if len(typed) > 4*MaxFactorName+64 || !utf8.ValidString(typed) {
		return "", fmt.Errorf("reading name: %w", ErrInvalid)
	}
	for _, r := range typed {
		// Format characters turn text around, or are not seen at all.
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == utf8.RuneError {
			return "", fmt.Errorf("reading name: %w", ErrInvalid)
		}
	}
	name := strings.Join(strings.Fields(norm.NFC.String(typed)), " ")
	if utf8.RuneCountInString(name) > MaxFactorName {
		return "", fmt.Errorf("reading name: %w", ErrInvalid)
	}
	if name == "" {
		name = defaultTOTPName
		for n := 2; nameTaken(name, have); n++ {
			name = defaultTOTPName + " " + strconv.Itoa(n)
		}
	}
	if nameTaken(name, have) {
		return "", fmt.Errorf("reading name: %w", ErrNameTaken)
	}
	return name, nil
}

func nameTaken(name string, have []Authenticator) bool {
	return slices.ContainsFunc(have, func(a Authenticator) bool { return strings.EqualFold(a.Name, name) })
}

// fresh returns the session as it is in force, its account and its factors. A
// session whose code is not fresh is [ErrCodeStale]: who finds an open screen
// must not be able to bind a telephone of their own to the account.
func (s *Service) fresh(ctx context.Context, sess *Session) (*liveSession, *Account, []Authenticator, error) {
	l, ok := s.session(sess.ID)
	if !ok {
		return nil, nil, nil, ErrSessionEnded
	}
	now := s.now()
	v, _, ok := s.alive(l, now)
	if !ok || v.Epoch != sess.epoch {
		return nil, nil, nil, ErrSessionEnded
	}
	if newest := v.proved().newestAt(); newest.IsZero() || now.Sub(newest) > FreshFor {
		return nil, nil, nil, ErrCodeStale
	}
	a, err := s.activeAccount(ctx, v.Account)
	if err != nil {
		return nil, nil, nil, errors.Join(ErrSessionEnded, err)
	}
	have, err := s.Authenticators(ctx, a.ID)
	return l, a, have, err
}

// factorEvent begins the record of something done to a factor.
func (s *Service) factorEvent(action string, a *Account, o Origin, sess, id, name string) *policy.Record {
	r := s.event(action, "ok", a, o)
	r.Session = sess
	return detail(detail(r, "device", id), "name", name)
}

// RenameAuthenticator gives one of the session's account's factors another
// name. Errors: [ErrNotFound], [ErrInvalid], [ErrNameTaken], [ErrCodeStale],
// [ErrSessionEnded].
func (s *Service) RenameAuthenticator(ctx context.Context, o Origin, sess *Session, id, name string) error {
	_, a, have, err := s.fresh(ctx, sess)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(have, func(x Authenticator) bool { return x.ID == id })
	if i < 0 {
		return fmt.Errorf("renaming factor: %w", ErrNotFound)
	}
	was := have[i].Name
	name, err = factorName(name, slices.Delete(have, i, i+1))
	if err != nil || name == was {
		return err
	}
	if err := s.record(ctx, detail(s.factorEvent(actionTOTPRename, a, o, sess.ID, id, name), "was", was)); err != nil {
		return err
	}
	if err := s.cfg.Store.RenameTOTP(ctx, a.ID, id, name); err != nil {
		return fmt.Errorf("renaming factor: %w", err)
	}
	return nil
}

// RemoveAuthenticator takes away one of the session's account's factors, whose
// codes are worth nothing from then on, and returns the session's new cookie
// for the gate: every one from before is void. The owner is told. Errors:
// [ErrLastFactor], [ErrNotFound], [ErrCodeStale], [ErrSessionEnded].
func (s *Service) RemoveAuthenticator(ctx context.Context, o Origin, sess *Session, id string) (cookie string, err error) {
	l, a, have, err := s.fresh(ctx, sess)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(have, func(x Authenticator) bool { return x.ID == id })
	if i < 0 {
		return "", fmt.Errorf("removing factor: %w", ErrNotFound)
	}
	if len(have) == 1 {
		keys, err := s.SecurityKeys(ctx, a.ID)
		if err != nil {
			return "", fmt.Errorf("removing factor: %w", err)
		}
		if len(keys) == 0 || s.relyingParty == nil { // keys that nobody can be asked for do not count
			return "", fmt.Errorf("removing factor: %w", ErrLastFactor)
		}
	}
	if err := s.record(ctx, s.factorEvent(actionTOTPRemove, a, o, sess.ID, id, have[i].Name)); err != nil {
		return "", err
	}
	if err := s.cfg.Store.RemoveTOTP(ctx, a.ID, id); err != nil {
		return "", s.undone(ctx, s.factorEvent(actionTOTPRemove, a, o, sess.ID, id, have[i].Name), fmt.Errorf("removing factor: %w", err))
	}
	s.tell(ctx, a, NoticeFactorRemoved, o, map[string]string{"name": have[i].Name, "kind": have[i].Kind})
	return s.rotateEpoch(ctx, o, l, sess, a, "factor_removed")
}

// undone records that what r says did not happen, since somebody else was
// first: the record before must not stand alone. It returns err.
func (s *Service) undone(ctx context.Context, r *policy.Record, err error) error {
	switch {
	case errors.Is(err, ErrLastFactor):
		r.Result = "last_factor"
	case errors.Is(err, ErrNotFound):
		r.Result = "gone"
	case errors.Is(err, ErrTooMany):
		r.Result = "too_many"
	case errors.Is(err, ErrCodeSpent):
		r.Result = "code_spent"
	default:
		return err // it may have happened: the store did not say
	}
	return errors.Join(err, s.record(ctx, r))
}

// rotateEpoch voids the session's cookies on every host, for a change after
// which one that was copied before must be worth nothing, and returns the new
// one for the gate. How fresh the session's code is does not change.
func (s *Service) rotateEpoch(ctx context.Context, o Origin, l *liveSession, sess *Session, a *Account, why string) (cookie string, err error) {
	err = s.change(func() error {
		v, _, ok := s.alive(l, s.now())
		if !ok || v.Epoch != sess.epoch {
			return ErrSessionEnded
		}
		next := *v
		next.Epoch++
		if cookie, err = s.cookieFor(&next, s.cfg.GateHost); err != nil {
			return err
		}
		r := s.event(actionSessionRotate, "ok", a, o)
		r.Session = v.ID
		if err := s.record(ctx, detail(r, "reason", why)); err != nil {
			return err
		}
		if err := s.cfg.Store.RotateSession(ctx, next, v.Epoch); err != nil {
			if errors.Is(err, ErrNotFound) {
				return ErrSessionEnded
			}
			return fmt.Errorf("renewing session: %w", err)
		}
		l.view.Store(&next)
		return nil
	})
	if err != nil {
		return "", err
	}
	return cookie, nil
}
