package auth_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
)

// signing returns the key of the purpose that signs, and the old ones.
func signing(t *testing.T, e *authtest.Env, purpose string) (now auth.KeyInfo, old []auth.KeyInfo) {
	t.Helper()
	all, err := e.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range all {
		switch {
		case k.Purpose != purpose:
		case k.Signs:
			now = k
		default:
			old = append(old, k)
		}
	}
	return now, old
}

// TestKeys_Rotated: what the old key signed is good until it ends, what is
// signed from then on is under the new one, and then the old one goes.
func TestKeys_Rotated(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	cookie, sess := e.SignIn(t, p)
	device, err := e.Device(sess)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := signing(t, e, "session")
	for _, purpose := range auth.Purposes {
		k, err := e.RotateKey(t.Context(), authtest.Operator, purpose)
		if err != nil {
			t.Fatal(err)
		}
		if now, old := signing(t, e, purpose); now != k || len(old) != 1 || !now.Until.Equal(now.Created.Add(90*24*time.Hour)) {
			t.Errorf("%s: %+v signs, %+v are old", purpose, now, old)
		}
	}
	if _, err := e.RotateKey(t.Context(), authtest.Operator, "other"); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("an unknown purpose: %v", err)
	}
	if n := slices.Collect(func(yield func(string) bool) {
		for _, r := range e.Recorder.Records() {
			if r.Action == "key.rotate" && !yield(r.Object+" "+r.Actor) {
				return
			}
		}
	}); !slices.Equal(n, []string{"key:session operator", "key:assertion operator", "key:device operator"}) {
		t.Errorf("recorded %v", n)
	}
	if e.Who(t, cookie, authtest.GateHost).Account != p.ID {
		t.Error("the old cookie is void")
	}
	second, _ := e.SignIn(t, p)
	if kid(t, cookie) != before.ID || kid(t, second) == before.ID || e.Who(t, second, authtest.GateHost).Account != p.ID {
		t.Error("the new key does not sign")
	}
	if kid(t, device) == "" {
		t.Error("no device mark")
	}

	_, old := signing(t, e, "session")
	e.Clock.Advance(old[0].Until.Sub(e.Clock.Now()) - time.Second)
	if err := auth.Sweep(e.Service, t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, old = signing(t, e, "session"); len(old) != 1 {
		t.Fatal("the old key went before what it signed had ended")
	}
	e.Clock.Advance(2 * time.Second)
	if err := auth.Sweep(e.Service, t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, old = signing(t, e, "session"); len(old) != 0 {
		t.Error("the old key is kept for ever")
	}
	if _, old = signing(t, e, "device"); len(old) != 1 {
		t.Error("the device's key went with the session's")
	}
}

// kid returns the id of the key that signed a token.
func kid(t *testing.T, token string) string {
	t.Helper()
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Header["kid"].(string)
}

// TestKeys_ByAge: a key that is older than the configured age signs no more,
// and a clock that stands still makes no two keys of one age.
func TestKeys_ByAge(t *testing.T) {
	e, _ := newEnv(t, func(c *auth.Config) { c.KeyMaxAge = 48 * time.Hour })
	first, _ := signing(t, e, "assertion")
	e.Clock.Advance(48*time.Hour + time.Second)
	if err := auth.Sweep(e.Service, t.Context()); err != nil {
		t.Fatal(err)
	}
	second, old := signing(t, e, "assertion")
	if second.ID == first.ID || len(old) != 1 || old[0].ID != first.ID || !old[0].Until.Equal(second.Created.Add(24*time.Hour)) {
		t.Errorf("%+v signs after %+v, old %+v", second, first, old)
	}
	a, err := e.RotateKey(t.Context(), authtest.Operator, "assertion")
	if err != nil {
		t.Fatal(err)
	}
	b, err := e.RotateKey(t.Context(), authtest.Operator, "assertion")
	if err != nil {
		t.Fatal(err)
	}
	if now, _ := signing(t, e, "assertion"); now.ID != b.ID || !b.Created.After(a.Created) {
		t.Errorf("%+v signs, want %+v after %+v", now, b, a)
	}
}

// TestKeys_UpstreamChecksAcrossRotation: an upstream that fetched the key set
// after the rotation checks the assertions of both keys.
func TestKeys_UpstreamChecksAcrossRotation(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	sub := e.Who(t, e.AtCluster(t, sess, authtest.Claims), authtest.Claims)
	before, err := e.Assert(sub, "claims", authtest.Claims, "req-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.RotateKey(t.Context(), authtest.Operator, "assertion"); err != nil {
		t.Fatal(err)
	}
	e.Clock.Advance(30 * time.Second) // the shared assertion is used up
	sub = e.Who(t, e.AtCluster(t, sess, authtest.Claims), authtest.Claims)
	after, err := e.Assert(sub, "claims", authtest.Claims, "req-2")
	if err != nil {
		t.Fatal(err)
	}
	keys := upstreamKeys(t, e)
	if len(keys) != 2 || kid(t, before) == kid(t, after) {
		t.Fatalf("%d keys are shown", len(keys))
	}
	for name, token := range map[string]string{"before": before, "after": after} {
		_, err := jwt.ParseWithClaims(token, jwt.MapClaims{}, func(t *jwt.Token) (any, error) { return keys[t.Header["kid"].(string)], nil },
			jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithAudience(authtest.Claims), jwt.WithTimeFunc(e.Clock.Now))
		if err != nil {
			t.Errorf("%s the rotation: %v", name, err)
		}
	}
}

// TestKeys_Revoked: what a revoked key signed is void at once, also what was
// verified already, and every session ends with the key of cookies.
func TestKeys_Revoked(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	cookie, _ := e.SignIn(t, p)
	if e.Who(t, cookie, authtest.GateHost).Account != p.ID { // verified, and remembered
		t.Fatal("not signed in")
	}
	first, _ := signing(t, e, "session")
	e.Recorder.Fail(errors.New("disk full"))
	if _, err := e.RevokeKey(t.Context(), authtest.Operator, first.ID); err == nil {
		t.Error("revoked without a record")
	}
	e.Recorder.Fail(nil)
	if now, _ := signing(t, e, "session"); now.ID != first.ID || e.Who(t, cookie, authtest.GateHost).Account != p.ID {
		t.Fatal("it was revoked all the same")
	}
	if k, err := e.RevokeKey(t.Context(), authtest.Operator, first.ID); err != nil || k.Purpose != "session" {
		t.Fatal(err)
	}
	if now, old := signing(t, e, "session"); now.ID == first.ID || now.ID == "" || len(old) != 0 {
		t.Errorf("%+v signs, %+v are old", now, old)
	}
	if !e.Who(t, cookie, authtest.GateHost).IsAnonymous() {
		t.Error("the cookie is still good")
	}
	if left, err := e.SessionsOf(t.Context(), p.ID); err != nil || len(left) != 0 {
		t.Errorf("sessions %v, %v", left, err)
	}
	acts := e.Recorder.Actions()
	if at := slices.Index(acts, "key.revoke"); at < 0 || slices.Index(acts[at:], "session.end") < 0 {
		t.Errorf("recorded %v", acts)
	}
	if _, err := e.RevokeKey(t.Context(), authtest.Operator, first.ID); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
	second, _ := e.SignIn(t, p)
	if e.Who(t, second, authtest.GateHost).Account != p.ID {
		t.Error("nobody signs in any more")
	}
}

// TestKeys_OtherProcess: a command rotates and revokes, and the gateway knows
// once it reads the change.
func TestKeys_OtherProcess(t *testing.T) {
	store := authtest.New(authtest.Everyone()...)
	gateway := authtest.NewEnv(t, store, nil)
	command := authtest.NewEnv(t, store, nil)
	p := gateway.Enrol(t, authtest.Kim)
	cookie, _ := gateway.SignIn(t, p)
	first, _ := signing(t, command, "session")
	if _, err := command.RotateKey(t.Context(), authtest.Operator, "session"); err != nil {
		t.Fatal(err)
	}
	if err := gateway.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if gateway.Who(t, cookie, authtest.GateHost).Account != p.ID {
		t.Error("the session ended with the rotation")
	}
	if second, _ := gateway.SignIn(t, p); kid(t, second) == first.ID {
		t.Error("the gateway goes on with the old key")
	}
	if _, err := command.RevokeKey(t.Context(), authtest.Operator, first.ID); err != nil {
		t.Fatal(err)
	}
	if err := gateway.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !gateway.Who(t, cookie, authtest.GateHost).IsAnonymous() {
		t.Error("the gateway still takes what the revoked key signed")
	}
}
