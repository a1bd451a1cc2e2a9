package authtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
)

const maxNetworks = 50

func copySession(x auth.StoredSession) auth.StoredSession {
	x.Opened = slices.Clone(x.Opened)
	return x
}

// IdleSessions implements [auth.SessionStates].
func (s *Store) IdleSessions(_ context.Context, since map[string]time.Time) error {
	return s.write("IdleSessions", func() error {
		for id, at := range since {
			if x, ok := s.sessions[id]; ok {
				x.IdleSince = at
				s.sessions[id] = x
			}
		}
		return nil
	})
}

// ResumeSession implements [auth.SessionStates].
func (s *Store) ResumeSession(_ context.Context, x auth.StoredSession, from int64) error {
	return s.write("ResumeSession", func() error {
		have, ok := s.sessions[x.ID]
		if !ok || have.Epoch != from {
			return auth.ErrNotFound
		}
		have.Epoch, have.LastSeen, have.PasswordAt, have.IdleSince = x.Epoch, x.LastSeen, x.PasswordAt, time.Time{}
		have.IP, have.Network, have.NewNetwork = x.IP, x.Network, x.NewNetwork
		s.sessions[x.ID] = have
		s.seeNetwork(x.Account, x.Network, x.LastSeen)
		return nil
	})
}

// OpenHost implements [auth.SessionStates].
func (s *Store) OpenHost(_ context.Context, id, host string) error {
	return s.write("OpenHost", func() error {
		if x, ok := s.sessions[id]; ok && !slices.Contains(x.Opened, host) {
			x.Opened = append(slices.Clone(x.Opened), host)
			s.sessions[id] = x
		}
		return nil
	})
}

// NetworkSeen implements [auth.SessionStates].
func (s *Store) NetworkSeen(_ context.Context, account, network string) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.networks[[2]string{account, network}], nil
}

func (s *Store) seeNetwork(account, network string, at time.Time) {
	if network == "" {
		return
	}
	if s.networks == nil {
		s.networks = make(map[[2]string]time.Time)
	}
	s.networks[[2]string{account, network}] = at
	for {
		var oldest [2]string
		n := 0
		for k, seen := range s.networks {
			if k[0] != account {
				continue
			}
			if n++; n == 1 || seen.Before(s.networks[oldest]) {
				oldest = k
			}
		}
		if n <= maxNetworks {
			return
		}
		delete(s.networks, oldest)
	}
}

// EndVendor implements [auth.SessionStates].
func (s *Store) EndVendor(_ context.Context, vendor string) error {
	return s.write("EndVendor", func() error {
		for id, a := range s.accounts {
			if a.Vendor == vendor {
				s.endAccount(id)
			}
		}
		return nil
	})
}

// EndEverybody implements [auth.SessionStates].
func (s *Store) EndEverybody(_ context.Context, keep string) error {
	return s.write("EndEverybody", func() error {
		kept, ok := s.sessions[keep]
		for id := range maps.Keys(s.accounts) {
			s.endAccount(id)
		}
		if ok {
			s.sessions[keep] = kept
		}
		return nil
	})
}

func oneSession(t *testing.T, s auth.Store) auth.StoredSession {
	t.Helper()
	all, err := s.Sessions(t.Context())
	must(t, err)
	if len(all) != 1 {
		t.Fatalf("%d sessions, want one", len(all))
	}
	return all[0]
}

