package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/policy"
)

func newEnv(t testing.TB, edit func(*auth.Config)) (*authtest.Env, *authtest.Store) {
	t.Helper()
	store := authtest.New(authtest.Everyone()...)
	return authtest.NewEnv(t, store, edit), store
}

func throttled(err error) *auth.ThrottledError {
	e, _ := errors.AsType[*auth.ThrottledError](err)
	return e
}

func TestSignIn(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
	if err != nil {
		t.Fatal(err)
	}
	info, err := e.Flow(t.Context(), flow)
	if err != nil || info.Email != p.Email || info.Warning != "" {
		t.Fatalf("flow %+v, %v", info, err)
	}
	code := e.FreshCode(t, p)
	cookie, sess, err := e.LoginCode(t.Context(), p.Origin, flow, code)
	if err != nil {
		t.Fatal(err)
	}
	if sess.Account != p.ID || sess.RecoveryLeft != 10 || !sess.AbsoluteEnds.Equal(e.Clock.Now().Add(12*time.Hour)) ||
		!sess.IdleEnds.Equal(e.Clock.Now().Add(30*time.Minute)) || sess.IP != "192.0.2.10" {
		t.Errorf("session %+v", sess)
	}
	sub := e.Who(t, cookie, authtest.GateHost)
	want := policy.Subject{
		Account: p.ID, Email: p.Email, Vendor: "acme", Roles: []policy.Role{policy.Contractor}, Session: sess.ID,
		Credential: policy.CredentialSession, Factors: map[string]int64{policy.FactorPassword: 0, policy.FactorTOTP: 0},
	}
	if fmt.Sprint(sub) != fmt.Sprint(want) {
		t.Errorf("subject %+v, want %+v", sub, want)
	}
	e.Clock.Advance(90 * time.Second)
	if age, ok := e.Who(t, cookie, authtest.GateHost).CodeAge(); !ok || age != 90 {
		t.Errorf("code age %d, %v", age, ok)
	}
	if _, _, err := e.LoginCode(t.Context(), p.Origin, flow, e.FreshCode(t, p)); !errors.Is(err, auth.ErrFlowEnded) {
		t.Errorf("the flow was used twice: %v", err)
	}
	got := e.Recorder.Actions()
	wantActions := []string{"invite.create", "invite.accept", "password.set", "totp.add", "totp.confirm", "session.start"}
	if !slices.Equal(got, wantActions) {
		t.Errorf("recorded %v, want %v", got, wantActions)
	}
}

// One answer for everything that can be wrong before the code.
func TestLogin_OneAnswer(t *testing.T) {
	ended := auth.Account{ID: "acc-ended", Email: "ended@example.com", Ends: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)}
	disabled := auth.Account{ID: "acc-disabled", Email: "disabled@example.com"}
	suspended := auth.Account{ID: "acc-suspended", Email: "suspended@vendor.example", Vendor: "acme"}
	store := authtest.New(append(authtest.Everyone(), ended, disabled, suspended)...)
	e := authtest.NewEnv(t, store, nil)
	for _, a := range []auth.Account{authtest.Kim, ended, disabled, suspended} {
		e.Enrol(t, a)
	}
	disabled.Disabled, suspended.VendorSuspended = true, true
	store.SetAccount(disabled)
	store.SetAccount(suspended)
	e.Clock.Advance(60 * 24 * time.Hour)
	for i, c := range []struct{ name, email, password, reason string }{
		{"wrong password", authtest.Kim.Email, "not the password", "password"},
		{"empty password", authtest.Kim.Email, "", "password"},
		{"huge password", authtest.Kim.Email, string(make([]byte, 1<<20)), "password"},
		{"unknown account", "nobody@example.com", authtest.Password, "account_unknown"},
		{"no address", "", authtest.Password, "account_unknown"},
		{"malformed address", "a@b@c", authtest.Password, "account_unknown"},
		{"invited only", authtest.Lee.Email, authtest.Password, "password"},
		{"ended", ended.Email, authtest.Password, "account_ended"},
		{"disabled", disabled.Email, authtest.Password, "account_disabled"},
		{"vendor suspended", suspended.Email, authtest.Password, "vendor_suspended"},
	} {
		before := e.Hashes()
		flow, err := e.Login(t.Context(), authtest.From(fmt.Sprintf("198.51.100.%d", i)), c.email, c.password)
		if !errors.Is(err, auth.ErrBadCredentials) || err.Error() != auth.ErrBadCredentials.Error() || flow != "" {
			t.Errorf("%s: %q, %v", c.name, flow, err)
		}
		if n := e.Hashes() - before; n != 1 {
			t.Errorf("%s: %d password hashes were computed, want 1", c.name, n)
		}
		r, ok := e.Recorder.Last("password.failed")
		if !ok || r.Detail["reason"] != c.reason {
			t.Errorf("%s: recorded %+v", c.name, r)
		}
	}
}

