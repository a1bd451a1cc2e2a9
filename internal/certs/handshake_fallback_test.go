package certs

import (
	"crypto/tls"
	"testing"
)

// TestFallback_IsShownForUnknownHosts: whoever names an unknown host, or none,
// sees the gate's certificate and no other, and a challenge never does.
func TestFallback_IsShownForUnknownHosts(t *testing.T) {
	m, err := New(Config{Mode: ModeLocal, Dir: t.TempDir(), Fallback: "gate.example.com", Hosts: func() []string { return []string{"gate.example.com", "claims.example.com"} }})
	if err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[string]string{"": "gate.example.com", "other.example.com": "gate.example.com", "claims.example.com": "claims.example.com"} {
		c, err := m.certificate(&tls.ClientHelloInfo{ServerName: asked})
		if err != nil || c == nil {
			t.Fatalf("%q: %v %v", asked, c, err)
		}
		if err := c.Leaf.VerifyHostname(want); err != nil {
			t.Errorf("%q was shown another certificate: %v", asked, err)
		}
	}
	cfg, err := m.TLSConfig().GetConfigForClient(&tls.ClientHelloInfo{ServerName: "other.example.com", SupportedProtos: []string{challengeProtocol}})
	if err != nil || cfg == nil {
		t.Fatalf("challenge for an unknown host: %v %v", cfg, err)
	}
	if c, err := cfg.GetCertificate(&tls.ClientHelloInfo{ServerName: "other.example.com"}); c != nil || err != nil {
		t.Error("a challenge for an unknown host was answered")
	}
}
