package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/policy"
)

// wantNobody checks that a cookie signs nobody in at any of the hosts.
func wantNobody(t *testing.T, e *authtest.Env, cookie string, hosts ...string) {
	t.Helper()
	for _, h := range hosts {
		if who := e.Who(t, cookie, h); !who.IsAnonymous() {
			t.Errorf("at %s: %+v, want nobody", h, who)
		}
		if sess, err := e.Current(authtest.Request(cookie), h); err != nil || sess != nil {
			t.Errorf("at %s: session %+v, %v, want none", h, sess, err)
		}
	}
}

// Cookie theft between clusters: each cookie is good on its own host alone.
func TestCookie_OtherHost(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	gate, sess := e.SignIn(t, p)
	cookies := map[string]string{
		authtest.GateHost: gate,
		authtest.Claims:   e.AtCluster(t, sess, authtest.Claims),
		authtest.Ledger:   e.AtCluster(t, sess, authtest.Ledger),
	}
	for of, cookie := range cookies {
		for _, at := range []string{authtest.GateHost, authtest.Claims, authtest.Ledger, "", "evil.example", of + ".", "x" + of} {
			if got := !e.Who(t, cookie, at).IsAnonymous(); got != (of == at) {
				t.Errorf("cookie of %s at %q: signed in %v", of, at, got)
			}
		}
	}
}

// Session fixation, and logout that revokes nothing: after each event the
// cookies from before are worth nothing, on every host.
func TestCookie_AfterEvents(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name  string
		event func(*testing.T, *authtest.Env, *authtest.Store, *authtest.Person, *auth.Session) error
	}{
		{"logout", func(t *testing.T, e *authtest.Env, _ *authtest.Store, p *authtest.Person, s *auth.Session) error {
			return e.Logout(ctx, p.Origin, s)
		}},
		{"confirm", func(t *testing.T, e *authtest.Env, _ *authtest.Store, p *authtest.Person, s *auth.Session) error {
			cookie, err := e.Confirm(ctx, p.Origin, s, e.FreshCode(t, p))
			if err == nil && e.Who(t, cookie, authtest.GateHost).Session != s.ID {
				t.Error("the new cookie is not the session's")
			}
			return err
		}},
		{"end session", func(t *testing.T, e *authtest.Env, _ *authtest.Store, p *authtest.Person, s *auth.Session) error {
			return e.EndSession(ctx, authtest.Operator, s.ID)
		}},
		{"end all", func(t *testing.T, e *authtest.Env, _ *authtest.Store, p *authtest.Person, s *auth.Session) error {
			n, err := e.EndSessions(ctx, authtest.Operator, p.ID)
			if n != 1 {
				t.Errorf("%d sessions were ended", n)
			}
			return err
		}},
		{"factor reset", func(t *testing.T, e *authtest.Env, _ *authtest.Store, p *authtest.Person, s *auth.Session) error {
			_, _, err := e.ResetFactor(ctx, authtest.Operator, p.ID)
			return err
		}},
		{"idle", func(t *testing.T, e *authtest.Env, _ *authtest.Store, p *authtest.Person, s *auth.Session) error {
			e.Clock.Advance(30 * time.Minute)
			return nil
		}},
		{"account disabled", func(t *testing.T, e *authtest.Env, st *authtest.Store, p *authtest.Person, s *auth.Session) error {
			a := p.Account
			a.Disabled = true
			st.SetAccount(a)
			return e.Reload(ctx)
		}},
		{"vendor suspended", func(t *testing.T, e *authtest.Env, st *authtest.Store, p *authtest.Person, s *auth.Session) error {
			a := p.Account
			a.VendorSuspended = true
			st.SetAccount(a)
			return e.Reload(ctx)
		}},
		{"account removed", func(t *testing.T, e *authtest.Env, st *authtest.Store, p *authtest.Person, s *auth.Session) error {
			st.RemoveAccount(p.ID)
			return e.Reload(ctx)
		}},
		{"ended by another process", func(t *testing.T, e *authtest.Env, st *authtest.Store, p *authtest.Person, s *auth.Session) error {
			if err := st.EndAccount(ctx, p.ID); err != nil {
				return err
			}
			return e.Reload(ctx)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, store := newEnv(t, nil)
			p := e.Enrol(t, authtest.Kim)
			gate, sess := e.SignIn(t, p)
			cluster := e.AtCluster(t, sess, authtest.Claims)
			stream := e.Who(t, cluster, authtest.Claims)
			if stream.IsAnonymous() || e.Who(t, gate, authtest.GateHost).IsAnonymous() {
				t.Fatal("not signed in to begin with")
			}
			if err := c.event(t, e, store, p, sess); err != nil {
				t.Fatal(err)
			}
			wantNobody(t, e, gate, authtest.GateHost)
			wantNobody(t, e, cluster, authtest.Claims)
			// Open streams end with the session; a fresh code is not its end.
			if _, ok := e.Refresh(stream); ok != (c.name == "confirm") {
				t.Errorf("stream goes on: %v", ok)
			}
			if c.name == "account disabled" {
				store.SetAccount(p.Account)
				if err := e.Reload(ctx); err != nil {
					t.Fatal(err)
				}
				wantNobody(t, e, gate, authtest.GateHost) // and does not come back with the account
			}
		})
	}
}

