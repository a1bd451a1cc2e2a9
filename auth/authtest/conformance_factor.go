package authtest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
)

// device returns the n-th device of an account, whose newest step is 100.
func device(id, account string, n int) auth.TOTPDevice {
	at := base.Add(time.Duration(n) * time.Minute)
	return auth.TOTPDevice{ID: id, Account: account, Name: "Phone " + id, Sealed: []byte(id), Created: at.Add(-time.Minute), Confirmed: at,
		LastStep: 100, LastUsed: at, LastOffset: -1}
}

// add gives the account a device.
func add(t *testing.T, s auth.Store, d auth.TOTPDevice) {
	t.Helper()
	must(t, s.PutPendingTOTP(t.Context(), pendingOf(d)))
	must(t, s.AddTOTP(t.Context(), d))
}

func pendingOf(d auth.TOTPDevice) auth.PendingTOTP {
	return auth.PendingTOTP{ID: d.ID, Account: d.Account, Owner: "s1", Name: d.Name, Sealed: d.Sealed, Created: base, Expires: base.Add(time.Hour)}
}

func devices(t *testing.T, s auth.Store, account string) []auth.TOTPDevice {
	t.Helper()
	c, err := s.Credential(t.Context(), account)
	must(t, err)
	return c.Devices
}

func wantError(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("error %v, want %v", got, want)
	}
}

func testSpendTOTP(t *testing.T, s auth.Store) {
	at := base.Add(time.Hour)
	spend := func(account string, spends ...auth.Spend) bool {
		t.Helper()
		won, err := s.SpendTOTP(t.Context(), account, at, spends)
		must(t, err)
		return won
	}
	wantEqual(t, spend(Kim.ID, auth.Spend{Device: "dev-kim", Step: 5}), false) // no device
	enrol(t, s)
	add(t, s, device("second", Kim.ID, 1))
	wantEqual(t, spend(Kim.ID), false)
	wantEqual(t, spend(Lee.ID, auth.Spend{Device: "dev-kim", Step: 150}), false) // another's
	for _, c := range []struct {
		step int64
		want bool
	}{{100, false}, {99, false}, {101, true}, {101, false}, {100, false}, {103, true}, {102, false}} {
		if won := spend(Kim.ID, auth.Spend{Device: "dev-kim", Step: c.step, Offset: 1}); won != c.want {
			t.Errorf("step %d: won %v, want %v", c.step, won, c.want)
		}
	}
	// All or nothing: the second's step stays while the first's is spent.
	wantEqual(t, spend(Kim.ID, auth.Spend{Device: "second", Step: 103}, auth.Spend{Device: "dev-kim", Step: 103}), false)
	got := devices(t, s, Kim.ID)
	first, second := device("dev-kim", Kim.ID, 0), device("second", Kim.ID, 1)
	first.LastStep, first.LastUsed, first.LastOffset = 103, at, 1
	wantEqual(t, got, []auth.TOTPDevice{first, second})
	wantEqual(t, spend(Kim.ID, auth.Spend{Device: "second", Step: 104}, auth.Spend{Device: "dev-kim", Step: 104}), true)
	wins := race(t, func(i int) bool {
		// Half of them in the other order.
		spends := []auth.Spend{{Device: "dev-kim", Step: 200}, {Device: "second", Step: 200}}
		if i%2 == 1 {
			spends[0], spends[1] = spends[1], spends[0]
		}
		won, err := s.SpendTOTP(t.Context(), Kim.ID, at, spends)
		if err != nil {
			t.Error(err)
		}
		return won && err == nil
	})
	wantEqual(t, wins, 1)
}

func testAddTOTP(t *testing.T, s auth.Store) {
	enrol(t, s)
	d := device("d1", Kim.ID, 1)
	wantMissing(t, s.AddTOTP(t.Context(), d)) // not begun
	must(t, s.PutPendingTOTP(t.Context(), pendingOf(d)))
	wrong := d
	wrong.Account = Lee.ID
	wantMissing(t, s.AddTOTP(t.Context(), wrong))
	wins := race(t, func(int) bool {
		err := s.AddTOTP(t.Context(), d)
		if err != nil && !errors.Is(err, auth.ErrNotFound) {
			t.Error(err)
		}
		return err == nil
	})
	wantEqual(t, wins, 1)
	wantEqual(t, devices(t, s, Kim.ID), []auth.TOTPDevice{device("dev-kim", Kim.ID, 0), d})
	_, err := s.PendingTOTP(t.Context(), Kim.ID)
	wantMissing(t, err)
	for i := 2; i < auth.MaxTOTP; i++ {
		add(t, s, device(fmt.Sprintf("d%d", i), Kim.ID, i))
	}
	one := device("one-more", Kim.ID, 9)
	must(t, s.PutPendingTOTP(t.Context(), pendingOf(one)))
	wantError(t, s.AddTOTP(t.Context(), one), auth.ErrTooMany)
	wantEqual(t, len(devices(t, s, Kim.ID)), auth.MaxTOTP)
	all, err := s.AllTOTP(t.Context())
	must(t, err)
	wantEqual(t, all, devices(t, s, Kim.ID))
	if err := s.PutPendingTOTP(t.Context(), pendingOf(device("x", "acc-nobody", 0))); err == nil {
		t.Fatal("a device of nobody was begun")
	}
}