// Every spelling of an address is one account with one count (CVE-2025-24806, CVE-2026-47203).
func TestLogin_Aliases(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	aliases := []string{"kim@vendor.example", "KIM@vendor.example", " kim@Vendor.Example ", "ｋｉｍ@vendor.example", "Kim@VENDOR.example"}
	for _, alias := range aliases {
		if _, err := e.Login(t.Context(), p.Origin, alias, "wrong"); !errors.Is(err, auth.ErrBadCredentials) {
			t.Fatalf("%q: %v", alias, err)
		}
	}
	for _, alias := range aliases {
		if _, err := e.Login(t.Context(), p.Origin, alias, p.Password); throttled(err) == nil {
			t.Errorf("%q is counted apart: %v", alias, err)
		}
	}
	e.Clock.Advance(30 * time.Second)
	if _, err := e.Login(t.Context(), p.Origin, aliases[3], p.Password); err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

func TestFlow_Ends(t *testing.T) {
	e, store := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "x", flow + "x", flow[1:]} {
		if _, err := e.Flow(t.Context(), bad); !errors.Is(err, auth.ErrFlowEnded) {
			t.Errorf("flow %q: %v", bad, err)
		}
	}
	a := authtest.Kim
	a.Disabled = true
	store.SetAccount(a)
	if _, _, err := e.LoginCode(t.Context(), p.Origin, flow, e.FreshCode(t, p)); !errors.Is(err, auth.ErrFlowEnded) {
		t.Errorf("after the account was disabled: %v", err)
	}
	store.SetAccount(authtest.Kim)
	e.Clock.Advance(10 * time.Minute)
	if _, _, err := e.LoginCode(t.Context(), p.Origin, flow, e.FreshCode(t, p)); !errors.Is(err, auth.ErrFlowEnded) {
		t.Errorf("after ten minutes: %v", err)
	}
}

func TestRecoveryCodes(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	if len(p.Recovery) != 10 {
		t.Fatalf("%d recovery codes", len(p.Recovery))
	}
	use := func(code string) error {
		flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = e.LoginCode(t.Context(), p.Origin, flow, code)
		return err
	}
	c := p.Recovery[3]
	if len(c) != 13 {
		t.Errorf("%q has %d characters", c, len(c))
	}
	if err := use(" " + c[:4] + "-" + c[4:9] + " " + c[9:]); err != nil {
		t.Errorf("as people type it: %v", err)
	}
	if r, ok := e.Recorder.Last("recovery.used"); !ok || r.Account != p.ID {
		t.Error("its use was not recorded")
	}
	if err := use(c); !errors.Is(err, auth.ErrCodeSpent) {
		t.Errorf("a second time: %v", err)
	}
	if err := use("abcdefghijklm"); !errors.Is(err, auth.ErrBadCredentials) {
		t.Errorf("a wrong one: %v", err)
	}
}

// What cannot be recorded does not happen.
func TestSignIn_NotRecorded(t *testing.T) {
	e, store := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	cookie, sess := e.SignIn(t, p)
	flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
	if err != nil {
		t.Fatal(err)
	}
	code := e.FreshCode(t, p)
	down := errors.New("log is down")
	e.Recorder.Fail(down)
	ctx := t.Context()
	for name, act := range map[string]func() error{
		"wrong password": func() error { _, err := e.Login(ctx, authtest.From("192.0.2.1"), p.Email, "wrong"); return err },
		"code":           func() error { _, _, err := e.LoginCode(ctx, p.Origin, flow, code); return err },
		"logout":         func() error { return e.Logout(ctx, p.Origin, sess) },
		"end":            func() error { return e.EndSession(ctx, authtest.Operator, sess.ID) },
		"end all":        func() error { _, err := e.EndSessions(ctx, authtest.Operator, p.ID); return err },
		"reset":          func() error { _, _, err := e.ResetFactor(ctx, authtest.Operator, p.ID); return err },
		"invite":         func() error { _, _, err := e.Invite(ctx, authtest.Operator, authtest.Lee.ID); return err },
		"token":          func() error { _, _, err := e.CreateToken(ctx, p.Origin, sess, "claims", "git", 0); return err },
	} {
		if err := act(); !errors.Is(err, down) {
			t.Errorf("%s: %v", name, err)
		}
	}
	e.Recorder.Fail(nil)
	if e.Who(t, cookie, authtest.GateHost).IsAnonymous() {
		t.Error("the session was ended without a record")
	}
	if all, _ := store.Sessions(context.Background()); len(all) != 1 {
		t.Errorf("%d sessions", len(all))
	}
	if all, _ := store.AllTokens(context.Background()); len(all) != 0 {
		t.Errorf("%d tokens", len(all))
	}
}

// Each write of a sign-in fails once, done or not: nobody is half signed in,
// and the next try goes through.
func TestSignIn_StoreFaults(t *testing.T) {
	for _, method := range []string{"PutFlow", "EditFailures", "SpendTOTP", "TakeFlow", "PutSession"} {
		for _, apply := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", method, apply), func(t *testing.T) {
				e, store := newEnv(t, nil)
				p := e.Enrol(t, authtest.Kim)
				once := true
				store.Fault = func(m string) (bool, error) {
					if m == method && once {
						once = false
						return apply, authtest.ErrInjected
					}
					return true, nil
				}
				var cookie string
				flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
				if err == nil {
					cookie, _, err = e.LoginCode(t.Context(), p.Origin, flow, e.FreshCode(t, p))
				}
				if !errors.Is(err, authtest.ErrInjected) || cookie != "" {
					t.Fatalf("cookie %q, error %v", cookie, err)
				}
				e.SignIn(t, p)
			})
		}
	}
}
