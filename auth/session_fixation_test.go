package auth_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
)

// Session fixation, over every step at which a person proves something or is
// signed out: whatever the browser held before the step, and whatever was
// issued from it, is worth nothing afterwards, and nothing of it is part of
// what comes after.
func TestSessionFixation_Matrix(t *testing.T) {
	ctx := context.Background()
	type held struct {
		env           *authtest.Env
		p             *authtest.Person
		sess          *auth.Session
		gate, cluster string // cookies
		code, start   string // a hand-off under way
	}
	for _, c := range []struct {
		step string
		idle bool // before the step the session goes idle
		// do returns the gate's cookie afterwards, empty when there is none.
		do func(h *held) (string, error)
	}{
		{"another sign-in", false, func(h *held) (string, error) {
			flow, err := h.env.Login(ctx, h.p.Origin, h.p.Email, h.p.Password)
			if err != nil {
				return "", err
			}
			if !h.env.Who(t, flow, authtest.GateHost).IsAnonymous() {
				return "", errors.New("the password alone signs in")
			}
			cookie, fresh, err := h.env.LoginCode(ctx, h.p.Origin, flow, h.env.FreshCode(t, h.p))
			if err != nil {
				return "", err
			}
			if fresh.ID == h.sess.ID {
				return "", errors.New("the new sign-in took over the old session")
			}
			if _, _, err := h.env.LoginCode(ctx, h.p.Origin, flow, h.env.FreshCode(t, h.p)); !errors.Is(err, auth.ErrFlowEnded) {
				return "", fmt.Errorf("a sign-in was finished twice: %w", err)
			}
			return cookie, h.env.Logout(ctx, h.p.Origin, h.sess)
		}},
		{"step-up", false, func(h *held) (string, error) {
			return h.env.Confirm(ctx, h.p.Origin, h.sess, h.env.FreshCode(t, h.p))
		}},
		{"resume", true, func(h *held) (string, error) {
			cookie, _, err := h.env.Resume(ctx, h.p.Origin, h.sess, h.p.Password)
			return cookie, err
		}},
		{"sign out", false, func(h *held) (string, error) { return "", h.env.Logout(ctx, h.p.Origin, h.sess) }},
		{"sign out when idle", true, func(h *held) (string, error) { return "", h.env.Logout(ctx, h.p.Origin, h.sess) }},
		{"ended", false, func(h *held) (string, error) { return "", h.env.EndSession(ctx, authtest.Operator, h.sess.ID) }},
		{"all ended", false, func(h *held) (string, error) {
			_, err := h.env.EndSessions(ctx, authtest.Operator, h.p.ID)
			return "", err
		}},
		{"the vendor's ended", false, func(h *held) (string, error) {
			_, err := h.env.EndVendor(ctx, authtest.Operator, "acme")
			return "", err
		}},
		{"everybody's ended", false, func(h *held) (string, error) {
			_, err := h.env.EndEverybody(ctx, authtest.Operator, "")
			return "", err
		}},
		{"reset", false, func(h *held) (string, error) {
			_, _, err := h.env.ResetFactor(ctx, authtest.Operator, h.p.ID)
			return "", err
		}},
		{"idle", true, func(*held) (string, error) { return "", nil }},
		{"absolute end", false, func(h *held) (string, error) { h.env.Clock.Advance(12 * time.Hour); return "", nil }},
	} {
		t.Run(c.step, func(t *testing.T) {
			e, _ := newEnv(t, nil)
			h := &held{env: e, p: e.Enrol(t, authtest.Kim)}
			h.gate, h.sess = e.SignIn(t, h.p)
			onDevice(t, e, h.p, h.sess)
			h.cluster = e.AtCluster(t, h.sess, authtest.Claims)
			h.start = auth.NewSecret()
			var err error
			if h.code, err = e.IssueHandoff(ctx, h.sess, authtest.Ledger, e.SaveTarget(authtest.Ledger, "/", h.start)); err != nil {
				t.Fatal(err)
			}
			if c.idle {
				e.Clock.Advance(30 * time.Minute)
				if h.sess = e.IdleSession(authtest.Request(h.gate), authtest.GateHost); h.sess == nil {
					t.Fatal("not idle")
				}
			}
			after, err := c.do(h)
			if err != nil {
				t.Fatal(err)
			}
			wantNobody(t, e, h.gate, authtest.GateHost)
			wantNobody(t, e, h.cluster, authtest.Claims)
			if _, _, err := e.RedeemHandoff(ctx, authtest.Ledger, h.code, h.start); !errors.Is(err, auth.ErrHandoffInvalid) {
				t.Errorf("the hand-off from before: %v", err)
			}
			if _, err := e.Confirm(ctx, h.p.Origin, h.sess, e.FreshCode(t, h.p)); !errors.Is(err, auth.ErrSessionEnded) {
				t.Errorf("a step-up of the session from before: %v", err)
			}
			if c.step != "idle" {
				if _, _, err := e.Resume(ctx, h.p.Origin, h.sess, h.p.Password); err == nil {
					t.Error("what was before the step is resumed")
				}
			}
			if after != "" && (after == h.gate || e.Who(t, after, authtest.GateHost).IsAnonymous()) {
				t.Error("the cookie afterwards is no good, or the one from before")
			}
		})
	}
}

// Lock-out as a weapon, at the resume page: who hammers the account's password
// from elsewhere, or with a stolen session cookie, keeps nobody from resuming.
func TestResume_LockOutAsWeapon(t *testing.T) {
	ctx := t.Context()
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, idle := asleep(t, e, p)
	for i := range 300 {
		o := authtest.From(fmt.Sprintf("203.0.113.%d", i%250+1))
		if i%2 == 0 {
			o = authtest.From(p.Origin.IP.String()) // behind the same address
		}
		before := e.Hashes()
		if _, _, err := e.Resume(ctx, o, idle, "guess"); !errors.Is(err, auth.ErrSessionEnded) {
			t.Fatalf("a stolen session cookie: %v", err)
		}
		if e.Hashes() != before {
			t.Fatal("a stranger's try cost a password hash")
		}
		_, _ = e.Login(ctx, o, p.Email, fmt.Sprint("guess ", i)) // refused or slowed
	}
	if _, _, err := e.Resume(ctx, p.Origin, idle, p.Password); err != nil {
		t.Errorf("the owner: %v", err)
	}
}

// Password-hash exhaustion: resuming stands in the same queue as signing in.
func TestResume_HashCeiling(t *testing.T) {
	e, _ := newEnv(t, func(c *auth.Config) { c.MaxHashes = 1 })
	p := e.Enrol(t, authtest.Kim)
	_, idle := asleep(t, e, p)
	results := make(chan error, 200)
	for range cap(results) {
		go func() {
			_, _, err := e.Resume(t.Context(), p.Origin, idle, "wrong")
			results <- err
		}()
	}
	busy, slowed, most := 0, 0, 0
	for range cap(results) {
		most = max(most, auth.Hashing(e.Service))
		err := <-results
		var slow *auth.ThrottledError
		switch {
		case errors.Is(err, auth.ErrBusy):
			busy++
		case errors.As(err, &slow):
			slowed++
		case !errors.Is(err, auth.ErrBadCredentials):
			t.Errorf("unexpected: %v", err)
		}
	}
	if most > 1 || busy+slowed < cap(results)/2 {
		t.Errorf("%d hashes at a time; %d busy, %d slowed", most, busy, slowed)
	}
}