func testRemoveTOTP(t *testing.T, s auth.Store) {
	enrol(t, s)
	second := device("second", Kim.ID, 1)
	add(t, s, second)
	wantMissing(t, s.RemoveTOTP(t.Context(), Lee.ID, "second"))
	wantMissing(t, s.RemoveTOTP(t.Context(), Kim.ID, "other"))
	wantMissing(t, s.RenameTOTP(t.Context(), Lee.ID, "second", "x"))
	must(t, s.RenameTOTP(t.Context(), Kim.ID, "second", "Tablet"))
	wantEqual(t, devices(t, s, Kim.ID)[1].Name, "Tablet")
	won, err := s.SpendTOTP(t.Context(), Kim.ID, base, []auth.Spend{{Device: "second", Step: 300}})
	must(t, err)
	wantEqual(t, won, true)
	must(t, s.RemoveTOTP(t.Context(), Kim.ID, "second"))
	wantEqual(t, devices(t, s, Kim.ID), []auth.TOTPDevice{device("dev-kim", Kim.ID, 0)})
	won, err = s.SpendTOTP(t.Context(), Kim.ID, base, []auth.Spend{{Device: "second", Step: 301}})
	must(t, err)
	wantEqual(t, won, false)
	wantError(t, s.RemoveTOTP(t.Context(), Kim.ID, "dev-kim"), auth.ErrLastFactor)
	// The steps of what was removed stay spent for what is added.
	third := device("third", Kim.ID, 2)
	must(t, s.PutPendingTOTP(t.Context(), pendingOf(third)))
	third.LastStep = 300
	wantError(t, s.AddTOTP(t.Context(), third), auth.ErrCodeSpent)
	third.LastStep = 301
	must(t, s.AddTOTP(t.Context(), third))
	// Of two that are removed at once one stays.
	ids := []string{"dev-kim", "third"}
	wins := race(t, func(i int) bool {
		err := s.RemoveTOTP(t.Context(), Kim.ID, ids[i%2])
		if err != nil && !errors.Is(err, auth.ErrNotFound) && !errors.Is(err, auth.ErrLastFactor) {
			t.Error(err)
		}
		return err == nil
	})
	wantEqual(t, wins, 1)
	wantEqual(t, len(devices(t, s, Kim.ID)), 1)
	// A reset begins anew.
	must(t, s.ResetCredential(t.Context(), Kim.ID))
	add(t, s, device("fresh", Kim.ID, 0))
}

func testPendingTOTP(t *testing.T, s auth.Store) {
	_, err := s.PendingTOTP(t.Context(), Kim.ID)
	wantMissing(t, err)
	p, q := pendingOf(device("p", Kim.ID, 0)), pendingOf(device("q", Kim.ID, 0))
	must(t, s.PutPendingTOTP(t.Context(), p))
	must(t, s.PutPendingTOTP(t.Context(), q))
	got, err := s.PendingTOTP(t.Context(), Kim.ID)
	must(t, err)
	wantEqual(t, got, q)
	must(t, s.DeletePendingTOTP(t.Context(), Kim.ID, "p")) // not that one
	must(t, s.DeletePendingTOTP(t.Context(), Lee.ID, "q")) // not hers
	must(t, s.Expire(t.Context(), base.Add(time.Hour)))
	if _, err = s.PendingTOTP(t.Context(), Kim.ID); err != nil {
		t.Fatal(err)
	}
	must(t, s.Expire(t.Context(), base.Add(time.Hour+time.Nanosecond)))
	_, err = s.PendingTOTP(t.Context(), Kim.ID)
	wantMissing(t, err)
	must(t, s.PutPendingTOTP(t.Context(), q))
	must(t, s.DeletePendingTOTP(t.Context(), Kim.ID, "q"))
	_, err = s.PendingTOTP(t.Context(), Kim.ID)
	wantMissing(t, err)
	must(t, s.PutPendingTOTP(t.Context(), q))
	must(t, s.ResetCredential(t.Context(), Kim.ID))
	_, err = s.PendingTOTP(t.Context(), Kim.ID)
	wantMissing(t, err)
}

func testResealTOTP(t *testing.T, s auth.Store) {
	must(t, s.PutInvitation(t.Context(), auth.Invitation{Hash: "inv", Account: Kim.ID, Created: base, Expires: base.Add(time.Hour), By: auth.Operator}))
	e := auth.Enrolment{Hash: "enr", Account: Kim.ID, Step: auth.StepTOTP, Secret: []byte{1, 2}, Expires: base.Add(time.Hour), PasswordSet: base}
	must(t, s.AcceptInvitation(t.Context(), "inv", "hash", e))
	d := device("old", Kim.ID, 0)
	d.Legacy = true
	must(t, s.ConfirmEnrolment(t.Context(), e, auth.Credential{Devices: []auth.TOTPDevice{d}}))
	wantEqual(t, devices(t, s, Kim.ID), []auth.TOTPDevice{d})
	must(t, s.ResealTOTP(t.Context(), "old", []byte("another"), []byte("new")))
	wantEqual(t, devices(t, s, Kim.ID), []auth.TOTPDevice{d})
	must(t, s.ResealTOTP(t.Context(), "old", []byte("old"), []byte("new")))
	d.Sealed, d.Legacy = []byte("new"), false
	wantEqual(t, devices(t, s, Kim.ID), []auth.TOTPDevice{d})
}
