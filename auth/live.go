package auth

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// live is what the request path reads. Readers take no lock; writers hold
// Service.mu.
type live struct {
	sessions sync.Map // session id -> *liveSession
	tokens   sync.Map // hash of the secret -> *liveToken
	tokenIDs sync.Map // token id -> *liveToken
	accounts sync.Map // account id -> *liveAccount

	machines   sync.Map // hash of the secret -> *liveMachine
	machineIDs sync.Map // machine id -> *liveMachine
}

// A liveAccount is an account as last read; nil once it is gone.
type liveAccount struct {
	p        atomic.Pointer[Account]
	sessions sync.Map // session id -> *liveSession: the account's own
	tokens   sync.Map // token id -> *liveToken
}

// A liveSession is a session in force. Its view is replaced as a whole.
type liveSession struct {
	account *liveAccount
	view    atomic.Pointer[StoredSession]
	ended   atomic.Bool
	seen    atomic.Int64 // nanoseconds since 1970 of the last request
	flushed atomic.Int64 // the value of seen that the store has
	subject atomic.Pointer[agedSubject]
}

// A liveToken is a token in force.
type liveToken struct {
	Token
	account *liveAccount
	ended   atomic.Bool
	subject atomic.Pointer[agedSubject]
	dpop    *dpopState // nil: bound to no key
	used    lastUse
}

// An agedSubject is a subject as of one second: within it, requests share one.
type agedSubject struct {
	second  int64
	view    *StoredSession
	account *Account
	subject policy.Subject
}

// alive returns the session's view and account while both are in force.
func (s *Service) alive(l *liveSession, now time.Time) (*StoredSession, *Account, bool) {
	v, a, standing := s.standing(l, now)
	if standing != inForce {
		return nil, nil, false
	}
	return v, a, true
}

// alive returns the token's account while both are in force.
func (l *liveToken) alive(now time.Time) (*Account, bool) {
	a := l.account.p.Load()
	return a, !l.ended.Load() && a.Active(now) && now.Before(l.Expires)
}

// touch notes that the session was used.
func (l *liveSession) touch(now time.Time) {
	n := now.UnixNano()
	for {
		was := l.seen.Load()
		// A second is exact enough, and spares the cache line under load.
		if n < was+int64(time.Second) || l.seen.CompareAndSwap(was, n) {
			return
		}
	}
}

// account returns the place of an account, made if need be. Call under mu.
func (s *Service) account(a *Account) *liveAccount {
	v, _ := s.live.accounts.LoadOrStore(a.ID, new(liveAccount))
	l := v.(*liveAccount)
	copied := *a
	l.p.Store(&copied)
	return l
}

// publish puts a session in force. Call under mu, after its row is stored.
func (s *Service) publish(row *StoredSession, a *Account) *liveSession {
	l := &liveSession{account: s.account(a)}
	copied := *row
	l.view.Store(&copied)
	l.seen.Store(row.LastSeen.UnixNano())
	l.flushed.Store(row.LastSeen.UnixNano())
	l.account.sessions.Store(row.ID, l)
	s.live.sessions.Store(row.ID, l)
	return l
}

func (s *Service) publishToken(t Token, a *liveAccount) {
	l := &liveToken{Token: t, account: a}
	if t.Key != "" {
		l.dpop = new(dpopState)
	}
	l.used.start(t.LastUsed, t.LastIP)
	s.live.tokens.Store(t.Hash, l)
	s.live.tokenIDs.Store(t.ID, l)
	a.tokens.Store(t.ID, l)
}

// drop takes a session out of force. Call under mu.
func (s *Service) drop(id string) {
	if v, ok := s.live.sessions.LoadAndDelete(id); ok {
		l := v.(*liveSession)
		l.ended.Store(true)
		l.account.sessions.Delete(id)
	}
}

func (s *Service) dropToken(id string) {
	if v, ok := s.live.tokenIDs.LoadAndDelete(id); ok {
		l := v.(*liveToken)
		l.ended.Store(true)
		s.live.tokens.Delete(l.Hash)
		l.account.tokens.Delete(id)
	}
}

func (s *Service) session(id string) (*liveSession, bool) {
	v, ok := s.live.sessions.Load(id)
	if !ok {
		return nil, false
	}
	return v.(*liveSession), true
}

// sessionsOf returns the account's sessions, in force or not.
func (s *Service) sessionsOf(account string) []*liveSession {
	if v, ok := s.live.accounts.Load(account); ok {
		return v.(*liveAccount).allSessions()
	}
	return nil
}

func (a *liveAccount) allSessions() (all []*liveSession) {
	a.sessions.Range(func(_, v any) bool { all = append(all, v.(*liveSession)); return true })
	return all
}

func (s *Service) tokensOf(account string) []*liveToken {
	if v, ok := s.live.accounts.Load(account); ok {
		return v.(*liveAccount).allTokens()
	}
	return nil
}

func (a *liveAccount) allTokens() (all []*liveToken) {
	a.tokens.Range(func(_, v any) bool { all = append(all, v.(*liveToken)); return true })
	return all
}
