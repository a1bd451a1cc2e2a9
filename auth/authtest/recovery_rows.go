package authtest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
)

func testPasswordFailures(t *testing.T, s auth.Store) {
	ctx := t.Context()
	got, err := s.PasswordFailure(ctx, "k")
	must(t, err)
	wantEqual(t, got, auth.PasswordFailure{})
	want := auth.PasswordFailure{Count: 3, Next: base.Add(time.Minute), Seen: base, Told: true}
	must(t, s.EditPasswordFailure(ctx, "k", 10, func(f auth.PasswordFailure) auth.PasswordFailure {
		wantEqual(t, f, auth.PasswordFailure{})
		return want
	}))
	got, err = s.PasswordFailure(ctx, "k")
	must(t, err)
	wantEqual(t, got, want)
	// No edit is lost.
	race(t, func(int) bool {
		err := s.EditPasswordFailure(ctx, "k", 10, func(f auth.PasswordFailure) auth.PasswordFailure { f.Count++; return f })
		if err != nil {
			t.Error(err)
		}
		return err == nil
	})
	got, err = s.PasswordFailure(ctx, "k")
	must(t, err)
	wantEqual(t, got.Count, 103)
	// What is emptied is gone, and there are never more than were asked for: the oldest go.
	must(t, s.EditPasswordFailure(ctx, "k", 10, func(auth.PasswordFailure) auth.PasswordFailure { return auth.PasswordFailure{} }))
	for i := range 25 {
		must(t, s.EditPasswordFailure(ctx, fmt.Sprint(i), 10, func(f auth.PasswordFailure) auth.PasswordFailure {
			return auth.PasswordFailure{Count: 1, Seen: base.Add(time.Duration(i) * time.Second)}
		}))
	}
	count := func() (n int) {
		for i := range 25 {
			got, err := s.PasswordFailure(ctx, fmt.Sprint(i))
			must(t, err)
			if got.Count > 0 {
				if i < 15 {
					t.Errorf("the old count %d stayed", i)
				}
				n++
			}
		}
		return n
	}
	wantEqual(t, count(), 10)
	must(t, s.ExpirePasswordFailures(ctx, base.Add(20*time.Second)))
	wantEqual(t, count(), 5)
}

