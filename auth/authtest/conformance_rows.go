package authtest

import (
	"errors"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
)

func testFailures(t *testing.T, s auth.Store) {
	want := map[string]auth.Failures{
		"":           {Count: 3, Total: 7, Since: base, Next: base.Add(time.Minute), Unseen: 2, Told: true},
		"192.0.2.10": {Known: base},
	}
	must(t, s.EditFailures(t.Context(), Kim.ID, func(m map[string]auth.Failures) {
		for lane, f := range want {
			m[lane] = f
		}
		m["gone"] = auth.Failures{Count: 1}
	}))
	must(t, s.EditFailures(t.Context(), Kim.ID, func(m map[string]auth.Failures) { delete(m, "gone") }))
	got, err := s.Failures(t.Context(), Kim.ID)
	must(t, err)
	wantEqual(t, got, want)
	got, err = s.Failures(t.Context(), Lee.ID)
	must(t, err)
	wantEqual(t, len(got), 0)
	// No edit is lost.
	race(t, func(int) bool {
		err := s.EditFailures(t.Context(), Kim.ID, func(m map[string]auth.Failures) {
			f := m[""]
			f.Total++
			m[""] = f
		})
		if err != nil {
			t.Error(err)
		}
		return err == nil
	})
	got, err = s.Failures(t.Context(), Kim.ID)
	must(t, err)
	wantEqual(t, got[""].Total, 107)
	must(t, s.ClearFailures(t.Context(), Kim.ID))
	got, err = s.Failures(t.Context(), Kim.ID)
	must(t, err)
	wantEqual(t, got[""], auth.Failures{})
	if err := s.EditFailures(t.Context(), "acc-nobody", func(m map[string]auth.Failures) {}); err == nil {
		t.Fatal("nobody's failures were edited")
	}
}

func storedSession(id, account string) auth.StoredSession {
	return auth.StoredSession{
		ID: id, Account: account, Epoch: 1, Created: base, LastSeen: base, Ends: base.Add(12 * time.Hour), PasswordAt: base,
		CodeAt: base, CodeFactor: "totp", IP: "192.0.2.10", UserAgent: "test/1 \"quoted\"", LastLogin: base.Add(-time.Hour),
		LastIP: "192.0.2.9", FailedCodes: 2, RecoveryLeft: 9, KeyAt: base.Add(time.Second),
	}
}

func testSession(t *testing.T, s auth.Store) {
	x := storedSession("s1", Kim.ID)
	must(t, s.PutSession(t.Context(), x))
	all, err := s.Sessions(t.Context())
	must(t, err)
	wantEqual(t, all, []auth.StoredSession{x})
	c, err := s.Credential(t.Context(), Kim.ID)
	must(t, err)
	wantEqual(t, c.LastLogin, base)
	wantEqual(t, c.LastIP, x.IP)
	who, err := s.SignedIn(t.Context())
	must(t, err)
	wantEqual(t, who, []auth.Account{Kim})

	next := x
	next.Epoch, next.CodeAt, next.CodeFactor, next.RecoveryLeft = 2, base.Add(time.Minute), "recovery", 8
	next.KeyAt = base.Add(2 * time.Minute)
	next.IP = "203.0.113.1" // is not rotated
	wantMissing(t, s.RotateSession(t.Context(), next, 5))
	must(t, s.RotateSession(t.Context(), next, 1))
	wantMissing(t, s.RotateSession(t.Context(), next, 1))
	must(t, s.TouchSessions(t.Context(), map[string]time.Time{"s1": base.Add(time.Hour), "gone": base}))
	next.IP, next.LastSeen = x.IP, base.Add(time.Hour)
	all, err = s.Sessions(t.Context())
	must(t, err)
	wantEqual(t, all, []auth.StoredSession{next})

	must(t, s.DeleteSessions(t.Context(), []string{"s1", "gone"}))
	must(t, s.DeleteSessions(t.Context(), nil))
	wantMissing(t, s.RotateSession(t.Context(), next, 2))
	all, err = s.Sessions(t.Context())
	must(t, err)
	wantEqual(t, len(all), 0)
	if err := s.PutSession(t.Context(), storedSession("s2", "acc-nobody")); err == nil {
		t.Fatal("a session of nobody was stored")
	}
}

