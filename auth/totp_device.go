package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/ringfence/ringfence/auth/totp"
)

// Where a device's secret is sealed.
const (
	totpTable  = "totp_device"
	totpColumn = "sealed"
)

// totpRow names the row with its account, so that neither a secret nor a whole
// row can be moved to another's.
func totpRow(account, id string) string { return account + "/" + id }

func (s *Service) sealTOTP(account, id string, secret []byte) []byte {
	return s.seal.seal(totpTable, totpColumn, totpRow(account, id), secret)
}

// openTOTP returns a device's secret.
func (s *Service) openTOTP(d *TOTPDevice) ([]byte, error) {
	if d.Legacy {
		return s.seal.open("credential", "totp", d.Account, d.Sealed)
	}
	return s.seal.open(totpTable, totpColumn, totpRow(d.Account, d.ID), d.Sealed)
}

// spendStep spends a code of any of the account's authenticator apps, on every
// one of them that shows it, so that no code is good twice.
func (s *Service) spendStep(ctx context.Context, account string, c Credential, code string) error {
	if s.codesRefused() {
		return ErrClockBehind
	}
	spends, err := s.matchDevices(ctx, c.Devices, code)
	if err != nil {
		return err
	}
	won, err := s.cfg.Store.SpendTOTP(ctx, account, s.now(), spends)
	if err != nil {
		return fmt.Errorf("spending code: %w", err)
	}
	if !won {
		return ErrCodeSpent
	}
	s.cfg.CodeMatched(spends[0].Offset)
	s.reseal(ctx, c.Devices, spends)
	return nil
}

// matchDevices returns what the code matches. Every device is looked at,
// whatever matches: how long it takes tells nothing. One that cannot be read
// helps nobody in, and keeps nobody out who has another.
func (s *Service) matchDevices(ctx context.Context, devices []TOTPDevice, code string) ([]Spend, error) {
	at := s.clock.wall() // not s.now(): the telephone's own clock knows no other
	now := totp.Step(at)
	var spends []Spend
	var faults []error
	spent := false
	for i := range devices {
		d := &devices[i]
		plain, err := s.openTOTP(d)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		step, result, err := totp.Match(plain, code, at, s.cfg.Skew, d.LastStep)
		if err != nil {
			return nil, err
		}
		switch result {
		case totp.Right:
			spends = append(spends, Spend{Device: d.ID, Step: step, Offset: int(step - now)})
		case totp.Spent:
			spent = true
		}
	}
	if err := errors.Join(faults...); err != nil {
		s.log.ErrorContext(ctx, "reading an authenticator's secret", "err", err)
		if len(spends) == 0 && !spent {
			return nil, fmt.Errorf("reading factor: %w", err)
		}
	}
	switch {
	case spent: // spent on one device, it is spent on all
		return nil, ErrCodeSpent
	case len(spends) == 0:
		return nil, ErrBadCredentials
	}
	return spends, nil
}

// reseal binds secrets from before devices had rows to the rows of those that
// were used. That it did not work is no reason to refuse.
func (s *Service) reseal(ctx context.Context, devices []TOTPDevice, spends []Spend) {
	for i := range devices {
		d := &devices[i]
		if !d.Legacy || d.ID != spends[0].Device {
			continue
		}
		plain, err := s.openTOTP(d)
		if err == nil {
			err = s.cfg.Store.ResealTOTP(ctx, d.ID, d.Sealed, s.sealTOTP(d.Account, d.ID, plain))
		}
		if err != nil {
			s.log.WarnContext(ctx, "binding an authenticator's secret to its row", "account", d.Account, "err", err)
		}
	}
}
