package client

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// dishonest is a gate that gives any answer to anything.
func dishonest(t *testing.T, status int, answer func(gate string) any) (url, ca string) {
	t.Helper()
	var s *httptest.Server
	s = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(answer(s.URL)) //nolint:errcheck // the client sees what is missing
	}))
	t.Cleanup(s.Close)
	return s.URL, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

func signedIn(t *testing.T, url, ca string) *Client {
	t.Helper()
	t.Setenv(HomeVariable, t.TempDir())
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGate(url, ca, "test", 0)
	if err != nil {
		t.Fatal(err)
	}
	p := Profile{Gate: url, CA: ca, Ends: time.Now().Add(time.Hour)}
	v, err := p.vault()
	if err != nil {
		t.Fatal(err)
	}
	return &Client{gate: g, vault: v, profile: p, key: key, secret: "rfm_x", tokens: map[string]Token{}}
}

// TestHostileGate_TokenInjection: a token goes into curl's configuration and
// git's answer. One with a line of its own would write files or name hosts there.
func TestHostileGate_TokenInjection(t *testing.T) {
	for _, secret := range []string{"rft_x\"\noutput = \"/tmp/x", "rft_x\nhost=evil.example", "rft_x\r\nX-Evil: 1", "rft x", "", "rft_\x1b[2J", "rft_é", strings.Repeat("x", 513)} {
		url, ca := dishonest(t, http.StatusOK, func(string) any { return map[string]any{"access_token": secret, "expires_in": 1 << 40} })
		c := signedIn(t, url, ca)
		for _, bearer := range []bool{true, false} {
			if tok, err := c.Token(t.Context(), "https://claims.example.com", bearer); err == nil || tok.Secret != "" {
				t.Errorf("%q was taken for a token", secret)
			}
		}
		if secret != "" && len(secret) < 500 {
			if _, _, err := c.Headers(t.Context(), "https://claims.example.com", "GET", "https://claims.example.com/"); err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("%q: %v", secret, err)
			}
		}
	}
	url, ca := dishonest(t, http.StatusOK, func(string) any {
		return map[string]any{"access_token": "rft_" + strings.Repeat("Az09", 10), "expires_in": 1 << 40}
	})
	tok, err := signedIn(t, url, ca).Token(t.Context(), "https://claims.example.com", false)
	if err != nil || time.Until(tok.Expires) > time.Hour || time.Until(tok.Expires) < 59*time.Minute {
		t.Errorf("a right token: until %v, %v", tok.Expires, err)
	}
}

// TestHostileGate_RelayedCode: a gate that passes on another gate's code and
// page would have the person sign the first one's machine in at the second.
func TestHostileGate_RelayedCode(t *testing.T) {
	for _, page := range []string{"https://gate.other.example/device", "http://127.0.0.1/device", "", "javascript:alert(1)", "https://gate.other.example@"} {
		t.Setenv(HomeVariable, t.TempDir())
		url, ca := dishonest(t, http.StatusOK, func(string) any {
			return map[string]any{"device_code": "x", "user_code": "BCDF-GHJK", "verification_uri": page, "expires_in": 600, "interval": 1 << 40}
		})
		_, err := Login(t.Context(), LoginOptions{Gate: url, CA: ca, NoKeyring: true, Show: func(p Prompt) { t.Errorf("%q was shown", p.URL) }})
		if err == nil || !strings.Contains(err.Error(), "another site") {
			t.Errorf("%q: %v", page, err)
		}
	}
}

// TestHostileGate_Clusters: only https origins in plain characters are kept.
func TestHostileGate_Clusters(t *testing.T) {
	bad := []string{"http://claims.example.com/", "https://claims.example.com/x", "https://u:p@claims.example.com/", "https://claims.example.com/?q", "file:///etc/passwd", "//x", "https://cl\u009baims.example.com/",
		"https://x\u202e.example/", "https://$(id).example/", "-o/etc/x", "https://x.example/#f", "https:///"}
	url, ca := dishonest(t, http.StatusOK, func(string) any {
		return map[string]any{"account": "kim", "ends": time.Now().Add(time.Hour), "clusters": []Cluster{{Name: "evil", URLs: bad}, {Name: "claims", URLs: append(bad, "https://claims.example.com:8443/")}}}
	})
	c := signedIn(t, url, ca)
	if base, err := c.Find(t.Context(), "evil"); err == nil {
		t.Errorf("evil is at %q", base)
	}
	if base, err := c.Find(t.Context(), "claims"); err != nil || base != "https://claims.example.com:8443" {
		t.Errorf("claims is at %q, %v", base, err)
	}
}

// TestHostileGate_TerminalInjection: a gate's words are shown to people.
func TestHostileGate_TerminalInjection(t *testing.T) {
	url, ca := dishonest(t, http.StatusBadRequest, func(string) any {
		return map[string]any{"error": "x", "error_description": "\x1b]0;owned\x07\x1b[2J\r\u009b31m\u202e" + strings.Repeat("long ", 1000)}
	})
	_, err := signedIn(t, url, ca).Token(t.Context(), "https://claims.example.com", true)
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\x07\r\n\u009b\u202e") || len(err.Error()) > 1000 {
		t.Errorf("shown: %q", err)
	}
}
