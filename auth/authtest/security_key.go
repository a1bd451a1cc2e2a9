package authtest

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
)

// keyTables hold keys and what belongs to them.
type keyTables struct {
	keys       map[string]auth.SecurityKey
	ceremonies map[string]ceremony
	allowances map[string]auth.KeyAllowance
}

type ceremony struct {
	auth.Ceremony
	answered bool
}

func (t *keyTables) reset(account string) {
	maps.DeleteFunc(t.keys, func(_ string, k auth.SecurityKey) bool { return k.Account == account })
	maps.DeleteFunc(t.ceremonies, func(_ string, c ceremony) bool { return c.Account == account })
	delete(t.allowances, account)
}

func (t *keyTables) expire(now time.Time) {
	maps.DeleteFunc(t.ceremonies, func(_ string, c ceremony) bool { return c.Expires.Before(now) })
	maps.DeleteFunc(t.allowances, func(_ string, a auth.KeyAllowance) bool { return a.Expires.Before(now) })
}

func copyKey(k auth.SecurityKey) auth.SecurityKey {
	k.CredentialID, k.Record, k.Transports = slices.Clone(k.CredentialID), slices.Clone(k.Record), slices.Clone(k.Transports)
	return k
}

// SecurityKeysOf implements [auth.SecurityKeys].
func (s *Store) SecurityKeysOf(_ context.Context, account string) ([]auth.SecurityKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []auth.SecurityKey
	for _, k := range s.keysOf.keys {
		if k.Account == account {
			out = append(out, copyKey(k))
		}
	}
	slices.SortFunc(out, func(a, b auth.SecurityKey) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return bytes.Compare([]byte(a.ID), []byte(b.ID))
	})
	return out, nil
}

// PutSecurityKey implements [auth.SecurityKeys].
func (s *Store) PutSecurityKey(_ context.Context, k auth.SecurityKey, most int) error {
	return s.write("PutSecurityKey", func() error {
		if err := s.known(k.Account); err != nil {
			return err
		}
		n := 0
		for _, have := range s.keysOf.keys {
			if bytes.Equal(have.CredentialID, k.CredentialID) {
				return auth.ErrKeyTaken
			}
			if have.Account == k.Account {
				n++
			}
		}
		if n >= most {
			return auth.ErrTooMany
		}
		put(&s.keysOf.keys, k.ID, copyKey(k))
		delete(s.keysOf.allowances, k.Account)
		return nil
	})
}

// UseSecurityKey implements [auth.SecurityKeys].
func (s *Store) UseSecurityKey(_ context.Context, k auth.SecurityKey) (won bool, err error) {
	err = s.write("UseSecurityKey", func() error {
		have, ok := s.keysOf.keys[k.ID]
		if !ok || have.Account != k.Account || have.SignCount >= k.SignCount && (have.SignCount != 0 || k.SignCount != 0) {
			return nil
		}
		won = true
		have.Record, have.SignCount, have.BackedUp = slices.Clone(k.Record), k.SignCount, k.BackedUp
		have.LastUsed, have.LastIP = k.LastUsed, k.LastIP
		put(&s.keysOf.keys, k.ID, have)
		return nil
	})
	return won && err == nil, err
}

func (s *Store) changeKey(method, account, id string, change func(*auth.SecurityKey)) error {
	return s.write(method, func() error {
		k, ok := s.keysOf.keys[id]
		if !ok || k.Account != account {
			return auth.ErrNotFound
		}
		change(&k)
		put(&s.keysOf.keys, id, k)
		return nil
	})
}

// MarkCloned implements [auth.SecurityKeys].
func (s *Store) MarkCloned(_ context.Context, account, id string, at time.Time) error {
	return s.changeKey("MarkCloned", account, id, func(k *auth.SecurityKey) { k.Cloned = at })
}

