package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ringfence/ringfence/auth/totp"
	"github.com/ringfence/ringfence/policy"
)

// pendingLife is how long a new device may take to give its first code. NIST
// SP 800-63B-4 asks for at most ten minutes.
const pendingLife = 10 * time.Minute

// A TOTPSetup is what the page of a new authenticator app may show. It holds
// secrets: it belongs on that page, sent with no-store, and nowhere else.
type TOTPSetup struct {
	Name    string
	Email   string
	Expires time.Time
	Secret  string // base32, to type into an app
	URI     string // otpauth URI
	QR      []byte // URI as PNG
}

// String shows nothing of the secrets.
func (t TOTPSetup) String() string { return "setup of " + t.Name }

// GoString shows nothing of the secrets.
func (t TOTPSetup) GoString() string { return t.String() }

// LogValue shows nothing of the secrets.
func (t TOTPSetup) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalJSON shows nothing of the secrets.
func (t TOTPSetup) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// BeginTOTP makes the secret of another authenticator app for the session's
// account; see [Service.AddingTOTP]. It is good for ten minutes and for this
// session, and voids any that the account began before. An empty name is given
// one. Errors: [ErrTooMany], [ErrInvalid], [ErrNameTaken], [ErrCodeStale],
// [ErrSessionEnded]; a [ThrottledError] that is stopped where so many wrong
// codes were given that another device would lock the account.
func (s *Service) BeginTOTP(ctx context.Context, o Origin, sess *Session, name string) error {
	_, a, have, err := s.fresh(ctx, sess)
	if err != nil {
		return err
	}
	return s.beginTOTP(ctx, o, a, have, sess.ID, sess.ID, name)
}

func (s *Service) beginTOTP(ctx context.Context, o Origin, a *Account, have []Authenticator, session, owner, name string) error {
	if countTOTP(have) >= MaxTOTP {
		return fmt.Errorf("adding authenticator: %w", ErrTooMany)
	}
	name, err := factorName(name, have)
	if err != nil {
		return err
	}
	if err := s.roomForAnother(ctx, a.ID, countTOTP(have)); err != nil {
		return err
	}
	now := s.now()
	p := PendingTOTP{ID: newID("dev_"), Account: a.ID, Owner: owner, Name: name, Created: now, Expires: now.Add(pendingLife)}
	p.Sealed = s.sealTOTP(p.Account, p.ID, totp.NewSecret())
	if err := s.record(ctx, s.factorEvent(actionTOTPAdd, a, o, session, p.ID, name)); err != nil {
		return err
	}
	if err := s.cfg.Store.PutPendingTOTP(ctx, p); err != nil {
		return fmt.Errorf("storing new authenticator: %w", err)
	}
	return nil
}

func countTOTP(have []Authenticator) (n int) {
	for _, a := range have {
		if a.Kind == policy.FactorTOTP {
			n++
		}
	}
	return n
}

// pendingTOTP returns what owner began, or [ErrSetupEnded].
func (s *Service) pendingTOTP(ctx context.Context, account, owner string) (PendingTOTP, error) {
	p, err := s.cfg.Store.PendingTOTP(ctx, account)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return PendingTOTP{}, fmt.Errorf("reading new authenticator: %w", err)
	}
	if err != nil || p.Owner != owner || !s.now().Before(p.Expires) {
		return PendingTOTP{}, ErrSetupEnded
	}
	return p, nil
}

// AddingTOTP returns what [Service.BeginTOTP] of this session made, as long as
// it waits for its code. Otherwise it is [ErrSetupEnded], and [ErrCodeStale]
// or [ErrSessionEnded] as there.
func (s *Service) AddingTOTP(ctx context.Context, sess *Session) (TOTPSetup, error) {
	_, a, _, err := s.fresh(ctx, sess)
	if err != nil {
		return TOTPSetup{}, err
	}
	p, err := s.pendingTOTP(ctx, a.ID, sess.ID)
	if err != nil {
		return TOTPSetup{}, err
	}
	return s.setupOf(a, p)
}

func (s *Service) setupOf(a *Account, p PendingTOTP) (TOTPSetup, error) {
	plain, err := s.seal.open(totpTable, totpColumn, totpRow(p.Account, p.ID), p.Sealed)
	if err != nil {
		return TOTPSetup{}, fmt.Errorf("reading new authenticator: %w", err)
	}
	t := TOTPSetup{Name: p.Name, Email: a.Email, Expires: p.Expires, Secret: totp.Encode(plain), URI: totp.URI(s.cfg.Organisation, a.Email, plain)}
	if t.QR, err = totp.PNG(t.URI, qrSize); err != nil {
		return TOTPSetup{}, err
	}
	return t, nil
}