func storedToken(id, account string) auth.Token {
	return auth.Token{ID: id, Account: account, Cluster: "claims", Name: "git", Session: "s1", Created: base, Expires: base.Add(time.Hour),
		PasswordAt: base, CodeAt: base, CodeFactor: "totp", KeyAt: base.Add(time.Second), Hash: "hash-" + id}
}

func testToken(t *testing.T, s auth.Store) {
	k := storedToken("t1", Kim.ID)
	wantMissing(t, s.PutToken(t.Context(), k)) // its session has ended
	must(t, s.PutSession(t.Context(), storedSession("s1", Kim.ID)))
	must(t, s.PutToken(t.Context(), k))
	all, err := s.AllTokens(t.Context())
	must(t, err)
	wantEqual(t, all, []auth.Token{k})
	who, err := s.SignedIn(t.Context())
	must(t, err)
	wantEqual(t, who, []auth.Account{Kim})
	must(t, s.DeleteTokens(t.Context(), []string{"t1", "gone"}))
	all, err = s.AllTokens(t.Context())
	must(t, err)
	wantEqual(t, len(all), 0)
	if err := s.PutToken(t.Context(), storedToken("t2", "acc-nobody")); err == nil {
		t.Fatal("a token of nobody was stored")
	}
}

// open gives an account one of everything that it can have open.
func openAll(t *testing.T, s auth.Store, account, id string) {
	t.Helper()
	must(t, s.PutSession(t.Context(), storedSession("s-"+id, account)))
	must(t, s.PutToken(t.Context(), tokenOf(id, account)))
	must(t, s.PutFlow(t.Context(), auth.Flow{Hash: "f-" + id, Account: account, PasswordAt: base, Expires: base.Add(time.Minute)}))
}

// tokenOf is the token that openAll makes.
func tokenOf(id, account string) auth.Token {
	k := storedToken("t-"+id, account)
	k.Session = "s-" + id
	return k
}

// wantOpen checks that Lee's are there and Kim's are not.
func wantOnlyLee(t *testing.T, s auth.Store) {
	t.Helper()
	sessions, err := s.Sessions(t.Context())
	must(t, err)
	wantEqual(t, sessions, []auth.StoredSession{storedSession("s-lee", Lee.ID)})
	tokens, err := s.AllTokens(t.Context())
	must(t, err)
	wantEqual(t, tokens, []auth.Token{tokenOf("lee", Lee.ID)})
	_, err = s.Flow(t.Context(), "f-kim")
	wantMissing(t, err)
	_, err = s.Flow(t.Context(), "f-lee")
	must(t, err)
}

func testEndAccount(t *testing.T, s auth.Store) {
	want := enrol(t, s)
	openAll(t, s, Kim.ID, "kim")
	openAll(t, s, Lee.ID, "lee")
	must(t, s.EndAccount(t.Context(), Kim.ID))
	wantOnlyLee(t, s)
	c, err := s.Credential(t.Context(), Kim.ID)
	must(t, err)
	wantEqual(t, c.Devices, want.Devices) // what it signs in with stays
}

func testReset(t *testing.T, s auth.Store) {
	enrol(t, s)
	openAll(t, s, Kim.ID, "kim")
	openAll(t, s, Lee.ID, "lee")
	must(t, s.PutInvitation(t.Context(), auth.Invitation{Hash: "again", Account: Kim.ID, Created: base, Expires: base.Add(time.Hour), By: auth.Operator}))
	must(t, s.EditFailures(t.Context(), Kim.ID, func(m map[string]auth.Failures) { m[""] = auth.Failures{Count: 1} }))
	must(t, s.ResetCredential(t.Context(), Kim.ID))
	wantOnlyLee(t, s)
	c, err := s.Credential(t.Context(), Kim.ID)
	must(t, err)
	wantEqual(t, c, auth.Credential{})
	_, err = s.Invitation(t.Context(), "again")
	wantMissing(t, err)
	_, err = s.Enrolment(t.Context(), "enr")
	wantMissing(t, err)
	lanes, err := s.Failures(t.Context(), Kim.ID)
	must(t, err)
	wantEqual(t, len(lanes), 0)
}

