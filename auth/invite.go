package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ringfence/ringfence/auth/totp"
)

// Invite makes an invitation for an account that has no second factor yet and
// returns the link to send, by whatever channel. It is good once and for 24
// hours, and voids any other of the account. Errors: [ErrForbidden],
// [ErrNotFound], [ErrAccountInactive], [ErrEnrolled].
func (s *Service) Invite(ctx context.Context, actor Actor, accountID string) (link string, expires time.Time, err error) {
	i, err := s.InviteWith(ctx, actor, accountID, InviteOptions{})
	return i.Link, i.Expires, err
}

func (s *Service) inviteWith(ctx context.Context, actor Actor, accountID string, opt InviteOptions) (token, phone string, expires time.Time, err error) {
	if err := s.mayAdminister(ctx, actor); err != nil {
		return "", "", time.Time{}, fmt.Errorf("inviting: %w", err)
	}
	a, err := s.activeAccount(ctx, accountID)
	if err != nil {
		return "", "", time.Time{}, fmt.Errorf("inviting: %w", err)
	}
	c, err := s.cfg.Store.Credential(ctx, a.ID)
	if err != nil {
		return "", "", time.Time{}, fmt.Errorf("inviting: %w", err)
	}
	if !c.Confirmed.IsZero() {
		return "", "", time.Time{}, fmt.Errorf("inviting: %w", ErrEnrolled)
	}
	phone, phoneHash, err := s.newPhoneCode(ctx, a, opt)
	if err != nil {
		return "", "", time.Time{}, fmt.Errorf("inviting: %w", err)
	}
	now := s.now()
	token, expires = NewSecret(), now.Add(inviteLife)
	r := detail(s.eventBy(actionInviteCreate, actor, a), "expires", expires.Format(time.RFC3339))
	if phone != "" {
		detail(r, "phone_code", "yes")
	}
	if err := s.record(ctx, r); err != nil {
		return "", "", time.Time{}, err
	}
	inv := Invitation{Hash: hashSecret(token), Account: a.ID, Created: now, Expires: expires, By: actor.Account, Phone: phoneHash}
	if err := s.cfg.Store.PutInvitation(ctx, inv); err != nil {
		return "", "", time.Time{}, fmt.Errorf("storing invitation: %w", err)
	}
	return token, phone, expires, nil
}

// An InviteInfo is what an invitation's page may show.
type InviteInfo struct {
	Email   string
	Name    string
	Expires time.Time
	// Provider is the account's vendor when that has an identity provider,
	// which can take the password's place; with PasswordClosed it must.
	Provider       string
	PasswordClosed bool
	// PhoneCode means that a number which was told by telephone is needed too.
	PhoneCode bool
}

// OpenInvite returns what an invitation is for. It consumes and changes
// nothing, because mail programs open links too. Everything that is wrong with
// it is [ErrInviteInvalid].
func (s *Service) OpenInvite(ctx context.Context, token string) (InviteInfo, error) {
	inv, a, err := s.invitation(ctx, token)
	if err != nil {
		return InviteInfo{}, err
	}
	info := InviteInfo{Email: a.Email, Name: a.Name, Expires: inv.Expires, PhoneCode: inv.Phone != ""}
	p, err := s.cfg.Store.IdentityProvider(ctx, a.Vendor)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return InviteInfo{}, fmt.Errorf("reading identity provider: %w", err)
	}
	if err == nil {
		info.Provider, info.PasswordClosed = p.Vendor, p.Required
	}
	return info, nil
}

func (s *Service) invitation(ctx context.Context, token string) (Invitation, *Account, error) {
	inv, err := s.cfg.Store.Invitation(ctx, hashSecret(token))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Invitation{}, nil, fmt.Errorf("reading invitation: %w", err)
	}
	if err != nil || !s.now().Before(inv.Expires) || inv.Phone != "" && inv.Tries >= maxPhoneTries {
		return Invitation{}, nil, ErrInviteInvalid
	}
	a, err := s.activeAccount(ctx, inv.Account)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrAccountInactive) {
		return Invitation{}, nil, ErrInviteInvalid
	}
	return inv, a, err
}