// RenameSecurityKey implements [auth.SecurityKeys].
func (s *Store) RenameSecurityKey(_ context.Context, account, id, name string) error {
	return s.changeKey("RenameSecurityKey", account, id, func(k *auth.SecurityKey) { k.Name = name })
}

// RemoveSecurityKey implements [auth.SecurityKeys].
func (s *Store) RemoveSecurityKey(_ context.Context, account, id string) error {
	return s.write("RemoveSecurityKey", func() error {
		if k, ok := s.keysOf.keys[id]; !ok || k.Account != account {
			return auth.ErrNotFound
		}
		if len(s.keysOwnedBy(account)) == 1 && len(s.devicesOf(account)) == 0 {
			return auth.ErrLastFactor
		}
		delete(s.keysOf.keys, id)
		maps.DeleteFunc(s.grants, func(_ string, g auth.DeviceGrant) bool { return g.Account == account && !g.KeyAt.IsZero() })
		return nil
	})
}

func (s *Store) keysOwnedBy(account string) (all []auth.SecurityKey) {
	for _, k := range s.keysOf.keys {
		if k.Account == account {
			all = append(all, k)
		}
	}
	return all
}

// PutCeremony implements [auth.SecurityKeys].
func (s *Store) PutCeremony(_ context.Context, c auth.Ceremony, most int, now time.Time) (stored bool, err error) {
	err = s.write("PutCeremony", func() error {
		if err := s.known(c.Account); err != nil {
			return err
		}
		n := 0
		for _, have := range s.keysOf.ceremonies {
			if have.Bound == c.Bound && have.Expires.After(now) {
				n++
			}
		}
		if n >= most {
			return nil
		}
		stored = true
		c.State = slices.Clone(c.State)
		put(&s.keysOf.ceremonies, c.Hash, ceremony{Ceremony: c})
		return nil
	})
	return stored && err == nil, err
}

// TakeCeremony implements [auth.SecurityKeys].
func (s *Store) TakeCeremony(_ context.Context, hash string) (out auth.Ceremony, err error) {
	err = s.write("TakeCeremony", func() error {
		c, ok := s.keysOf.ceremonies[hash]
		if !ok || c.answered {
			return auth.ErrNotFound
		}
		c.answered = true
		put(&s.keysOf.ceremonies, hash, c)
		out = c.Ceremony
		out.State = slices.Clone(out.State)
		return nil
	})
	if err != nil {
		return auth.Ceremony{}, err
	}
	return out, nil
}

// AllowKey implements [auth.SecurityKeys].
func (s *Store) AllowKey(_ context.Context, a auth.KeyAllowance) error {
	return s.write("AllowKey", func() error {
		if err := s.known(a.Account); err != nil {
			return err
		}
		put(&s.keysOf.allowances, a.Account, a)
		return nil
	})
}

// KeyAllowed implements [auth.SecurityKeys].
func (s *Store) KeyAllowed(_ context.Context, account string) (auth.KeyAllowance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.keysOf.allowances[account]
	if !ok {
		return auth.KeyAllowance{}, auth.ErrNotFound
	}
	return a, nil
}

func storedKey(id, account string) auth.SecurityKey {
	return auth.SecurityKey{ID: id, Account: account, Name: "YubiKey “blue”", CredentialID: []byte("cred-" + id), Record: []byte{1, 0, 2}, SignCount: 4294967290,
		BackupEligible: true, BackedUp: true, Transports: []string{"usb", "nfc"}, Bound: auth.BoundCode, Created: base}
}

