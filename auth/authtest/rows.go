package authtest

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/ringfence/ringfence/auth"
)

// PutInvitation implements [auth.Invitations].
func (s *Store) PutInvitation(_ context.Context, inv auth.Invitation) error {
	return s.write("PutInvitation", func() error {
		if err := s.known(inv.Account); err != nil {
			return err
		}
		maps.DeleteFunc(s.invitations, func(_ string, v auth.Invitation) bool { return v.Account == inv.Account })
		put(&s.invitations, inv.Hash, inv)
		if inv.Phone != "" {
			put(&s.phoneInvited, inv.Account, true)
		}
		return nil
	})
}

// Invitation implements [auth.Invitations].
func (s *Store) Invitation(_ context.Context, hash string) (auth.Invitation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	inv, ok := s.invitations[hash]
	if !ok {
		return auth.Invitation{}, auth.ErrNotFound
	}
	return inv, nil
}

// AcceptInvitation implements [auth.Invitations].
func (s *Store) AcceptInvitation(_ context.Context, hash, passwordHash string, e auth.Enrolment) error {
	return s.write("AcceptInvitation", func() error {
		inv, ok := s.invitations[hash]
		if !ok || inv.Account != e.Account {
			return auth.ErrNotFound
		}
		delete(s.invitations, hash)
		c := s.credentials[e.Account]
		c.PasswordHash, c.PasswordSet = passwordHash, time.Time{}
		if passwordHash != "" {
			c.PasswordSet = e.PasswordSet
		}
		put(&s.credentials, e.Account, c)
		maps.DeleteFunc(s.enrolments, func(_ string, v auth.Enrolment) bool { return v.Account == e.Account })
		put(&s.enrolments, e.Hash, copyEnrolment(e))
		return nil
	})
}

// Enrolment implements [auth.Invitations].
func (s *Store) Enrolment(_ context.Context, hash string) (auth.Enrolment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.enrolments[hash]
	if !ok {
		return auth.Enrolment{}, auth.ErrNotFound
	}
	return copyEnrolment(e), nil
}

// ConfirmEnrolment implements [auth.Invitations].
func (s *Store) ConfirmEnrolment(_ context.Context, e auth.Enrolment, factor auth.Credential) error {
	return s.write("ConfirmEnrolment", func() error {
		have, ok := s.enrolments[e.Hash]
		if !ok || have.Step != auth.StepTOTP || have.Account != e.Account {
			return auth.ErrNotFound
		}
		have.Step, have.Recovery, have.Confirmed = auth.StepRecovery, slices.Clone(e.Recovery), e.Confirmed
		put(&s.enrolments, e.Hash, have)
		maps.DeleteFunc(s.factors.devices, func(_ string, d auth.TOTPDevice) bool { return d.Account == e.Account })
		for _, d := range factor.Devices {
			put(&s.factors.devices, d.ID, copyDevice(d))
		}
		c := s.credentials[e.Account]
		c.Recovery = slices.Clone(factor.Recovery)
		put(&s.credentials, e.Account, c)
		return nil
	})
}

// EndEnrolment implements [auth.Invitations].
func (s *Store) EndEnrolment(_ context.Context, hash string) error {
	return s.write("EndEnrolment", func() error {
		if e, ok := s.enrolments[hash]; !ok || e.Step != auth.StepRecovery {
			return auth.ErrNotFound
		}
		delete(s.enrolments, hash)
		return nil
	})
}

// PutFlow implements [auth.Logins].
func (s *Store) PutFlow(_ context.Context, f auth.Flow) error {
	return s.write("PutFlow", func() error {
		if err := s.known(f.Account); err != nil {
			return err
		}
		put(&s.flows, f.Hash, f)
		return nil
	})
}

// Flow implements [auth.Logins].
func (s *Store) Flow(_ context.Context, hash string) (auth.Flow, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.flows[hash]
	if !ok {
		return auth.Flow{}, auth.ErrNotFound
	}
	return f, nil
}

// TakeFlow implements [auth.Logins].
func (s *Store) TakeFlow(_ context.Context, hash string) (won bool, err error) {
	err = s.write("TakeFlow", func() error {
		_, won = s.flows[hash]
		delete(s.flows, hash)
		return nil
	})
	return won && err == nil, err
}

// Failures implements [auth.Logins].
func (s *Store) Failures(_ context.Context, account string) (map[string]auth.Failures, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return copyLanes(s.failures[account]), nil
}

// EditFailures implements [auth.Logins]. It runs edit twice, on copies, since
// the contract allows it.
func (s *Store) EditFailures(_ context.Context, account string, edit func(map[string]auth.Failures)) error {
	return s.write("EditFailures", func() error {
		if err := s.known(account); err != nil {
			return err
		}
		edit(copyLanes(s.failures[account]))
		lanes := copyLanes(s.failures[account])
		edit(lanes)
		put(&s.failures, account, lanes)
		return nil
	})
}

func copyLanes(m map[string]auth.Failures) map[string]auth.Failures {
	if m == nil {
		return make(map[string]auth.Failures)
	}
	return maps.Clone(m)
}

