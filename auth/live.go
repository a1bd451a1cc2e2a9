package auth

import (
	"context"
	"errors"
	"fmt"
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
}

// A liveAccount is an account as last read; nil once it is gone.
type liveAccount struct{ p atomic.Pointer[Account] }

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
	v, a := l.view.Load(), l.account.p.Load()
	if l.ended.Load() || !a.Active(now) || !now.Before(v.Ends) || now.UnixNano()-l.seen.Load() >= int64(s.cfg.Idle) {
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
	s.live.sessions.Store(row.ID, l)
	return l
}

func (s *Service) publishToken(t Token, a *liveAccount) {
	l := &liveToken{Token: t, account: a}
	s.live.tokens.Store(t.Hash, l)
	s.live.tokenIDs.Store(t.ID, l)
}

// drop takes a session out of force. Call under mu.
func (s *Service) drop(id string) {
	if v, ok := s.live.sessions.LoadAndDelete(id); ok {
		v.(*liveSession).ended.Store(true)
	}
}

func (s *Service) dropToken(id string) {
	if v, ok := s.live.tokenIDs.LoadAndDelete(id); ok {
		l := v.(*liveToken)
		l.ended.Store(true)
		s.live.tokens.Delete(l.Hash)
	}
}

func (s *Service) session(id string) (*liveSession, bool) {
	v, ok := s.live.sessions.Load(id)
	if !ok {
		return nil, false
	}
	return v.(*liveSession), true
}

// sessionsOf calls yield with each session of the account that is in the map.
func (s *Service) sessionsOf(account string) []*liveSession {
	var all []*liveSession
	s.live.sessions.Range(func(_, v any) bool {
		if l := v.(*liveSession); l.view.Load().Account == account {
			all = append(all, l)
		}
		return true
	})
	return all
}

func (s *Service) tokensOf(account string) []*liveToken {
	var all []*liveToken
	s.live.tokenIDs.Range(func(_, v any) bool {
		if l := v.(*liveToken); l.Account == account {
			all = append(all, l)
		}
		return true
	})
	return all
}

// Reload reads sessions, tokens, accounts and signing keys again, as another
// process may have changed them, and ends the sessions of accounts that are no
// longer active. Call it when the store has changed. What is in force changes
// even when ending a row fails; the error is for the log.
func (s *Service) Reload(ctx context.Context) error {
	if err := s.load(ctx); err != nil {
		return fmt.Errorf("reloading sessions: %w", err)
	}
	defer s.cfg.Changed()
	if err := s.endExpired(ctx, s.now()); err != nil {
		return fmt.Errorf("ending sessions: %w", err)
	}
	return nil
}

