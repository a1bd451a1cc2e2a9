package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// A Session is somebody signed in, as of the moment it was asked for.
type Session struct {
	ID      string
	Account string
	Email   string
	Name    string
	Vendor  string
	Roles   []policy.Role

	Created      time.Time
	LastSeen     time.Time
	IdleEnds     time.Time // when it ends if nobody uses it
	AbsoluteEnds time.Time // when it ends in any case; the account's own end counts too
	PasswordAt   time.Time // when the password was proved
	CodeAt       time.Time // when the newest code was proved
	CodeFactor   string    // what kind of code: policy.FactorTOTP or policy.FactorRecovery
	External     External  // what a vendor's identity provider vouched for
	IP           string
	UserAgent    string

	LastLogin    time.Time // the sign-in before this one; zero: none
	LastIP       string
	FailedCodes  int // wrong codes between that one and this: a sign that the password is known
	RecoveryLeft int // unused recovery codes at the last code

	epoch int64
}

// Subject returns who x is to policies, with factors as old as they are at now.
func (x *Session) Subject(now time.Time) policy.Subject {
	return x.External.factors(subjectOf(x.Account, x.Email, x.Vendor, x.Roles, x.ID, x.PasswordAt, x.CodeAt, x.CodeFactor, now), now)
}

func subjectOf(account, email, vendor string, roles []policy.Role, id string, password, code time.Time, factor string, now time.Time) policy.Subject {
	s := policy.Subject{
		Account: account, Email: email, Vendor: vendor, Roles: roles, Session: id, Credential: policy.CredentialSession,
		Factors: make(map[string]int64, 2),
	}
	if !password.IsZero() {
		s.Factors[policy.FactorPassword] = age(password, now)
	}
	if !code.IsZero() {
		s.Factors[factor] = age(code, now)
	}
	return s
}

func age(at, now time.Time) int64 { return max(0, int64(now.Sub(at)/time.Second)) }

// sessionOf returns the session as others see it.
func (s *Service) sessionOf(l *liveSession, v *StoredSession, a *Account) *Session {
	seen := time.Unix(0, l.seen.Load()).UTC()
	x := &Session{
		ID: v.ID, Account: v.Account, Created: v.Created, LastSeen: seen,
		IdleEnds: seen.Add(s.cfg.Idle), AbsoluteEnds: v.Ends,
		PasswordAt: v.PasswordAt, CodeAt: v.CodeAt, CodeFactor: v.CodeFactor, External: v.External, IP: v.IP, UserAgent: v.UserAgent,
		LastLogin: v.LastLogin, LastIP: v.LastIP, FailedCodes: v.FailedCodes, RecoveryLeft: v.RecoveryLeft, epoch: v.Epoch,
	}
	if a != nil {
		x.Email, x.Name, x.Vendor, x.Roles = a.Email, a.Name, a.Vendor, slices.Clone(a.Roles)
		if !a.Ends.IsZero() && a.Ends.Before(x.AbsoluteEnds) {
			x.AbsoluteEnds = a.Ends
		}
	}
	if x.AbsoluteEnds.Before(x.IdleEnds) {
		x.IdleEnds = x.AbsoluteEnds
	}
	return x
}

// A proof is what somebody proved when a session starts.
type proof struct {
	passwordAt, codeAt time.Time
	factor             string
	recoveryLeft       int
	failedCodes        int
	external           External
	renewed            string // a recovery code in place of the one that was used
}

