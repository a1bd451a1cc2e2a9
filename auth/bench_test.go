package auth_test

import (
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
)

// maxAllocs is what identifying a request may allocate.
const maxAllocs = 8

func TestAllocations(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	cookie := e.AtCluster(t, sess, authtest.Claims)
	secret, _, err := e.CreateToken(t.Context(), p.Origin, sess, "claims", "x", 0)
	if err != nil {
		t.Fatal(err)
	}
	byCookie := authtest.Request("")
	byCookie.Header.Set("Cookie", "theme=dark; "+auth.SessionCookie+"="+cookie+"; lang=en")
	bearer := httptest.NewRequest("GET", "/", nil)
	bearer.Header.Set("Authorization", "Bearer "+secret)
	basicAuth := httptest.NewRequest("GET", "/", nil)
	basicAuth.Header.Set("Authorization", basic("kim", secret))
	nobody := httptest.NewRequest("GET", "/", nil)
	sub := e.Who(t, cookie, authtest.Claims)
	for name, f := range map[string]func(){
		"cookie":    func() { e.Identify(byCookie, authtest.Claims) },
		"bearer":    func() { e.Identify(bearer, authtest.Claims) },
		"basic":     func() { e.Identify(basicAuth, authtest.Claims) },
		"anonymous": func() { e.Identify(nobody, authtest.Claims) },
		"refresh":   func() { e.Refresh(sub) },
		"assert":    func() { e.Assert(sub, "claims", authtest.Claims, "req-1") },
		"a second later": func() {
			e.Clock.Advance(1e9)
			e.Identify(byCookie, authtest.Claims)
		},
	} {
		n := testing.AllocsPerRun(100, f)
		t.Logf("%s: %v", name, n)
		if n > maxAllocs {
			t.Errorf("%s allocates %v times, want at most %d", name, n, maxAllocs)
		}
	}
}

// Ten thousand sessions, asked about from every processor.
func BenchmarkIdentify(b *testing.B) {
	e, _ := newEnv(b, func(c *auth.Config) { c.Now = nil; c.MaxSessions = 1 << 20 })
	requests := auth.Forge(b, e.Service, e.Store, authtest.Kim, 10_000, authtest.Claims)
	for _, r := range requests {
		if sub, err := e.Identify(r, authtest.Claims); err != nil || sub.IsAnonymous() {
			b.Fatal(sub, err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			e.Identify(requests[i%len(requests)], authtest.Claims)
		}
	})
}

func BenchmarkRefresh(b *testing.B) {
	e, _ := newEnv(b, func(c *auth.Config) { c.Now = nil })
	r := auth.Forge(b, e.Service, e.Store, authtest.Kim, 1, authtest.Claims)[0]
	sub, err := e.Identify(r, authtest.Claims)
	if err != nil || sub.IsAnonymous() {
		b.Fatal(sub, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		e.Refresh(sub)
	}
}

func BenchmarkAssert(b *testing.B) {
	e, _ := newEnv(b, func(c *auth.Config) { c.Now = nil })
	r := auth.Forge(b, e.Service, e.Store, authtest.Kim, 1, authtest.Claims)[0]
	sub, err := e.Identify(r, authtest.Claims)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("kept", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.Assert(sub, "claims", authtest.Claims, "")
		}
	})
	b.Run("signed", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			e.Assert(sub, "claims", fmt.Sprint(i), "")
		}
	})
}

// What a sign-in costs: one hash of 64 MiB.
func BenchmarkLogin(b *testing.B) {
	e, _ := newEnv(b, func(c *auth.Config) { c.HashCost = auth.HashCost{} })
	p := e.Enrol(b, authtest.Kim)
	for b.Loop() {
		if _, err := e.Login(b.Context(), p.Origin, p.Email, p.Password); err != nil {
			b.Fatal(err)
		}
	}
}
