package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/policy"
)

// A keyed is a person with a key, signed in.
type keyed struct {
	*authtest.Env
	p      *authtest.Person
	key    *authtest.SoftKey
	row    auth.SecurityKey
	cookie string
	sess   *auth.Session
}

func current(t testing.TB, e *authtest.Env, cookie string) *auth.Session {
	t.Helper()
	sess, err := e.Current(authtest.Request(cookie), authtest.GateHost)
	if err != nil || sess == nil {
		t.Fatalf("the cookie is nobody's: %v", err)
	}
	return sess
}

// addKey registers a key in the session and returns its row and the session as it goes on.
func addKey(t testing.TB, e *authtest.Env, p *authtest.Person, sess *auth.Session, k *authtest.SoftKey, name string) (auth.SecurityKey, string, *auth.Session) {
	t.Helper()
	q, err := e.BeginKeyRegistration(t.Context(), p.Origin, sess)
	if err != nil {
		t.Fatal(err)
	}
	cookie, row, err := e.FinishKeyRegistration(t.Context(), p.Origin, sess, q.ID, name, k.Create(t, q.Options))
	if err != nil {
		t.Fatal(err)
	}
	return row, cookie, current(t, e, cookie)
}

func newKeyed(t testing.TB, edit func(*auth.Config)) *keyed {
	t.Helper()
	e := authtest.NewEnv(t, authtest.New(authtest.Everyone()...), edit)
	k := &keyed{Env: e, p: e.Enrol(t, authtest.Kim), key: authtest.NewSoftKey(t)}
	k.cookie, k.sess = e.SignIn(t, k.p)
	k.row, k.cookie, k.sess = addKey(t, e, k.p, k.sess, k.key, "blue key")
	return k
}

// password begins a sign-in.
func (k *keyed) password(t testing.TB) string {
	t.Helper()
	flow, err := k.Login(t.Context(), k.p.Origin, k.p.Email, k.p.Password)
	if err != nil {
		t.Fatal(err)
	}
	return flow
}

// signInWith signs in with the key.
func (k *keyed) signInWith(t testing.TB, key *authtest.SoftKey) (string, *auth.Session, error) {
	t.Helper()
	flow := k.password(t)
	q, err := k.BeginKeyLogin(t.Context(), k.p.Origin, flow)
	if err != nil {
		t.Fatal(err)
	}
	return k.FinishKeyLogin(t.Context(), k.p.Origin, flow, q.ID, key.Get(t, q.Options))
}

func (k *keyed) noticed(t testing.TB, kind auth.NoticeKind) int {
	t.Helper()
	all, err := k.Notices(t.Context(), k.p.ID)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, x := range all {
		if x.Kind == kind {
			n++
		}
	}
	return n
}

func (k *keyed) recorded(action string) int {
	n := 0
	for _, a := range k.Recorder.Actions() {
		if a == action {
			n++
		}
	}
	return n
}

func TestKey_RegisterSignInAndConfirm(t *testing.T) {
	k := newKeyed(t, nil)
	if k.row.Bound != auth.BoundCode || k.row.Name != "blue key" || len(k.row.Transports) != 1 {
		t.Errorf("stored %+v", k.row)
	}
	if k.noticed(t, auth.NoticeKeyAdded) != 1 || k.recorded("webauthn.add") != 1 {
		t.Error("the owner was not told, or it was not recorded")
	}
	if _, has := k.sess.Subject(k.Clock.Now()).Factors[policy.FactorWebAuthn]; has {
		t.Error("a key that was only added counts as proved")
	}
	cookie, sess, err := k.signInWith(t, k.key)
	if err != nil {
		t.Fatal(err)
	}
	sub := k.Who(t, cookie, authtest.GateHost)
	if age, ok := sub.Factors[policy.FactorWebAuthn]; !ok || age != 0 || len(sub.Factors) != 2 {
		t.Errorf("factors %v", sub.Factors)
	}
	if age, ok := sub.CodeAge(); !ok || age != 0 || sess.RecoveryLeft != auth.RecoveryCodes {
		t.Errorf("code age %d %v, %d recovery codes", age, ok, sess.RecoveryLeft)
	}

	// A code later in the session leaves the key's age alone, and the other way round.
	k.Clock.Advance(10 * time.Minute)
	if cookie, err = k.Confirm(t.Context(), k.p.Origin, sess, k.FreshCode(t, k.p)); err != nil {
		t.Fatal(err)
	}
	sub = k.Who(t, cookie, authtest.GateHost)
	if sub.Factors[policy.FactorTOTP] != 0 || sub.Factors[policy.FactorWebAuthn] < 600 {
		t.Errorf("after a code: %v", sub.Factors)
	}
	k.Clock.Advance(5 * time.Minute)
	sess = current(t, k.Env, cookie)
	q, err := k.BeginKeyConfirm(t.Context(), k.p.Origin, sess)
	if err != nil {
		t.Fatal(err)
	}
	old := cookie
	if cookie, err = k.FinishKeyConfirm(t.Context(), k.p.Origin, sess, q.ID, k.key.Get(t, q.Options)); err != nil {
		t.Fatal(err)
	}
	sub = k.Who(t, cookie, authtest.GateHost)
	if sub.Factors[policy.FactorTOTP] != 300 || sub.Factors[policy.FactorWebAuthn] != 0 {
		t.Errorf("after the key: %v", sub.Factors)
	}
	if !k.Who(t, old, authtest.GateHost).IsAnonymous() {
		t.Error("session fixation: the cookie from before the key is still good")
	}
	keys, err := k.SecurityKeys(t.Context(), k.p.ID)
	if err != nil || len(keys) != 1 || !keys[0].LastUsed.Equal(k.Clock.Now()) || keys[0].LastIP != "192.0.2.10" {
		t.Errorf("%+v, %v", keys, err)
	}
	if k.recorded("webauthn.used") != 2 {
		t.Errorf("%d uses recorded", k.recorded("webauthn.used"))
	}
}