// ConfirmAddedTOTP proves that the app has the secret, which makes it one of
// the account's factors, and returns it with the session's new cookie for the
// gate: every one from before is void. The code's time step is spent. The
// owner is told. Errors: [ErrBadCredentials] for a wrong code, which changes
// nothing, [ErrCodeSpent], [ErrSetupEnded], [ErrTooMany], [ErrCodeStale],
// [ErrSessionEnded].
func (s *Service) ConfirmAddedTOTP(ctx context.Context, o Origin, sess *Session, code string) (cookie string, added Authenticator, err error) {
	l, a, have, err := s.fresh(ctx, sess)
	if err != nil {
		return "", Authenticator{}, err
	}
	added, err = s.confirmPending(ctx, o, a, have, sess.ID, sess.ID, code)
	if err != nil {
		return "", Authenticator{}, err
	}
	s.tell(ctx, a, NoticeFactorAdded, o, map[string]string{"name": added.Name, "kind": added.Kind})
	cookie, err = s.rotateEpoch(ctx, o, l, sess, a, "factor_added")
	return cookie, added, err
}

func (s *Service) confirmPending(ctx context.Context, o Origin, a *Account, have []Authenticator, session, owner, typed string) (Authenticator, error) {
	p, err := s.pendingTOTP(ctx, a.ID, owner)
	if err != nil {
		return Authenticator{}, err
	}
	if countTOTP(have) >= MaxTOTP {
		return Authenticator{}, fmt.Errorf("adding authenticator: %w", ErrTooMany)
	}
	plain, err := s.seal.open(totpTable, totpColumn, totpRow(p.Account, p.ID), p.Sealed)
	if err != nil {
		return Authenticator{}, fmt.Errorf("reading new authenticator: %w", err)
	}
	step, offset, err := s.firstCode(ctx, o, a, plain, typed, s.clock.wall(), "adding")
	if err != nil {
		return Authenticator{}, err
	}
	now := s.now()
	d := TOTPDevice{ID: p.ID, Account: a.ID, Name: p.Name, Sealed: p.Sealed, Created: p.Created, Confirmed: now, LastStep: step, LastUsed: now, LastOffset: offset}
	if err := s.record(ctx, s.factorEvent(actionTOTPConfirm, a, o, session, d.ID, d.Name)); err != nil {
		return Authenticator{}, err
	}
	err = s.cfg.Store.AddTOTP(ctx, d)
	if errors.Is(err, ErrNotFound) {
		err = errors.Join(ErrSetupEnded, err)
	}
	if err != nil {
		return Authenticator{}, s.undone(ctx, s.factorEvent(actionTOTPConfirm, a, o, session, d.ID, d.Name), fmt.Errorf("adding authenticator: %w", err))
	}
	return d.authenticator(), nil
}

// firstCode returns the step of a new device's first code, and how far it is
// from at. A wrong code is recorded and [ErrBadCredentials]. It is not
// counted: whoever sees the secret need not guess.
func (s *Service) firstCode(ctx context.Context, o Origin, a *Account, secret []byte, typed string, at time.Time, during string) (step int64, offset int, err error) {
	code, factor := normalCode(typed)
	if s.codesRefused() {
		if err := s.record(ctx, detail(s.event(actionTOTPFail, "clock_behind", a, o), "during", during)); err != nil {
			return 0, 0, err
		}
		return 0, 0, ErrClockBehind
	}
	step, result, err := totp.Match(secret, code, at, s.cfg.Skew, 0)
	if err != nil {
		return 0, 0, err
	}
	if factor != factorTOTP || result != totp.Right {
		if err := s.record(ctx, detail(s.event(actionTOTPFail, "bad_credentials", a, o), "during", during)); err != nil {
			return 0, 0, err
		}
		return 0, 0, ErrBadCredentials
	}
	offset = int(step - totp.Step(at))
	s.cfg.CodeMatched(offset)
	return step, offset, nil
}

// CancelTOTP drops what [Service.BeginTOTP] of this session made.
func (s *Service) CancelTOTP(ctx context.Context, o Origin, sess *Session) error {
	_, a, _, err := s.fresh(ctx, sess)
	if err != nil {
		return err
	}
	return s.cancelTOTP(ctx, o, a, sess.ID, sess.ID)
}

func (s *Service) cancelTOTP(ctx context.Context, o Origin, a *Account, session, owner string) error {
	p, err := s.pendingTOTP(ctx, a.ID, owner)
	if errors.Is(err, ErrSetupEnded) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.record(ctx, s.factorEvent(actionTOTPCancel, a, o, session, p.ID, p.Name)); err != nil {
		return err
	}
	if err := s.cfg.Store.DeletePendingTOTP(ctx, a.ID, p.ID); err != nil {
		return fmt.Errorf("dropping new authenticator: %w", err)
	}
	return nil
}