func testSecurityKeys(t *testing.T, s auth.Store) {
	ctx := t.Context()
	first, second := storedKey("key_1", Kim.ID), storedKey("key_2", Kim.ID)
	first.Created, first.Transports = base.Add(time.Hour), nil
	must(t, s.PutSecurityKey(ctx, first, 2))
	must(t, s.PutSecurityKey(ctx, second, 2))
	other := storedKey("key_3", Lee.ID)
	other.CredentialID = first.CredentialID // of somebody else
	wantEqual(t, s.PutSecurityKey(ctx, other, 2), auth.ErrKeyTaken)
	wantEqual(t, s.PutSecurityKey(ctx, storedKey("key_4", Kim.ID), 2), auth.ErrTooMany)
	if err := s.PutSecurityKey(ctx, storedKey("key_5", "acc-nobody"), 2); err == nil {
		t.Fatal("a key of nobody was stored")
	}
	got, err := s.SecurityKeysOf(ctx, Kim.ID)
	must(t, err)
	wantEqual(t, got, []auth.SecurityKey{second, first})
	got, err = s.SecurityKeysOf(ctx, Lee.ID)
	must(t, err)
	wantEqual(t, len(got), 0)

	must(t, s.RenameSecurityKey(ctx, Kim.ID, "key_1", "phone"))
	must(t, s.MarkCloned(ctx, Kim.ID, "key_1", base.Add(time.Minute)))
	first.Name, first.Cloned = "phone", base.Add(time.Minute)
	wantMissing(t, s.RenameSecurityKey(ctx, Lee.ID, "key_1", "mine"))
	wantMissing(t, s.MarkCloned(ctx, Lee.ID, "key_1", base))
	wantMissing(t, s.RemoveSecurityKey(ctx, Lee.ID, "key_1"))
	approve(t, s, "g-key", Kim.ID) // with a key's proof
	must(t, s.RemoveSecurityKey(ctx, Kim.ID, "key_2"))
	_, err = s.DeviceGrant(ctx, "g-key")
	wantMissing(t, err)
	wantEqual(t, s.RemoveSecurityKey(ctx, Kim.ID, "key_1"), auth.ErrLastFactor)
	c, err := s.Credential(ctx, Kim.ID)
	must(t, err)
	wantEqual(t, c.Confirmed, first.Created) // a key alone is enrolled
	wantMissing(t, s.RemoveSecurityKey(ctx, Kim.ID, "key_2"))
	got, err = s.SecurityKeysOf(ctx, Kim.ID)
	must(t, err)
	wantEqual(t, got, []auth.SecurityKey{first})
	must(t, s.ResetCredential(ctx, Kim.ID))
	got, err = s.SecurityKeysOf(ctx, Kim.ID)
	must(t, err)
	wantEqual(t, len(got), 0)
}

func testSecurityKeyCount(t *testing.T, s auth.Store) {
	ctx := t.Context()
	k := storedKey("key_1", Kim.ID)
	k.SignCount = 0
	must(t, s.PutSecurityKey(ctx, k, 9))
	use := func(account string, count uint32) bool {
		k := k
		k.Account, k.SignCount, k.Record, k.BackedUp = account, count, []byte{9}, false
		k.LastUsed, k.LastIP = base.Add(time.Duration(count)), "192.0.2.7"
		won, err := s.UseSecurityKey(ctx, k)
		must(t, err)
		return won
	}
	for _, c := range []struct {
		count uint32
		want  bool
	}{{0, true}, {0, true}, {5, true}, {5, false}, {0, false}, {4, false}, {6, true}, {4294967295, true}, {4294967295, false}} {
		if got := use(Kim.ID, c.count); got != c.want {
			t.Errorf("count %d: %v, want %v", c.count, got, c.want)
		}
	}
	wantEqual(t, use(Lee.ID, 4294967295), false)
	got, err := s.SecurityKeysOf(ctx, Kim.ID)
	must(t, err)
	k.SignCount, k.Record, k.BackedUp, k.LastUsed, k.LastIP = 4294967295, []byte{9}, false, base.Add(4294967295), "192.0.2.7"
	wantEqual(t, got, []auth.SecurityKey{k})

	n := storedKey("key_2", Kim.ID)
	n.SignCount = 1
	must(t, s.PutSecurityKey(ctx, n, 9))
	n.SignCount = 2
	wantEqual(t, race(t, func(int) bool {
		won, err := s.UseSecurityKey(ctx, n)
		return won && err == nil
	}), 1)
}

