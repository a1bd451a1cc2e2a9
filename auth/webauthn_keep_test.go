package auth_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/policy"
)

var adaActor = auth.Actor{Account: authtest.Ada.ID, Email: authtest.Ada.Email}

// demanding is a configuration under which Kim's engagement demands a key.
func demanding(on *bool) func(*auth.Config) {
	return func(c *auth.Config) {
		c.PhishingResistant = func(account string) bool { return *on && account == authtest.Kim.ID }
	}
}

// TestKey_StolenCodeAddsNone: while an engagement demands a key, whoever has
// password and code cannot add a first one, nor a second one beside the owner's.
func TestKey_StolenCodeAddsNone(t *testing.T) {
	on := true
	e := authtest.NewEnv(t, authtest.New(authtest.Everyone()...), demanding(&on))
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	if _, err := e.BeginKeyRegistration(t.Context(), p.Origin, sess); !errors.Is(err, auth.ErrKeyNotAllowed) {
		t.Fatalf("a first key by a code: %v", err)
	}
	// An administrator allows one, for a day.
	until, err := e.AllowKey(t.Context(), adaActor, p.ID)
	if err != nil || !until.Equal(e.Clock.Now().Add(24*time.Hour)) {
		t.Fatalf("%v, %v", until, err)
	}
	if got, err := e.KeyAllowedUntil(t.Context(), p.ID); err != nil || !got.Equal(until) {
		t.Errorf("allowed until %v, %v", got, err)
	}
	e.Clock.Advance(24 * time.Hour)
	_, sess = e.SignIn(t, p)
	if _, err := e.BeginKeyRegistration(t.Context(), p.Origin, sess); !errors.Is(err, auth.ErrKeyNotAllowed) {
		t.Fatalf("a day later: %v", err)
	}
	if _, err := e.AllowKey(t.Context(), adaActor, p.ID); err != nil {
		t.Fatal(err)
	}
	e.Clock.Advance(16 * time.Minute)
	if _, err := e.BeginKeyRegistration(t.Context(), p.Origin, sess); !errors.Is(err, auth.ErrCodeStale) {
		t.Fatalf("allowed, with an old code: %v", err)
	}
	_, sess = e.SignIn(t, p)
	k := &keyed{Env: e, p: p, key: authtest.NewSoftKey(t)}
	row, _, sess := addKey(t, e, p, sess, k.key, "first")
	if row.Bound != auth.BoundAdministrator {
		t.Errorf("bound by %q", row.Bound)
	}
	// The permission is spent; a further key takes the key.
	if _, err := e.BeginKeyRegistration(t.Context(), p.Origin, sess); !errors.Is(err, auth.ErrKeyStale) {
		t.Fatalf("a second key by a code: %v", err)
	}
	_, sess, err = k.signInWith(t, k.key)
	if err != nil {
		t.Fatal(err)
	}
	if row, _, _ = addKey(t, e, p, sess, authtest.NewSoftKey(t), "second"); row.Bound != auth.BoundKey {
		t.Errorf("bound by %q", row.Bound)
	}
}

// The demand may come between question and answer: the answer is judged too.
func TestKey_DemandWhileAdding(t *testing.T) {
	on := false
	e := authtest.NewEnv(t, authtest.New(authtest.Everyone()...), demanding(&on))
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	q, err := e.BeginKeyRegistration(t.Context(), p.Origin, sess)
	if err != nil {
		t.Fatal(err)
	}
	on = true
	if _, _, err := e.FinishKeyRegistration(t.Context(), p.Origin, sess, q.ID, "x", authtest.NewSoftKey(t).Create(t, q.Options)); !errors.Is(err, auth.ErrKeyNotAllowed) {
		t.Errorf("%v", err)
	}
}

