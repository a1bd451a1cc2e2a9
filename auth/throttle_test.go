package auth_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/policy"
)

// Wrong codes: five are free, then 30 seconds doubling to an hour.
func TestCodeThrottle_Delays(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	flow := func() string {
		f, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	want := time.Duration(0)
	for n := 1; n <= 16; n++ {
		// A new flow for each, from a new address: neither resets the count.
		o := authtest.From(fmt.Sprintf("198.51.100.%d", n))
		if _, _, err := e.LoginCode(t.Context(), o, flow(), "000000x"); !errors.Is(err, auth.ErrBadCredentials) {
			t.Fatalf("try %d: %v", n, err)
		}
		if n < 5 {
			continue
		}
		want = min(max(2*want, 30*time.Second), time.Hour)
		_, _, err := e.LoginCode(t.Context(), o, flow(), e.Code(t, p))
		slow := throttled(err)
		if slow == nil || slow.RetryAfter != want || slow.Stopped {
			t.Fatalf("after %d failures: %v, want a wait of %s", n, err, want)
		}
		e.Clock.Advance(want - time.Second)
		if _, _, err := e.LoginCode(t.Context(), o, flow(), e.Code(t, p)); throttled(err) == nil {
			t.Fatalf("after %d failures a second early: %v", n, err)
		}
		e.Clock.Advance(time.Second)
	}
	info, err := e.Flow(t.Context(), flow())
	if err != nil || info.FailedCodes != 16 || info.Warning == "" {
		t.Errorf("flow %+v, %v", info, err)
	}
	// The right code goes through and forgives.
	_, sess, err := e.LoginCode(t.Context(), p.Origin, flow(), e.FreshCode(t, p))
	if err != nil || sess.FailedCodes != 16 {
		t.Fatalf("session %+v, %v", sess, err)
	}
}

func TestCodeThrottle_RightCodesNeverCount(t *testing.T) {
	e, store := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	for range 30 {
		e.SignIn(t, p)
		e.Clock.Advance(time.Minute)
	}
	flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
	if err != nil {
		t.Fatal(err)
	}
	spent := e.FreshCode(t, p)
	if _, _, err := e.LoginCode(t.Context(), p.Origin, flow, spent); err != nil {
		t.Fatal(err)
	}
	for range 20 { // impatient clicks
		flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := e.LoginCode(t.Context(), p.Origin, flow, spent); !errors.Is(err, auth.ErrCodeSpent) {
			t.Fatal(err)
		}
	}
	lanes, err := store.Failures(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	for lane, f := range lanes {
		if f.Count != 0 || f.Total != 0 || f.Unseen != 0 {
			t.Errorf("lane %q counted %+v", lane, f)
		}
	}
	if _, ok := e.Recorder.Last("totp.reused"); !ok {
		t.Error("the reuse was not recorded")
	}
}

// Somebody who knows the password and has a thousand addresses guesses codes
// for a month, as fast as the throttle lets them, while the owner signs in
// every working day and makes a typing error now and then.
func TestCodeGuessing_Month(t *testing.T) {
	for _, devices := range []int{1, 2, 3, 4, auth.MaxTOTP} {
		t.Run(fmt.Sprintf("%d devices", devices), func(t *testing.T) { guessForAMonth(t, devices) })
	}
}

func guessForAMonth(t *testing.T, devices int) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p) // the owner's network is known before the attack
	for i := 1; i < devices; i++ {
		_, _, cookie := e.AddDevice(t, p, sess, "")
		sess = e.Session(t, cookie)
	}
	flows := func(o auth.Origin) string {
		f, err := e.Login(t.Context(), o, p.Email, p.Password)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	ctx, looked := t.Context(), 0
	end := e.Clock.Now().Add(30 * 24 * time.Hour)
	nextOwner := e.Clock.Now().Add(12 * time.Hour)
	for i := 0; e.Clock.Now().Before(end); i++ {
		o := authtest.From(fmt.Sprintf("203.0.%d.%d", i/250%4, 1+i%250))
		_, _, err := e.LoginCode(ctx, o, flows(o), "99999z") // never right: the test must not depend on luck
		switch slow := throttled(err); {
		case errors.Is(err, auth.ErrBadCredentials):
			looked++
		case slow == nil:
			t.Fatal(err)
		case slow.Stopped:
			e.Clock.Advance(time.Hour) // they keep knocking
		default:
			e.Clock.Advance(slow.RetryAfter)
		}
		if e.Clock.Now().After(nextOwner) {
			nextOwner = nextOwner.Add(24 * time.Hour)
			if _, _, err := e.LoginCode(ctx, p.Origin, flows(p.Origin), "123456"); !errors.Is(err, auth.ErrBadCredentials) {
				t.Fatalf("the owner's typing error: %v", err)
			}
			if _, _, err := e.LoginCode(ctx, p.Origin, flows(p.Origin), e.FreshCode(t, p)); err != nil {
				t.Fatalf("on %s the owner was kept out: %v", e.Clock.Now(), err)
			}
		}
	}
	// Three codes of a million are right at a time, on each device.
	if chance := float64(looked*devices) * 3e-6; chance >= 0.001 || looked < 20 {
		t.Fatalf("%d guesses were looked at: %.3f %%", looked, 100*chance)
	}
	t.Logf("%d guesses were looked at in a month", looked)
}

// At the stop no code of the app helps any more, a recovery code does.
func TestCodeThrottle_Stop(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	flow := func() string {
		f, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for n := range 100 {
		if _, _, err := e.LoginCode(t.Context(), p.Origin, flow(), "000000x"); !errors.Is(err, auth.ErrBadCredentials) {
			t.Fatalf("try %d: %v", n, err)
		}
		e.Clock.Advance(time.Hour)
	}
	for range 3 {
		_, _, err := e.LoginCode(t.Context(), p.Origin, flow(), e.FreshCode(t, p))
		if slow := throttled(err); slow == nil || !slow.Stopped {
			t.Fatalf("a right code at the stop: %v", err)
		}
		e.Clock.Advance(24 * time.Hour)
	}
	_, sess, err := e.LoginCode(t.Context(), p.Origin, flow(), p.Recovery[0])
	if err != nil || sess.RecoveryLeft != 10 || sess.CodeFactor != policy.FactorRecovery {
		t.Fatalf("recovery code at the stop: %+v, %v", sess, err)
	}
	e.SignIn(t, p) // and codes are good again
}

func TestUnlock(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	e.Enrol(t, authtest.Ada)
	flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		e.LoginCode(t.Context(), p.Origin, flow, "000000x")
	}
	if _, _, err := e.LoginCode(t.Context(), p.Origin, flow, e.Code(t, p)); throttled(err) == nil {
		t.Fatal(err)
	}
	for _, who := range []string{authtest.Kim.ID, authtest.Lee.ID, "", "acc-nobody"} {
		if err := e.Unlock(t.Context(), auth.Actor{Account: who}, p.ID); !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("%q: %v", who, err)
		}
	}
	if err := e.Unlock(t.Context(), auth.Actor{Account: authtest.Ada.ID}, p.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.LoginCode(t.Context(), p.Origin, flow, e.Code(t, p)); err != nil {
		t.Fatal(err)
	}
}

// Lock-out as a weapon: strangers hammer at the password; the owner still signs in.
func TestLockOutAsWeapon(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	device, err := e.Device(sess)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		// From a thousand networks, and from the owner's own.
		o := authtest.From(fmt.Sprintf("198.18.%d.%d", i/250%4, 1+i%250))
		if i%10 == 0 {
			o = p.Origin
		}
		if _, err := e.Login(t.Context(), o, p.Email, "wrong"); !errors.Is(err, auth.ErrBadCredentials) && throttled(err) == nil {
			t.Fatal(err)
		}
	}
	elsewhere := authtest.From("192.0.2.77")
	if _, err := e.Login(t.Context(), elsewhere, p.Email, p.Password); err != nil {
		t.Errorf("the owner from elsewhere: %v", err)
	}
	if _, err := e.Login(t.Context(), p.Origin, p.Email, p.Password); throttled(err) == nil {
		t.Errorf("a network that guesses is not slowed: %v", err)
	}
	known := p.Origin
	known.Device = device
	if _, err := e.Login(t.Context(), known, p.Email, p.Password); err != nil {
		t.Errorf("the owner's device behind the attacker's address: %v", err)
	}
	// The device is worth nothing to others, nor as anything else.
	if _, err := e.Login(t.Context(), known, authtest.Lee.Email, p.Password); !errors.Is(err, auth.ErrBadCredentials) {
		t.Errorf("another account: %v", err)
	}
	if who := e.Who(t, device, authtest.GateHost); !who.IsAnonymous() {
		t.Errorf("a device cookie signed in %+v", who)
	}
	// The slowing down ends by itself.
	e.Clock.Advance(15 * time.Minute)
	if _, err := e.Login(t.Context(), p.Origin, p.Email, p.Password); err != nil {
		t.Errorf("after a quarter of an hour: %v", err)
	}
}

// An IPv6 subscriber has 2^64 addresses and is one.
func TestPasswordThrottle_Network(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	for i := range 5 {
		e.Login(t.Context(), authtest.From(fmt.Sprintf("2001:db8:1:2::%x", i+1)), p.Email, "wrong")
	}
	if _, err := e.Login(t.Context(), authtest.From("2001:db8:1:2:ffff::1"), p.Email, p.Password); throttled(err) == nil {
		t.Errorf("same /64: %v", err)
	}
	if _, err := e.Login(t.Context(), authtest.From("2001:db8:1:3::1"), p.Email, p.Password); err != nil {
		t.Errorf("other /64: %v", err)
	}
}