// A sign-in makes a session of its own, whatever the browser held before.
func TestSession_IsNew(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	first, s1 := e.SignIn(t, p)
	second, s2 := e.SignIn(t, p)
	if first == second || s1.ID == s2.ID {
		t.Error("two sign-ins share a session")
	}
	if s2.LastLogin.IsZero() || s2.LastIP != "192.0.2.10" {
		t.Errorf("the sign-in before is %s from %q", s2.LastLogin, s2.LastIP)
	}
}

func TestSession_Ends(t *testing.T) {
	e, store := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	cookie, sess := e.SignIn(t, p)
	// Used every 29 minutes it lives on to its absolute end, and no longer.
	for e.Clock.Now().Before(sess.AbsoluteEnds.Add(-29 * time.Minute)) {
		e.Clock.Advance(29 * time.Minute)
		if e.Who(t, cookie, authtest.GateHost).IsAnonymous() {
			t.Fatalf("ended at %s", e.Clock.Now())
		}
	}
	e.Clock.Advance(sess.AbsoluteEnds.Sub(e.Clock.Now()))
	wantNobody(t, e, cookie, authtest.GateHost)
	if err := auth.Sweep(e.Service, t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, ok := e.Recorder.Last("session.expire"); !ok || r.Session != sess.ID || r.Detail["reason"] != "absolute" {
		t.Errorf("recorded %+v", r)
	}
	if all, _ := store.Sessions(t.Context()); len(all) != 0 {
		t.Errorf("%d rows are left", len(all))
	}
}

// An open stream alone does not keep a session from going idle; use does.
func TestSession_Idle(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	cookie, _ := e.SignIn(t, p)
	stream := e.Who(t, cookie, authtest.GateHost)
	e.Clock.Advance(20 * time.Minute)
	if sub, ok := e.Refresh(stream); !ok || sub.Factors[policy.FactorTOTP] != 1200 {
		t.Fatalf("refreshed to %+v, %v", sub, ok)
	}
	e.Touch(stream)
	e.Clock.Advance(20 * time.Minute)
	if _, ok := e.Refresh(stream); !ok {
		t.Fatal("ended although it was used 20 minutes ago")
	}
	e.Clock.Advance(10 * time.Minute)
	if _, ok := e.Refresh(stream); ok {
		t.Fatal("goes on after 30 minutes without use")
	}
	e.Touch(stream) // does not wake the dead
	wantNobody(t, e, cookie, authtest.GateHost)
}

// An end date takes effect by itself, without a reload.
func TestSession_AccountEnds(t *testing.T) {
	e, store := newEnv(t, nil)
	a := authtest.Kim
	a.Ends = e.Clock.Now().Add(10 * time.Minute)
	store.SetAccount(a)
	p := e.Enrol(t, a)
	cookie, sess := e.SignIn(t, p)
	if !sess.AbsoluteEnds.Equal(a.Ends) {
		t.Errorf("session ends %s, account %s", sess.AbsoluteEnds, a.Ends)
	}
	secret, _, err := e.CreateToken(t.Context(), p.Origin, sess, "claims", "git", 0)
	if err != nil {
		t.Fatal(err)
	}
	e.Clock.Advance(10 * time.Minute)
	wantNobody(t, e, cookie, authtest.GateHost)
	if who := byToken(t, e, "Bearer "+secret, authtest.Claims); !who.IsAnonymous() {
		t.Errorf("the token goes on: %+v", who)
	}
}

// A clock that is set back never extends a session.
func TestClock_SetBack(t *testing.T) {
	var elapsed time.Duration
	e, _ := newEnv(t, nil)
	e.SetElapsed(func() time.Duration { return elapsed })
	p := e.Enrol(t, authtest.Kim)
	cookie, _ := e.SignIn(t, p)
	e.Clock.Advance(-24 * time.Hour)
	elapsed += 31 * time.Minute
	wantNobody(t, e, cookie, authtest.GateHost)
}

func TestSession_SurvivesRestart(t *testing.T) {
	e, store := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	cookie, sess := e.SignIn(t, p)
	secret, tok, err := e.CreateToken(t.Context(), p.Origin, sess, "claims", "git", 0)
	if err != nil {
		t.Fatal(err)
	}
	e.Clock.Advance(20 * time.Minute)
	e.Who(t, cookie, authtest.GateHost)
	if err := auth.Sweep(e.Service, t.Context()); err != nil {
		t.Fatal(err)
	}
	again := authtest.NewEnv(t, store, func(c *auth.Config) { c.Now = e.Clock.Now })
	e.Clock.Advance(20 * time.Minute) // 40 after sign-in, 20 after its last use
	if who := again.Who(t, cookie, authtest.GateHost); who.Session != sess.ID {
		t.Errorf("after a restart: %+v", who)
	}
	if who := byToken(t, again, "Bearer "+secret, authtest.Claims); who.Session != tok.ID {
		t.Errorf("token after a restart: %+v", who)
	}
}

func TestSession_TooMany(t *testing.T) {
	e, _ := newEnv(t, func(c *auth.Config) { c.MaxSessions = 3 })
	p := e.Enrol(t, authtest.Kim)
	var cookies []string
	for range 4 {
		c, _ := e.SignIn(t, p)
		cookies = append(cookies, c)
		e.Clock.Advance(time.Minute)
	}
	wantNobody(t, e, cookies[0], authtest.GateHost)
	all, err := e.SessionsOf(t.Context(), p.ID)
	if err != nil || len(all) != 3 {
		t.Errorf("%d sessions, %v", len(all), err)
	}
	if !slices.IsSortedFunc(all, func(a, b auth.Session) int { return b.LastSeen.Compare(a.LastSeen) }) {
		t.Error("not the newest first")
	}
}

// Who may end what.
func TestActors(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	ctx := t.Context()
	for _, c := range []struct {
		actor              string
		own, administrates bool
	}{
		{auth.Operator, true, true}, {authtest.Ada.ID, true, true}, {authtest.Kim.ID, true, false},
		{authtest.Lee.ID, false, false}, {"", false, false}, {"acc-nobody", false, false},
	} {
		actor := auth.Actor{Account: c.actor}
		_, sess := e.SignIn(t, p)
		_, tok, err := e.CreateToken(ctx, p.Origin, sess, "claims", "x", 0)
		if err != nil {
			t.Fatal(err)
		}
		_, errAll := e.EndSessions(ctx, auth.Actor{Account: "acc-nobody"}, p.ID)
		checks := map[string]struct {
			err error
			may bool
		}{
			"revoke token": {e.RevokeToken(ctx, actor, tok.ID), c.own},
			"end session":  {e.EndSession(ctx, actor, sess.ID), c.own},
			"stranger":     {errAll, false},
		}
		_, _, err = e.Invite(ctx, actor, authtest.Lee.ID)
		checks["invite"] = struct {
			err error
			may bool
		}{err, c.administrates}
		for name, got := range checks {
			if errors.Is(got.err, auth.ErrForbidden) == got.may || got.may && got.err != nil {
				t.Errorf("%s by %q: %v", name, c.actor, got.err)
			}
		}
	}
	e.Enrol(t, authtest.Ada)
	for _, actor := range []string{authtest.Kim.ID, authtest.Lee.ID} {
		if _, _, err := e.ResetFactor(ctx, auth.Actor{Account: actor}, p.ID); !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("reset by %s: %v", actor, err)
		}
	}
	if _, _, err := e.ResetFactor(ctx, auth.Actor{Account: authtest.Ada.ID}, authtest.Ada.ID); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("reset of one's own factor: %v", err)
	}
}

