package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/ringfence/ringfence/auth/totp"
)

// qrSize is the width of the QR code in pixels.
const qrSize = 264

// An EnrolmentInfo is what an enrolment's page may show. It holds secrets: it
// belongs on that page, sent with no-store, and nowhere else.
type EnrolmentInfo struct {
	Step     string // StepTOTP or StepRecovery
	Email    string
	Expires  time.Time
	Secret   string   // at StepTOTP: base32, to type into an app
	URI      string   // at StepTOTP: otpauth URI
	QR       []byte   // at StepTOTP: URI as PNG
	Recovery []string // at StepRecovery

	Devices []Authenticator // at StepRecovery: what is connected
	Adding  *TOTPSetup      // at StepRecovery: another device that waits for its code; nil: none
}

// String shows nothing of the secrets.
func (e EnrolmentInfo) String() string { return "enrolment at " + e.Step }

// GoString shows nothing of the secrets.
func (e EnrolmentInfo) GoString() string { return e.String() }

// LogValue shows nothing of the secrets.
func (e EnrolmentInfo) LogValue() slog.Value { return slog.StringValue(e.String()) }

// MarshalJSON shows nothing of the secrets.
func (e EnrolmentInfo) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// Enrolment returns an enrolment under way: the factor's secret until it is
// confirmed, then the recovery codes until [Service.FinishEnrolment]. One that
// is not there is [ErrEnrolmentEnded].
func (s *Service) Enrolment(ctx context.Context, enrol string) (EnrolmentInfo, error) {
	e, a, err := s.enrolment(ctx, enrol)
	if err != nil {
		return EnrolmentInfo{}, err
	}
	info := EnrolmentInfo{Step: e.Step, Email: a.Email, Expires: e.Expires}
	if e.Step == StepRecovery {
		plain, err := s.seal.open("enrolment", "recovery", e.Hash, e.Recovery)
		if err != nil {
			return EnrolmentInfo{}, fmt.Errorf("reading recovery codes: %w", err)
		}
		info.Recovery = strings.Fields(string(plain))
		return info, s.enrolledFactors(ctx, e, a, &info)
	}
	plain, err := s.seal.open("credential", "totp", a.ID, e.Secret)
	if err != nil {
		return EnrolmentInfo{}, fmt.Errorf("reading factor: %w", err)
	}
	info.Secret = totp.Encode(plain)
	info.URI = totp.URI(s.cfg.Organisation, a.Email, plain)
	if info.QR, err = totp.PNG(info.URI, qrSize); err != nil {
		return EnrolmentInfo{}, err
	}
	return info, nil
}

func (s *Service) enrolment(ctx context.Context, enrol string) (Enrolment, *Account, error) {
	e, err := s.cfg.Store.Enrolment(ctx, hashSecret(enrol))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Enrolment{}, nil, fmt.Errorf("reading enrolment: %w", err)
	}
	if err != nil || !s.now().Before(e.Expires) {
		return Enrolment{}, nil, ErrEnrolmentEnded
	}
	a, err := s.activeAccount(ctx, e.Account)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrAccountInactive) {
		return Enrolment{}, nil, ErrEnrolmentEnded
	}
	return e, a, err
}

// ConfirmTOTP proves that the app has the secret, which makes it the account's
// factor under the name, and returns the recovery codes. An empty name is
// given one. The code's time step is spent. A wrong code is
// [ErrBadCredentials] and a name that cannot be kept [ErrInvalid]; both change
// nothing. At another step the error is [ErrEnrolmentEnded].
func (s *Service) ConfirmTOTP(ctx context.Context, o Origin, enrol, name, code string) (recovery []string, err error) {
	return s.confirmTOTP(ctx, o, enrol, name, code, s.clock.wall())
}

