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
	KeyAt        time.Time // when a passkey or security key was proved; zero: never
	IP           string
	UserAgent    string

	LastLogin    time.Time // the sign-in before this one; zero: none
	LastIP       string
	FailedCodes  int // wrong codes between that one and this: a sign that the password is known
	RecoveryLeft int // unused recovery codes at the last code

	Idle       bool     // nobody used it for too long: not in force until it is resumed
	NewDevice  bool     // it began on a device that the account had not used before
	NewNetwork bool     // it was begun or resumed from a network new to the account
	Opened     []string // hosts of clusters that it was carried to

	epoch  int64
	device string
}

// Subject returns who x is to policies, with factors as old as they are at now.
func (x *Session) Subject(now time.Time) policy.Subject {
	return subjectOf(x.Account, x.Email, x.Vendor, x.Roles, x.ID, proof{passwordAt: x.PasswordAt, codeAt: x.CodeAt, factor: x.CodeFactor, keyAt: x.KeyAt, external: x.External}, now)
}

func subjectOf(account, email, vendor string, roles []policy.Role, id string, p proof, now time.Time) policy.Subject {
	s := policy.Subject{
		Account: account, Email: email, Vendor: vendor, Roles: roles, Session: id, Credential: policy.CredentialSession,
		Factors: make(map[string]int64, 3),
	}
	if !p.passwordAt.IsZero() {
		s.Factors[policy.FactorPassword] = age(p.passwordAt, now)
	}
	if !p.codeAt.IsZero() {
		s.Factors[p.factor] = age(p.codeAt, now)
	}
	if !p.keyAt.IsZero() {
		s.Factors[factorKey] = age(p.keyAt, now)
	}
	return p.external.factors(s, now)
}

func age(at, now time.Time) int64 { return max(0, int64(now.Sub(at)/time.Second)) }

// sessionOf returns the session as others see it.
func (s *Service) sessionOf(l *liveSession, v *StoredSession, a *Account) *Session {
	seen := time.Unix(0, l.seen.Load()).UTC()
	limits := s.limits(v.Account)
	x := &Session{
		ID: v.ID, Account: v.Account, Created: v.Created, LastSeen: seen,
		IdleEnds: seen.Add(limits.Idle), AbsoluteEnds: v.absoluteEnd(limits),
		Idle:      !v.IdleSince.IsZero() || s.now().Sub(seen) >= limits.Idle,
		NewDevice: v.NewDevice, NewNetwork: v.NewNetwork, Opened: slices.Clone(v.Opened), device: v.Device,
		PasswordAt: v.PasswordAt, CodeAt: v.CodeAt, CodeFactor: v.CodeFactor, KeyAt: v.KeyAt, External: v.External, IP: v.IP, UserAgent: v.UserAgent,
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
	factor             string    // of codeAt
	keyAt              time.Time // a passkey or security key
	recoveryLeft       int
	failedCodes        int
	external           External
	renewed            string // a recovery code in place of the one that was used
}

// newestAt is when a second factor was proved last; zero: none was.
func (p proof) newestAt() time.Time {
	if p.keyAt.After(p.codeAt) {
		return p.keyAt
	}
	return p.codeAt
}

// newest names the second factor that was proved.
func (p proof) newest() string {
	if !p.keyAt.IsZero() && p.keyAt.After(p.codeAt) {
		return factorKey
	}
	return p.factor
}

// prove notes what was proved beside what the session holds: a code and a key
// each keep their own age.
func (v *StoredSession) prove(p proof) {
	if !p.codeAt.IsZero() {
		v.CodeAt, v.CodeFactor = p.codeAt, p.factor
	}
	if !p.keyAt.IsZero() {
		v.KeyAt = p.keyAt
	}
	v.RecoveryLeft = p.recoveryLeft
}

// proved is what the session holds.
func (v *StoredSession) proved() proof {
	return proof{passwordAt: v.PasswordAt, codeAt: v.CodeAt, factor: v.CodeFactor, keyAt: v.KeyAt, external: v.External}
}

// startSession records, stores and puts in force a session that did not exist
// before: nothing that the browser held until now is part of it.
func (s *Service) startSession(ctx context.Context, o Origin, a *Account, c Credential, p proof) (string, *Session, error) {
	now := s.now()
	row := &StoredSession{
		ID: newID("ses_"), Account: a.ID, Epoch: 1, Created: now, LastSeen: now, Ends: now.Add(s.cfg.Absolute),
		PasswordAt: p.passwordAt, CodeAt: p.codeAt, CodeFactor: p.factor, KeyAt: p.keyAt, External: p.external, UserAgent: cut(o.UserAgent),
		LastLogin: c.LastLogin, LastIP: c.LastIP, FailedCodes: p.failedCodes, RecoveryLeft: p.recoveryLeft,
	}
	if o.IP.IsValid() {
		row.IP = o.IP.Unmap().String()
	}
	if err := s.recognise(ctx, row, o, a, c); err != nil {
		return "", nil, err
	}
	cookie, err := s.cookieFor(row, s.cfg.GateHost)
	if err != nil {
		return "", nil, err
	}
	r := s.event(actionSessionStart, "ok", a, o)
	r.Session, r.Credential = row.ID, policy.CredentialSession
	proved := subjectOf("", "", "", nil, "", p, now)
	r.Factors = proved.Factors
	if newest, ok := proved.CodeAge(); ok {
		r.CodeAge = policy.Int64(newest)
	}
	if err := s.record(ctx, detailNew(r, row)); err != nil {
		return "", nil, err
	}
	l, err := s.putSession(ctx, row, a)
	if err != nil {
		return "", nil, err
	}
	s.tellNew(ctx, a, row, o)
	return cookie, s.sessionOf(l, row, a), nil
}

// putSession stores a session and puts it in force.
func (s *Service) putSession(ctx context.Context, row *StoredSession, a *Account) (*liveSession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.endSurplus(ctx, a); err != nil {
		return nil, err
	}
	if err := s.cfg.Store.PutSession(ctx, *row); err != nil {
		return nil, fmt.Errorf("storing session: %w", err)
	}
	return s.publish(row, a), nil
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
	r := detail(s.event(actionSessionConf, "ok", a, o), "factor", p.newest())
	return s.renew(ctx, l, epoch, r, func(v *StoredSession) { v.prove(p) })
}

// SessionsOf returns the account's sessions that have not ended, idle ones
// too, the one used last first.
func (s *Service) SessionsOf(_ context.Context, account string) ([]Session, error) {
	return s.listed(s.sessionsOf(account)), nil
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
