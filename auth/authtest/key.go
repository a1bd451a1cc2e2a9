package authtest

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
)

// AllKeys implements [auth.Rotation].
func (s *Store) AllKeys(context.Context) ([]auth.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.keys)
	slices.SortStableFunc(all, func(a, b auth.SigningKey) int { return a.Created.Compare(b.Created) })
	return all, nil
}

// PutKey implements [auth.Rotation].
func (s *Store) PutKey(_ context.Context, k auth.SigningKey) error {
	return s.write("PutKey", func() error { s.keys = append(s.keys, k); return nil })
}

// RevokeKey implements [auth.Rotation].
func (s *Store) RevokeKey(_ context.Context, id string, next *auth.SigningKey) error {
	return s.write("RevokeKey", func() error {
		at := slices.IndexFunc(s.keys, func(k auth.SigningKey) bool { return k.ID == id })
		if at < 0 {
			return auth.ErrNotFound
		}
		s.keys = slices.Delete(slices.Clone(s.keys), at, at+1)
		if next != nil {
			s.keys = append(s.keys, *next)
		}
		return nil
	})
}

// Secret implements [auth.Rotation].
func (s *Store) Secret(_ context.Context, name string) (auth.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.secrets[name]; ok {
		return v, nil
	}
	return auth.Secret{}, auth.ErrNotFound
}

// EnsureSecret implements [auth.Rotation].
func (s *Store) EnsureSecret(_ context.Context, v auth.Secret) (auth.Secret, error) {
	err := s.write("EnsureSecret", func() error {
		if have, ok := s.secrets[v.Name]; ok {
			v = have
			return nil
		}
		put(&s.secrets, v.Name, v)
		return nil
	})
	return v, err
}

// sealed visits every sealed value: visit may return another to put in its place.
func (s *Store) sealed(visit func(v auth.SealedValue) []byte) {
	for i := range s.keys {
		k := &s.keys[i]
		k.Sealed = visit(auth.SealedValue{Place: auth.Place{Table: "signing_key", Column: "sealed", Row: k.Purpose + "/" + k.ID}, Sealed: k.Sealed})
	}
	for name, v := range s.secrets {
		v.Sealed = visit(auth.SealedValue{Place: auth.Place{Table: "secret", Column: "sealed", Row: name}, Sealed: v.Sealed})
		s.secrets[name] = v
	}
	s.sealedFactors(visit)
	for id, k := range s.keysOf.keys {
		k.Record = visit(auth.SealedValue{Place: auth.Place{Table: "security_key", Column: "record", Row: k.Account + "/" + k.ID}, Sealed: k.Record})
		s.keysOf.keys[id] = k
	}
	for hash, c := range s.keysOf.ceremonies {
		c.State = visit(auth.SealedValue{Place: auth.Place{Table: "key_ceremony", Column: "state", Row: c.Hash + "/" + c.Purpose + "/" + c.Bound}, Sealed: c.State})
		s.keysOf.ceremonies[hash] = c
	}
	for key, e := range s.enrolments {
		if e.Secret != nil {
			e.Secret = visit(auth.SealedValue{Place: auth.Place{Table: "credential", Column: "totp", Row: e.Account}, Sealed: e.Secret})
		}
		if e.Recovery != nil {
			e.Recovery = visit(auth.SealedValue{Place: auth.Place{Table: "enrolment", Column: "recovery", Row: e.Hash}, Sealed: e.Recovery})
		}
		s.enrolments[key] = e
	}
}

const sealedID = 8 // the length of the root key's id before a sealed value

// CountSealed implements [auth.Rotation].
func (s *Store) CountSealed(context.Context) (map[string]int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]int{}
	s.sealed(func(v auth.SealedValue) []byte {
		if len(v.Sealed) >= sealedID {
			counts[string(v.Sealed[:sealedID])]++
		}
		return v.Sealed
	})
	return counts, nil
}

// SealedValues implements [auth.Rotation].
func (s *Store) SealedValues(_ context.Context, not string, limit int) ([]auth.SealedValue, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []auth.SealedValue
	s.sealed(func(v auth.SealedValue) []byte {
		if !bytes.HasPrefix(v.Sealed, []byte(not)) && len(out) < limit {
			out = append(out, auth.SealedValue{Place: v.Place, Sealed: slices.Clone(v.Sealed)})
		}
		return v.Sealed
	})
	return out, nil
}

