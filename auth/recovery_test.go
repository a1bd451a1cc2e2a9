package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
)

// kinds returns the kinds of the account's notices, the newest first.
func kinds(t *testing.T, e *authtest.Env, account string) (out []auth.NoticeKind) {
	t.Helper()
	list, err := e.Notices(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list {
		out = append(out, n.Kind)
	}
	return out
}

// Authelia has no recovery codes; NIST SP 800-63B-4 asks for a replacement of
// each that was used, and that the owner is told.
func TestRecovery_UsedCodeIsReplaced(t *testing.T) {
	e, store := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
	if err != nil {
		t.Fatal(err)
	}
	_, sess, err := e.LoginCode(t.Context(), p.Origin, flow, p.Recovery[3])
	if err != nil || sess.RecoveryLeft != 10 {
		t.Fatal(sess, err)
	}
	shown := e.ShownRecovery(sess)
	if len(shown) != 1 || slices.Contains(p.Recovery, shown[0]) {
		t.Fatalf("%d codes are shown", len(shown))
	}
	if got := kinds(t, e, p.ID); !slices.Equal(got, []auth.NoticeKind{auth.NoticeRecoveryUsed}) {
		t.Errorf("the owner was told %v", got)
	}
	if w, err := e.OpenWarnings(t.Context()); err != nil || len(w) != 1 || w[0].Vendor != "acme" || w[0].Email != p.Email {
		t.Errorf("to be passed on: %+v, %v", w, err)
	}
	// It is kept by typing it again; nothing else ends the showing.
	for _, wrong := range []string{"", "000000", p.Recovery[0]} {
		if err := e.KeepRecovery(sess, wrong); !errors.Is(err, auth.ErrBadCredentials) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if err := e.KeepRecovery(sess, strings.ToUpper(shown[0][:5]+" "+shown[0][5:])); err != nil {
		t.Fatal(err)
	}
	if e.ShownRecovery(sess) != nil || !errors.Is(e.KeepRecovery(sess, shown[0]), auth.ErrNotFound) {
		t.Error("the code is shown again")
	}
	// The new one is good once, the spent one and its slot are not.
	for _, c := range []struct {
		code string
		want error
	}{{p.Recovery[3], auth.ErrCodeSpent}, {shown[0], nil}, {shown[0], auth.ErrCodeSpent}, {p.Recovery[4], nil}} {
		flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := e.LoginCode(t.Context(), p.Origin, flow, c.code); !errors.Is(err, c.want) {
			t.Errorf("got %v, want %v", err, c.want)
		}
	}
	// That a replacement cannot be stored keeps nobody out.
	store.Fault = func(method string) (bool, error) {
		if method == "AddRecovery" {
			return false, authtest.ErrInjected
		}
		return true, nil
	}
	flow, err = e.Login(t.Context(), p.Origin, p.Email, p.Password)
	if err != nil {
		t.Fatal(err)
	}
	_, sess, err = e.LoginCode(t.Context(), p.Origin, flow, p.Recovery[5])
	if err != nil || sess.RecoveryLeft != 9 || e.ShownRecovery(sess) != nil {
		t.Errorf("without a replacement: %+v, %v", sess, err)
	}
}

func TestRecovery_SetIsReplaced(t *testing.T) {
	e, store := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	if err := e.ReplaceRecovery(t.Context(), p.Origin, sess); err != nil {
		t.Fatal(err)
	}
	shown := e.ShownRecovery(sess)
	if len(shown) != 10 {
		t.Fatalf("%d codes are shown", len(shown))
	}
	if r, ok := e.Recorder.Last("recovery.replace"); !ok || r.Account != p.ID || r.Session != sess.ID {
		t.Errorf("recorded %+v", r)
	}
	if got := kinds(t, e, p.ID); !slices.Equal(got, []auth.NoticeKind{auth.NoticeRecoveryReplaced}) {
		t.Errorf("the owner was told %v", got)
	}
	flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
	if err != nil {
		t.Fatal(err)
	}
	// The old set is void at once, whether or not the new one was kept.
	if _, _, err := e.LoginCode(t.Context(), p.Origin, flow, p.Recovery[0]); !errors.Is(err, auth.ErrBadCredentials) {
		t.Errorf("an old code: %v", err)
	}
	if _, other, err := e.LoginCode(t.Context(), p.Origin, flow, shown[9]); err != nil || len(e.ShownRecovery(other)) != 1 {
		t.Errorf("a new code: %v", err)
	}
	// Codes are shown to the session that made them, and for ten minutes.
	e.Clock.Advance(10 * time.Minute)
	if e.ShownRecovery(sess) != nil {
		t.Error("the codes are shown for ever")
	}
	// Nothing changes unrecorded, and a fault leaves the old set good.
	e.Recorder.Fail(errors.New("disk full"))
	if err := e.ReplaceRecovery(t.Context(), p.Origin, sess); err == nil || e.ShownRecovery(sess) != nil {
		t.Error("codes were replaced without a record")
	}
	e.Recorder.Fail(nil)
	store.Fault = func(method string) (bool, error) { return method != "ReplaceRecovery", authtest.ErrInjected }
	if err := e.ReplaceRecovery(t.Context(), p.Origin, sess); err == nil || e.ShownRecovery(sess) != nil {
		t.Error("codes are shown that were not stored")
	}
	store.Fault = nil
	if n, err := e.RecoveryLeft(t.Context(), p.ID); err != nil || n != 10 {
		t.Errorf("%d codes are left, %v", n, err)
	}
}

// A right password followed by wrong codes warns the account's owner and the
// vendor's, once an hour, and shows at the next sign-in.
func TestWarning_WrongCodesAfterARightPassword(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	guess := func(n int) {
		t.Helper()
		for range n {
			flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = e.LoginCode(t.Context(), authtest.From("203.0.113.9"), flow, "000000x")
			if slow := throttled(err); slow != nil {
				e.Clock.Advance(slow.RetryAfter)
			}
		}
	}
	guess(2)
	if got := kinds(t, e, p.ID); got != nil {
		t.Fatalf("two slips of the finger were worth %v", got)
	}
	guess(3)
	want := []auth.NoticeKind{auth.NoticeWrongCodes}
	if got := kinds(t, e, p.ID); !slices.Equal(got, want) {
		t.Fatalf("told %v", got)
	}
	list, _ := e.Notices(t.Context(), p.ID)
	if list[0].IP != "203.0.113.9" || list[0].Detail["codes"] != "3" {
		t.Errorf("the notice %+v", list[0])
	}
	e.Clock.Advance(time.Hour)
	guess(1)
	if got := kinds(t, e, p.ID); len(got) != 2 {
		t.Errorf("an hour later: %v", got)
	}
	warnings, err := e.OpenWarnings(t.Context())
	if err != nil || len(warnings) != 2 || warnings[0].Kind != auth.NoticeWrongCodes || warnings[0].Vendor != "acme" {
		t.Fatalf("warnings %+v, %v", warnings, err)
	}
	e.Clock.Advance(time.Hour)
	_, sess := e.SignIn(t, p)
	if sess.FailedCodes < 5 {
		t.Errorf("the next sign-in shows %d wrong codes", sess.FailedCodes)
	}

	// An administrator passes them on; contractors do not, and nothing twice.
	ada := auth.Actor{Account: authtest.Ada.ID, Email: authtest.Ada.Email}
	if err := e.PassWarning(t.Context(), auth.Actor{Account: p.ID}, warnings[0].ID); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("a contractor: %v", err)
	}
	if err := e.PassWarning(t.Context(), ada, warnings[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := e.PassWarning(t.Context(), ada, warnings[0].ID); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
	if r, ok := e.Recorder.Last("notice.pass_on"); !ok || r.Actor != authtest.Ada.ID || r.Account != p.ID {
		t.Errorf("recorded %+v", r)
	}
	if w, _ := e.OpenWarnings(t.Context()); len(w) != 1 {
		t.Errorf("%d are open", len(w))
	}
}

func TestWarning_CodesStopped(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	for range 100 {
		flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := e.LoginCode(t.Context(), p.Origin, flow, "000000x"); !errors.Is(err, auth.ErrBadCredentials) {
			t.Fatal(err)
		}
		e.Clock.Advance(time.Hour)
	}
	got := kinds(t, e, p.ID)
	if len(got) == 0 || got[0] != auth.NoticeCodesStopped {
		t.Errorf("told %v", got)
	}
	n := 0
	for _, k := range got {
		if k == auth.NoticeCodesStopped {
			n++
		}
	}
	if n != 1 {
		t.Errorf("told %d times that codes are stopped", n)
	}
}

// Told is called for each notice, after it was stored.
func TestTold(t *testing.T) {
	var told []auth.NoticeKind
	e, _ := newEnv(t, func(c *auth.Config) {
		c.Told = func(_ context.Context, a auth.Account, n auth.Notice) {
			if a.Email != authtest.Kim.Email || n.Account != a.ID || n.ID == "" {
				t.Errorf("told of %+v about %+v", a, n)
			}
			told = append(told, n.Kind)
		}
	})
	p := e.Enrol(t, authtest.Kim)
	if _, _, err := e.ResetFactor(t.Context(), authtest.Operator, p.ID); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(told, []auth.NoticeKind{auth.NoticeSignInReset}) {
		t.Errorf("told %v", told)
	}
	if !auth.Warned(auth.NoticeSignInReset) || auth.Warned(auth.NoticePasswordChanged) {
		t.Error("the wrong kinds are for the vendor's owner")
	}
}

// A number told by telephone: ten tries, then the invitation is void.
func TestInvite_PhoneCode(t *testing.T) {
	e, _ := newEnv(t, nil)
	invite := func(opt auth.InviteOptions) (token string, i auth.Invited) {
		t.Helper()
		i, err := e.InviteWith(t.Context(), authtest.Operator, authtest.Kim.ID, opt)
		if err != nil {
			t.Fatal(err)
		}
		_, token, _ = strings.Cut(i.Link, "invite=")
		return token, i
	}
	if _, i := invite(auth.InviteOptions{}); i.PhoneCode != "" {
		t.Fatal("a number that nobody asked for")
	}
	token, i := invite(auth.InviteOptions{PhoneCode: true})
	if len(i.PhoneCode) != 6 || strings.Contains(i.Link, i.PhoneCode) || strings.Contains(fmt.Sprintf("%v %+v %#v", i, i, i), i.PhoneCode) {
		t.Fatalf("the number has %d digits or stands where it should not", len(i.PhoneCode))
	}
	if info, err := e.OpenInvite(t.Context(), token); err != nil || !info.PhoneCode {
		t.Fatal(info, err)
	}
	o := authtest.From("192.0.2.10")
	wrong := "000000"
	if wrong == i.PhoneCode {
		wrong = "000001"
	}
	// Nothing typed is no try, nor is a password that is not fit.
	for range 30 {
		if _, err := e.AcceptInvite(t.Context(), o, token, authtest.Password); !errors.Is(err, auth.ErrPhoneCode) {
			t.Fatal(err)
		}
		if _, err := e.AcceptInviteWith(t.Context(), o, token, "short", wrong); errors.Is(err, auth.ErrPhoneCode) || err == nil {
			t.Fatal(err)
		}
	}
	for n := range 9 {
		if _, err := e.AcceptInviteWith(t.Context(), o, token, authtest.Password, wrong); !errors.Is(err, auth.ErrPhoneCode) {
			t.Fatalf("try %d: %v", n, err)
		}
	}
	if _, err := e.AcceptInviteWith(t.Context(), o, token, authtest.Password, i.PhoneCode[:3]+" "+i.PhoneCode[3:]); err != nil {
		t.Fatalf("the right one at the tenth try: %v", err)
	}

	// A reset repeats the invitation at the same strength.
	again, err := e.ResetFactorWith(t.Context(), authtest.Operator, authtest.Kim.ID, auth.InviteOptions{})
	if err != nil || again.PhoneCode == "" {
		t.Fatalf("after a reset: %v, %v", again, err)
	}
	_, token, _ = strings.Cut(again.Link, "invite=")
	if wrong == again.PhoneCode {
		wrong = "000002"
	}
	var last error
	for range 10 {
		_, last = e.AcceptInviteWith(t.Context(), o, token, authtest.Password, wrong)
	}
	if !errors.Is(last, auth.ErrInviteInvalid) {
		t.Errorf("the tenth wrong try: %v", last)
	}
	if _, err := e.AcceptInviteWith(t.Context(), o, token, authtest.Password, again.PhoneCode); !errors.Is(err, auth.ErrInviteInvalid) {
		t.Errorf("the right one on a void invitation: %v", err)
	}
	if _, err := e.OpenInvite(t.Context(), token); !errors.Is(err, auth.ErrInviteInvalid) {
		t.Errorf("a void invitation opens: %v", err)
	}
}

// A hundred wrong passwords at once are answered alike, whatever they were: the
// right one among them must not stand out once the free tries are used up.
func TestPasswordThrottle_ManyAtOnce(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	var wrong, slow atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range 60 {
		wg.Go(func() {
			<-start
			switch _, err := e.Login(t.Context(), p.Origin, p.Email, "wrong"); {
			case throttled(err) != nil:
				slow.Add(1)
			case errors.Is(err, auth.ErrBadCredentials):
				wrong.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	if wrong.Load() != 5 || slow.Load() != 55 {
		t.Errorf("%d were told that it was wrong, %d to wait", wrong.Load(), slow.Load())
	}
	if _, err := e.Login(t.Context(), p.Origin, p.Email, p.Password); throttled(err) == nil {
		t.Errorf("the right one behind them: %v", err)
	}
}

// A right password writes nothing about wrong ones.
func TestPasswordThrottle_NoWriteWhenRight(t *testing.T) {
	e, store := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	writes := 0
	store.Fault = func(method string) (bool, error) {
		if method == "EditPasswordFailure" {
			writes++
		}
		return true, nil
	}
	e.SignIn(t, p)
	if writes != 0 {
		t.Errorf("%d writes", writes)
	}
	e.Login(t.Context(), p.Origin, p.Email, "wrong")
	e.SignIn(t, p) // which forgets it
	e.SignIn(t, p)
	if writes != 2 {
		t.Errorf("%d writes, want one for the wrong password and one that forgets it", writes)
	}
}

// Where wrong passwords cannot be counted nobody signs in.
func TestPasswordThrottle_FailsClosed(t *testing.T) {
	e, store := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	store.Fault = func(method string) (bool, error) {
		if method == "EditPasswordFailure" {
			return false, authtest.ErrInjected
		}
		return true, nil
	}
	if _, err := e.Login(t.Context(), p.Origin, p.Email, "wrong"); !errors.Is(err, authtest.ErrInjected) || errors.Is(err, auth.ErrBadCredentials) {
		t.Errorf("a wrong password that was not counted: %v", err)
	}
}
