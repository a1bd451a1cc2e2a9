package auth_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
)

const otherPassword = "copper lantern drifts homeward"

// Session fixation: the id's cookie is renewed at a password change, and every
// other cookie from before is void.
func TestChangePassword(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	here, sess := e.SignIn(t, p)
	there, _ := e.SignIn(t, p)
	cluster := e.AtCluster(t, sess, authtest.Claims)
	flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
	if err != nil {
		t.Fatal(err)
	}
	cookie, others, err := e.ChangePassword(t.Context(), p.Origin, sess, p.Password, otherPassword, true)
	if err != nil || others != 1 {
		t.Fatalf("%d others ended, %v", others, err)
	}
	if who := e.Who(t, cookie, authtest.GateHost); who.Session != sess.ID {
		t.Errorf("the session that goes on is %+v", who)
	}
	for what, old := range map[string][2]string{"the cookie from before": {here, authtest.GateHost}, "the other session": {there, authtest.GateHost}, "the cluster's cookie from before": {cluster, authtest.Claims}} {
		if who := e.Who(t, old[0], old[1]); !who.IsAnonymous() {
			t.Errorf("%s is good for %+v", what, who)
		}
	}
	// A sign-in under way proved the old password.
	if _, _, err := e.LoginCode(t.Context(), p.Origin, flow, e.FreshCode(t, p)); !errors.Is(err, auth.ErrFlowEnded) {
		t.Errorf("a sign-in under way: %v", err)
	}
	if _, err := e.Login(t.Context(), p.Origin, p.Email, p.Password); !errors.Is(err, auth.ErrBadCredentials) {
		t.Errorf("the old password: %v", err)
	}
	if _, err := e.Login(t.Context(), p.Origin, p.Email, otherPassword); err != nil {
		t.Errorf("the new password: %v", err)
	}
	if r, ok := e.Recorder.Last("password.change"); !ok || r.Session != sess.ID || r.Account != p.ID || r.Detail["end_others"] != "true" {
		t.Errorf("recorded %+v", r)
	}
	if got := kinds(t, e, p.ID); !slices.Equal(got, []auth.NoticeKind{auth.NoticeNewDevice, auth.NoticePasswordChanged}) {
		t.Errorf("the owner was told %v", got)
	}
	// The cookie from before cannot change anything either.
	if _, _, err := e.ChangePassword(t.Context(), p.Origin, sess, otherPassword, authtest.Password, true); !errors.Is(err, auth.ErrSessionEnded) {
		t.Errorf("by the session as it was: %v", err)
	}
}

func TestChangePassword_OthersStayOnRequest(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	there, _ := e.SignIn(t, p)
	if _, others, err := e.ChangePassword(t.Context(), p.Origin, sess, p.Password, otherPassword, false); err != nil || others != 0 {
		t.Fatal(others, err)
	}
	if e.Who(t, there, authtest.GateHost).IsAnonymous() {
		t.Error("another session ended unasked")
	}
}

func TestChangePassword_Refusals(t *testing.T) {
	e, store := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	cookie, sess := e.SignIn(t, p)
	change := func(current, next string) error {
		_, _, err := e.ChangePassword(t.Context(), p.Origin, sess, current, next, true)
		return err
	}
	for next, want := range map[string]string{p.Password: auth.PasswordSame, "short": auth.PasswordTooShort, "Kim Park vendor": auth.PasswordOwnWords, "passwordpassword": auth.PasswordCommon} {
		if bad, ok := errors.AsType[*auth.PasswordError](change(p.Password, next)); !ok || bad.Reason != want {
			t.Errorf("%q: %v, want %s", next, bad, want)
		}
	}
	// Somebody at an unlocked screen guesses: slowed, from whatever address,
	// and the owner still signs in.
	for n := range 5 {
		if err := change(fmt.Sprint("guess ", n), otherPassword); !errors.Is(err, auth.ErrBadCredentials) || throttled(err) != nil {
			t.Fatalf("guess %d: %v", n, err)
		}
	}
	_, _, err := e.ChangePassword(t.Context(), authtest.From("203.0.113.5"), sess, p.Password, otherPassword, true)
	if slow := throttled(err); slow == nil || slow.RetryAfter != 30*time.Second {
		t.Errorf("the sixth: %v", err)
	}
	if _, err := e.Login(t.Context(), p.Origin, p.Email, p.Password); err != nil {
		t.Errorf("the owner: %v", err)
	}
	e.Clock.Advance(30 * time.Second)
	// Nothing changes unrecorded.
	e.Recorder.Fail(errors.New("disk full"))
	if err := change(p.Password, otherPassword); err == nil {
		t.Error("changed without a record")
	}
	e.Recorder.Fail(nil)
	store.Fault = func(method string) (bool, error) {
		if method == "ChangePassword" {
			return false, authtest.ErrInjected
		}
		return true, nil
	}
	if err := change(p.Password, otherPassword); !errors.Is(err, authtest.ErrInjected) {
		t.Errorf("store's fault: %v", err)
	}
	store.Fault = nil
	if e.Who(t, cookie, authtest.GateHost).IsAnonymous() {
		t.Error("a change that failed ended the session")
	}
	if got := kinds(t, e, p.ID); got != nil {
		t.Errorf("told of %v", got)
	}
	if err := change(p.Password, otherPassword); err != nil {
		t.Error(err)
	}
}
