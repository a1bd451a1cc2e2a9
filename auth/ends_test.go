package auth_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/policy"
)

// between is a store that lets a test in before some of its writes.
type between struct {
	auth.Store
	before func(method string)
}

func (b *between) at(method string) {
	if b.before != nil {
		b.before(method)
	}
}

func (b *between) PutMachine(ctx context.Context, m auth.Machine, grant string) (bool, error) {
	b.at("PutMachine")
	return b.Store.PutMachine(ctx, m, grant)
}

func (b *between) SettleDeviceGrant(ctx context.Context, g auth.DeviceGrant) (bool, error) {
	b.at("SettleDeviceGrant")
	return b.Store.SettleDeviceGrant(ctx, g)
}

func (b *between) PutToken(ctx context.Context, t auth.Token) error {
	b.at("PutToken")
	return b.Store.PutToken(ctx, t)
}

// opened is one of each thing that an account can have open, all of it proved
// by a key, and a second process on the same store.
type opened struct {
	*keyed
	store   *authtest.Store
	steps   *between
	other   *auth.Service
	machine *device

	cookie                string // of the session
	bearer, access, bound string // secrets of tokens
	secret, device, flow  string // of a machine, of a request that is approved, of a sign-in under way
	session               *auth.Session
}

func openEverything(t *testing.T) *opened {
	t.Helper()
	ctx := t.Context()
	o := &opened{machine: newDevice(t)}
	var cfg auth.Config
	o.keyed = newKeyed(t, func(c *auth.Config) {
		cfg = *c
		o.steps = &between{Store: c.Store}
		c.Store = o.steps
	})
	o.store = o.Store.(*authtest.Store)
	var err error
	if o.other, err = auth.New(cfg); err != nil {
		t.Fatal(err)
	}
	signIn := func() (string, *auth.Session) {
		t.Helper()
		cookie, sess, err := o.signInWith(t, o.key)
		if err != nil {
			t.Fatal(err)
		}
		return cookie, sess
	}
	ask := func() (id, code string) {
		t.Helper()
		a, err := o.AskDevice(ctx, auth.DeviceAsk{Call: o.machine.call(t, o.Env, ""), Name: "laptop"})
		if err != nil {
			t.Fatal(err)
		}
		_, sess := signIn()
		q, err := o.EnterDeviceCode(ctx, o.p.Origin, sess, a.UserCode)
		if err != nil || !q.Fresh {
			t.Fatalf("%+v %v", q, err)
		}
		if err := o.ApproveDevice(ctx, o.p.Origin, sess, q.ID); err != nil {
			t.Fatal(err)
		}
		return q.ID, a.DeviceCode
	}
	o.cookie, o.session = signIn()
	_, code := ask()
	call := o.machine.call(t, o.Env, code)
	if o.secret, _, err = o.RedeemDevice(ctx, &call); err != nil {
		t.Fatal(err)
	}
	call = o.machine.call(t, o.Env, o.secret)
	if o.bound, _, err = o.MachineToken(ctx, &call, "claims", false); err != nil {
		t.Fatal(err)
	}
	if o.bearer, _, err = o.CreateToken(ctx, o.p.Origin, o.session, "claims", "git", 0); err != nil {
		t.Fatal(err)
	}
	o.access, _, err = o.CreateAccessToken(ctx, o.p.Origin, o.session, auth.AccessRequest{Cluster: "claims", Name: "nightly",
		Scope: policy.TokenScope{Access: policy.AccessRead, Paths: [][]string{{}}}, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Ends: o.Clock.Now().Add(24 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	_, o.device = ask()
	o.flow = o.password(t)
	if err := o.other.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	return o
}

// standing says which of the things are in force in a process.
func (o *opened) standing(t *testing.T, s *auth.Service) map[string]bool {
	t.Helper()
	ctx := t.Context()
	e := *o.Env
	e.Service = s
	call, redeem := o.machine.call(t, &e, o.secret), o.machine.call(t, &e, o.device)
	_, _, machine := s.MachineAccount(&call)
	_, flow := s.Flow(ctx, o.flow)
	_, _, grant := s.RedeemDevice(ctx, &redeem)
	at := here
	proof := o.machine.forge(t, at, o.bound, e.Clock.Now(), forged{})
	return map[string]bool{
		"session":      !e.Who(t, o.cookie, authtest.GateHost).IsAnonymous(),
		"bearer token": !show(t, &e, "Bearer", o.bearer, "").IsAnonymous(),
		"access token": !show(t, &e, "Bearer", o.access, "").IsAnonymous(),
		"bound token":  !show(t, &e, "DPoP", o.bound, proof).IsAnonymous(),
		"machine":      machine == nil,
		"approved":     grant == nil,
		"sign-in":      flow == nil,
	}
}

// Each act that ends what an account has open takes each kind of credential out
// of force: in this process at once, in another with its next reading of the
// store, and for good.
func TestEnds_ActsAndCredentials(t *testing.T) {
	admin := auth.Actor{Account: authtest.Ada.ID}
	all := map[string]bool{"session": false, "bearer token": false, "access token": false, "bound token": false, "machine": false, "approved": false, "sign-in": false}
	but := func(stays ...string) map[string]bool {
		m := map[string]bool{}
		for k := range all {
			m[k] = false
		}
		for _, k := range stays {
			m[k] = true
		}
		return m
	}
	disable := func(edit func(*auth.Account)) func(context.Context, *opened) error {
		return func(ctx context.Context, o *opened) error {
			a := authtest.Kim
			edit(&a)
			o.store.SetAccount(a)
			return o.Reload(ctx)
		}
	}
	for name, c := range map[string]struct {
		act  func(context.Context, *opened) error
		want map[string]bool
	}{
		"nothing": {func(context.Context, *opened) error { return nil }, but("session", "bearer token", "access token", "bound token", "machine", "approved", "sign-in")},
		"own end of all": {func(ctx context.Context, o *opened) error {
			_, err := o.EndSessions(ctx, auth.Actor{Account: o.p.ID}, o.p.ID)
			return err
		}, all},
		"end by an administrator": {func(ctx context.Context, o *opened) error { _, err := o.EndSessions(ctx, admin, o.p.ID); return err }, all},
		"end of the vendor":       {func(ctx context.Context, o *opened) error { _, err := o.EndVendor(ctx, admin, "acme"); return err }, all},
		"end of everybody":        {func(ctx context.Context, o *opened) error { _, err := o.EndEverybody(ctx, admin, ""); return err }, all},
		"reset":                   {func(ctx context.Context, o *opened) error { _, _, err := o.ResetFactor(ctx, admin, o.p.ID); return err }, all},
		"disable":                 {disable(func(a *auth.Account) { a.Disabled = true }), all},
		"suspension":              {disable(func(a *auth.Account) { a.VendorSuspended = true }), all},
		"the account's end":       {disable(func(a *auth.Account) { a.Ends = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }), all},
		"removed account": {func(ctx context.Context, o *opened) error {
			o.store.RemoveAccount(o.p.ID)
			return o.Reload(ctx)
		}, all},
		"password change that ends others": {func(ctx context.Context, o *opened) error {
			_, sess, err := o.signInWith(t, o.key)
			if err == nil {
				_, _, err = o.ChangePassword(ctx, o.p.Origin, sess, o.p.Password, "another long pass phrase 9", true)
			}
			return err
		}, all},
		"password change that leaves others": {func(ctx context.Context, o *opened) error {
			_, sess, err := o.signInWith(t, o.key)
			if err == nil {
				_, _, err = o.ChangePassword(ctx, o.p.Origin, sess, o.p.Password, "another long pass phrase 9", false)
			}
			return err
		}, but("session", "bearer token", "access token", "bound token", "machine", "approved")},
		// The sign-in under way has proved no key yet.
		"removal of the key": {func(ctx context.Context, o *opened) error {
			_, sess := o.SignIn(t, o.p)
			_, err := o.RemoveKey(ctx, o.p.Origin, sess, o.row.ID)
			return err
		}, but("sign-in")},
		"removal by an administrator": {func(ctx context.Context, o *opened) error { return o.RemoveKeyOf(ctx, admin, o.p.ID, o.row.ID) }, but("sign-in")},
		"end of the machine": {func(ctx context.Context, o *opened) error {
			list, err := o.MachinesOf(ctx, o.p.ID)
			if err == nil {
				err = o.EndMachine(ctx, admin, list[0].ID)
			}
			return err
		}, but("session", "bearer token", "access token", "approved", "sign-in")},
		"end of the session": {func(ctx context.Context, o *opened) error { return o.EndSession(ctx, admin, o.session.ID) },
			but("bearer token", "access token", "bound token", "machine", "approved", "sign-in")},
	} {
		for place, here := range map[string]bool{"in this process": true, "in another": false} {
			t.Run(name+" "+place, func(t *testing.T) {
				o := openEverything(t)
				if err := c.act(t.Context(), o); err != nil {
					t.Fatal(err)
				}
				s := o.Service
				if !here {
					s = o.other
					if err := s.Reload(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				for kind, stands := range o.standing(t, s) {
					if stands != c.want[kind] {
						t.Errorf("%s: in force is %v", kind, stands)
					}
				}
			})
		}
	}
}

// What ended with a disabled account does not come back when it is let in again.
func TestEnds_EnabledAgain(t *testing.T) {
	o := openEverything(t)
	a := authtest.Kim
	a.Disabled = true
	o.store.SetAccount(a)
	if err := o.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.store.SetAccount(authtest.Kim)
	for _, s := range []*auth.Service{o.Service, o.other} {
		if err := s.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		for kind, stands := range o.standing(t, s) {
			// The store drops these two together with the account's change.
			if stands && kind != "approved" && kind != "sign-in" {
				t.Errorf("%s is in force again", kind)
			}
		}
	}
}

// An end in another process that falls between two steps of this one leaves
// nothing behind: neither a machine, nor a token, nor an approval.
func TestEnds_BetweenTwoSteps(t *testing.T) {
	for before, do := range map[string]func(context.Context, *opened) error{
		"PutMachine": func(ctx context.Context, o *opened) error {
			call := o.machine.call(t, o.Env, o.device)
			_, _, err := o.RedeemDevice(ctx, &call)
			return err
		},
		"SettleDeviceGrant": func(ctx context.Context, o *opened) error {
			a, err := o.AskDevice(ctx, auth.DeviceAsk{Call: o.machine.call(t, o.Env, ""), Name: "laptop"})
			if err != nil {
				t.Fatal(err)
			}
			_, sess := o.SignIn(t, o.p)
			q, err := o.EnterDeviceCode(ctx, o.p.Origin, sess, a.UserCode)
			if err != nil {
				t.Fatal(err)
			}
			return o.ApproveDevice(ctx, o.p.Origin, sess, q.ID)
		},
		"PutToken by a machine": func(ctx context.Context, o *opened) error {
			call := o.machine.call(t, o.Env, o.secret)
			_, _, err := o.MachineToken(ctx, &call, "claims", false)
			return err
		},
		"PutToken by a session": func(ctx context.Context, o *opened) error {
			_, _, err := o.CreateToken(ctx, o.p.Origin, o.session, "claims", "git", 0)
			return err
		},
	} {
		t.Run(before, func(t *testing.T) {
			o, ended := openEverything(t), false
			method, _, _ := strings.Cut(before, " ")
			o.steps.before = func(m string) {
				if m == method && !ended {
					ended = true
					if _, err := o.other.EndSessions(context.Background(), auth.Actor{Account: authtest.Ada.ID}, o.p.ID); err != nil {
						t.Error(err)
					}
				}
			}
			err := do(t.Context(), o)
			if err == nil || !ended {
				t.Fatalf("error %v, ended in between is %v", err, ended)
			}
			if !errors.Is(err, auth.ErrDeviceUnknown) && !errors.Is(err, auth.ErrBadCredentials) && !errors.Is(err, auth.ErrSessionEnded) {
				t.Errorf("error %v", err)
			}
			o.steps.before = nil
			for range 2 { // what is left over in the store would come back with the second
				if err := errors.Join(o.Reload(t.Context()), o.other.Reload(t.Context())); err != nil {
					t.Fatal(err)
				}
			}
			machines, tokens, err := o.EveryCredential(t.Context())
			if err != nil || len(machines)+len(tokens) > 0 {
				t.Errorf("left behind: %+v %+v %v", machines, tokens, err)
			}
			for kind, stands := range o.standing(t, o.Service) {
				if stands {
					t.Errorf("%s is in force", kind)
				}
			}
			if method == "SettleDeviceGrant" {
				return
			}
			gone := 0
			for _, r := range o.Recorder.Records() {
				if r.Result == "gone" {
					gone++
				}
			}
			if gone != 1 {
				t.Errorf("%d records say that it did not happen", gone)
			}
		})
	}
}
