package auth_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/policy"
)

// A device is a machine with a key of its own.
type device struct{ key *ecdsa.PrivateKey }

func newDevice(t testing.TB) *device {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &device{k}
}

// A forged proof is a right one with changes.
type forged struct {
	method  jwt.SigningMethod
	key     any
	header  map[string]any
	claims  jwt.MapClaims
	dropped string
}

func (d *device) jwk(t testing.TB) map[string]any {
	return map[string]any{"kty": "EC", "crv": "P-256", "x": b64(d.key.X.FillBytes(make([]byte, 32))), "y": b64(d.key.Y.FillBytes(make([]byte, 32)))}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (d *device) forge(t testing.TB, at policy.Arrival, token string, now time.Time, f forged) string {
	t.Helper()
	sum := sha256.Sum256([]byte(token))
	claims := jwt.MapClaims{"htm": "GET", "htu": at.Scheme + "://" + at.Authority + at.Path, "iat": now.Unix(), "jti": rand.Text(), "ath": b64(sum[:])}
	for k, v := range f.claims {
		claims[k] = v
	}
	delete(claims, f.dropped)
	if f.method == nil {
		f.method, f.key = jwt.SigningMethodES256, d.key
	}
	j := jwt.NewWithClaims(f.method, claims)
	j.Header["typ"], j.Header["jwk"] = "dpop+jwt", d.jwk(t)
	for k, v := range f.header {
		j.Header[k] = v
	}
	s, err := j.SignedString(f.key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var here = policy.Arrival{Host: authtest.Claims, Scheme: "https", Authority: authtest.Claims + ":8443", Path: "/work/7", Source: netip.MustParseAddr("192.0.2.10")}

// call is a machine's request to the gate.
func (d *device) call(t testing.TB, e *authtest.Env, secret string) auth.MachineCall {
	t.Helper()
	at := policy.Arrival{Host: authtest.GateHost, Scheme: "https", Authority: authtest.GateHost, Path: "/device/token"}
	r := httptest.NewRequest("POST", "/device/token", nil)
	r.Header.Set("DPoP", d.forge(t, at, "", e.Clock.Now(), forged{claims: jwt.MapClaims{"htm": "POST"}}))
	return auth.MachineCall{Request: r, Arrival: at, Origin: authtest.From("192.0.2.10"), Secret: secret}
}

// signedIn takes a machine through its sign-in and returns its secret.
func (d *device) signedIn(t testing.TB, e *authtest.Env, p *authtest.Person) string {
	t.Helper()
	a, err := e.AskDevice(t.Context(), auth.DeviceAsk{Call: d.call(t, e, ""), Name: "laptop"})
	if err != nil {
		t.Fatal(err)
	}
	_, sess := e.SignIn(t, p)
	q, err := e.EnterDeviceCode(t.Context(), p.Origin, sess, strings.ToLower(a.UserCode))
	if err != nil || !q.Fresh || q.OtherNetwork {
		t.Fatalf("%+v %v", q, err)
	}
	if err := e.ApproveDevice(t.Context(), p.Origin, sess, q.ID); err != nil {
		t.Fatal(err)
	}
	call := d.call(t, e, a.DeviceCode)
	secret, _, err := e.RedeemDevice(t.Context(), &call)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func bound(t testing.TB) (*authtest.Env, *device, string) {
	t.Helper()
	e, _ := newEnv(t, nil)
	p, d := e.Enrol(t, authtest.Kim), newDevice(t)
	call := d.call(t, e, d.signedIn(t, e, p))
	token, tok, err := e.MachineToken(t.Context(), &call, "claims", false)
	if err != nil || tok.Key == "" || tok.Expires.Sub(tok.Created) != time.Hour {
		t.Fatalf("%+v %v", tok, err)
	}
	return e, d, token
}

func show(t testing.TB, e *authtest.Env, scheme, token, proof string) policy.Subject {
	t.Helper()
	r := httptest.NewRequest("GET", "/work/7", nil)
	r.Header.Set("Authorization", scheme+" "+token)
	if proof != "" {
		r.Header.Set("DPoP", proof)
	}
	at := here
	sub, err := e.IdentifyAt(r, &at)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// Token confusion: whatever is not a fresh proof of the token's own key for
// this very request is nobody's.
func TestTokenConfusion_Proofs(t *testing.T) {
	e, d, token := bound(t)
	now := e.Clock.Now()
	good := d.forge(t, here, token, now, forged{})
	if who := show(t, e, "DPoP", token, good); who.Account != authtest.Kim.ID || who.TokenBinding != policy.BindingKey {
		t.Fatalf("a right proof: %+v", who)
	}
	if who := show(t, e, "DPoP", token, good); !who.IsAnonymous() || who.Refused.Code != policy.RefusedReplay {
		t.Errorf("replay: %+v", who)
	}
	if who := show(t, e, "DPoP", token, d.forge(t, here, token, now, forged{claims: jwt.MapClaims{"htu": "HTTPS://Claims.example.com:8443/work/%37?q=1#f"}})); who.IsAnonymous() {
		t.Errorf("another spelling of the address: %+v", who.Refused)
	}
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	okp := map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(other.Public().(ed25519.PublicKey))}
	private := d.jwk(t)
	d32, err := d.key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	private["d"] = b64(d32)
	c := func(name string, v any) forged { return forged{claims: jwt.MapClaims{name: v}} }
	for name, row := range map[string]struct {
		f    forged
		want string
	}{
		"another method":       {c("htm", "POST"), policy.RefusedTarget},
		"method in lower case": {c("htm", "get"), policy.RefusedTarget},
		"another path":         {c("htu", "https://claims.example.com:8443/work/8"), policy.RefusedTarget},
		"another host":         {c("htu", "https://ledger.example.com:8443/work/7"), policy.RefusedTarget},
		"another port":         {c("htu", "https://claims.example.com/work/7"), policy.RefusedTarget},
		"another scheme":       {c("htu", "http://claims.example.com:8443/work/7"), policy.RefusedTarget},
		"an encoded slash":     {c("htu", "https://claims.example.com:8443/work%2F7"), policy.RefusedTarget},
		"with a name":          {c("htu", "https://x@claims.example.com:8443/work/7"), policy.RefusedTarget},
		"too old":              {c("iat", now.Add(-61*time.Second).Unix()), policy.RefusedTime},
		"from the future":      {c("iat", now.Add(61*time.Second).Unix()), policy.RefusedTime},
		"no time":              {forged{dropped: "iat"}, policy.RefusedProof},
		"no id":                {forged{dropped: "jti"}, policy.RefusedProof},
		"a long id":            {c("jti", strings.Repeat("x", 257)), policy.RefusedProof},
		"no token's hash":      {forged{dropped: "ath"}, policy.RefusedProof},
		"another token's":      {c("ath", b64(make([]byte, 32))), policy.RefusedProof},
		"another type":         {forged{header: map[string]any{"typ": "JWT"}}, policy.RefusedProof},
		"a further field":      {forged{header: map[string]any{"kid": "x"}}, policy.RefusedProof},
		"a private key":        {forged{header: map[string]any{"jwk": private}}, policy.RefusedProof},
		"another key":          {forged{method: jwt.SigningMethodEdDSA, key: other, header: map[string]any{"jwk": okp}}, policy.RefusedProof},
		"another key's name":   {forged{header: map[string]any{"jwk": okp}}, policy.RefusedProof},
		"none":                 {forged{method: jwt.SigningMethodNone, key: jwt.UnsafeAllowNoneSignatureType}, policy.RefusedProof},
		"HS256 with the key":   {forged{method: jwt.SigningMethodHS256, key: elliptic.MarshalCompressed(elliptic.P256(), d.key.X, d.key.Y)}, policy.RefusedProof},
		"a symmetric key":      {forged{method: jwt.SigningMethodHS256, key: []byte("k"), header: map[string]any{"jwk": map[string]any{"kty": "oct", "k": b64([]byte("k"))}}}, policy.RefusedProof},
	} {
		if who := show(t, e, "DPoP", token, d.forge(t, here, token, now, row.f)); !who.IsAnonymous() || who.Refused == nil || who.Refused.Code != row.want {
			t.Errorf("%s: %+v, want %s", name, who.Refused, row.want)
		}
	}
	if who := show(t, e, "Bearer", token, d.forge(t, here, token, now, forged{})); !who.IsAnonymous() || who.Refused.Code != policy.RefusedNoProof {
		t.Errorf("as a bearer token: %+v", who)
	}
	for name, proof := range map[string]string{"none": "", "huge": strings.Repeat("a", 1<<16), "no proof": "a.b.c"} {
		if who := show(t, e, "DPoP", token, proof); !who.IsAnonymous() {
			t.Errorf("%s: %+v", name, who)
		}
	}
	stranger := newDevice(t)
	if who := show(t, e, "DPoP", token, stranger.forge(t, here, token, now, forged{})); !who.IsAnonymous() {
		t.Errorf("a stranger's key: %+v", who)
	}
	r := httptest.NewRequest("GET", "/work/7", nil)
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header["Dpop"] = []string{d.forge(t, here, token, now, forged{}), d.forge(t, here, token, now, forged{})}
	at := here
	if who, err := e.IdentifyAt(r, &at); err != nil || !who.IsAnonymous() {
		t.Errorf("two proofs: %+v %v", who, err)
	}
}

// A bearer token of a machine is good from the network that asked alone.
func TestMachineToken_Network(t *testing.T) {
	e, _ := newEnv(t, nil)
	p, d := e.Enrol(t, authtest.Kim), newDevice(t)
	call := d.call(t, e, d.signedIn(t, e, p))
	token, _, err := e.MachineToken(t.Context(), &call, "claims", true)
	if err != nil {
		t.Fatal(err)
	}
	if who := show(t, e, "Bearer", token, ""); who.TokenBinding != policy.BindingNetwork {
		t.Errorf("from its network: %+v", who)
	}
	r := httptest.NewRequest("GET", "/work/7", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	at := here
	at.Source = netip.MustParseAddr("198.51.100.9")
	if who, err := e.IdentifyAt(r, &at); err != nil || !who.IsAnonymous() || who.Refused.Code != policy.RefusedNetwork {
		t.Errorf("from elsewhere: %+v %v", who, err)
	}
	if _, err := e.EndSessions(t.Context(), authtest.Operator, p.ID); err != nil {
		t.Fatal(err)
	}
	if who := show(t, e, "Bearer", token, ""); !who.IsAnonymous() {
		t.Errorf("after the end of all sessions: %+v", who)
	}
	again := d.call(t, e, call.Secret)
	if _, _, err := e.MachineToken(t.Context(), &again, "claims", true); !errors.Is(err, auth.ErrBadCredentials) {
		t.Errorf("a machine after the end of all sessions: %v", err)
	}
}

// Phishing: the code typed in one session approves in no other, a factor from
// before the request does not do, and five wrong codes are the end.
func TestDevice_Phishing(t *testing.T) {
	e, _ := newEnv(t, nil)
	p, d := e.Enrol(t, authtest.Kim), newDevice(t)
	_, sess := e.SignIn(t, p)
	_, attacker := e.SignIn(t, e.Enrol(t, authtest.Lee))
	e.Clock.Advance(time.Minute)
	a, err := e.AskDevice(t.Context(), auth.DeviceAsk{Call: d.call(t, e, ""), Name: "laptop\u202e\x1b[31m"})
	if err != nil {
		t.Fatal(err)
	}
	q, err := e.EnterDeviceCode(t.Context(), p.Origin, attacker, a.UserCode)
	if err != nil || q.Name != "laptop[31m" {
		t.Fatalf("%+v %v", q, err)
	}
	if _, err := e.DeviceRequest(t.Context(), p.Origin, sess, q.ID); !errors.Is(err, auth.ErrDeviceUnknown) {
		t.Errorf("a link instead of typing: %v", err)
	}
	if q, err = e.EnterDeviceCode(t.Context(), p.Origin, sess, a.UserCode); err != nil {
		t.Fatal(err)
	}
	if err := e.ApproveDevice(t.Context(), p.Origin, sess, q.ID); !errors.Is(err, auth.ErrCodeStale) {
		t.Errorf("approved with an old factor: %v", err)
	}
	for i := range 5 {
		if _, err := e.EnterDeviceCode(t.Context(), p.Origin, sess, "BBBB-BBBB"); !errors.Is(err, auth.ErrDeviceUnknown) {
			t.Fatalf("wrong code %d: %v", i, err)
		}
	}
	if _, err := e.EnterDeviceCode(t.Context(), p.Origin, sess, a.UserCode); err == nil || errors.Is(err, auth.ErrDeviceUnknown) {
		t.Errorf("after five wrong codes the right one: %v", err)
	}
}

// One device code, redeemed by fifty polls at once, signs one machine in.
func TestDevice_OneOfFiftyPolls(t *testing.T) {
	e, _ := newEnv(t, nil)
	p, d := e.Enrol(t, authtest.Kim), newDevice(t)
	a, err := e.AskDevice(t.Context(), auth.DeviceAsk{Call: d.call(t, e, "")})
	if err != nil {
		t.Fatal(err)
	}
	pending := d.call(t, e, a.DeviceCode)
	if _, _, err := e.RedeemDevice(t.Context(), &pending); !errors.Is(err, auth.ErrDevicePending) {
		t.Fatalf("before the approval: %v", err)
	}
	pending = d.call(t, e, a.DeviceCode)
	if _, _, err := e.RedeemDevice(t.Context(), &pending); !errors.Is(err, auth.ErrDeviceSlow) {
		t.Errorf("a second poll at once: %v", err)
	}
	_, sess := e.SignIn(t, p)
	q, err := e.EnterDeviceCode(t.Context(), p.Origin, sess, a.UserCode)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.ApproveDevice(t.Context(), p.Origin, sess, q.ID); err != nil {
		t.Fatal(err)
	}
	var won atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		call := d.call(t, e, a.DeviceCode)
		wg.Go(func() {
			if _, _, err := e.RedeemDevice(t.Context(), &call); err == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if all, err := e.MachinesOf(t.Context(), p.ID); won.Load() != 1 || err != nil || len(all) != 1 {
		t.Errorf("%d polls won, %d machines", won.Load(), len(all))
	}
}

// FuzzDPoP: no text beside a right proof makes a bound token count.
func FuzzDPoP(f *testing.F) {
	e, d, token := bound(f)
	good := d.forge(f, here, token, e.Clock.Now(), forged{claims: jwt.MapClaims{"jti": "once"}})
	if show(f, e, "DPoP", token, good).IsAnonymous() {
		f.Fatal("the seed is refused")
	}
	f.Add(good)
	f.Add("a.b.c")
	f.Add(good[:len(good)-1])
	f.Fuzz(func(t *testing.T, proof string) {
		// The seed is spent; whatever else counts would be a forgery.
		if who := show(t, e, "DPoP", token, proof); !who.IsAnonymous() {
			t.Fatalf("%q counts", proof)
		}
	})
}

// BenchmarkIdentify_DPoP is the cost of a proof on the request path.
func BenchmarkIdentify_DPoP(b *testing.B) {
	e, d, token := bound(b)
	proofs := make([]string, min(b.N, 10_000))
	for i := range proofs {
		proofs[i] = d.forge(b, here, token, e.Clock.Now(), forged{})
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		show(b, e, "DPoP", token, proofs[i%len(proofs)])
	}
}
