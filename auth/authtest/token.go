package authtest

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/policy"
)

// A deviceTry is one code of a machine that somebody typed.
type deviceTry struct {
	account string
	at      time.Time
}

// PutDeviceGrant implements [auth.DeviceGrants].
func (s *Store) PutDeviceGrant(_ context.Context, g auth.DeviceGrant, perNetwork, overall int) (won bool, err error) {
	err = s.write("PutDeviceGrant", func() error {
		same, all := 0, 0
		for _, have := range s.grants {
			if have.Expires.After(g.Created) {
				all++
				if have.Network == g.Network {
					same++
				}
			}
		}
		if same >= perNetwork || all >= overall {
			return nil
		}
		won = true
		put(&s.grants, g.ID, g)
		return nil
	})
	return won && err == nil, err
}

// DeviceGrant implements [auth.DeviceGrants].
func (s *Store) DeviceGrant(_ context.Context, id string) (auth.DeviceGrant, error) {
	return s.grant(func(g *auth.DeviceGrant) bool { return g.ID == id })
}

// DeviceGrantOf implements [auth.DeviceGrants].
func (s *Store) DeviceGrantOf(_ context.Context, hash string) (auth.DeviceGrant, error) {
	return s.grant(func(g *auth.DeviceGrant) bool { return g.DeviceHash == hash })
}

func (s *Store) grant(match func(*auth.DeviceGrant) bool) (auth.DeviceGrant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.grants {
		if match(&g) {
			return g, nil
		}
	}
	return auth.DeviceGrant{}, auth.ErrNotFound
}

// EnterDeviceGrant implements [auth.DeviceGrants].
func (s *Store) EnterDeviceGrant(_ context.Context, userHash, session string, now time.Time) (found auth.DeviceGrant, err error) {
	err = s.write("EnterDeviceGrant", func() error {
		for _, g := range s.grants {
			if g.UserHash == userHash && g.Status == auth.GrantPending && g.Expires.After(now) {
				g.Session = session
				put(&s.grants, g.ID, g)
				found = g
				return nil
			}
		}
		return auth.ErrNotFound
	})
	return found, err
}

// SettleDeviceGrant implements [auth.DeviceGrants].
func (s *Store) SettleDeviceGrant(_ context.Context, g auth.DeviceGrant) (won bool, err error) {
	err = s.write("SettleDeviceGrant", func() error {
		if have, ok := s.grants[g.ID]; ok && have.Status == auth.GrantPending && have.Session == g.Session && s.sessions[g.Session].ID != "" {
			won = true
			put(&s.grants, g.ID, g)
		}
		return nil
	})
	return won && err == nil, err
}

// TakeDeviceGrant implements [auth.DeviceGrants].
func (s *Store) TakeDeviceGrant(_ context.Context, id string) (won bool, err error) {
	err = s.write("TakeDeviceGrant", func() error {
		_, won = s.grants[id]
		delete(s.grants, id)
		return nil
	})
	return won && err == nil, err
}

// TakeDeviceTry implements [auth.DeviceGrants].
func (s *Store) TakeDeviceTry(_ context.Context, account string, now, since time.Time, perAccount, overall int) (won bool, err error) {
	err = s.write("TakeDeviceTry", func() error {
		own, all := 0, 0
		for _, t := range s.tries {
			if t.at.Before(since) {
				continue
			}
			all++
			if t.account == account {
				own++
			}
		}
		if won = own < perAccount && all < overall; won {
			s.tries = append(s.tries, deviceTry{account, now})
		}
		return nil
	})
	return won && err == nil, err
}

// ReturnDeviceTry implements [auth.DeviceGrants].
func (s *Store) ReturnDeviceTry(_ context.Context, account string, at time.Time) error {
	return s.write("ReturnDeviceTry", func() error {
		if i := slices.Index(s.tries, deviceTry{account, at}); i >= 0 {
			s.tries = slices.Delete(s.tries, i, i+1)
		}
		return nil
	})
}

