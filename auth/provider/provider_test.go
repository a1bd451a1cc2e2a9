package provider

import (
	"compress/gzip"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// site is a provider's web site that serves what a test wants.
func site(t *testing.T, serve func(w http.ResponseWriter, r *http.Request, issuer string)) (*httptest.Server, Config) {
	t.Helper()
	var s *httptest.Server
	s = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, s.URL) }))
	t.Cleanup(s.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return s, Config{Issuer: s.URL, ClientID: "c", CA: string(ca), RedirectURL: "https://gate.example.com/login/oidc/callback/acme"}
}

func document(issuer string, edit func(map[string]any)) []byte {
	m := map[string]any{"issuer": issuer, "authorization_endpoint": issuer + "/authorize", "token_endpoint": issuer + "/token", "jwks_uri": issuer + "/jwks"}
	if edit != nil {
		edit(m)
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

func codeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// TestSSRF_Discovery holds what a provider, and whoever names one, can make
// the gateway connect to.
func TestSSRF_Discovery(t *testing.T) {
	asked := 0
	inner := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer inner.Close()
	_, cfg := site(t, func(w http.ResponseWriter, _ *http.Request, issuer string) { w.Write(document(issuer, nil)) })
	d := &Directory{}
	if _, err := d.Discover(t.Context(), cfg); codeOf(err) != Unavailable || !strings.Contains(err.Error(), "127.0.0.1 is not allowed") {
		t.Errorf("loopback: %v", err)
	}
	d.Allow = loopback
	if _, err := d.Discover(t.Context(), cfg); err != nil {
		t.Errorf("named: %v", err)
	}
	for _, issuer := range []string{"http://127.0.0.1:1", "ftp://x.example", "https://", "//x.example", "", "file:///etc/passwd"} {
		if _, err := d.Discover(t.Context(), Config{Issuer: issuer, ClientID: "c"}); codeOf(err) != Misconfigured {
			t.Errorf("%q: %v", issuer, err)
		}
	}
	// A redirect is not followed, not even to the same site.
	for _, to := range []string{inner.URL, "/elsewhere", "http://169.254.169.254/latest/meta-data/"} {
		_, cfg := site(t, func(w http.ResponseWriter, r *http.Request, _ string) { http.Redirect(w, r, to, http.StatusFound) })
		if _, err := d.Discover(t.Context(), cfg); codeOf(err) != Unavailable || !strings.Contains(err.Error(), "redirect") {
			t.Errorf("redirect to %s: %v", to, err)
		}
	}
	if asked != 0 {
		t.Errorf("%d requests reached another site", asked)
	}
}

// TestSSRF_Addresses is the table of what a provider may not be at.
func TestSSRF_Addresses(t *testing.T) {
	for _, a := range []string{"127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "0.1.2.3", "::", "169.254.169.254", "fe80::1", "fd00:ec2::254", "10.0.0.1", "172.16.0.1",
		"192.168.1.1", "fc00::1", "100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1", "fec0::1",
		"::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "fe80::1%eth0",
		"64:ff9b:1::a9fe:a9fe", "64:ff9b:1:1::7f00:1", "::ffff:0:127.0.0.1", "2001:0:7f00:1::1", "192.88.99.1", "100::1"} {
		if public(netip.MustParseAddr(a), nil) {
			t.Errorf("%s counts as public", a)
		}
	}
	for _, a := range []string{"192.0.2.1", "8.8.8.8", "2001:4860::1", "64:ff9b::808:808"} {
		if !public(netip.MustParseAddr(a), nil) {
			t.Errorf("%s does not count as public", a)
		}
	}
	if !public(netip.MustParseAddr("10.1.2.3"), []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}) || public(netip.MustParseAddr("10.2.0.1"), []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}) {
		t.Error("a named network is not what is allowed")
	}
}

