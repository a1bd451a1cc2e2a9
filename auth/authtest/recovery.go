package authtest

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/ringfence/ringfence/auth"
)

// recovery is the part of a [Store] for recovery, throttling and warnings.
type recovery struct {
	passwordFailures map[string]auth.PasswordFailure
	phoneInvited     map[string]bool
	warnings         []auth.Warning
}

// PasswordFailure implements [auth.PasswordFailures].
func (s *Store) PasswordFailure(_ context.Context, key string) (auth.PasswordFailure, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.passwordFailures[key], nil
}

// EditPasswordFailure implements [auth.PasswordFailures].
func (s *Store) EditPasswordFailure(_ context.Context, key string, most int, edit func(auth.PasswordFailure) auth.PasswordFailure) error {
	return s.write("EditPasswordFailure", func() error {
		is := edit(s.passwordFailures[key])
		if is == (auth.PasswordFailure{}) {
			delete(s.passwordFailures, key)
			return nil
		}
		put(&s.passwordFailures, key, is)
		for len(s.passwordFailures) > most {
			delete(s.passwordFailures, slices.MinFunc(slices.Collect(maps.Keys(s.passwordFailures)), func(a, b string) int {
				return s.passwordFailures[a].Seen.Compare(s.passwordFailures[b].Seen)
			}))
		}
		return nil
	})
}

// ExpirePasswordFailures implements [auth.PasswordFailures].
func (s *Store) ExpirePasswordFailures(_ context.Context, before time.Time) error {
	return s.write("ExpirePasswordFailures", func() error {
		maps.DeleteFunc(s.passwordFailures, func(_ string, f auth.PasswordFailure) bool { return f.Seen.Before(before) })
		return nil
	})
}

// ChangePassword implements [auth.Recoveries].
func (s *Store) ChangePassword(_ context.Context, c auth.PasswordChange) error {
	return s.write("ChangePassword", func() error {
		cred, row := s.credentials[c.Account], s.sessions[c.Session]
		if cred.PasswordHash == "" || cred.PasswordHash != c.Old || row.Account != c.Account || row.Epoch != c.Epoch {
			return auth.ErrNotFound
		}
		cred.PasswordHash, cred.PasswordSet = c.New, c.At
		put(&s.credentials, c.Account, cred)
		if c.EndOthers {
			s.endAccount(c.Account)
		}
		maps.DeleteFunc(s.flows, func(_ string, v auth.Flow) bool { return v.Account == c.Account })
		row.Epoch, row.PasswordAt = row.Epoch+1, c.At
		put(&s.sessions, c.Session, row)
		return nil
	})
}

// ReplaceRecovery implements [auth.Recoveries].
func (s *Store) ReplaceRecovery(_ context.Context, account string, set []auth.RecoveryCode) error {
	return s.write("ReplaceRecovery", func() error {
		c := s.credentials[account]
		if c.PasswordHash == "" && len(s.devicesOf(account)) == 0 { // whose company vouches for them have no password
			return auth.ErrNotFound
		}
		c.Recovery = slices.Clone(set)
		put(&s.credentials, account, c)
		return nil
	})
}

// AddRecovery implements [auth.Recoveries].
func (s *Store) AddRecovery(_ context.Context, account string, spent auth.RecoveryCode, hash string) (added bool, err error) {
	err = s.write("AddRecovery", func() error {
		c := copyCredential(s.credentials[account])
		slot := 0
		for _, r := range c.Recovery {
			added = added || r.Slot == spent.Slot && r.Hash == spent.Hash
			slot = max(slot, r.Slot+1)
		}
		if added {
			c.Recovery = append(c.Recovery, auth.RecoveryCode{Slot: slot, Hash: hash})
			put(&s.credentials, account, c)
		}
		return nil
	})
	return added && err == nil, err
}

// TryInvitation implements [auth.Recoveries].
func (s *Store) TryInvitation(_ context.Context, hash string, most int) (tries int, err error) {
	err = s.write("TryInvitation", func() error {
		inv, ok := s.invitations[hash]
		if !ok || inv.Tries >= most {
			return auth.ErrNotFound
		}
		inv.Tries++
		tries = inv.Tries
		put(&s.invitations, hash, inv)
		return nil
	})
	return tries, err
}

// InvitedByPhone implements [auth.Recoveries].
func (s *Store) InvitedByPhone(_ context.Context, account string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phoneInvited[account], nil
}

// PutWarning implements [auth.Warnings].
func (s *Store) PutWarning(_ context.Context, w auth.Warning) error {
	return s.write("PutWarning", func() error {
		if err := s.known(w.Account); err != nil {
			return err
		}
		w.Detail = maps.Clone(w.Detail)
		s.warnings = append(s.warnings, w)
		return nil
	})
}

// OpenWarnings implements [auth.Warnings].
func (s *Store) OpenWarnings(_ context.Context, limit int) ([]auth.Warning, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []auth.Warning
	for _, w := range s.warnings {
		if w.Passed.IsZero() {
			w.Detail = maps.Clone(w.Detail)
			out = append(out, w)
		}
	}
	slices.SortStableFunc(out, func(a, b auth.Warning) int { return b.At.Compare(a.At) })
	return out[:min(limit, len(out))], nil
}

// PassWarning implements [auth.Warnings].
func (s *Store) PassWarning(_ context.Context, id, by string, at time.Time) (won bool, err error) {
	err = s.write("PassWarning", func() error {
		for i, w := range s.warnings {
			if w.ID == id && w.Passed.IsZero() {
				s.warnings[i].Passed, s.warnings[i].PassedBy, won = at, by, true
			}
		}
		return nil
	})
	return won && err == nil, err
}

// ExpireWarnings implements [auth.Warnings].
func (s *Store) ExpireWarnings(_ context.Context, before time.Time) error {
	return s.write("ExpireWarnings", func() error {
		s.warnings = slices.DeleteFunc(s.warnings, func(w auth.Warning) bool { return w.At.Before(before) })
		return nil
	})
}