func (s *Service) confirmTOTP(ctx context.Context, o Origin, enrol, name, typed string, at time.Time) ([]string, error) {
	e, a, err := s.enrolment(ctx, enrol)
	if err != nil {
		return nil, err
	}
	if e.Step != StepTOTP {
		return nil, ErrEnrolmentEnded
	}
	if name, err = factorName(name, nil); err != nil {
		return nil, err
	}
	plain, err := s.seal.open("credential", "totp", a.ID, e.Secret)
	if err != nil {
		return nil, fmt.Errorf("reading factor: %w", err)
	}
	step, offset, err := s.firstCode(ctx, o, a, plain, typed, at, "enrolment")
	if err != nil {
		return nil, err
	}
	now := s.now()
	d := TOTPDevice{ID: newID("dev_"), Account: a.ID, Name: name, Created: e.PasswordSet, Confirmed: now, LastStep: step, LastUsed: now, LastOffset: offset}
	d.Sealed = s.sealTOTP(d.Account, d.ID, plain)
	return s.confirmed(ctx, o, a, e, d)
}

// confirmed makes the enrolment's device the account's factor.
func (s *Service) confirmed(ctx context.Context, o Origin, a *Account, e Enrolment, d TOTPDevice) ([]string, error) {
	codes := newRecoveryCodes()
	set, err := s.hasher.hashRecovery(ctx, a.ID, codes)
	if err != nil {
		return nil, err
	}
	e.Step, e.Confirmed = StepRecovery, d.Confirmed
	e.Recovery = s.seal.seal("enrolment", "recovery", e.Hash, []byte(strings.Join(codes, " ")))
	if err := s.record(ctx, s.factorEvent(actionTOTPConfirm, a, o, "", d.ID, d.Name)); err != nil {
		return nil, err
	}
	err = s.cfg.Store.ConfirmEnrolment(ctx, e, Credential{Devices: []TOTPDevice{d}, Recovery: set})
	if errors.Is(err, ErrNotFound) {
		return nil, ErrEnrolmentEnded
	}
	if err != nil {
		return nil, fmt.Errorf("confirming factor: %w", err)
	}
	return codes, nil
}

// FinishEnrolment ends an enrolment once its recovery codes were shown, and
// starts the first session. Before that step it is [ErrEnrolmentEnded].
func (s *Service) FinishEnrolment(ctx context.Context, o Origin, enrol string) (cookie string, sess *Session, err error) {
	e, a, err := s.enrolment(ctx, enrol)
	if err != nil {
		return "", nil, err
	}
	if e.Step != StepRecovery {
		return "", nil, ErrEnrolmentEnded
	}
	err = s.cfg.Store.EndEnrolment(ctx, e.Hash)
	if errors.Is(err, ErrNotFound) {
		return "", nil, ErrEnrolmentEnded
	}
	if err != nil {
		return "", nil, fmt.Errorf("finishing enrolment: %w", err)
	}
	c, err := s.cfg.Store.Credential(ctx, a.ID)
	if err != nil {
		return "", nil, fmt.Errorf("reading credential: %w", err)
	}
	now := s.now()
	if err := s.cfg.Store.EditFailures(ctx, a.ID, func(lanes map[string]Failures) {
		own := lanes[network(o.IP)]
		own.Known = now
		lanes[network(o.IP)] = own
	}); err != nil {
		return "", nil, fmt.Errorf("counting tries: %w", err)
	}
	p := proof{passwordAt: e.PasswordSet, codeAt: e.Confirmed, factor: factorTOTP, recoveryLeft: recoveryLeft(c.Recovery), external: e.External}
	if !e.External.At.IsZero() {
		p.passwordAt = time.Time{} // a provider's word stood in its place
	}
	cookie, sess, err = s.startSession(ctx, o, a, c, p)
	if err == nil {
		s.allowEnrolled(ctx, sess)
	}
	return cookie, sess, err
}

// hostWords returns the words of the deployment's own names.
func hostWords(names ...string) []string {
	return strings.FieldsFunc(strings.Join(names, " "), func(r rune) bool { return r == '.' || r == '-' || r == ' ' })
}
