package authtest

import (
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
)

// TestStore is the test that every [auth.Store] must pass. open returns an
// empty store that knows the accounts and nothing else.
func TestStore(t *testing.T, open func(t *testing.T, accounts []auth.Account) auth.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, auth.Store)
	}{
		{"Accounts", testAccounts},
		{"Password", testPassword},
		{"Invitation", testInvitation},
		{"Enrolment", testEnrolment},
		{"SpendTOTP", testSpendTOTP},
		{"AddTOTP", testAddTOTP},
		{"RemoveTOTP", testRemoveTOTP},
		{"PendingTOTP", testPendingTOTP},
		{"ResealTOTP", testResealTOTP},
		{"RecoveryCode", testRecoveryCode},
		{"Flow", testFlow},
		{"Failures", testFailures},
		{"Session", testSession},
		{"Token", testToken},
		{"EndAccount", testEndAccount},
		{"Reset", testReset},
		{"Expire", testExpire},
		{"SigningKey", testSigningKey},
		{"Rotation", testRotation},
		{"Notices", testNotices},
		{"ExternalSignIn", testExternalSignIn},
		{"PinnedSubject", testPinnedSubject},
		{"PasswordFailures", testPasswordFailures},
		{"ChangePassword", testChangePassword},
		{"ReplaceRecovery", testReplaceRecovery},
		{"AddRecovery", testAddRecovery},
		{"TryInvitation", testTryInvitation},
		{"Warnings", testWarnings},
		{"SecurityKeys", testSecurityKeys},
		{"LastFactor", testLastFactor},
		{"SecurityKeyCount", testSecurityKeyCount},
		{"Ceremonies", testCeremonies},
		{"KeyAllowance", testKeyAllowance},
		{"SessionStates", testSessionStates},
		{"EndMany", testEndMany},
		{"TokenFields", testTokenFields},
		{"Machine", testMachine},
		{"DeviceGrant", testDeviceGrant},
		{"DeviceTries", testDeviceTries},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t, Everyone())) })
	}
	t.Run("ParallelCodes", func(t *testing.T) { testParallelCodes(t, open(t, Everyone())) })
	t.Run("ParallelGuesses", func(t *testing.T) { testParallelGuesses(t, open(t, Everyone())) })
}

// base is a moment that a database must give back unchanged: UTC, nanoseconds.
var base = time.Date(2026, 1, 5, 9, 0, 0, 123456789, time.UTC)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantMissing(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, auth.ErrNotFound) {
		t.Fatalf("error %v, want ErrNotFound", err)
	}
}