// ExpireDeviceGrants implements [auth.DeviceGrants].
func (s *Store) ExpireDeviceGrants(_ context.Context, now, since time.Time) error {
	return s.write("ExpireDeviceGrants", func() error {
		maps.DeleteFunc(s.grants, func(_ string, g auth.DeviceGrant) bool { return g.Expires.Before(now) })
		s.tries = slices.DeleteFunc(s.tries, func(t deviceTry) bool { return t.at.Before(since) })
		return nil
	})
}

// PutMachine implements [auth.Machines].
func (s *Store) PutMachine(_ context.Context, m auth.Machine, grant string) (won bool, err error) {
	err = s.write("PutMachine", func() error {
		if err := s.known(m.Account); err != nil {
			return err
		}
		g := s.grants[grant]
		if won = g.Account == m.Account && g.Status == auth.GrantApproved; won {
			delete(s.grants, grant)
			put(&s.machines, m.ID, m)
		}
		return nil
	})
	return won && err == nil, err
}

// Machines implements [auth.Machines].
func (s *Store) Machines(context.Context) ([]auth.Machine, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.machines)), nil
}

// DeleteMachines implements [auth.Machines].
func (s *Store) DeleteMachines(_ context.Context, ids []string) error {
	return s.write("DeleteMachines", func() error {
		for _, id := range ids {
			delete(s.machines, id)
			maps.DeleteFunc(s.tokens, func(_ string, t auth.Token) bool { return t.Machine == id })
		}
		return nil
	})
}

// TouchTokens implements [auth.Machines].
func (s *Store) TouchTokens(_ context.Context, used map[string]auth.TokenUse) error {
	return s.write("TouchTokens", func() error {
		for id, u := range used {
			if t, ok := s.tokens[id]; ok {
				t.LastUsed, t.LastIP = u.At, u.IP
				s.tokens[id] = t
			}
			if m, ok := s.machines[id]; ok {
				m.LastUsed, m.LastIP = u.At, u.IP
				s.machines[id] = m
			}
		}
		return nil
	})
}

func storedMachine(id, account string) auth.Machine {
	return auth.Machine{ID: id, Account: account, Hash: "hash-" + id, Key: "key", Name: "kims-laptop", Program: "ringfence/1", Session: "s1",
		Created: base, Ends: base.Add(time.Hour), PasswordAt: base.Add(-time.Minute), CodeAt: base.Add(-time.Second), CodeFactor: policy.FactorTOTP,
		IP: "192.0.2.10", ApprovedIP: "192.0.2.11"}
}

func testTokenFields(t *testing.T, s auth.Store) {
	ctx := t.Context()
	k := storedToken("t1", Kim.ID)
	k.Kind, k.Key = auth.TokenAccess, "thumbprint"
	k.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/48")}
	k.Scope = &policy.TokenScope{Access: policy.AccessRead, Methods: []string{}, Paths: [][]string{{"v1", "a/b"}, {}}}
	must(t, s.PutSession(ctx, storedSession("s1", Kim.ID)))
	must(t, s.PutToken(ctx, k))
	use := auth.TokenUse{At: base.Add(time.Hour), IP: "192.0.2.77"}
	must(t, s.TouchTokens(ctx, map[string]auth.TokenUse{"t1": use, "gone": use}))
	k.LastUsed, k.LastIP = use.At, use.IP
	all, err := s.AllTokens(ctx)
	must(t, err)
	wantEqual(t, all, []auth.Token{k})
}