// The session that an enrolment began adds the first key, within the hour, and
// no other session does.
func TestKey_AddedWhileEnrolling(t *testing.T) {
	on := true
	enrol := func() (*authtest.Env, *authtest.Person, *auth.Session) {
		e := authtest.NewEnv(t, authtest.New(authtest.Everyone()...), demanding(&on))
		p := &authtest.Person{Account: authtest.Kim, Password: authtest.Password, Origin: authtest.From("192.0.2.10")}
		link, _, err := e.Invite(t.Context(), authtest.Operator, p.ID)
		if err != nil {
			t.Fatal(err)
		}
		_, token, _ := strings.Cut(link, "invite=")
		value, err := e.AcceptInvite(t.Context(), p.Origin, token, p.Password)
		if err != nil {
			t.Fatal(err)
		}
		info, err := e.Enrolment(t.Context(), value)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Scan(info.URI); err != nil {
			t.Fatal(err)
		}
		if _, err := e.ConfirmTOTP(t.Context(), p.Origin, value, "", e.FreshCode(t, p)); err != nil {
			t.Fatal(err)
		}
		_, sess, err := e.FinishEnrolment(t.Context(), p.Origin, value)
		if err != nil {
			t.Fatal(err)
		}
		return e, p, sess
	}
	e, p, first := enrol()
	_, other := e.SignIn(t, p)
	if _, err := e.MayAddKey(t.Context(), other); !errors.Is(err, auth.ErrKeyNotAllowed) {
		t.Errorf("another session: %v", err)
	}
	if until, err := e.KeyAllowedUntil(t.Context(), p.ID); err != nil || !until.IsZero() {
		t.Errorf("an administrator seems to allow it until %v, %v", until, err)
	}
	if row, _, _ := addKey(t, e, p, first, authtest.NewSoftKey(t), "k"); row.Bound != auth.BoundEnrolment {
		t.Errorf("bound by %q", row.Bound)
	}
	e, _, first = enrol()
	e.Clock.Advance(time.Hour)
	if _, err := e.MayAddKey(t.Context(), first); !errors.Is(err, auth.ErrKeyNotAllowed) && !errors.Is(err, auth.ErrSessionEnded) {
		t.Errorf("an hour later: %v", err)
	}
}

// A removed key signs nobody in, and ends what it has opened.
func TestKey_Remove(t *testing.T) {
	k := newKeyed(t, nil)
	ctx := t.Context()
	byKey, _, err := k.signInWith(t, k.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, _, err := k.CreateToken(ctx, k.p.Origin, current(t, k.Env, byKey), "claims", "git", 0)
	if err != nil {
		t.Fatal(err)
	}
	byCode, _ := k.SignIn(t, k.p)
	k.Clock.Advance(16 * time.Minute)
	if _, err := k.RemoveKey(ctx, k.p.Origin, current(t, k.Env, byCode), k.row.ID); !errors.Is(err, auth.ErrCodeStale) {
		t.Fatalf("with an old code: %v", err)
	}
	_, sess := k.SignIn(t, k.p)
	q, err := k.BeginKeyConfirm(ctx, k.p.Origin, sess)
	if err != nil {
		t.Fatal(err)
	}
	here, err := k.FinishKeyConfirm(ctx, k.p.Origin, sess, q.ID, k.key.Get(t, q.Options))
	if err != nil {
		t.Fatal(err)
	}
	flow := k.password(t)
	q, err = k.BeginKeyLogin(ctx, k.p.Origin, flow)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.RemoveKey(ctx, k.p.Origin, current(t, k.Env, here), "key_nobody"); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("a key that is not there: %v", err)
	}
	next, err := k.RemoveKey(ctx, k.p.Origin, current(t, k.Env, here), k.row.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, has := k.Who(t, next, authtest.GateHost).Factors[policy.FactorWebAuthn]; has || !k.Who(t, here, authtest.GateHost).IsAnonymous() {
		t.Error("the session keeps the removed key's factor, or its old cookie")
	}
	if !k.Who(t, byKey, authtest.GateHost).IsAnonymous() || k.Who(t, byCode, authtest.GateHost).IsAnonymous() {
		t.Error("the session that the key opened goes on, or another one ended")
	}
	r := authtest.Request("")
	r.Header.Set("Authorization", "Bearer "+secret)
	if sub, err := k.Identify(r, authtest.Claims); err != nil || !sub.IsAnonymous() {
		t.Errorf("the token that the key opened goes on: %v", err)
	}
	if _, _, err := k.FinishKeyLogin(ctx, k.p.Origin, flow, q.ID, k.key.Get(t, q.Options)); !errors.Is(err, auth.ErrKeyRefused) {
		t.Errorf("the removed key: %v", err)
	}
	if _, err := k.BeginKeyLogin(ctx, k.p.Origin, flow); !errors.Is(err, auth.ErrNoKeys) {
		t.Errorf("asking for it: %v", err)
	}
	if k.noticed(t, auth.NoticeKeyRemoved) != 1 || k.recorded("webauthn.remove") != 1 {
		t.Error("not told, or not recorded")
	}
}

// Administrators remove other people's keys and allow new ones; nobody does so
// for oneself, and others do it for nobody.
func TestKey_Administrators(t *testing.T) {
	k := newKeyed(t, nil)
	ctx := t.Context()
	cookie, _, err := k.signInWith(t, k.key)
	if err != nil {
		t.Fatal(err)
	}
	lee := auth.Actor{Account: authtest.Lee.ID, Email: authtest.Lee.Email}
	self := auth.Actor{Account: k.p.ID, Email: k.p.Email}
	for _, actor := range []auth.Actor{lee, self, {}, {Account: "acc-nobody"}} {
		if err := k.RemoveKeyOf(ctx, actor, k.p.ID, k.row.ID); !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("%q removes a key: %v", actor.Account, err)
		}
		if _, err := k.AllowKey(ctx, actor, k.p.ID); !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("%q allows a key: %v", actor.Account, err)
		}
	}
	if _, err := k.AllowKey(ctx, adaActor, authtest.Ada.ID); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("an administrator allows herself a key: %v", err)
	}
	if err := k.RemoveKeyOf(ctx, adaActor, authtest.Lee.ID, k.row.ID); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("by another account's page: %v", err)
	}
	if err := k.RemoveKeyOf(ctx, adaActor, k.p.ID, k.row.ID); err != nil {
		t.Fatal(err)
	}
	if !k.Who(t, cookie, authtest.GateHost).IsAnonymous() {
		t.Error("the session that the key opened goes on")
	}
	r, _ := k.Recorder.Last("webauthn.remove")
	if r.Actor != authtest.Ada.ID || r.Account != k.p.ID || r.Detail["name"] != "blue key" || k.noticed(t, auth.NoticeKeyRemoved) != 1 {
		t.Errorf("recorded %+v", r)
	}
}