func wantEqual[T any](t *testing.T, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

// race runs f a hundred times at once and returns how many said true.
func race(t *testing.T, f func(i int) bool) int {
	t.Helper()
	var wins atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range 100 {
		wg.Go(func() {
			<-start
			if f(i) {
				wins.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	return int(wins.Load())
}

func testAccounts(t *testing.T, s auth.Store) {
	for _, want := range Everyone() {
		got, err := s.Account(t.Context(), want.ID)
		must(t, err)
		wantEqual(t, got, want)
		got, err = s.AccountByEmail(t.Context(), want.Email)
		must(t, err)
		wantEqual(t, got, want)
	}
	_, err := s.Account(t.Context(), "")
	wantMissing(t, err)
	_, err = s.AccountByEmail(t.Context(), "nobody@example.com")
	wantMissing(t, err)
	got, err := s.SignedIn(t.Context())
	must(t, err)
	wantEqual(t, len(got), 0)
}

// enrol gives Kim a password and a factor.
func enrol(t *testing.T, s auth.Store) auth.Credential {
	t.Helper()
	must(t, s.PutInvitation(t.Context(), auth.Invitation{Hash: "inv", Account: Kim.ID, Created: base, Expires: base.Add(time.Hour), By: auth.Operator}))
	e := auth.Enrolment{Hash: "enr", Account: Kim.ID, Step: auth.StepTOTP, Secret: []byte{1, 2}, Expires: base.Add(time.Hour), PasswordSet: base}
	must(t, s.AcceptInvitation(t.Context(), "inv", "hash", e))
	e.Recovery, e.Confirmed = []byte{3}, base.Add(time.Second)
	d := device("dev-kim", Kim.ID, 0)
	factor := auth.Credential{Devices: []auth.TOTPDevice{d}, Recovery: []auth.RecoveryCode{{Slot: 0, Hash: "a"}, {Slot: 1, Hash: "b"}}}
	must(t, s.ConfirmEnrolment(t.Context(), e, factor))
	factor.Confirmed = d.Confirmed
	factor.PasswordHash, factor.PasswordSet = "hash", base
	return factor
}

func testPassword(t *testing.T, s auth.Store) {
	c, err := s.Credential(t.Context(), Kim.ID)
	must(t, err)
	wantEqual(t, c, auth.Credential{})
	want := enrol(t, s)
	c, err = s.Credential(t.Context(), Kim.ID)
	must(t, err)
	wantEqual(t, c, want)
	must(t, s.ReplacePassword(t.Context(), Kim.ID, "other", "newer"))
	must(t, s.ReplacePassword(t.Context(), Lee.ID, "", "newer"))
	c, err = s.Credential(t.Context(), Kim.ID)
	must(t, err)
	wantEqual(t, c.PasswordHash, "hash")
	must(t, s.ReplacePassword(t.Context(), Kim.ID, "hash", "newer"))
	c, err = s.Credential(t.Context(), Kim.ID)
	must(t, err)
	wantEqual(t, c.PasswordHash, "newer")
	c, err = s.Credential(t.Context(), Lee.ID)
	must(t, err)
	wantEqual(t, c, auth.Credential{})
}

func testInvitation(t *testing.T, s auth.Store) {
	inv := auth.Invitation{Hash: "one", Account: Kim.ID, Created: base, Expires: base.Add(time.Hour), By: auth.Operator}
	must(t, s.PutInvitation(t.Context(), inv))
	got, err := s.Invitation(t.Context(), "one")
	must(t, err)
	wantEqual(t, got, inv)
	second := inv
	second.Hash = "two"
	must(t, s.PutInvitation(t.Context(), second))
	_, err = s.Invitation(t.Context(), "one") // a new one voids the old
	wantMissing(t, err)
	stray := inv
	stray.Account, stray.Hash = "acc-nobody", "three"
	if err := s.PutInvitation(t.Context(), stray); err == nil {
		t.Fatal("an invitation for nobody was stored")
	}
	// It is good for its own account alone, and once.
	wantMissing(t, s.AcceptInvitation(t.Context(), "two", "h", auth.Enrolment{Hash: "x", Account: Lee.ID, Step: auth.StepTOTP, Secret: []byte{1}, Expires: base, PasswordSet: base}))
	wins := race(t, func(int) bool {
		err := s.AcceptInvitation(t.Context(), "two", "h", auth.Enrolment{Hash: "e", Account: Kim.ID, Step: auth.StepTOTP, Secret: []byte{1}, Expires: base, PasswordSet: base})
		if err != nil && !errors.Is(err, auth.ErrNotFound) {
			t.Error(err)
		}
		return err == nil
	})
	wantEqual(t, wins, 1)
	_, err = s.Invitation(t.Context(), "two")
	wantMissing(t, err)
}

func testEnrolment(t *testing.T, s auth.Store) {
	must(t, s.PutInvitation(t.Context(), auth.Invitation{Hash: "inv", Account: Kim.ID, Created: base, Expires: base.Add(time.Hour), By: auth.Operator}))
	e := auth.Enrolment{Hash: "enr", Account: Kim.ID, Step: auth.StepTOTP, Secret: []byte{1, 2}, Expires: base.Add(time.Hour), PasswordSet: base}
	must(t, s.AcceptInvitation(t.Context(), "inv", "hash", e))
	got, err := s.Enrolment(t.Context(), "enr")
	must(t, err)
	wantEqual(t, got, e)
	wantMissing(t, s.EndEnrolment(t.Context(), "enr")) // not at this step
	e.Recovery, e.Confirmed = []byte{9}, base.Add(time.Minute)
	factor := auth.Credential{Devices: []auth.TOTPDevice{device("dev-kim", Kim.ID, 0)}, Recovery: []auth.RecoveryCode{{Slot: 0, Hash: "a"}}}
	wrong := e
	wrong.Account = Lee.ID
	wantMissing(t, s.ConfirmEnrolment(t.Context(), wrong, factor))
	wins := race(t, func(int) bool { return s.ConfirmEnrolment(t.Context(), e, factor) == nil })
	wantEqual(t, wins, 1)
	e.Step = auth.StepRecovery
	got, err = s.Enrolment(t.Context(), "enr")
	must(t, err)
	wantEqual(t, got, e)
	wantEqual(t, race(t, func(int) bool { return s.EndEnrolment(t.Context(), "enr") == nil }), 1)
	_, err = s.Enrolment(t.Context(), "enr")
	wantMissing(t, err)
}

func testRecoveryCode(t *testing.T, s auth.Store) {
	enrol(t, s)
	wins := race(t, func(int) bool {
		won, err := s.UseRecovery(t.Context(), Kim.ID, 1, base)
		return won && err == nil
	})
	wantEqual(t, wins, 1)
	c, err := s.Credential(t.Context(), Kim.ID)
	must(t, err)
	wantEqual(t, c.Recovery, []auth.RecoveryCode{{Slot: 0, Hash: "a"}, {Slot: 1, Hash: "b", Used: base}})
	won, err := s.UseRecovery(t.Context(), Kim.ID, 5, base)
	must(t, err)
	wantEqual(t, won, false)
}

func testFlow(t *testing.T, s auth.Store) {
	f := auth.Flow{Hash: "f", Account: Kim.ID, PasswordAt: base, Expires: base.Add(time.Minute)}
	must(t, s.PutFlow(t.Context(), f))
	got, err := s.Flow(t.Context(), "f")
	must(t, err)
	wantEqual(t, got, f)
	wins := race(t, func(int) bool {
		won, err := s.TakeFlow(t.Context(), "f")
		return won && err == nil
	})
	wantEqual(t, wins, 1)
	_, err = s.Flow(t.Context(), "f")
	wantMissing(t, err)
}
