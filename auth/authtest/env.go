package authtest

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/totp"
	"github.com/ringfence/ringfence/policy"
)

// Names that every [Env] uses.
const (
	GateHost = "gate.example.com"
	Issuer   = "https://gate.example.com"
	Claims   = "claims.example.com" // a cluster's host
	Ledger   = "ledger.example.com" // another's
	Password = "plum anvil quiet harbour"
)

// Kim, Ada and Lee are the accounts that tests are told about: two contractors
// of one vendor and an administrator.
var (
	Kim = auth.Account{ID: "acc-kim", Email: "kim@vendor.example", Name: "Kim Park", Vendor: "acme", Roles: []policy.Role{policy.Contractor}}
	Lee = auth.Account{ID: "acc-lee", Email: "lee@vendor.example", Name: "Lee Moss", Vendor: "acme", Roles: []policy.Role{policy.Contractor}}
	Ada = auth.Account{ID: "acc-ada", Email: "ada@example.com", Name: "Ada Stone", Roles: []policy.Role{policy.Administrator}}
)

// Everyone returns all of them.
func Everyone() []auth.Account { return []auth.Account{Kim, Lee, Ada} }

// Operator is the actor of commands on the machine.
var Operator = auth.Actor{Account: auth.Operator}

// A Clock is a clock that only moves when told to. It is safe for concurrent use.
type Clock struct {
	mu sync.Mutex
	t  time.Time
}

// NewClock returns a clock that stands on a Monday morning.
func NewClock() *Clock { return &Clock{t: time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)} }

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

// Advance moves the clock; backwards too.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// RootKey returns a key for tests.
func RootKey() []byte {
	k := make([]byte, 32)
	for i := range k {
		k[i] = byte(i*7 + 1)
	}
	return k
}

// An Env is a [auth.Service] with what surrounds it.
type Env struct {
	*auth.Service
	Store    auth.Store
	Recorder *Recorder
	Clock    *Clock
}

// NewEnv returns a service on the store, with cheap password hashes. edit, when
// not nil, may change the configuration.
func NewEnv(t testing.TB, store auth.Store, edit func(*auth.Config)) *Env {
	t.Helper()
	e := &Env{Store: store, Recorder: new(Recorder), Clock: NewClock()}
	cfg := auth.Config{
		Store:    store,
		Recorder: e.Recorder, RootKey: RootKey(), Issuer: Issuer, Organisation: "Example",
		KnownHost: func(h string) bool { return h == Claims || h == Ledger },
		HashCost:  auth.HashCost{Memory: 8, Passes: 1}, MaxHashes: 8,
		Now: e.Clock.Now,
	}
	if edit != nil {
		edit(&cfg)
	}
	s, err := auth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	e.Service = s
	return e
}

// A Person is somebody who is enrolled.
type Person struct {
	auth.Account
	Password string
	Secret   []byte
	Recovery []string
	Origin   auth.Origin
	used     int64
}

// From returns an origin at the address.
func From(ip string) auth.Origin {
	return auth.Origin{IP: netip.MustParseAddr(ip), UserAgent: "test/1", RequestID: "req-1", Host: GateHost}
}

// Enrol takes an account through invitation and enrolment by hand, and signs
// its first session out again. The code of the current step is not spent.
func (e *Env) Enrol(t testing.TB, a auth.Account) *Person {
	t.Helper()
	uri, recovery, err := e.Provision(t.Context(), Operator, a.ID, Password, e.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	secret, err := totp.ParseURI(uri)
	if err != nil {
		t.Fatal(err)
	}
	return &Person{Account: a, Password: Password, Secret: secret, Recovery: recovery, Origin: From("192.0.2.10")}
}

// Code returns the code that the person's app shows.
func (e *Env) Code(t testing.TB, p *Person) string {
	t.Helper()
	code, err := totp.Code(p.Secret, totp.Step(e.Clock.Now()))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// FreshCode returns a code that the person has not used, waiting for it if need be.
func (e *Env) FreshCode(t testing.TB, p *Person) string {
	t.Helper()
	for totp.Step(e.Clock.Now()) <= p.used {
		e.Clock.Advance(totp.Period)
	}
	p.used = totp.Step(e.Clock.Now())
	return e.Code(t, p)
}

// SignIn signs the person in at the gate.
func (e *Env) SignIn(t testing.TB, p *Person) (cookie string, sess *auth.Session) {
	t.Helper()
	flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
	if err != nil {
		t.Fatal(err)
	}
	cookie, sess, err = e.LoginCode(t.Context(), p.Origin, flow, e.FreshCode(t, p))
	if err != nil {
		t.Fatal(err)
	}
	return cookie, sess
}

// AtCluster carries the session to a cluster's host and returns its cookie there.
func (e *Env) AtCluster(t testing.TB, sess *auth.Session, host string) (cookie string) {
	t.Helper()
	start := auth.NewSecret()
	code, err := e.IssueHandoff(t.Context(), sess, host, e.SaveTarget(host, "/", start))
	if err != nil {
		t.Fatal(err)
	}
	if cookie, _, err = e.RedeemHandoff(t.Context(), host, code, start); err != nil {
		t.Fatal(err)
	}
	return cookie
}

// Request returns a request that carries the cookie; "" carries none.
func Request(cookie string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	if cookie != "" {
		r.Header.Set("Cookie", auth.SessionCookie+"="+cookie)
	}
	return r
}

// Who returns whom a request on host with the cookie comes from.
func (e *Env) Who(t testing.TB, cookie, host string) policy.Subject {
	t.Helper()
	sub, err := e.Identify(Request(cookie), host)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// Scan reads the secret of an otpauth URI, as an app does.
func (p *Person) Scan(uri string) (err error) {
	p.Secret, err = totp.ParseURI(uri)
	return err
}

// Session returns the session of a cookie at the gate.
func (e *Env) Session(t testing.TB, cookie string) *auth.Session {
	t.Helper()
	sess, err := e.Current(Request(cookie), GateHost)
	if err != nil || sess == nil {
		t.Fatalf("the session is %v, error %v", sess, err)
	}
	return sess
}

// AddDevice connects another authenticator app within a fresh session. It
// returns the app as a person who has no other, and the session's new cookie.
func (e *Env) AddDevice(t testing.TB, p *Person, sess *auth.Session, name string) (device *Person, id, cookie string) {
	t.Helper()
	if err := e.BeginTOTP(t.Context(), p.Origin, sess, name); err != nil {
		t.Fatal(err)
	}
	setup, err := e.AddingTOTP(t.Context(), sess)
	if err != nil {
		t.Fatal(err)
	}
	device = &Person{Account: p.Account, Password: p.Password, Recovery: p.Recovery, Origin: p.Origin}
	if err := device.Scan(setup.URI); err != nil {
		t.Fatal(err)
	}
	cookie, added, err := e.ConfirmAddedTOTP(t.Context(), p.Origin, sess, e.FreshCode(t, device))
	if err != nil {
		t.Fatal(err)
	}
	return device, added.ID, cookie
}