func testMachine(t *testing.T, s auth.Store) {
	ctx := t.Context()
	m := storedMachine("m1", Kim.ID)
	putMachine(t, s, m)
	putMachine(t, s, storedMachine("m2", Lee.ID))
	approve(t, s, "g-m3", Kim.ID)
	for _, who := range []string{Lee.ID, "acc-nobody"} {
		if won, err := s.PutMachine(ctx, storedMachine("m3", who), "g-m3"); won {
			t.Fatalf("a machine of %s was stored under another's grant: %v", who, err)
		}
	}
	wantEqual(t, race(t, func(i int) bool {
		won, err := s.PutMachine(ctx, storedMachine(fmt.Sprintf("m3-%d", i), Kim.ID), "g-m3")
		return won && err == nil
	}), 1)
	third, err := s.Machines(ctx)
	must(t, err)
	third = slices.DeleteFunc(third, func(m auth.Machine) bool { return m.ID == "m1" || m.ID == "m2" })
	wantEqual(t, len(third), 1)
	must(t, s.DeleteMachines(ctx, []string{third[0].ID}))
	must(t, s.DeleteSessions(ctx, []string{"s1"})) // accounts with nothing but a machine are signed in
	who, err := s.SignedIn(ctx)
	must(t, err)
	wantEqual(t, len(who), 2)
	use := auth.TokenUse{At: base.Add(time.Minute), IP: "192.0.2.78"}
	must(t, s.TouchTokens(ctx, map[string]auth.TokenUse{"m1": use}))
	m.LastUsed, m.LastIP = use.At, use.IP
	must(t, s.DeleteMachines(ctx, []string{"m2", "gone"}))
	all, err := s.Machines(ctx)
	must(t, err)
	wantEqual(t, all, []auth.Machine{m})
	// A machine's end is the end of its tokens, and of no other's.
	own, other := storedToken("t1", Kim.ID), storedToken("t2", Kim.ID)
	own.Machine = "m1"
	must(t, s.PutToken(ctx, own))
	wantMissing(t, s.PutToken(ctx, other)) // its session has ended
	must(t, s.PutSession(ctx, storedSession("s1", Kim.ID)))
	must(t, s.PutToken(ctx, other))
	must(t, s.DeleteMachines(ctx, []string{"m1"}))
	tokens, err := s.AllTokens(ctx)
	must(t, err)
	wantEqual(t, tokens, []auth.Token{other})
	own.ID = "t3"
	wantMissing(t, s.PutToken(ctx, own)) // its machine has ended
	// The end of all that an account has open is theirs too.
	putMachine(t, s, m)
	approve(t, s, "g1", Kim.ID)
	must(t, s.EndAccount(ctx, Kim.ID))
	all, err = s.Machines(ctx)
	must(t, err)
	wantEqual(t, len(all), 0)
	_, err = s.DeviceGrant(ctx, "g1")
	wantMissing(t, err)
}

// approve stores a grant that the account has approved in its session s1.
func approve(t *testing.T, s auth.Store, id, account string) {
	t.Helper()
	ctx := t.Context()
	must(t, s.DeleteSessions(ctx, []string{"s1"}))
	must(t, s.PutSession(ctx, storedSession("s1", account)))
	g := storedGrant(id, "dev-"+id, "user-"+id)
	if won, err := s.PutDeviceGrant(ctx, g, 50, 50); err != nil || !won {
		t.Fatal(won, err)
	}
	_, err := s.EnterDeviceGrant(ctx, "user-"+id, "s1", base)
	must(t, err)
	g.Session, g.Status, g.Account, g.KeyAt = "s1", auth.GrantApproved, account, base
	if won, err := s.SettleDeviceGrant(ctx, g); err != nil || !won {
		t.Fatal(won, err)
	}
}

// putMachine stores a machine under a grant of its own.
func putMachine(t *testing.T, s auth.Store, m auth.Machine) {
	t.Helper()
	approve(t, s, "g-"+m.ID, m.Account)
	if won, err := s.PutMachine(t.Context(), m, "g-"+m.ID); err != nil || !won {
		t.Fatal(won, err)
	}
}

func storedGrant(id, device, user string) auth.DeviceGrant {
	return auth.DeviceGrant{ID: id, DeviceHash: device, UserHash: user, Key: "key", Name: "laptop", Program: "ringfence/1", IP: "192.0.2.10", Network: "192.0.2.10",
		Created: base, Expires: base.Add(10 * time.Minute), Status: auth.GrantPending}
}