func testCeremonies(t *testing.T, s auth.Store) {
	ctx := t.Context()
	c := auth.Ceremony{Hash: "c1", Account: Kim.ID, Purpose: "login", Bound: "flow:1", State: []byte{7, 0}, Expires: base.Add(time.Minute)}
	stored := func(hash, bound string, now time.Time) bool {
		c := c
		c.Hash, c.Bound = hash, bound
		ok, err := s.PutCeremony(ctx, c, 2, now)
		must(t, err)
		return ok
	}
	wantEqual(t, stored("c1", "flow:1", base), true)
	wantEqual(t, race(t, func(int) bool {
		got, err := s.TakeCeremony(ctx, "c1")
		if err == nil {
			wantEqual(t, got, c)
		}
		return err == nil
	}), 1)
	_, err := s.TakeCeremony(ctx, "c1")
	wantMissing(t, err)
	wantEqual(t, stored("c2", "flow:1", base), true)
	wantEqual(t, stored("c3", "flow:1", base), false) // the answered one counts
	wantEqual(t, stored("c3", "flow:2", base), true)
	wantEqual(t, stored("c4", "flow:1", base.Add(time.Minute)), true) // both are over
	must(t, s.Expire(ctx, base.Add(2*time.Minute)))
	_, err = s.TakeCeremony(ctx, "c4")
	wantMissing(t, err)
	stray := c
	stray.Account, stray.Hash = "acc-nobody", "c5"
	if ok, err := s.PutCeremony(ctx, stray, 9, base); ok || err == nil {
		t.Fatal("a ceremony of nobody was stored")
	}
}

func testKeyAllowance(t *testing.T, s auth.Store) {
	ctx := t.Context()
	_, err := s.KeyAllowed(ctx, Kim.ID)
	wantMissing(t, err)
	a := auth.KeyAllowance{Account: Kim.ID, Session: "ses_1", Expires: base}
	must(t, s.AllowKey(ctx, a))
	a.Session, a.By = "", Ada.ID
	must(t, s.AllowKey(ctx, a))
	got, err := s.KeyAllowed(ctx, Kim.ID)
	must(t, err)
	wantEqual(t, got, a)
	must(t, s.PutSecurityKey(ctx, storedKey("key_1", Lee.ID), 9))
	_, err = s.KeyAllowed(ctx, Kim.ID)
	must(t, err)
	must(t, s.PutSecurityKey(ctx, storedKey("key_2", Kim.ID), 9)) // spends it
	_, err = s.KeyAllowed(ctx, Kim.ID)
	wantMissing(t, err)
	must(t, s.AllowKey(ctx, a))
	must(t, s.Expire(ctx, base.Add(time.Second)))
	_, err = s.KeyAllowed(ctx, Kim.ID)
	wantMissing(t, err)
	a.Account = "acc-nobody"
	if err := s.AllowKey(ctx, a); err == nil {
		t.Fatal("nobody was allowed a key")
	}
}

// testLastFactor removes an app and a key at the same time, a hundred times
// each: one of them stays.
func testLastFactor(t *testing.T, s auth.Store) {
	ctx := t.Context()
	enrol(t, s)
	c, err := s.Credential(ctx, Kim.ID)
	must(t, err)
	must(t, s.PutSecurityKey(ctx, storedKey("key_1", Kim.ID), 9))
	wins := race(t, func(i int) bool {
		if i%2 == 0 {
			return s.RemoveTOTP(ctx, Kim.ID, c.Devices[0].ID) == nil
		}
		return s.RemoveSecurityKey(ctx, Kim.ID, "key_1") == nil
	})
	wantEqual(t, wins, 1)
	c, err = s.Credential(ctx, Kim.ID)
	must(t, err)
	keys, err := s.SecurityKeysOf(ctx, Kim.ID)
	must(t, err)
	wantEqual(t, len(c.Devices)+len(keys), 1)
}
