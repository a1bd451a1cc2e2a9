package auth_test

import (
	"errors"
	"testing"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
)

// The last app may go while a key stays: the key, or a recovery code, signs in
// from then on. Then the key is the last factor and stays.
func TestLastFactor_KeyStays(t *testing.T) {
	ctx := t.Context()
	k := newKeyed(t, nil)
	list, err := k.Authenticators(ctx, k.p.ID)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	cookie, err := k.RemoveAuthenticator(ctx, k.p.Origin, k.sess, list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.RemoveKey(ctx, k.p.Origin, current(t, k.Env, cookie), k.row.ID)
	wantErr(t, "removing the key that is left", err, auth.ErrLastFactor)
	wantErr(t, "for an administrator", k.RemoveKeyOf(ctx, auth.Actor{Account: authtest.Ada.ID}, k.p.ID, k.row.ID), auth.ErrLastFactor)
	if _, _, err := k.Invite(ctx, authtest.Operator, k.p.ID); !errors.Is(err, auth.ErrEnrolled) {
		t.Errorf("an account with a key alone is invited again: %v", err)
	}
	if _, _, err := k.signInWith(t, k.key); err != nil {
		t.Errorf("signing in with the key: %v", err)
	}
	if _, _, err := k.LoginCode(ctx, k.p.Origin, k.password(t), k.p.Recovery[0]); err != nil {
		t.Errorf("signing in with a recovery code: %v", err)
	}
	flow := k.password(t)
	info, err := k.Flow(ctx, flow)
	if err != nil || !info.NoApp {
		t.Errorf("the page asks for a code of an app: %+v %v", info, err)
	}
	if _, _, err := k.LoginCode(ctx, k.p.Origin, flow, k.FreshCode(t, k.p)); !errors.Is(err, auth.ErrBadCredentials) {
		t.Errorf("a code of the removed app: %v", err)
	}
}

// Without a key the last app stays.
func TestLastFactor_AppStays(t *testing.T) {
	ctx := t.Context()
	k := newKeyed(t, nil)
	cookie, err := k.RemoveKey(ctx, k.p.Origin, k.sess, k.row.ID)
	if err != nil {
		t.Fatal(err)
	}
	list, err := k.Authenticators(ctx, k.p.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.RemoveAuthenticator(ctx, k.p.Origin, current(t, k.Env, cookie), list[0].ID)
	wantErr(t, "removing the last app", err, auth.ErrLastFactor)
	if info, err := k.Flow(ctx, k.password(t)); err != nil || info.NoApp {
		t.Errorf("%+v %v", info, err)
	}
}

// A machine is approved with a key as with a code.
func TestDevice_ApprovedWithKey(t *testing.T) {
	ctx, k, d := t.Context(), newKeyed(t, nil), newDevice(t)
	a, err := k.AskDevice(ctx, auth.DeviceAsk{Call: d.call(t, k.Env, ""), Name: "laptop"})
	if err != nil {
		t.Fatal(err)
	}
	_, sess, err := k.signInWith(t, k.key)
	if err != nil {
		t.Fatal(err)
	}
	q, err := k.EnterDeviceCode(ctx, k.p.Origin, sess, a.UserCode)
	if err != nil || !q.Fresh {
		t.Fatalf("%+v %v", q, err)
	}
	if err := k.ApproveDevice(ctx, k.p.Origin, sess, q.ID); err != nil {
		t.Fatal(err)
	}
}