func testExpire(t *testing.T, s auth.Store) {
	enrol(t, s) // its enrolment expires an hour after base
	must(t, s.PutInvitation(t.Context(), auth.Invitation{Hash: "i", Account: Lee.ID, Created: base, Expires: base.Add(time.Hour), By: auth.Operator}))
	must(t, s.PutFlow(t.Context(), auth.Flow{Hash: "f", Account: Kim.ID, PasswordAt: base, Expires: base.Add(time.Hour)}))
	present := func() (n int) {
		_, err1 := s.Invitation(t.Context(), "i")
		_, err2 := s.Flow(t.Context(), "f")
		_, err3 := s.Enrolment(t.Context(), "enr")
		for _, err := range []error{err1, err2, err3} {
			if err == nil {
				n++
			} else if !errors.Is(err, auth.ErrNotFound) {
				t.Fatal(err)
			}
		}
		return n
	}
	must(t, s.Expire(t.Context(), base.Add(time.Hour)))
	wantEqual(t, present(), 3)
	must(t, s.Expire(t.Context(), base.Add(time.Hour+time.Nanosecond)))
	wantEqual(t, present(), 0)
}

func testSigningKey(t *testing.T, s auth.Store) {
	key := func(id, purpose string, at time.Time) auth.SigningKey {
		return auth.SigningKey{ID: id, Purpose: purpose, Sealed: []byte(id), Created: at}
	}
	// Two processes that start together agree on one key.
	race(t, func(i int) bool {
		got, err := s.EnsureKey(t.Context(), key(string(rune('A'+i)), "session", base), base.Add(-time.Hour))
		if err != nil || len(got) != 1 {
			t.Errorf("%d keys, error %v", len(got), err)
		}
		return true
	})
	got, err := s.EnsureKey(t.Context(), key("other", "assertion", base), base)
	must(t, err)
	wantEqual(t, got, []auth.SigningKey{key("other", "assertion", base)})
	later := base.Add(24 * time.Hour)
	got, err = s.EnsureKey(t.Context(), key("second", "session", later), later.Add(-time.Hour))
	must(t, err)
	wantEqual(t, len(got), 2)
	must(t, s.DeleteKeys(t.Context(), "session", later))
	got, err = s.EnsureKey(t.Context(), key("third", "session", later), later.Add(-time.Hour))
	must(t, err)
	wantEqual(t, got, []auth.SigningKey{key("second", "session", later)})
	got, err = s.EnsureKey(t.Context(), key("more", "assertion", later), base)
	must(t, err)
	wantEqual(t, len(got), 1)
}

// A hundred posts of one right code: exactly one signs in (code reuse and races).
func testParallelCodes(t *testing.T, s auth.Store) {
	e := NewEnv(t, s, nil)
	p := e.Enrol(t, Kim)
	flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
	must(t, err)
	code := e.FreshCode(t, p)
	wins := race(t, func(i int) bool {
		o := From("198.51.100." + string(rune('0'+i%10)))
		_, _, err := e.LoginCode(t.Context(), o, flow, code)
		_, slow := errors.AsType[*auth.ThrottledError](err)
		if err != nil && !slow && !errors.Is(err, auth.ErrCodeSpent) && !errors.Is(err, auth.ErrFlowEnded) {
			t.Errorf("unexpected error %v", err)
		}
		return err == nil
	})
	wantEqual(t, wins, 1)
	all, err := s.Sessions(t.Context())
	must(t, err)
	wantEqual(t, len(all), 1)
}

// A hundred wrong codes at once: no more than the free ones are looked at.
func testParallelGuesses(t *testing.T, s auth.Store) {
	e := NewEnv(t, s, nil)
	p := e.Enrol(t, Kim)
	flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
	must(t, err)
	looked := race(t, func(i int) bool {
		_, _, err := e.LoginCode(t.Context(), From("198.51.100.7"), flow, "no-such-code")
		return errors.Is(err, auth.ErrBadCredentials)
	})
	wantEqual(t, looked, 5)
}