// Run flushes, expires and stops.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := authtest.New(authtest.Everyone()...)
		e := authtest.NewEnv(t, store, func(c *auth.Config) { c.Now = nil })
		e.Clock.Advance(-time.Until(e.Clock.Now())) // FreshCode reads this one
		p := e.Enrol(t, authtest.Kim)
		cookie, sess := e.SignIn(t, p)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		time.Sleep(5 * time.Second) // the bubble's clock
		e.Who(t, cookie, authtest.GateHost)
		seen := time.Now()
		time.Sleep(30 * time.Second)
		all, err := store.Sessions(ctx)
		if err != nil || len(all) != 1 || all[0].LastSeen.Unix() != seen.Unix() {
			t.Errorf("last seen %v, want %s", all, seen)
		}
		time.Sleep(31 * time.Minute)
		if r, ok := e.Recorder.Last("session.idle"); !ok || r.Session != sess.ID {
			t.Errorf("recorded %+v", r)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestReload_Changed(t *testing.T) {
	changed := 0
	e, store := newEnv(t, func(c *auth.Config) { c.Changed = func() { changed++ } })
	p := e.Enrol(t, authtest.Kim)
	cookie, sess := e.SignIn(t, p)
	a := p.Account
	a.Roles, a.Email = []policy.Role{policy.Reviewer}, "kim.park@vendor.example"
	store.SetAccount(a)
	if err := e.Reload(t.Context()); err != nil || changed != 1 {
		t.Fatalf("%v, told %d times", err, changed)
	}
	if who := e.Who(t, cookie, authtest.GateHost); who.Email != a.Email || fmt.Sprint(who.Roles) != "[reviewer]" {
		t.Errorf("after the change: %+v", who)
	}
	if err := e.Logout(t.Context(), p.Origin, sess); err != nil || changed != 2 {
		t.Errorf("%v, told %d times", err, changed)
	}
	if err := e.Logout(t.Context(), p.Origin, sess); err != nil {
		t.Errorf("a second time: %v", err)
	}
}