func testDeviceGrant(t *testing.T, s auth.Store) {
	ctx := t.Context()
	ask := func(g auth.DeviceGrant, perNetwork, overall int) bool {
		t.Helper()
		won, err := s.PutDeviceGrant(ctx, g, perNetwork, overall)
		must(t, err)
		return won
	}
	g := storedGrant("g1", "dev-1", "user-1")
	wantEqual(t, ask(g, 1, 5), true)
	wantEqual(t, ask(storedGrant("g2", "dev-2", "user-2"), 1, 5), false) // of this network
	far := storedGrant("g3", "dev-3", "user-3")
	far.Network = "198.51.100.1"
	wantEqual(t, ask(far, 1, 1), false) // of all
	wantEqual(t, ask(far, 1, 2), true)
	later := storedGrant("g4", "dev-4", "user-4")
	later.Created = base.Add(10 * time.Minute) // the first has expired
	wantEqual(t, ask(later, 1, 5), true)

	got, err := s.DeviceGrantOf(ctx, "dev-1")
	must(t, err)
	wantEqual(t, got, g)
	_, err = s.DeviceGrantOf(ctx, "dev-9")
	wantMissing(t, err)
	_, err = s.EnterDeviceGrant(ctx, "user-9", "ses_1", base)
	wantMissing(t, err)
	_, err = s.EnterDeviceGrant(ctx, "user-1", "ses_1", base.Add(10*time.Minute))
	wantMissing(t, err) // expired
	got, err = s.EnterDeviceGrant(ctx, "user-1", "ses_1", base)
	must(t, err)
	g.Session = "ses_1"
	wantEqual(t, got, g)

	g.Status, g.Account, g.ApprovedIP, g.Ends = auth.GrantApproved, Kim.ID, "192.0.2.11", base.Add(time.Hour)
	g.PasswordAt, g.CodeAt, g.CodeFactor = base, base.Add(time.Second), policy.FactorTOTP
	other := g
	other.Session = "ses_2" // typed elsewhere
	won, err := s.SettleDeviceGrant(ctx, other)
	must(t, err)
	wantEqual(t, won, false)
	won, err = s.SettleDeviceGrant(ctx, g)
	must(t, err)
	wantEqual(t, won, false) // its session has ended
	must(t, s.PutSession(ctx, storedSession("ses_1", Kim.ID)))
	wantEqual(t, race(t, func(int) bool { won, err := s.SettleDeviceGrant(ctx, g); return won && err == nil }), 1)
	got, err = s.DeviceGrant(ctx, "g1")
	must(t, err)
	wantEqual(t, got, g)
	_, err = s.EnterDeviceGrant(ctx, "user-1", "ses_3", base)
	wantMissing(t, err) // settled
	wantEqual(t, race(t, func(int) bool { won, err := s.TakeDeviceGrant(ctx, "g1"); return won && err == nil }), 1)
	must(t, s.ExpireDeviceGrants(ctx, base.Add(time.Hour), base))
	_, err = s.DeviceGrant(ctx, "g3")
	wantMissing(t, err)
}

func testDeviceTries(t *testing.T, s auth.Store) {
	ctx := t.Context()
	since := base.Add(-time.Hour)
	try := func(account string, at time.Time, all int) bool {
		won, err := s.TakeDeviceTry(ctx, account, at, since, 5, all)
		return won && err == nil
	}
	wantEqual(t, race(t, func(i int) bool { return try(Kim.ID, base.Add(time.Duration(i)), 100) }), 5)
	wantEqual(t, try(Lee.ID, base, 5), false) // over all
	wantEqual(t, try(Lee.ID, base, 6), true)
	must(t, s.ReturnDeviceTry(ctx, Lee.ID, base))
	must(t, s.ReturnDeviceTry(ctx, Lee.ID, base)) // nothing more to return
	wantEqual(t, try(Lee.ID, base, 6), true)
	won, err := s.TakeDeviceTry(ctx, Kim.ID, base.Add(2*time.Hour), base.Add(time.Hour), 5, 6)
	must(t, err)
	wantEqual(t, won, true) // the old ones are over
	must(t, s.ExpireDeviceGrants(ctx, base, base.Add(3*time.Hour)))
	wantEqual(t, try(Kim.ID, base, 1), true)
}