func testSessionStates(t *testing.T, s auth.Store) {
	ctx := t.Context()
	x := storedSession("s1", Kim.ID)
	x.Device, x.Network, x.NewDevice, x.NewNetwork = "dev1", "192.0.2.10", true, true
	x.Opened = []string{Claims}
	must(t, s.PutSession(ctx, x))
	wantEqual(t, oneSession(t, s), x)
	for _, c := range []struct {
		account, network string
		want             time.Time
	}{{Kim.ID, "192.0.2.10", base}, {Kim.ID, "192.0.2.11", time.Time{}}, {Lee.ID, "192.0.2.10", time.Time{}}} {
		seen, err := s.NetworkSeen(ctx, c.account, c.network)
		must(t, err)
		wantEqual(t, seen, c.want)
	}

	must(t, s.OpenHost(ctx, "s1", Ledger))
	must(t, s.OpenHost(ctx, "s1", Ledger))
	must(t, s.OpenHost(ctx, "gone", Ledger))
	must(t, s.IdleSessions(ctx, map[string]time.Time{"s1": base.Add(time.Hour), "gone": base}))
	x.Opened, x.IdleSince = []string{Claims, Ledger}, base.Add(time.Hour)
	wantEqual(t, oneSession(t, s), x)

	next := x
	next.Epoch, next.LastSeen, next.PasswordAt, next.IdleSince = 2, base.Add(2*time.Hour), base.Add(2*time.Hour), time.Time{}
	next.IP, next.Network, next.NewNetwork = "192.0.2.11", "192.0.2.11", false
	wantMissing(t, s.ResumeSession(ctx, next, 7))
	wantEqual(t, oneSession(t, s), x)
	// Of many that resume at once, one does.
	wins := race(t, func(int) bool { return s.ResumeSession(ctx, next, 1) == nil })
	wantEqual(t, wins, 1)
	wantEqual(t, oneSession(t, s), next)
	seen, err := s.NetworkSeen(ctx, Kim.ID, "192.0.2.11")
	must(t, err)
	wantEqual(t, seen, next.LastSeen)
	must(t, s.DeleteSessions(ctx, []string{"s1"}))
	next.Epoch = 3
	wantMissing(t, s.ResumeSession(ctx, next, 2))
	all, err := s.Sessions(ctx)
	must(t, err)
	wantEqual(t, len(all), 0)

	// An account's networks are bounded, and the newest stay.
	for i := range maxNetworks + 5 {
		y := storedSession(fmt.Sprintf("n%d", i), Lee.ID)
		y.Network, y.Created = fmt.Sprintf("198.51.100.%d", i), base.Add(time.Duration(i)*time.Minute)
		must(t, s.PutSession(ctx, y))
	}
	for network, known := range map[string]bool{"198.51.100.4": false, "198.51.100.5": true, "198.51.100.54": true} {
		seen, err := s.NetworkSeen(ctx, Lee.ID, network)
		must(t, err)
		wantEqual(t, !seen.IsZero(), known)
	}
}

func testEndMany(t *testing.T, s auth.Store) {
	ctx := t.Context()
	left := func() (ids []string) {
		t.Helper()
		sessions, err := s.Sessions(ctx)
		must(t, err)
		for _, x := range sessions {
			ids = append(ids, x.ID)
		}
		tokens, err := s.AllTokens(ctx)
		must(t, err)
		for _, x := range tokens {
			ids = append(ids, x.ID)
		}
		for _, hash := range []string{"f-kim", "f-lee", "f-ada"} {
			if _, err := s.Flow(ctx, hash); err == nil {
				ids = append(ids, hash)
			}
		}
		slices.Sort(ids)
		return ids
	}
	openAll(t, s, Kim.ID, "kim")
	openAll(t, s, Lee.ID, "lee")
	openAll(t, s, Ada.ID, "ada")
	must(t, s.PutSession(ctx, storedSession("s-kept", Ada.ID)))
	must(t, s.EndVendor(ctx, "nobody"))
	wantEqual(t, len(left()), 10)
	must(t, s.EndVendor(ctx, "acme")) // Kim's and Lee's
	wantEqual(t, left(), []string{"f-ada", "s-ada", "s-kept", "t-ada"})
	kept := storedSession("s-kept", Ada.ID)
	must(t, s.EndEverybody(ctx, "s-kept"))
	wantEqual(t, oneSession(t, s), kept)
	wantEqual(t, left(), []string{"s-kept"})
	must(t, s.PutFlow(ctx, auth.Flow{Hash: "f-kim", Account: Kim.ID, PasswordAt: base, Expires: base.Add(time.Minute)}))
	must(t, s.EndEverybody(ctx, "gone"))
	wantEqual(t, len(left()), 0)

	// Accounts that have nothing but a machine, or a grant, are some too.
	for _, end := range []func() error{
		func() error { return s.EndEverybody(ctx, "") },
		func() error { return s.EndVendor(ctx, "acme") },
	} {
		putMachine(t, s, storedMachine("m-kim", Kim.ID))
		approve(t, s, "g-lee", Lee.ID)
		must(t, s.DeleteSessions(ctx, []string{"s1"}))
		must(t, end())
		machines, err := s.Machines(ctx)
		must(t, err)
		wantEqual(t, len(machines), 0)
		_, err = s.DeviceGrant(ctx, "g-lee")
		wantMissing(t, err)
	}
}