func TestKey_Names(t *testing.T) {
	k := newKeyed(t, nil)
	ctx := t.Context()
	for _, bad := range []string{"", "  ", strings.Repeat("x", auth.MaxKeyName+1), "a\nb", "a\x00", "\xff", "a\u202eb", "\u2028"} {
		if err := k.RenameKey(ctx, k.p.Origin, k.sess, k.row.ID, bad); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
		if _, _, err := k.FinishKeyRegistration(ctx, k.p.Origin, k.sess, "q", bad, nil); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("a new one, %q: %v", bad, err)
		}
	}
	if err := k.RenameKey(ctx, k.p.Origin, k.sess, k.row.ID, " Schlüssel am Bund "); err != nil {
		t.Fatal(err)
	}
	lee := k.Enrol(t, authtest.Lee)
	_, sess := k.SignIn(t, lee)
	if err := k.RenameKey(ctx, lee.Origin, sess, k.row.ID, "mine"); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("another's key: %v", err)
	}
	if _, err := k.RemoveKey(ctx, lee.Origin, sess, k.row.ID); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("another's key: %v", err)
	}
	keys, err := k.SecurityKeys(ctx, k.p.ID)
	if err != nil || len(keys) != 1 || keys[0].Name != "Schlüssel am Bund" {
		t.Errorf("%+v, %v", keys, err)
	}
	r, _ := k.Recorder.Last("webauthn.rename")
	if r.Detail["name"] != "blue key" || r.Detail["new_name"] != "Schlüssel am Bund" {
		t.Errorf("recorded %+v", r)
	}
}

// One key is one account's, and an account has ten at most.
func TestKey_TakenAndTooMany(t *testing.T) {
	k := newKeyed(t, nil)
	lee := k.Enrol(t, authtest.Lee)
	_, sess := k.SignIn(t, lee)
	q, err := k.BeginKeyRegistration(t.Context(), lee.Origin, sess)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.FinishKeyRegistration(t.Context(), lee.Origin, sess, q.ID, "x", k.key.Create(t, q.Options)); !errors.Is(err, auth.ErrKeyTaken) {
		t.Errorf("another's key: %v", err)
	}
	for range auth.MaxKeys - 1 {
		_, _, k.sess = addKey(t, k.Env, k.p, k.sess, authtest.NewSoftKey(t), "one more")
	}
	if _, err := k.BeginKeyRegistration(t.Context(), k.p.Origin, k.sess); !errors.Is(err, auth.ErrTooMany) {
		t.Errorf("the eleventh: %v", err)
	}
}

// A reset takes the keys along: whoever enrols anew begins without.
func TestKey_Reset(t *testing.T) {
	k := newKeyed(t, nil)
	if _, _, err := k.ResetFactor(t.Context(), adaActor, k.p.ID); err != nil {
		t.Fatal(err)
	}
	if keys, err := k.SecurityKeys(t.Context(), k.p.ID); err != nil || len(keys) != 0 {
		t.Errorf("%+v, %v", keys, err)
	}
}
