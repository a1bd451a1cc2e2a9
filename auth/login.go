package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Login checks an address and a password and begins a sign-in, whose value
// belongs into [LoginCookie]. Whatever is wrong — an unknown address, a wrong
// password, an account that may not sign in or never finished enrolment — the
// error is [ErrBadCredentials] and takes as long. Otherwise it is a
// [ThrottledError], [ErrBusy] or internal.
func (s *Service) Login(ctx context.Context, o Origin, email, password string) (flow string, err error) {
	now := s.now()
	canonical, err := CanonicalEmail(email)
	if err != nil {
		canonical = "" // counted and hashed like any other
	}
	key := s.slowKey(o, canonical, now)
	if first, err := s.beginPassword(ctx, key); err != nil {
		if first {
			if err := s.recordSlowed(ctx, o, canonical); err != nil {
				return "", err
			}
		}
		return "", err
	}
	a, c, err := s.lookUp(ctx, canonical)
	if err != nil {
		return "", err
	}
	if len(password) > maxPasswordBytes {
		password = ""
	}
	s.hashes.Add(1)
	right, stale, err := s.hasher.verify(ctx, a.ID, password, c.PasswordHash)
	if err != nil {
		return "", err
	}
	closed, err := s.passwordClosed(ctx, a.Vendor)
	if err != nil {
		return "", err
	}
	why := ""
	switch {
	case a.ID == "":
		why = "account_unknown"
	case !right:
		why = "password"
	case !a.Active(now):
		why = a.inactiveReason(now)
	case c.Confirmed.IsZero():
		why = "not_enrolled"
	case closed:
		why = "password_closed"
	}
	if why != "" {
		slow := s.failPassword(ctx, key)
		if slow != nil && throttled(slow) == nil {
			return "", slow
		}
		return "", errors.Join(s.badPassword(ctx, o, a, why), slow)
	}
	if err := s.passPassword(ctx, key); err != nil {
		return "", err
	}
	if stale {
		s.rehash(ctx, a, c, password)
	}
	flow = NewSecret()
	if err := s.cfg.Store.PutFlow(ctx, Flow{Hash: hashSecret(flow), Account: a.ID, PasswordAt: now, Expires: now.Add(flowLife)}); err != nil {
		return "", fmt.Errorf("storing sign-in: %w", err)
	}
	return flow, nil
}

// lookUp returns the account and its credential; zero ones for an unknown
// address, after the same number of reads.
func (s *Service) lookUp(ctx context.Context, email string) (*Account, Credential, error) {
	a, err := s.cfg.Store.AccountByEmail(ctx, email)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, Credential{}, fmt.Errorf("reading account: %w", err)
	}
	c, err := s.cfg.Store.Credential(ctx, a.ID)
	if err != nil {
		return nil, Credential{}, fmt.Errorf("reading credential: %w", err)
	}
	return &a, c, nil
}

// badPassword records a failed sign-in. What was typed as an address that
// nobody has is not kept: people type passwords there.
func (s *Service) badPassword(ctx context.Context, o Origin, a *Account, why string) error {
	if a.ID == "" {
		a = nil
	}
	if err := s.record(ctx, detail(s.event(actionPasswordFail, "bad_credentials", a, o), "reason", why)); err != nil {
		return err
	}
	return ErrBadCredentials
}

// recordSlowed records the first of the tries that come too early.
func (s *Service) recordSlowed(ctx context.Context, o Origin, email string) error {
	a, _, err := s.lookUp(ctx, email)
	if err != nil {
		return err
	}
	if a.ID == "" {
		a = nil
	}
	return s.record(ctx, s.event(actionPasswordSlow, "throttled", a, o))
}

// rehash renews a hash that was made at another cost. That it did not work is no reason to refuse.
func (s *Service) rehash(ctx context.Context, a *Account, c Credential, password string) {
	s.hashes.Add(1)
	hash, err := s.hasher.hash(ctx, a.ID, password)
	if err == nil {
		err = s.cfg.Store.ReplacePassword(ctx, a.ID, c.PasswordHash, hash)
	}
	if err != nil {
		s.log.WarnContext(ctx, "renewing a password hash", "account", a.ID, "err", err)
	}
}

// A FlowInfo is what the page that asks for the code may show.
type FlowInfo struct {
	Email   string
	Expires time.Time
	// FailedCodes counts the wrong codes since the last sign-in.
	FailedCodes int
	// Warning is a sentence for the person when there were such; empty otherwise.
	Warning string
	// NoApp means that the account has no authenticator app: a key or a
	// recovery code is asked for.
	NoApp bool
}