// ClearFailures implements [auth.Logins].
func (s *Store) ClearFailures(_ context.Context, account string) error {
	return s.write("ClearFailures", func() error { delete(s.failures, account); return nil })
}

// Expire implements [auth.Logins].
func (s *Store) Expire(_ context.Context, now time.Time) error {
	return s.write("Expire", func() error {
		maps.DeleteFunc(s.flows, func(_ string, v auth.Flow) bool { return v.Expires.Before(now) })
		maps.DeleteFunc(s.invitations, func(_ string, v auth.Invitation) bool { return v.Expires.Before(now) })
		maps.DeleteFunc(s.enrolments, func(_ string, v auth.Enrolment) bool { return v.Expires.Before(now) })
		s.keysOf.expire(now)
		maps.DeleteFunc(s.factors.pending, func(_ string, v auth.PendingTOTP) bool { return v.Expires.Before(now) })
		return nil
	})
}

// PutSession implements [auth.Sessions].
func (s *Store) PutSession(_ context.Context, x auth.StoredSession) error {
	return s.write("PutSession", func() error {
		if err := s.known(x.Account); err != nil {
			return err
		}
		put(&s.sessions, x.ID, copySession(x))
		s.seeNetwork(x.Account, x.Network, x.Created)
		c := s.credentials[x.Account]
		c.LastLogin, c.LastIP = x.Created, x.IP
		put(&s.credentials, x.Account, c)
		return nil
	})
}

// Sessions implements [auth.Sessions].
func (s *Store) Sessions(context.Context) ([]auth.StoredSession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Collect(maps.Values(s.sessions))
	for i := range all {
		all[i] = copySession(all[i])
	}
	return all, nil
}

// RotateSession implements [auth.Sessions].
func (s *Store) RotateSession(_ context.Context, x auth.StoredSession, from int64) error {
	return s.write("RotateSession", func() error {
		have, ok := s.sessions[x.ID]
		if !ok || have.Epoch != from {
			return auth.ErrNotFound
		}
		have.Epoch, have.CodeAt, have.CodeFactor, have.RecoveryLeft = x.Epoch, x.CodeAt, x.CodeFactor, x.RecoveryLeft
		have.KeyAt = x.KeyAt
		put(&s.sessions, x.ID, have)
		return nil
	})
}

// TouchSessions implements [auth.Sessions].
func (s *Store) TouchSessions(_ context.Context, seen map[string]time.Time) error {
	return s.write("TouchSessions", func() error {
		for id, at := range seen {
			if x, ok := s.sessions[id]; ok {
				x.LastSeen = at
				put(&s.sessions, id, x)
			}
		}
		return nil
	})
}

// DeleteSessions implements [auth.Sessions].
func (s *Store) DeleteSessions(_ context.Context, ids []string) error {
	return s.write("DeleteSessions", func() error {
		for _, id := range ids {
			delete(s.sessions, id)
		}
		return nil
	})
}

// EndAccount implements [auth.Sessions].
func (s *Store) EndAccount(_ context.Context, account string) error {
	return s.write("EndAccount", func() error { s.endAccount(account); return nil })
}

// PutToken implements [auth.Tokens].
func (s *Store) PutToken(_ context.Context, t auth.Token) error {
	return s.write("PutToken", func() error {
		if err := s.known(t.Account); err != nil {
			return err
		}
		maker := s.sessions[t.Session].Account
		if t.Machine != "" {
			maker = s.machines[t.Machine].Account
		}
		if maker != t.Account {
			return auth.ErrNotFound
		}
		put(&s.tokens, t.ID, t)
		return nil
	})
}

// AllTokens implements [auth.Tokens].
func (s *Store) AllTokens(context.Context) ([]auth.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.tokens)), nil
}

// DeleteTokens implements [auth.Tokens].
func (s *Store) DeleteTokens(_ context.Context, ids []string) error {
	return s.write("DeleteTokens", func() error {
		for _, id := range ids {
			delete(s.tokens, id)
		}
		return nil
	})
}

// EnsureKey implements [auth.Keys].
func (s *Store) EnsureKey(_ context.Context, k auth.SigningKey, since time.Time) ([]auth.SigningKey, error) {
	var out []auth.SigningKey
	err := s.write("EnsureKey", func() error {
		fresh := false
		for _, have := range s.keys {
			fresh = fresh || have.Purpose == k.Purpose && !have.Created.Before(since)
		}
		if !fresh {
			s.keys = append(s.keys, k)
		}
		for _, have := range s.keys {
			if have.Purpose == k.Purpose {
				out = append(out, have)
			}
		}
		return nil
	})
	return out, err
}

// DeleteKeys implements [auth.Keys].
func (s *Store) DeleteKeys(_ context.Context, purpose string, before time.Time) error {
	return s.write("DeleteKeys", func() error {
		s.keys = slices.DeleteFunc(s.keys, func(k auth.SigningKey) bool {
			return k.Purpose == purpose && k.Created.Before(before)
		})
		return nil
	})
}
