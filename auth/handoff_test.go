package auth_test

import (
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
)

func TestHandoff(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	start := auth.NewSecret()
	id := e.SaveTarget(authtest.Claims, "/reports?year=2026", start)
	if target, ok := e.Target(id); !ok || target.Host != authtest.Claims || target.URI != "/reports?year=2026" {
		t.Fatalf("target %+v, %v", target, ok)
	}
	issue := func() string {
		code, err := e.IssueHandoff(t.Context(), sess, authtest.Claims, id)
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	code := issue()
	cookie, uri, err := e.RedeemHandoff(t.Context(), authtest.Claims, code, start)
	if err != nil || uri != "/reports?year=2026" || e.Who(t, cookie, authtest.Claims).Session != sess.ID {
		t.Fatalf("%q, %v", uri, err)
	}
	redeem := func(host, code, start string) error {
		cookie, uri, err := e.RedeemHandoff(t.Context(), host, code, start)
		if err != nil && (cookie != "" || uri != "") {
			t.Errorf("an error with cookie %q and address %q", cookie, uri)
		}
		return err
	}
	refused := func(name string, err error) {
		t.Helper()
		if !errors.Is(err, auth.ErrHandoffInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused("a second time", redeem(authtest.Claims, code, start))
	refused("no code", redeem(authtest.Claims, "", start))
	for name, try := range map[string]func(code string) error{
		"on another host":          func(c string) error { return redeem(authtest.Ledger, c, start) },
		"at the gate":              func(c string) error { return redeem(authtest.GateHost, c, start) },
		"in another browser":       func(c string) error { return redeem(authtest.Claims, c, auth.NewSecret()) },
		"in a browser without one": func(c string) error { return redeem(authtest.Claims, c, "") },
	} {
		code := issue()
		refused(name, try(code))
		refused(name+", then rightly", redeem(authtest.Claims, code, start)) // it is used up
	}
	code = issue()
	e.Clock.Advance(30 * time.Second)
	refused("after 30 seconds", redeem(authtest.Claims, code, start))
	code = issue()
	fresh, err := e.Confirm(t.Context(), p.Origin, sess, e.FreshCode(t, p))
	if err != nil || fresh == "" {
		t.Fatal(err)
	}
	refused("from before a fresh code", redeem(authtest.Claims, code, start))
	if _, err := e.IssueHandoff(t.Context(), sess, authtest.Claims, id); !errors.Is(err, auth.ErrSessionEnded) {
		t.Errorf("with the session as it was before a fresh code: %v", err)
	}
}

func TestHandoff_NotIssued(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	id := e.SaveTarget(authtest.Claims, "/", auth.NewSecret())
	for _, c := range []struct{ host, id string }{
		{authtest.Ledger, id}, {authtest.Claims, ""}, {authtest.Claims, "x"}, {"evil.example", id}, {"", id}, {"", ""},
	} {
		if code, err := e.IssueHandoff(t.Context(), sess, c.host, c.id); !errors.Is(err, auth.ErrHandoffInvalid) || code != "" {
			t.Errorf("%+v: %q, %v", c, code, err)
		}
	}
	e.Clock.Advance(15 * time.Minute)
	if _, ok := e.Target(id); ok {
		t.Error("the target outlived its 15 minutes")
	}
	if err := e.Logout(t.Context(), p.Origin, sess); err != nil {
		t.Fatal(err)
	}
	id = e.SaveTarget(authtest.Claims, "/", auth.NewSecret())
	if _, err := e.IssueHandoff(t.Context(), sess, authtest.Claims, id); !errors.Is(err, auth.ErrSessionEnded) {
		t.Errorf("after signing out: %v", err)
	}
}

// Open redirect: whatever is asked for, a browser that is sent to the target
// stays on the cluster's host.
func TestSaveTarget_OpenRedirect(t *testing.T) {
	e, _ := newEnv(t, nil)
	for _, uri := range redirects(t) {
		target, ok := e.Target(e.SaveTarget(authtest.Claims, uri, auth.NewSecret()))
		if !ok {
			t.Errorf("%q was not kept at all", uri)
			continue
		}
		checkTarget(t, uri, target)
	}
	for _, host := range []string{
		"", "evil.example", authtest.GateHost, "claims.example.com.", "CLAIMS.example.com", "claims.example.com:443", "x.claims.example.com",
		"claims.example.com.evil.example", "evil.example/claims.example.com", "claims.example.com@evil.example", "claims.example.com\n",
	} {
		if id := e.SaveTarget(host, "/", auth.NewSecret()); id != "" {
			t.Errorf("host %q was kept", host)
		}
	}
	if id := e.SaveTarget(authtest.Claims, "/", "guessable"); id != "" {
		t.Error("a short start secret was accepted")
	}
}

func redirects(t testing.TB) []string {
	t.Helper()
	b, err := os.ReadFile("testdata/redirects.txt")
	if err != nil {
		t.Fatal(err)
	}
	unescape := strings.NewReplacer(`\t`, "\t", `\n`, "\n", `\r`, "\r", `\0`, "\x00", `\u`, "\u3002")
	var out []string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		out = append(out, line, unescape.Replace(line))
	}
	return out
}

// checkTarget reads the target as browsers do: white space and control
// characters inside are dropped, backslashes are slashes.
func checkTarget(t *testing.T, uri string, target auth.Target) {
	t.Helper()
	if target.Host != authtest.Claims || !strings.HasPrefix(target.URI, "/") {
		t.Fatalf("%q became %+v", uri, target)
	}
	read := strings.Map(func(r rune) rune {
		switch {
		case r == '\\':
			return '/'
		case r <= ' ' || r == 0x7f:
			return -1
		}
		return r
	}, target.URI)
	base, err := url.Parse("https://" + authtest.Claims + "/.ringfence/callback")
	if err != nil {
		t.Fatal(err)
	}
	ref, err := url.Parse(read)
	if err != nil {
		t.Fatalf("%q became %q: %v", uri, target.URI, err)
	}
	to := base.ResolveReference(ref)
	if to.Host != authtest.Claims || to.Scheme != "https" || to.User != nil || strings.HasPrefix(to.EscapedPath(), "//") {
		t.Errorf("%q became %q, which leads to %s", uri, target.URI, to)
	}
}

func FuzzSaveTarget(f *testing.F) {
	for _, s := range redirects(f) {
		f.Add(s)
	}
	e, _ := newEnv(f, nil)
	f.Fuzz(func(t *testing.T, uri string) {
		target, ok := e.Target(e.SaveTarget(authtest.Claims, uri, auth.NewSecret()))
		if !ok {
			t.Fatalf("%q was not kept", uri)
		}
		checkTarget(t, uri, target)
	})
}

// Ordinary targets come back as they were.
func TestSaveTarget_Ordinary(t *testing.T) {
	e, _ := newEnv(t, nil)
	for _, uri := range []string{"/", "/a", "/a/b?c=d&e=%2F%2f", "/a%20b", "/?next=https://evil.example", "/search?q=a+b", "/~kim/", "/a;b=c", "/caf%C3%A9"} {
		if target, ok := e.Target(e.SaveTarget(authtest.Claims, uri, auth.NewSecret())); !ok || target.URI != uri {
			t.Errorf("%q became %q", uri, target.URI)
		}
	}
}

// Strangers can ask for targets without end and fill no memory.
func TestSaveTarget_Bounded(t *testing.T) {
	e, _ := newEnv(t, nil)
	first := e.SaveTarget(authtest.Claims, "/first", auth.NewSecret())
	last := ""
	for range 20_000 {
		last = e.SaveTarget(authtest.Claims, "/more", "0123456789012345678901")
	}
	if _, ok := e.Target(first); ok {
		t.Error("the oldest is still there")
	}
	if _, ok := e.Target(last); !ok {
		t.Error("the newest is not")
	}
}