// startSession records, stores and puts in force a session that did not exist
// before: nothing that the browser held until now is part of it.
func (s *Service) startSession(ctx context.Context, o Origin, a *Account, c Credential, p proof) (string, *Session, error) {
	now := s.now()
	row := &StoredSession{
		ID: newID("ses_"), Account: a.ID, Epoch: 1, Created: now, LastSeen: now, Ends: now.Add(s.cfg.Absolute),
		PasswordAt: p.passwordAt, CodeAt: p.codeAt, CodeFactor: p.factor, External: p.external, UserAgent: cut(o.UserAgent),
		LastLogin: c.LastLogin, LastIP: c.LastIP, FailedCodes: p.failedCodes, RecoveryLeft: p.recoveryLeft,
	}
	if o.IP.IsValid() {
		row.IP = o.IP.Unmap().String()
	}
	cookie, err := s.cookieFor(row, s.cfg.GateHost)
	if err != nil {
		return "", nil, err
	}
	r := s.event(actionSessionStart, "ok", a, o)
	r.Session, r.Credential = row.ID, policy.CredentialSession
	sub := p.external.factors(subjectOf("", "", "", nil, "", p.passwordAt, p.codeAt, p.factor, now), now)
	r.Factors = sub.Factors
	if age, ok := sub.CodeAge(); ok {
		r.CodeAge = policy.Int64(age)
	}
	if err := s.record(ctx, r); err != nil {
		return "", nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.endSurplus(ctx, a); err != nil {
		return "", nil, err
	}
	if err := s.cfg.Store.PutSession(ctx, *row); err != nil {
		return "", nil, fmt.Errorf("storing session: %w", err)
	}
	l := s.publish(row, a)
	return cookie, s.sessionOf(l, row, a), nil
}

// endSurplus ends the account's sessions that were used least lately, so that
// with a new one there are not too many. Call under mu.
func (s *Service) endSurplus(ctx context.Context, a *Account) error {
	all := s.sessionsOf(a.ID)
	if len(all) < s.cfg.MaxSessions {
		return nil
	}
	slices.SortFunc(all, bySeen)
	for _, l := range all[:len(all)-s.cfg.MaxSessions+1] {
		v := l.view.Load()
		r := s.event(actionSessionEnd, "ok", a, Origin{})
		r.Session = v.ID
		if err := s.endRecorded(ctx, v.ID, detail(r, "reason", "surplus")); err != nil {
			return err
		}
	}
	return nil
}

// endRecorded records and ends one session. Call under mu.
func (s *Service) endRecorded(ctx context.Context, id string, r *policy.Record) error {
	if err := s.record(ctx, r); err != nil {
		return err
	}
	if err := s.cfg.Store.DeleteSessions(ctx, []string{id}); err != nil {
		return fmt.Errorf("ending session: %w", err)
	}
	s.drop(id)
	return nil
}

// Current returns the session of the request's cookie on host, which must be
// canonical, and notes that it was used; nil when nobody is signed in there.
// Tokens are not looked at: nothing at the gate is for them.
func (s *Service) Current(r *http.Request, host string) (*Session, error) {
	now := s.now()
	l := s.fromCookie(r, host, now)
	if l == nil {
		return nil, nil
	}
	v, a, ok := s.alive(l, now)
	if !ok {
		return nil, nil
	}
	l.touch(now)
	return s.sessionOf(l, v, a), nil
}

// Logout ends the session, everywhere at once.
func (s *Service) Logout(ctx context.Context, o Origin, sess *Session) error {
	l, ok := s.session(sess.ID)
	if !ok {
		return nil // ended already: the cookie is worth nothing
	}
	r := s.event(actionSessionEnd, "ok", l.account.p.Load(), o)
	r.Session = sess.ID
	return s.change(func() error { return s.endRecorded(ctx, sess.ID, detail(r, "reason", "logout")) })
}

// change runs do under mu and then tells that something changed, without it.
func (s *Service) change(do func() error) error {
	s.mu.Lock()
	err := do()
	s.mu.Unlock()
	if err == nil {
		s.cfg.Changed()
	}
	return err
}

// Confirm proves a fresh code for a session and returns its new cookie for the
// gate. The session keeps its id; every cookie from before, on the gate and on
// the clusters' hosts, is void. Errors are those of [Service.LoginCode], and
// [ErrSessionEnded].
func (s *Service) Confirm(ctx context.Context, o Origin, sess *Session, code string) (cookie string, err error) {
	l, ok := s.session(sess.ID)
	if !ok {
		return "", ErrSessionEnded
	}
	a, err := s.activeAccount(ctx, sess.Account)
	if err != nil {
		return "", errors.Join(ErrSessionEnded, err)
	}
	p, err := s.proveCode(ctx, o, a, code)
	if err != nil {
		return "", err
	}
	err = s.change(func() (err error) {
		cookie, err = s.rotate(ctx, o, l, sess.epoch, a, p)
		return err
	})
	if err == nil {
		s.showRenewed(sess.ID, p)
	}
	return cookie, err
}

// rotate gives a session a fresh code and a new epoch. Call under mu.
func (s *Service) rotate(ctx context.Context, o Origin, l *liveSession, epoch int64, a *Account, p proof) (cookie string, err error) {
	v, _, ok := s.alive(l, s.now())
	if !ok || v.Epoch != epoch {
		return "", ErrSessionEnded
	}
	next := *v
	next.Epoch++
	next.CodeAt, next.CodeFactor, next.RecoveryLeft = p.codeAt, p.factor, p.recoveryLeft
	if cookie, err = s.cookieFor(&next, s.cfg.GateHost); err != nil {
		return "", err
	}
	r := s.event(actionSessionConf, "ok", a, o)
	r.Session = v.ID
	if err := s.record(ctx, detail(r, "factor", p.factor)); err != nil {
		return "", err
	}
	if err := s.cfg.Store.RotateSession(ctx, next, v.Epoch); err != nil {
		if errors.Is(err, ErrNotFound) {
			return "", ErrSessionEnded
		}
		return "", fmt.Errorf("renewing session: %w", err)
	}
	l.view.Store(&next)
	return cookie, nil
}

// SessionsOf returns the account's sessions in force, the one used last first.
func (s *Service) SessionsOf(_ context.Context, account string) ([]Session, error) {
	all := s.sessionsOf(account)
	slices.SortFunc(all, func(a, b *liveSession) int { return bySeen(b, a) })
	now := s.now()
	out := make([]Session, 0, len(all))
	for _, l := range all {
		if v, a, ok := s.alive(l, now); ok {
			out = append(out, *s.sessionOf(l, v, a))
		}
	}
	return out, nil
}

// Cookie returns one of our cookies with the attributes that all of them have:
// host-only, Secure, HttpOnly, SameSite=Lax. An empty value deletes it.
func Cookie(name, value string, life time.Duration) *http.Cookie {
	c := &http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if value == "" {
		c.MaxAge = -1
	} else if life > 0 {
		c.MaxAge = int(life / time.Second)
	}
	return c
}