// TestDiscovery_Documents holds what a discovery document may say.
func TestDiscovery_Documents(t *testing.T) {
	set := func(name string, v any) func(map[string]any) { return func(m map[string]any) { m[name] = v } }
	for name, c := range map[string]struct {
		edit func(map[string]any)
		want Code
	}{
		"plain":                         {nil, ""},
		"another issuer":                {set("issuer", "https://evil.example"), Misconfigured},
		"a slash too many":              {func(m map[string]any) { m["issuer"] = m["issuer"].(string) + "/" }, Misconfigured},
		"no issuer":                     {set("issuer", nil), Misconfigured},
		"token endpoint in plain HTTP":  {set("token_endpoint", "http://x.example/token"), Misconfigured},
		"no token endpoint":             {set("token_endpoint", ""), Misconfigured},
		"authorization as a script":     {set("authorization_endpoint", "javascript:alert(1)"), Misconfigured},
		"authorization with a password": {set("authorization_endpoint", "https://a:b@x.example/"), Misconfigured},
		"no keys":                       {set("jwks_uri", ""), Misconfigured},
		"keys in plain HTTP":            {set("jwks_uri", "http://x.example/jwks"), Misconfigured},
		"userinfo in plain HTTP":        {set("userinfo_endpoint", "http://x.example/u"), Misconfigured},
		"symmetric signatures only":     {set("id_token_signing_alg_values_supported", []string{"HS256", "none"}), Misconfigured},
		"among others EdDSA":            {set("id_token_signing_alg_values_supported", []string{"HS256", "EdDSA"}), ""},
		"PKCE in plain only":            {set("code_challenge_methods_supported", []string{"plain"}), Misconfigured},
	} {
		_, cfg := site(t, func(w http.ResponseWriter, _ *http.Request, issuer string) {
			w.Header().Set("Content-Type", "application/json")
			w.Write(document(issuer, c.edit))
		})
		if _, err := (&Directory{Allow: loopback}).Discover(t.Context(), cfg); codeOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, cfg := site(t, func(w http.ResponseWriter, _ *http.Request, issuer string) { w.Write(document(issuer, nil)) })
	cfg.CA = ""
	if _, err := (&Directory{Allow: loopback}).Discover(t.Context(), cfg); codeOf(err) != Unavailable {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
}

// TestBombs_Responses floods, and goes silent.
func TestBombs_Responses(t *testing.T) {
	block := strings.Repeat(" ", 64<<10)
	for name, serve := range map[string]func(w http.ResponseWriter, r *http.Request){
		"an answer without end": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write([]byte(block)); err != nil {
					return
				}
			}
		},
		"a bomb": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			for range 1000 {
				if _, err := z.Write([]byte(block)); err != nil {
					return
				}
			}
		},
		"headers without end": func(w http.ResponseWriter, r *http.Request) {
			for i := range 200 {
				w.Header().Add("X-Fill", strings.Repeat("x", 1000+i))
			}
		},
		"silence": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"silence midway": func(w http.ResponseWriter, r *http.Request) {
			w.Write([]byte("{"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"no JSON":          func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("<html>canary")) },
		"an error":         func(w http.ResponseWriter, r *http.Request) { http.Error(w, "canary", http.StatusInternalServerError) },
		"a broken address": func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(`{"issuer": 7}`)) },
	} {
		_, cfg := site(t, func(w http.ResponseWriter, r *http.Request, _ string) { serve(w, r) })
		began := time.Now()
		_, err := (&Directory{Allow: loopback, Timeout: 500 * time.Millisecond}).Discover(t.Context(), cfg)
		if codeOf(err) != Unavailable || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
		if d := time.Since(began); d > 10*time.Second {
			t.Errorf("%s took %s", name, d)
		}
	}
}

func TestAuthURL(t *testing.T) {
	_, cfg := site(t, func(w http.ResponseWriter, _ *http.Request, issuer string) { w.Write(document(issuer, nil)) })
	cfg.MaxAge, cfg.ClientSecret = time.Hour, "canary-secret"
	c, err := (&Directory{Allow: loopback}).Client(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	to := c.AuthURL(Start{State: "s", Nonce: "n", Verifier: "canary-verifier", Hint: "kim@acme.example"})
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for name, want := range map[string]string{"response_type": "code", "response_mode": "query", "client_id": "c", "scope": "openid email", "state": "s", "nonce": "n",
		"code_challenge_method": "S256", "max_age": "3600", "login_hint": "kim@acme.example", "redirect_uri": cfg.RedirectURL} {
		if q.Get(name) != want {
			t.Errorf("%s is %q", name, q.Get(name))
		}
	}
	if strings.Contains(to, "canary") || c.Origin() != cfg.Issuer {
		t.Errorf("%s, origin %s", to, c.Origin())
	}
}

// A document is believed for an hour, and another registration has its own.
func TestClient_Remembers(t *testing.T) {
	asked := 0
	_, cfg := site(t, func(w http.ResponseWriter, _ *http.Request, issuer string) { asked++; w.Write(document(issuer, nil)) })
	now := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	d := &Directory{Allow: loopback, Now: func() time.Time { return now }}
	get := func() {
		t.Helper()
		if _, err := d.Client(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		do   func()
		want int
	}{
		{func() {}, 1}, {func() {}, 1},
		{func() { now = now.Add(59 * time.Minute) }, 1},
		{func() { now = now.Add(2 * time.Minute) }, 2},
		{func() { now = now.Add(-24 * time.Hour) }, 3}, // a clock that was set back keeps nothing for longer
		{func() { cfg.ClientSecret = "other" }, 4},
	} {
		step.do()
		get()
		if asked != step.want {
			t.Fatalf("asked %d times, want %d", asked, step.want)
		}
	}
}