func testChangePassword(t *testing.T, s auth.Store) {
	ctx := t.Context()
	enrol(t, s)
	c, err := s.Credential(ctx, Kim.ID)
	must(t, err)
	openAll(t, s, Kim.ID, "kim")
	must(t, s.PutSession(ctx, storedSession("s-other", Kim.ID)))
	openAll(t, s, Lee.ID, "lee")
	putMachine(t, s, storedMachine("m-lee", Lee.ID))
	putMachine(t, s, storedMachine("m-kim", Kim.ID))
	approve(t, s, "g-open", Kim.ID)
	must(t, s.DeleteSessions(ctx, []string{"s1"}))
	change := auth.PasswordChange{Account: Kim.ID, Old: c.PasswordHash, New: "new", At: base.Add(time.Hour), Session: "s-kim", Epoch: 1}
	for what, edit := range map[string]func(*auth.PasswordChange){
		"another hash":             func(c *auth.PasswordChange) { c.Old = "else" },
		"no hash":                  func(c *auth.PasswordChange) { c.Old = "" },
		"another epoch":            func(c *auth.PasswordChange) { c.Epoch = 2 },
		"somebody else's session":  func(c *auth.PasswordChange) { c.Session = "s-lee" },
		"a session that is gone":   func(c *auth.PasswordChange) { c.Session = "s-gone" },
		"an account without a row": func(c *auth.PasswordChange) { c.Account = Lee.ID },
	} {
		bad := change
		bad.EndOthers = true
		edit(&bad)
		if err := s.ChangePassword(ctx, bad); !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	all, err := s.Sessions(ctx)
	must(t, err)
	wantEqual(t, len(all), 3) // nothing was done by halves
	must(t, s.ChangePassword(ctx, change))
	c, err = s.Credential(ctx, Kim.ID)
	must(t, err)
	wantEqual(t, c.PasswordHash, "new")
	wantEqual(t, c.PasswordSet, change.At)
	_, err = s.Flow(ctx, "f-kim") // the old password was proved there
	wantMissing(t, err)
	tokens, err := s.AllTokens(ctx)
	must(t, err)
	wantEqual(t, len(tokens), 2)

	change.Old, change.New, change.Epoch, change.EndOthers = "new", "newer", 2, true
	wins := race(t, func(int) bool { return s.ChangePassword(ctx, change) == nil })
	wantEqual(t, wins, 1)
	all, err = s.Sessions(ctx)
	must(t, err)
	wantEqual(t, len(all), 2)
	for _, x := range all {
		if x.Account == Kim.ID && (x.ID != "s-kim" || x.Epoch != 3 || !x.PasswordAt.Equal(change.At)) {
			t.Errorf("the session that goes on is %+v", x)
		}
	}
	tokens, err = s.AllTokens(ctx)
	must(t, err)
	wantEqual(t, tokens, []auth.Token{tokenOf("lee", Lee.ID)})
	machines, err := s.Machines(ctx)
	must(t, err)
	wantEqual(t, machines, []auth.Machine{storedMachine("m-lee", Lee.ID)})
	_, err = s.DeviceGrant(ctx, "g-open")
	wantMissing(t, err)
}

func testReplaceRecovery(t *testing.T, s auth.Store) {
	ctx := t.Context()
	set := []auth.RecoveryCode{{Slot: 0, Hash: "x"}, {Slot: 1, Hash: "y"}, {Slot: 2, Hash: "z"}}
	wantMissing(t, s.ReplaceRecovery(ctx, Lee.ID, set)) // has nothing to sign in with
	enrol(t, s)
	must(t, s.ReplaceRecovery(ctx, Kim.ID, set))
	c, err := s.Credential(ctx, Kim.ID)
	must(t, err)
	wantEqual(t, c.Recovery, set)

	// Whom a company vouches for has no password, and codes all the same.
	must(t, s.PutInvitation(ctx, auth.Invitation{Hash: "inv-lee", Account: Lee.ID, Created: base, Expires: base.Add(time.Hour), By: auth.Operator}))
	e := auth.Enrolment{Hash: "enr-lee", Account: Lee.ID, Step: auth.StepTOTP, Secret: []byte{1, 2}, Expires: base.Add(time.Hour), PasswordSet: base, External: auth.External{At: base}}
	must(t, s.AcceptInvitation(ctx, "inv-lee", "", e))
	e.Recovery, e.Confirmed = []byte{3}, base.Add(time.Second)
	must(t, s.ConfirmEnrolment(ctx, e, auth.Credential{Devices: []auth.TOTPDevice{device("dev-lee", Lee.ID, 0)}, Recovery: []auth.RecoveryCode{{Slot: 0, Hash: "l"}}}))
	must(t, s.ReplaceRecovery(ctx, Lee.ID, set))
	c, err = s.Credential(ctx, Lee.ID)
	must(t, err)
	wantEqual(t, c.Recovery, set)
}

func testAddRecovery(t *testing.T, s auth.Store) {
	ctx := t.Context()
	enrol(t, s)
	for what, spent := range map[string]auth.RecoveryCode{"another slot": {Slot: 7, Hash: "a"}, "another hash": {Slot: 0, Hash: "b"}} {
		added, err := s.AddRecovery(ctx, Kim.ID, spent, "c")
		must(t, err)
		if added {
			t.Errorf("%s: a code was added", what)
		}
	}
	wins := race(t, func(i int) bool {
		added, err := s.AddRecovery(ctx, Kim.ID, auth.RecoveryCode{Slot: 0, Hash: "a"}, fmt.Sprint("c", i))
		return added && err == nil
	})
	wantEqual(t, wins, 100) // each in a slot of its own
	c, err := s.Credential(ctx, Kim.ID)
	must(t, err)
	wantEqual(t, len(c.Recovery), 102)
	// Once the set was replaced, nothing of the old one comes back.
	must(t, s.ReplaceRecovery(ctx, Kim.ID, []auth.RecoveryCode{{Slot: 0, Hash: "x"}}))
	added, err := s.AddRecovery(ctx, Kim.ID, auth.RecoveryCode{Slot: 0, Hash: "a"}, "late")
	must(t, err)
	wantEqual(t, added, false)
}

func testTryInvitation(t *testing.T, s auth.Store) {
	ctx := t.Context()
	_, err := s.TryInvitation(ctx, "none", 10)
	wantMissing(t, err)
	yes, err := s.InvitedByPhone(ctx, Kim.ID)
	must(t, err)
	wantEqual(t, yes, false)
	inv := auth.Invitation{Hash: "one", Account: Kim.ID, Created: base, Expires: base.Add(time.Hour), By: auth.Operator, Phone: "phc"}
	must(t, s.PutInvitation(ctx, inv))
	var most atomic.Int64
	wins := race(t, func(int) bool {
		n, err := s.TryInvitation(ctx, "one", 10)
		if err == nil && int64(n) > most.Load() {
			most.Store(int64(n))
		}
		return err == nil
	})
	wantEqual(t, wins, 10)
	inv.Tries = 10
	got, err := s.Invitation(ctx, "one")
	must(t, err)
	wantEqual(t, got, inv)
	// A reset keeps that there was a second secret; a new invitation has tries of its own.
	must(t, s.ResetCredential(ctx, Kim.ID))
	yes, err = s.InvitedByPhone(ctx, Kim.ID)
	must(t, err)
	wantEqual(t, yes, true)
	inv.Hash, inv.Tries = "two", 0
	must(t, s.PutInvitation(ctx, inv))
	n, err := s.TryInvitation(ctx, "two", 10)
	must(t, err)
	wantEqual(t, n, 1)
}

func testWarnings(t *testing.T, s auth.Store) {
	ctx := t.Context()
	warning := func(id string, at time.Time) auth.Warning {
		return auth.Warning{Notice: auth.Notice{ID: id, Account: Kim.ID, Kind: auth.NoticeWrongCodes, At: at, IP: "192.0.2.10", UserAgent: "test/1", Detail: map[string]string{"codes": "3"}},
			Email: Kim.Email, Vendor: Kim.Vendor}
	}
	first, second := warning("not_1", base), warning("not_2", base.Add(time.Hour))
	must(t, s.PutWarning(ctx, first))
	must(t, s.PutWarning(ctx, second))
	stray := warning("not_3", base)
	stray.Account = "acc-nobody"
	if err := s.PutWarning(ctx, stray); err == nil {
		t.Fatal("a warning about nobody was stored")
	}
	got, err := s.OpenWarnings(ctx, 10)
	must(t, err)
	wantEqual(t, got, []auth.Warning{second, first})
	got, err = s.OpenWarnings(ctx, 1)
	must(t, err)
	wantEqual(t, got, []auth.Warning{second})
	wins := race(t, func(int) bool {
		won, err := s.PassWarning(ctx, "not_2", Ada.ID, base)
		return won && err == nil
	})
	wantEqual(t, wins, 1)
	won, err := s.PassWarning(ctx, "not_9", Ada.ID, base)
	must(t, err)
	wantEqual(t, won, false)
	got, err = s.OpenWarnings(ctx, 10)
	must(t, err)
	wantEqual(t, got, []auth.Warning{first})
	must(t, s.ExpireWarnings(ctx, base.Add(time.Minute)))
	got, err = s.OpenWarnings(ctx, 10)
	must(t, err)
	wantEqual(t, len(got), 0)
}
