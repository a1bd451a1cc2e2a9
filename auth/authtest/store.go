// Package authtest holds what tests of sign-in need: a store in memory, the
// test that every store of package auth must pass, and a recorder. The store
// keeps to its contract at least as strictly as a database: what it returns is
// a copy, and any of its writes can be made to fail before or after it is done.
package authtest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ringfence/ringfence/auth"
)

// ErrInjected is what a [Store] returns for a write that was told to fail.
var ErrInjected = errors.New("injected fault")

// A Store keeps everything in memory. The zero Store is empty and ready. It is
// safe for concurrent use.
type Store struct {
	// Fault, when set, is asked before each write, by the method's name. It
	// says whether the write is applied and what is returned: a write can fail
	// and still have happened.
	Fault func(method string) (apply bool, err error)

	mu          sync.Mutex
	accounts    map[string]auth.Account
	credentials map[string]auth.Credential
	invitations map[string]auth.Invitation
	enrolments  map[string]auth.Enrolment
	flows       map[string]auth.Flow
	failures    map[string]map[string]auth.Failures
	sessions    map[string]auth.StoredSession
	tokens      map[string]auth.Token
	machines    map[string]auth.Machine
	grants      map[string]auth.DeviceGrant
	tries       []deviceTry
	keys        []auth.SigningKey
	secrets     map[string]auth.Secret
	notices     []auth.Notice
	providers   map[string]auth.IdentityProvider
	subjects    map[string]auth.PinnedSubject
	trusting    map[string]bool
	keysOf      keyTables
	networks    map[[2]string]time.Time // by account and network
	factors     factors
	recovery
}

var _ auth.Store = (*Store)(nil)

// New returns a store that holds the accounts.
func New(accounts ...auth.Account) *Store {
	s := new(Store)
	for _, a := range accounts {
		s.SetAccount(a)
	}
	return s
}

// SetAccount puts an account in place of the one with its id.
func (s *Store) SetAccount(a auth.Account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	put(&s.accounts, a.ID, copyAccount(a))
}

// RemoveAccount removes an account and everything that is its own, as a
// database with foreign keys does.
func (s *Store) RemoveAccount(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reset(id)
	delete(s.accounts, id)
}

func put[V any](m *map[string]V, key string, v V) {
	if *m == nil {
		*m = make(map[string]V)
	}
	(*m)[key] = v
}

func copyAccount(a auth.Account) auth.Account {
	a.Roles = slices.Clone(a.Roles)
	return a
}

func copyCredential(c auth.Credential) auth.Credential {
	c.Recovery = slices.Clone(c.Recovery)
	return c
}

func copyEnrolment(e auth.Enrolment) auth.Enrolment {
	e.Secret, e.Recovery = slices.Clone(e.Secret), slices.Clone(e.Recovery)
	return e
}

// write runs do under the lock, as Fault says.
func (s *Store) write(method string, do func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Fault == nil {
		return do()
	}
	apply, fault := s.Fault(method)
	if apply {
		if err := do(); err != nil {
			return err
		}
	}
	return fault
}

// known returns [auth.ErrNotFound] for an account that is not there: a
// database's foreign keys would refuse its rows.
func (s *Store) known(account string) error {
	if _, ok := s.accounts[account]; !ok {
		return auth.ErrNotFound
	}
	return nil
}

// Account implements [auth.Accounts].
func (s *Store) Account(_ context.Context, id string) (auth.Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.accounts[id]
	if !ok {
		return auth.Account{}, auth.ErrNotFound
	}
	return copyAccount(a), nil
}

// AccountByEmail implements [auth.Accounts].
func (s *Store) AccountByEmail(_ context.Context, email string) (auth.Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.accounts {
		if a.Email == email {
			return copyAccount(a), nil
		}
	}
	return auth.Account{}, auth.ErrNotFound
}

// SignedIn implements [auth.Accounts].
func (s *Store) SignedIn(context.Context) ([]auth.Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make(map[string]bool)
	for _, x := range s.sessions {
		ids[x.Account] = true
	}
	for _, t := range s.tokens {
		ids[t.Account] = true
	}
	for _, m := range s.machines {
		ids[m.Account] = true
	}
	var out []auth.Account
	for id := range ids {
		out = append(out, copyAccount(s.accounts[id]))
	}
	return out, nil
}

// Credential implements [auth.Credentials].
func (s *Store) Credential(_ context.Context, account string) (auth.Credential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := copyCredential(s.credentials[account])
	if c.Devices = s.devicesOf(account); len(c.Devices) > 0 {
		c.Confirmed = c.Devices[0].Confirmed
	}
	for _, k := range s.keysOwnedBy(account) {
		if c.Confirmed.IsZero() || k.Created.Before(c.Confirmed) {
			c.Confirmed = k.Created
		}
	}
	return c, nil
}

// ReplacePassword implements [auth.Credentials].
func (s *Store) ReplacePassword(_ context.Context, account, old, hash string) error {
	return s.write("ReplacePassword", func() error {
		if c := s.credentials[account]; c.PasswordHash == old && old != "" {
			c.PasswordHash = hash
			put(&s.credentials, account, c)
		}
		return nil
	})
}

// UseRecovery implements [auth.Credentials].
func (s *Store) UseRecovery(_ context.Context, account string, slot int, at time.Time) (won bool, err error) {
	err = s.write("UseRecovery", func() error {
		c := copyCredential(s.credentials[account])
		for i, r := range c.Recovery {
			if r.Slot == slot && r.Used.IsZero() {
				c.Recovery[i].Used, won = at, true
				put(&s.credentials, account, c)
			}
		}
		return nil
	})
	return won && err == nil, err
}

// ResetCredential implements [auth.Credentials].
func (s *Store) ResetCredential(_ context.Context, account string) error {
	return s.write("ResetCredential", func() error { s.reset(account); return nil })
}

func (s *Store) reset(account string) {
	delete(s.subjects, account)
	delete(s.credentials, account)
	delete(s.failures, account)
	s.keysOf.reset(account)
	s.resetFactors(account)
	maps.DeleteFunc(s.invitations, func(_ string, v auth.Invitation) bool { return v.Account == account })
	maps.DeleteFunc(s.enrolments, func(_ string, v auth.Enrolment) bool { return v.Account == account })
	s.endAccount(account)
}

func (s *Store) endAccount(account string) {
	maps.DeleteFunc(s.flows, func(_ string, v auth.Flow) bool { return v.Account == account })
	maps.DeleteFunc(s.sessions, func(_ string, v auth.StoredSession) bool { return v.Account == account })
	maps.DeleteFunc(s.tokens, func(_ string, v auth.Token) bool { return v.Account == account })
	maps.DeleteFunc(s.machines, func(_ string, v auth.Machine) bool { return v.Account == account })
	maps.DeleteFunc(s.grants, func(_ string, v auth.DeviceGrant) bool { return v.Account == account })
}
