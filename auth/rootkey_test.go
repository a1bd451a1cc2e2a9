package auth_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
)

var newRoot = bytes.Repeat([]byte{0x5a}, 32)

// TestRootKey_Rotated: people sign in before, during and after the root key is
// changed on a gateway that runs, and afterwards the old key opens nothing.
func TestRootKey_Rotated(t *testing.T) {
	store := authtest.New(authtest.Everyone()...)
	gateway := authtest.NewEnv(t, store, nil)
	p := gateway.Enrol(t, authtest.Kim)
	cookie, _ := gateway.SignIn(t, p)
	oldID := gateway.RootKey()

	// Without the old key the store cannot be used, and nothing changes.
	if _, err := gateway.PrepareRootKeys(t.Context(), newRoot); !isRootKeyError(err, oldID) {
		t.Errorf("the new key alone: %v", err)
	}
	take, err := gateway.PrepareRootKeys(t.Context(), newRoot, authtest.RootKey())
	if err != nil {
		t.Fatal(err)
	}
	if gateway.RootKey() != oldID {
		t.Error("it is in force before it is taken")
	}
	take()
	if gateway.RootKey() == oldID {
		t.Error("it is not in force")
	}
	gateway.SignIn(t, p) // nothing is re-sealed yet

	// A command re-seals while somebody signs in between two transactions.
	command := authtest.NewEnv(t, store, func(c *auth.Config) { c.RootKey, c.OldRootKeys = newRoot, [][]byte{authtest.RootKey()} })
	total, signedIn := 0, false
	counts, err := command.Sealed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range counts {
		total += n
	}
	done, err := command.Reseal(t.Context(), authtest.Operator, func(n, of int) {
		if !signedIn {
			gateway.SignIn(t, p)
			signedIn = true
		}
		if of != total || n > of {
			t.Errorf("%d of %d are done, there are %d", n, of, total)
		}
	})
	if err != nil || done.Values != total || !signedIn {
		t.Fatalf("re-sealed %d of %d, %v", done.Values, total, err)
	}
	if counts, err = command.Sealed(t.Context()); err != nil || len(counts) != 1 || counts[gateway.RootKey()] != total {
		t.Errorf("sealed %v, %v", counts, err)
	}
	if again, err := command.Reseal(t.Context(), authtest.Operator, nil); err != nil || again.Values != 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	if n := count(command.Recorder.Actions(), "key.reseal"); n != 2 {
		t.Errorf("%d records of it, want one before and one after", n)
	}
	if err := gateway.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	gateway.SignIn(t, p)
	if gateway.Who(t, cookie, authtest.GateHost).Account != p.ID {
		t.Error("sessions of before have ended")
	}

	// After it, the new key alone does everything, and the old one nothing.
	alone := authtest.NewEnv(t, store, func(c *auth.Config) { c.RootKey = newRoot })
	alone.Clock.Advance(gateway.Clock.Now().Sub(alone.Clock.Now()))
	alone.SignIn(t, p)
	cfg := auth.Config{Store: store, Recorder: new(authtest.Recorder), RootKey: authtest.RootKey(), Issuer: authtest.Issuer}
	if _, err := auth.New(cfg); !isRootKeyError(err, gateway.RootKey()) {
		t.Errorf("the old key alone: %v", err)
	}
	all, err := store.SealedValues(t.Context(), "none", 1000)
	if err != nil || len(all) != total {
		t.Fatalf("%d values, %v", len(all), err)
	}
	for _, v := range all {
		if _, err := auth.OpenAt(v, authtest.RootKey()); err == nil {
			t.Errorf("the old key opens %+v", v.Place)
		}
		if _, err := auth.OpenAt(v, newRoot); err != nil {
			t.Errorf("the new key does not open %+v: %v", v.Place, err)
		}
	}
}

func isRootKeyError(err error, id string) bool {
	var r *auth.RootKeyError
	return errors.As(err, &r) && r.ID == id && r.Values > 0
}

func count(list []string, want string) int {
	return len(slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s != want }))
}

// TestPepper_OfBefore: a deployment whose pepper derived from its root key
// keeps its passwords, also when the root key is changed with the upgrade.
func TestPepper_OfBefore(t *testing.T) {
	for name, edit := range map[string]func(*auth.Config){
		"the same root key": nil,
		"another root key":  func(c *auth.Config) { c.RootKey, c.OldRootKeys = newRoot, [][]byte{authtest.RootKey()} },
	} {
		store := authtest.New(authtest.Everyone()...)
		before := authtest.NewEnv(t, store, func(c *auth.Config) { c.NoPepper = true })
		p := before.Enrol(t, authtest.Kim)
		c, err := store.Credential(t.Context(), p.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.ReplacePassword(t.Context(), p.ID, c.PasswordHash, auth.HashBefore(t, authtest.RootKey(), p.ID, p.Password)); err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			e := authtest.NewEnv(t, store, edit)
			e.SignIn(t, p)
			if _, err := e.Login(t.Context(), p.Origin, p.Email, p.Password+"x"); !errors.Is(err, auth.ErrBadCredentials) {
				t.Errorf("a wrong password: %v", err)
			}
		})
	}
}

// TestPepper_IsKept: the pepper is one secret for all processes, and not that
// of another deployment with the same root key.
func TestPepper_IsKept(t *testing.T) {
	store := authtest.New(authtest.Everyone()...)
	p := authtest.NewEnv(t, store, nil).Enrol(t, authtest.Kim)
	authtest.NewEnv(t, store, nil).SignIn(t, p)

	other := authtest.New(authtest.Everyone()...)
	e := authtest.NewEnv(t, other, nil)
	e.Enrol(t, authtest.Kim)
	mine, err := store.Credential(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := other.Credential(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.ReplacePassword(t.Context(), p.ID, theirs.PasswordHash, mine.PasswordHash); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Login(t.Context(), p.Origin, p.Email, p.Password); !errors.Is(err, auth.ErrBadCredentials) {
		t.Errorf("a hash of another deployment: %v", err)
	}
}