func (s *Service) load(ctx context.Context) error {
	now := s.now()
	for _, k := range []*keyring{s.sessionKeys, s.assertionKeys, s.deviceKeys} {
		if err := k.load(ctx, s.cfg.Keys, s.seal, now); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Accounts are read last: one that was disabled meanwhile is seen as such.
	rows, err := s.cfg.Sessions.Sessions(ctx)
	if err != nil {
		return fmt.Errorf("reading sessions: %w", err)
	}
	tokens, err := s.cfg.Tokens.AllTokens(ctx)
	if err != nil {
		return fmt.Errorf("reading tokens: %w", err)
	}
	accounts, err := s.cfg.Accounts.SignedIn(ctx)
	if err != nil {
		return fmt.Errorf("reading accounts: %w", err)
	}
	s.loadAccounts(accounts)
	s.loadSessions(rows)
	s.loadTokens(tokens)
	s.assertions.clear() // they name e-mail address and roles
	return nil
}

// loadAccounts replaces what is known of accounts. One that is gone stays as
// nobody for whoever still holds it.
func (s *Service) loadAccounts(accounts []Account) {
	have := make(map[string]bool, len(accounts))
	for i := range accounts {
		have[accounts[i].ID] = true
		s.account(&accounts[i])
	}
	s.live.accounts.Range(func(id, v any) bool {
		if !have[id.(string)] {
			v.(*liveAccount).p.Store(nil)
			s.live.accounts.Delete(id)
		}
		return true
	})
}

func (s *Service) loadSessions(rows []StoredSession) {
	have := make(map[string]bool, len(rows))
	for i := range rows {
		row := &rows[i]
		v, ok := s.live.accounts.Load(row.Account)
		if !ok {
			continue // its account went while we read
		}
		have[row.ID] = true
		if l, ok := s.session(row.ID); ok {
			if was := l.view.Load(); was.Epoch != row.Epoch {
				l.view.Store(row)
			}
			continue
		}
		s.publish(row, v.(*liveAccount).p.Load())
	}
	s.live.sessions.Range(func(id, _ any) bool {
		if !have[id.(string)] {
			s.drop(id.(string))
		}
		return true
	})
}

func (s *Service) loadTokens(tokens []Token) {
	have := make(map[string]bool, len(tokens))
	for _, t := range tokens {
		v, ok := s.live.accounts.Load(t.Account)
		if !ok {
			continue
		}
		have[t.ID] = true
		if _, ok := s.live.tokenIDs.Load(t.ID); !ok {
			s.publishToken(t, v.(*liveAccount))
		}
	}
	s.live.tokenIDs.Range(func(id, _ any) bool {
		if !have[id.(string)] {
			s.dropToken(id.(string))
		}
		return true
	})
}

// flush writes when sessions were last seen.
func (s *Service) flush(ctx context.Context) error {
	seen := make(map[string]time.Time)
	var flushed []func()
	s.live.sessions.Range(func(id, v any) bool {
		l := v.(*liveSession)
		if n := l.seen.Load(); n != l.flushed.Load() {
			seen[id.(string)] = time.Unix(0, n).UTC()
			flushed = append(flushed, func() { l.flushed.Store(n) })
		}
		return true
	})
	if len(seen) == 0 {
		return nil
	}
	if err := s.cfg.Sessions.TouchSessions(ctx, seen); err != nil {
		return fmt.Errorf("writing when sessions were last seen: %w", err)
	}
	for _, f := range flushed {
		f()
	}
	return nil
}

// endExpired removes the rows of sessions and tokens that are no longer in
// force: idle, over, or of an account that may not be signed in.
func (s *Service) endExpired(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	var sessions, tokens []string
	s.live.sessions.Range(func(id, v any) bool {
		l := v.(*liveSession)
		if _, _, ok := s.alive(l, now); ok {
			return true
		}
		if err := s.recordExpiry(ctx, l, now); err != nil {
			errs = append(errs, err) // it stays, out of force, until it can be recorded
			return true
		}
		sessions = append(sessions, id.(string))
		return true
	})
	s.live.tokenIDs.Range(func(id, v any) bool {
		if _, ok := v.(*liveToken).alive(now); !ok {
			tokens = append(tokens, id.(string))
		}
		return true
	})
	if len(sessions) > 0 {
		errs = append(errs, s.cfg.Sessions.DeleteSessions(ctx, sessions))
	}
	if len(tokens) > 0 {
		errs = append(errs, s.cfg.Tokens.DeleteTokens(ctx, tokens))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, id := range sessions {
		s.drop(id)
	}
	for _, id := range tokens {
		s.dropToken(id)
	}
	return nil
}

func (s *Service) recordExpiry(ctx context.Context, l *liveSession, now time.Time) error {
	v, a := l.view.Load(), l.account.p.Load()
	why := a.inactiveReason(now)
	action := actionSessionEnd
	if why == "" {
		action = actionSessionExpire
		if why = "idle"; !now.Before(v.Ends) {
			why = "absolute"
		}
	}
	r := s.event(action, "ok", a, Origin{})
	r.Account, r.Session = v.Account, v.ID
	r.Detail = map[string]string{"reason": why}
	return s.record(ctx, r)
}

// bySeen sorts sessions by when they were last used, oldest first.
func bySeen(a, b *liveSession) int { return int(a.seen.Load()/1e9 - b.seen.Load()/1e9) }