// Flow returns a sign-in under way, or [ErrFlowEnded].
func (s *Service) Flow(ctx context.Context, flow string) (FlowInfo, error) {
	f, a, err := s.flow(ctx, flow)
	if err != nil {
		return FlowInfo{}, err
	}
	lanes, err := s.cfg.Store.Failures(ctx, a.ID)
	if err != nil {
		return FlowInfo{}, fmt.Errorf("counting tries: %w", err)
	}
	c, err := s.cfg.Store.Credential(ctx, a.ID)
	if err != nil {
		return FlowInfo{}, fmt.Errorf("reading credential: %w", err)
	}
	info := FlowInfo{NoApp: len(c.Devices) == 0, Email: a.Email, Expires: f.Expires, FailedCodes: lanes[everywhere].Unseen}
	if n := info.FailedCodes; n >= 3 {
		info.Warning = fmt.Sprintf("%d wrong codes were given for your account since your last sign-in. "+
			"If that was not you, somebody knows your password: ask your administrator for a reset.", n)
	}
	return info, nil
}

func (s *Service) flow(ctx context.Context, flow string) (Flow, *Account, error) {
	f, err := s.cfg.Store.Flow(ctx, hashSecret(flow))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Flow{}, nil, fmt.Errorf("reading sign-in: %w", err)
	}
	if err != nil || !s.now().Before(f.Expires) {
		return Flow{}, nil, ErrFlowEnded
	}
	a, err := s.activeAccount(ctx, f.Account)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrAccountInactive) {
		return Flow{}, nil, ErrFlowEnded
	}
	if err == nil && f.External.At.IsZero() {
		closed, err := s.passwordClosed(ctx, a.Vendor)
		if err != nil {
			return Flow{}, nil, err
		}
		if closed { // since the password was given
			return Flow{}, nil, ErrFlowEnded
		}
	}
	return f, a, err
}

// LoginCode finishes a sign-in with a code of the authenticator app or a
// recovery code, and returns the value of [SessionCookie] for the gate. The
// sign-in stays open after a wrong code. Errors are [ErrBadCredentials], a
// [ThrottledError], [ErrBusy], [ErrCodeSpent], [ErrFlowEnded] or internal.
func (s *Service) LoginCode(ctx context.Context, o Origin, flow, code string) (cookie string, sess *Session, err error) {
	f, a, err := s.flow(ctx, flow)
	if err != nil {
		return "", nil, err
	}
	p, err := s.proveCode(ctx, o, a, code)
	if err != nil {
		return "", nil, err
	}
	return s.completeLogin(ctx, o, f, a, p)
}

// completeLogin starts the session of a sign-in whose second factor was proved.
func (s *Service) completeLogin(ctx context.Context, o Origin, f Flow, a *Account, p proof) (cookie string, sess *Session, err error) {
	p.passwordAt, p.external = f.PasswordAt, f.External
	won, err := s.cfg.Store.TakeFlow(ctx, f.Hash)
	if err != nil {
		return "", nil, fmt.Errorf("finishing sign-in: %w", err)
	}
	if !won {
		return "", nil, ErrFlowEnded
	}
	c, err := s.cfg.Store.Credential(ctx, a.ID)
	if err != nil {
		return "", nil, fmt.Errorf("reading credential: %w", err)
	}
	if cookie, sess, err = s.startSession(ctx, o, a, c, p); err == nil {
		s.showRenewed(sess.ID, p)
	}
	return cookie, sess, err
}

// deviceClaims are what a known device carries.
type deviceClaims struct {
	jwt.RegisteredClaims
}

// Device returns a value for [DeviceCookie], worth setting at the gate once
// somebody has signed in: wrong passwords from elsewhere, even from behind the
// same address, do not slow down this device. It proves nothing else.
func (s *Service) Device(sess *Session) (string, error) {
	now := s.now()
	return s.deviceKeys.sign(&deviceClaims{jwt.RegisteredClaims{
		Issuer: s.issuer, Audience: jwt.ClaimStrings{s.cfg.GateHost}, Subject: hashSecret(sess.Email), ID: or(sess.device, newID("")),
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(deviceLife)),
	}})
}

// device returns the id of a known device of the address.
func (s *Service) device(value, email string, now time.Time) (string, bool) {
	if value == "" || email == "" {
		return "", false
	}
	var c deviceClaims
	if s.deviceKeys.verify(value, &c, s.issuer, s.cfg.GateHost, now) != nil || c.Subject != hashSecret(email) {
		return "", false
	}
	return c.ID, true
}