// Reseal implements [auth.Rotation].
func (s *Store) Reseal(_ context.Context, was []auth.SealedValue, now [][]byte) (int, error) {
	n := 0
	err := s.write("Reseal", func() error {
		s.sealed(func(v auth.SealedValue) []byte {
			for i := range was {
				if was[i].Place == v.Place && bytes.Equal(was[i].Sealed, v.Sealed) {
					n++
					return slices.Clone(now[i])
				}
			}
			return v.Sealed
		})
		return nil
	})
	return n, err
}

// testRotation holds a store to [auth.Rotation].
func testRotation(t *testing.T, s auth.Store) {
	ctx := t.Context()
	key := func(id, purpose string, at time.Time) auth.SigningKey {
		return auth.SigningKey{ID: id, Purpose: purpose, Sealed: []byte("00000001" + id), Created: at}
	}
	must(t, s.PutKey(ctx, key("b", "session", base.Add(time.Second))))
	must(t, s.PutKey(ctx, key("a", "device", base)))
	all, err := s.AllKeys(ctx)
	must(t, err)
	wantEqual(t, all, []auth.SigningKey{key("a", "device", base), key("b", "session", base.Add(time.Second))})

	wantMissing(t, s.RevokeKey(ctx, "none", &auth.SigningKey{ID: "x", Purpose: "session", Sealed: []byte("00000001x"), Created: base}))
	next := key("c", "session", base.Add(2*time.Second))
	must(t, s.RevokeKey(ctx, "b", &next))
	must(t, s.RevokeKey(ctx, "a", nil))
	all, err = s.AllKeys(ctx)
	must(t, err)
	wantEqual(t, all, []auth.SigningKey{next})

	_, err = s.Secret(ctx, "pepper")
	wantMissing(t, err)
	var mu sync.Mutex
	seen := map[string]bool{}
	race(t, func(i int) bool {
		v, err := s.EnsureSecret(ctx, auth.Secret{Name: "pepper", Sealed: []byte("00000001" + string(rune('A'+i))), Created: base})
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		seen[string(v.Sealed)] = true
		return true
	})
	wantEqual(t, len(seen), 1) // every process has the same
	kept, err := s.Secret(ctx, "pepper")
	must(t, err)
	wantEqual(t, seen[string(kept.Sealed)] && kept.Created.Equal(base), true)
	testReseal(t, s, kept)
}

// testReseal finds one key and one secret under 00000001, and re-seals them.
func testReseal(t *testing.T, s auth.Store, pepper auth.Secret) {
	ctx := t.Context()
	counts, err := s.CountSealed(ctx)
	must(t, err)
	wantEqual(t, counts, map[string]int{"00000001": 2})
	some, err := s.SealedValues(ctx, "00000002", 1)
	must(t, err)
	wantEqual(t, len(some), 1)
	was, err := s.SealedValues(ctx, "00000002", 10)
	must(t, err)
	wantEqual(t, len(was), 2)
	now := make([][]byte, len(was))
	for i, v := range was {
		want := map[string]string{"signing_key": "session/c", "secret": "pepper"}[v.Table]
		if v.Column != "sealed" || v.Row != want {
			t.Errorf("a sealed value stands at %+v", v.Place)
		}
		now[i] = []byte("00000002" + v.Row)
	}
	// What another process has written meanwhile stays as it is.
	stale := slices.Clone(was)
	stale[0].Sealed = []byte("00000001other")
	n, err := s.Reseal(ctx, stale, now)
	must(t, err)
	wantEqual(t, n, 1)
	n, err = s.Reseal(ctx, was, now)
	must(t, err)
	wantEqual(t, n, 1)
	counts, err = s.CountSealed(ctx)
	must(t, err)
	wantEqual(t, counts, map[string]int{"00000002": 2})
	left, err := s.SealedValues(ctx, "00000002", 10)
	must(t, err)
	wantEqual(t, len(left), 0)
	kept, err := s.Secret(ctx, pepper.Name)
	must(t, err)
	wantEqual(t, string(kept.Sealed), "00000002pepper")
}

// sealedFactors visits the secrets of authenticator apps.
func (s *Store) sealedFactors(visit func(v auth.SealedValue) []byte) {
	for id, d := range s.factors.devices {
		at := auth.Place{Table: "totp_device", Column: "sealed", Row: d.Account + "/" + d.ID}
		if d.Legacy {
			at = auth.Place{Table: "credential", Column: "totp", Row: d.Account}
		}
		d.Sealed = visit(auth.SealedValue{Place: at, Sealed: d.Sealed})
		s.factors.devices[id] = d
	}
	for account, p := range s.factors.pending {
		p.Sealed = visit(auth.SealedValue{Place: auth.Place{Table: "totp_device", Column: "sealed", Row: p.Account + "/" + p.ID}, Sealed: p.Sealed})
		s.factors.pending[account] = p
	}
}