// AcceptInvite sets the password, which consumes the invitation, and begins an
// enrolment of an hour, whose value belongs into [EnrolCookie]. A
// [PasswordError] or [ErrBusy] leaves the invitation open; an invitation that
// is not valid is [ErrInviteInvalid], and a vendor whose provider is required [ErrPasswordClosed].
func (s *Service) AcceptInvite(ctx context.Context, o Origin, token, password string) (enrol string, err error) {
	return s.AcceptInviteWith(ctx, o, token, password, "")
}

// AcceptInviteWith does so with the number that was told by telephone, for an
// invitation that has one: without the right one it is [ErrPhoneCode], and the
// invitation stays open for ten tries.
func (s *Service) AcceptInviteWith(ctx context.Context, o Origin, token, password, phone string) (enrol string, err error) {
	inv, a, err := s.invitation(ctx, token)
	if err != nil {
		return "", err
	}
	closed, err := s.passwordClosed(ctx, a.Vendor)
	if err != nil {
		return "", err
	}
	if closed {
		return "", ErrPasswordClosed
	}
	if err := CheckPassword(password, append(a.words(), hostWords(s.cfg.GateHost, s.cfg.Organisation)...)); err != nil {
		return "", err
	}
	if err := s.provePhoneCode(ctx, o, a, inv, phone); err != nil {
		return "", err
	}
	s.hashes.Add(1)
	hash, err := s.hasher.hash(ctx, a.ID, password)
	if err != nil {
		return "", err
	}
	now := s.now()
	enrol = NewSecret()
	e := Enrolment{
		Hash: hashSecret(enrol), Account: a.ID, Step: StepTOTP, PasswordSet: now, Expires: now.Add(enrolmentLife),
		Secret: s.seal.seal("credential", "totp", a.ID, totp.NewSecret()),
	}
	for _, action := range []string{actionInviteAccept, actionPasswordSet, actionTOTPAdd} {
		if err := s.record(ctx, s.event(action, "ok", a, o)); err != nil {
			return "", err
		}
	}
	err = s.cfg.Store.AcceptInvitation(ctx, inv.Hash, hash, e)
	if errors.Is(err, ErrNotFound) {
		// Somebody else was first; the records above must not stand alone.
		return "", errors.Join(ErrInviteInvalid, s.record(ctx, s.event(actionInviteAccept, "used_already", a, o)))
	}
	if err != nil {
		return "", fmt.Errorf("accepting invitation: %w", err)
	}
	return enrol, nil
}

// Provision enrols an account in one go, as a demonstration and tests need it:
// the same invitation, password rules, confirmation and records as by hand.
// The confirming code is the one before that of at, which is now, so that the
// code of at can still be used.
func (s *Service) Provision(ctx context.Context, actor Actor, accountID, password string, at time.Time) (otpauthURI string, recovery []string, err error) {
	token, phone, _, err := s.inviteWith(ctx, actor, accountID, InviteOptions{})
	if err != nil {
		return "", nil, err
	}
	o := Origin{RequestID: actor.RequestID}
	enrol, err := s.AcceptInviteWith(ctx, o, token, password, phone)
	if err != nil {
		return "", nil, err
	}
	e, a, err := s.enrolment(ctx, enrol)
	if err != nil {
		return "", nil, err
	}
	plain, err := s.seal.open("credential", "totp", a.ID, e.Secret)
	if err != nil {
		return "", nil, fmt.Errorf("reading factor: %w", err)
	}
	before := at.Add(-totp.Period)
	code, err := totp.Code(plain, totp.Step(before))
	if err != nil {
		return "", nil, err
	}
	if recovery, err = s.confirmTOTP(ctx, o, enrol, "", code, before); err != nil {
		return "", nil, err
	}
	if err := s.cfg.Store.EndEnrolment(ctx, e.Hash); err != nil {
		return "", nil, fmt.Errorf("finishing enrolment: %w", err)
	}
	return totp.URI(s.cfg.Organisation, a.Email, plain), recovery, nil
}