// A token has the ages of the session that made it, the key's too.
func TestKey_TokenInherits(t *testing.T) {
	k := newKeyed(t, nil)
	_, sess, err := k.signInWith(t, k.key)
	if err != nil {
		t.Fatal(err)
	}
	k.Clock.Advance(time.Minute)
	secret, _, err := k.CreateToken(t.Context(), k.p.Origin, sess, "claims", "git", 0)
	if err != nil {
		t.Fatal(err)
	}
	r := authtest.Request("")
	r.Header.Set("Authorization", "Bearer "+secret)
	sub, err := k.Identify(r, authtest.Claims)
	if err != nil || sub.Factors[policy.FactorWebAuthn] != 60 {
		t.Errorf("%+v, %v", sub, err)
	}
}

// Adding a key rotates the session's cookie.
func TestKey_AddingRotatesTheCookie(t *testing.T) {
	e := authtest.NewEnv(t, authtest.New(authtest.Everyone()...), nil)
	p := e.Enrol(t, authtest.Kim)
	old, sess := e.SignIn(t, p)
	_, cookie, _ := addKey(t, e, p, sess, authtest.NewSoftKey(t), "k")
	if !e.Who(t, old, authtest.GateHost).IsAnonymous() || e.Who(t, cookie, authtest.GateHost).IsAnonymous() {
		t.Error("the cookie from before is still good, or the new one is not")
	}
}

// TestKey_Algorithms takes ES256, EdDSA and RS256 and nothing else, and what a
// device may say of itself.
func TestKey_Algorithms(t *testing.T) {
	e := authtest.NewEnv(t, authtest.New(authtest.Everyone()...), nil)
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		signer crypto.Signer
		alg    int
		format string
		good   bool
	}{
		{"EdDSA", ed, -8, "", true}, {"RS256", rs, -257, "", true}, {"EdDSA, attested by itself", ed, -8, "packed", true},
		{"ES384", p384, -35, "", false}, {"RS1", rs, -65535, "", false}, {"PS256", rs, -37, "", false}, {"no such", ed, -999, "", false},
	} {
		k := authtest.NewSoftKey(t)
		k.Signer, k.Algorithm, k.Format = c.signer, c.alg, c.format
		q, err := e.BeginKeyRegistration(t.Context(), p.Origin, sess)
		if err != nil {
			t.Fatal(err)
		}
		cookie, _, err := e.FinishKeyRegistration(t.Context(), p.Origin, sess, q.ID, c.name, k.Create(t, q.Options))
		if (err == nil) != c.good || err != nil && !errors.Is(err, auth.ErrKeyRefused) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !c.good {
			continue
		}
		sess = current(t, e, cookie)
		again := &keyed{Env: e, p: p}
		if _, _, err := again.signInWith(t, k); err != nil {
			t.Errorf("%s: signing in: %v", c.name, err)
		}
	}
}

// TestKey_Options holds what is asked of keys to what the documents say.
func TestKey_Options(t *testing.T) {
	k := newKeyed(t, nil)
	q, err := k.BeginKeyRegistration(t.Context(), k.p.Origin, k.sess)
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		PublicKey struct {
			RP struct {
				ID string `json:"id"`
			} `json:"rp"`
			Challenge   string `json:"challenge"`
			Attestation string `json:"attestation"`
			User        struct {
				ID, Name string
			} `json:"user"`
			Params []struct {
				Alg int `json:"alg"`
			} `json:"pubKeyCredParams"`
			Exclude   []struct{ ID string } `json:"excludeCredentials"`
			Selection struct {
				UserVerification string `json:"userVerification"`
			} `json:"authenticatorSelection"`
		} `json:"publicKey"`
	}
	if err := json.Unmarshal(q.Options, &made); err != nil {
		t.Fatal(err)
	}
	o := made.PublicKey
	if o.RP.ID != authtest.GateHost || o.Attestation != "none" || o.Selection.UserVerification != "preferred" || len(o.Exclude) != 1 || len(o.Challenge) < 43 {
		t.Errorf("asked: %s", q.Options)
	}
	if len(o.Params) != 3 || o.Params[0].Alg != -7 || o.Params[1].Alg != -8 || o.Params[2].Alg != -257 {
		t.Errorf("algorithms %v", o.Params)
	}
	for _, own := range []string{k.p.ID, k.p.Email, "kim"} {
		if strings.Contains(o.User.ID, own) {
			t.Errorf("the user handle %q says %q", o.User.ID, own)
		}
	}
	again, err := k.BeginKeyRegistration(t.Context(), k.p.Origin, k.sess)
	if err != nil || strings.Contains(string(again.Options), o.Challenge) {
		t.Errorf("a challenge came twice: %v", err)
	}
}

// A gate at an address of numbers cannot have keys, and works without.
func TestKey_GateWithoutAName(t *testing.T) {
	e := authtest.NewEnv(t, authtest.New(authtest.Everyone()...), func(c *auth.Config) { c.Issuer = "https://192.0.2.1"; c.GateHost = "" })
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	if _, err := e.BeginKeyRegistration(t.Context(), p.Origin, sess); !errors.Is(err, auth.ErrNoKeys) || e.KeysPossible() {
		t.Errorf("%v", err)
	}
}
