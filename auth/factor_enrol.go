package auth

import (
	"context"
	"errors"
	"fmt"
)

// During an enrolment, once its first device is confirmed, more may be added:
// whoever has a second device is not locked out by losing the first.

// AddEnrolledTOTP makes the secret of another authenticator app within an
// enrolment; [Service.Enrolment] shows it. Errors are those of
// [Service.BeginTOTP], and [ErrEnrolmentEnded] before the first device.
func (s *Service) AddEnrolledTOTP(ctx context.Context, o Origin, enrol, name string) error {
	e, a, have, err := s.enrolled(ctx, enrol)
	if err != nil {
		return err
	}
	return s.beginTOTP(ctx, o, a, have, "", enrolmentOwner(e), name)
}

// ConfirmEnrolledTOTP proves that the app has the secret, as
// [Service.ConfirmAddedTOTP] does.
func (s *Service) ConfirmEnrolledTOTP(ctx context.Context, o Origin, enrol, code string) (Authenticator, error) {
	e, a, have, err := s.enrolled(ctx, enrol)
	if err != nil {
		return Authenticator{}, err
	}
	return s.confirmPending(ctx, o, a, have, "", enrolmentOwner(e), code)
}

// CancelEnrolledTOTP drops what [Service.AddEnrolledTOTP] made.
func (s *Service) CancelEnrolledTOTP(ctx context.Context, o Origin, enrol string) error {
	e, a, _, err := s.enrolled(ctx, enrol)
	if err != nil {
		return err
	}
	return s.cancelTOTP(ctx, o, a, "", enrolmentOwner(e))
}

// enrolmentOwner owns what an enrolment begins. No session has such an id.
func enrolmentOwner(e Enrolment) string { return "enrolment " + e.Hash }

// enrolled returns an enrolment whose first device is confirmed.
func (s *Service) enrolled(ctx context.Context, enrol string) (Enrolment, *Account, []Authenticator, error) {
	e, a, err := s.enrolment(ctx, enrol)
	if err != nil {
		return Enrolment{}, nil, nil, err
	}
	if e.Step != StepRecovery {
		return Enrolment{}, nil, nil, ErrEnrolmentEnded
	}
	have, err := s.Authenticators(ctx, a.ID)
	return e, a, have, err
}

// enrolledFactors fills in what an enrolment has connected, and what waits.
func (s *Service) enrolledFactors(ctx context.Context, e Enrolment, a *Account, info *EnrolmentInfo) (err error) {
	if info.Devices, err = s.Authenticators(ctx, a.ID); err != nil {
		return err
	}
	p, err := s.pendingTOTP(ctx, a.ID, enrolmentOwner(e))
	if errors.Is(err, ErrSetupEnded) {
		return nil
	}
	if err != nil {
		return err
	}
	setup, err := s.setupOf(a, p)
	if err != nil {
		return fmt.Errorf("reading new authenticator: %w", err)
	}
	info.Adding = &setup
	return nil
}
