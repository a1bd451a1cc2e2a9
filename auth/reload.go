package auth

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Reload reads sessions, tokens, accounts and signing keys again, as another
// process may have changed them, and ends the sessions of accounts that are no
// longer active. Call it when the store has changed. What is in force changes
// even when ending a row fails; the error is for the log.
func (s *Service) Reload(ctx context.Context) error {
	if err := s.load(ctx); err != nil {
		return fmt.Errorf("reloading sessions: %w", err)
	}
	defer s.cfg.Changed()
	now := s.now()
	if err := errors.Join(s.endExpired(ctx, now), s.endMachines(ctx, now)); err != nil {
		return fmt.Errorf("ending sessions: %w", err)
	}
	return nil
}

func (s *Service) load(ctx context.Context) error {
	now := s.now()
	if err := s.loadKeys(ctx, now); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Accounts are read last: one that was disabled meanwhile is seen as such.
	rows, err := s.cfg.Store.Sessions(ctx)
	if err != nil {
		return fmt.Errorf("reading sessions: %w", err)
	}
	tokens, err := s.cfg.Store.AllTokens(ctx)
	if err != nil {
		return fmt.Errorf("reading tokens: %w", err)
	}
	machines, err := s.cfg.Store.Machines(ctx)
	if err != nil {
		return fmt.Errorf("reading machines: %w", err)
	}
	accounts, err := s.cfg.Store.SignedIn(ctx)
	if err != nil {
		return fmt.Errorf("reading accounts: %w", err)
	}
	s.loadAccounts(accounts)
	s.loadSessions(rows)
	s.loadTokens(tokens)
	s.loadMachines(machines)
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
			l.reread(row)
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
	if err := s.cfg.Store.TouchSessions(ctx, seen); err != nil {
		return fmt.Errorf("writing when sessions were last seen: %w", err)
	}
	for _, f := range flushed {
		f()
	}
	return nil
}

// endExpired removes the rows of sessions and tokens that are no longer in
// force for good: over, or of an account that may not be signed in. Idle ones
// stay, out of force, for [Service.Resume].
func (s *Service) endExpired(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	var sessions, tokens []string
	if err := s.markIdle(ctx, now); err != nil {
		errs = append(errs, err)
	}
	s.live.sessions.Range(func(id, v any) bool {
		l := v.(*liveSession)
		if _, _, standing := s.standing(l, now); standing != ended {
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
		errs = append(errs, s.cfg.Store.DeleteSessions(ctx, sessions))
	}
	if len(tokens) > 0 {
		errs = append(errs, s.cfg.Store.DeleteTokens(ctx, tokens))
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
		action, why = actionSessionExpire, "absolute"
	}
	r := s.event(action, "ok", a, Origin{})
	r.Account, r.Session = v.Account, v.ID
	r.Detail = map[string]string{"reason": why}
	return s.record(ctx, r)
}

// bySeen sorts sessions by when they were last used, oldest first.
func bySeen(a, b *liveSession) int { return int(a.seen.Load()/1e9 - b.seen.Load()/1e9) }
