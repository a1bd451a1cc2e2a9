package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestLocal_AuthorityIsMadeOnceAndKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	first := newTest(t, Config{Mode: ModeLocal, Dir: dir, Domains: []string{"example.com"}}, "gate.example.com")
	for name, mode := range map[string]os.FileMode{"ca.key": 0o600, "ca.pem": 0o644} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	again := newTest(t, Config{Mode: ModeLocal, Dir: dir, Domains: []string{"elsewhere.test"}}, "gate.example.com")
	if string(first.AuthorityPEM()) != string(again.AuthorityPEM()) {
		t.Error("the second start has another authority")
	}
	// What the first start's clients trust is what the second start serves.
	if _, err := handshake(t, again.TLSConfig(), &tls.Config{ServerName: "gate.example.com", RootCAs: roots(t, first.AuthorityPEM())}); err != nil {
		t.Error(err)
	}
	block, _ := pem.Decode(first.AuthorityPEM())
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !ca.IsCA || !ca.MaxPathLenZero || ca.KeyUsage != x509.KeyUsageCertSign || !ca.PermittedDNSDomainsCritical {
		t.Errorf("authority: %+v", ca)
	}
}

func TestLocal_OneAuthorityWhenTwoStartAtOnce(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	pems := make([]string, 8)
	for i := range pems {
		wg.Go(func() {
			a, err := openAuthority(dir, nil, time.Now())
			if err != nil {
				t.Error(err)
				return
			}
			pems[i] = string(a.pem)
		})
	}
	wg.Wait()
	for _, p := range pems {
		if p != pems[0] {
			t.Fatal("two authorities were made")
		}
	}
}

// The authority's certificate lies among those that people trust for
// everything. Its key must be of no use for names that are not the gateway's,
// even to somebody who signs without asking [authority.allows].
func TestLocal_StolenAuthorityKeyVouchesForNothingElse(t *testing.T) {
	m := newTest(t, Config{Mode: ModeLocal, Domains: []string{"example.com"}}, "gate.example.com")
	a := m.local.authority
	pool := roots(t, m.AuthorityPEM())
	for host, good := range map[string]bool{"gate.example.com": true, "example.com": true, "a.b.example.com": true, "bank.test": false, "notexample.com": false, "example.com.evil.test": false} {
		c, err := a.issue(host, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: pool})
		if (err == nil) != good {
			t.Errorf("%s: %v", host, err)
		}
		if a.allows(host) != good {
			t.Errorf("allows(%s) is %v", host, !good)
		}
	}
	if len(a.cert.ExcludedIPRanges) != 2 || !a.cert.ExcludedIPRanges[0].Contains(net.IPv4(192, 0, 2, 1)) {
		t.Error("addresses are not excluded")
	}
}

func TestLocal_HostOutsideOfTheDomainsIsToldAndRefused(t *testing.T) {
	m := newTest(t, Config{Mode: ModeLocal, Domains: []string{"example.com"}})
	err := m.SetHosts([]string{"gate.example.com", "claims.other.test"})
	if err == nil || !strings.Contains(err.Error(), `"claims.other.test": the local authority vouches for example.com only`) {
		t.Errorf("error %v", err)
	}
	if _, err := handshake(t, m.TLSConfig(), &tls.Config{ServerName: "claims.other.test", InsecureSkipVerify: true}); !refusedName(err) {
		t.Errorf("handshake: %v", err)
	}
	if _, err := handshake(t, m.TLSConfig(), &tls.Config{ServerName: "gate.example.com", RootCAs: roots(t, m.AuthorityPEM())}); err != nil {
		t.Error(err)
	}
}

func TestLocal_LeafIsReplacedBeforeItEnds(t *testing.T) {
	now := time.Now()
	m := newTest(t, Config{Mode: ModeLocal, Now: func() time.Time { return now }}, "gate.example.com")
	serial := func() string {
		c, err := m.certificate(&tls.ClientHelloInfo{ServerName: "gate.example.com"})
		if err != nil {
			t.Fatal(err)
		}
		if !c.Leaf.NotAfter.After(now) || c.Leaf.NotAfter.Sub(now) > leafLife {
			t.Errorf("at %v a leaf until %v was served", now, c.Leaf.NotAfter)
		}
		return c.Leaf.SerialNumber.String()
	}
	first := serial()
	now = now.Add(19 * 24 * time.Hour)
	if serial() != first {
		t.Error("replaced on day 19 of 30")
	}
	now = now.Add(2 * 24 * time.Hour)
	second := serial()
	if second == first {
		t.Error("not replaced on day 21 of 30")
	}
	// A clock that was wrong for a while does not leave a leaf of the future behind.
	now = now.Add(-60 * 24 * time.Hour)
	if serial() == second {
		t.Error("a leaf of the future was served")
	}
	now = m.local.authority.cert.NotAfter.Add(time.Second)
	if c, err := m.certificate(&tls.ClientHelloInfo{ServerName: "gate.example.com"}); err == nil {
		t.Errorf("an ended authority signed a leaf until %v", c.Leaf.NotAfter)
	}
}

func TestLocal_DamagedAuthorityIsNeverReplacedSilently(t *testing.T) {
	other := t.TempDir()
	if _, err := openAuthority(other, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(filepath.Join(other, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		damage func(dir string) error
		want   string
	}{
		"key lost":     {func(d string) error { return os.Remove(filepath.Join(d, "ca.key")) }, "but no key"},
		"key torn":     {func(d string) error { return os.Truncate(filepath.Join(d, "ca.key"), 40) }, "not one PEM private key"},
		"key empty":    {func(d string) error { return os.Truncate(filepath.Join(d, "ca.key"), 0) }, "not one PEM private key"},
		"key open":     {func(d string) error { return os.Chmod(filepath.Join(d, "ca.key"), 0o640) }, "chmod 600"},
		"cert torn":    {func(d string) error { return os.Truncate(filepath.Join(d, "ca.pem"), 100) }, "not one PEM certificate"},
		"cert foreign": {func(d string) error { return os.WriteFile(filepath.Join(d, "ca.pem"), foreign, 0o644) }, "does not belong"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := openAuthority(dir, nil, time.Now()); err != nil {
				t.Fatal(err)
			}
			if err := c.damage(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := openAuthority(dir, nil, time.Now()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// The key is written first: a crash before the certificate leaves a key alone,
// from which the next start goes on.
func TestLocal_CrashBetweenKeyAndCertificate(t *testing.T) {
	dir := t.TempDir()
	a, err := openAuthority(dir, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "ca.pem")); err != nil {
		t.Fatal(err)
	}
	b, err := openAuthority(dir, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if !a.key.Equal(b.key) {
		t.Error("the key was replaced")
	}
}

func BenchmarkHandshakeLookup(b *testing.B) {
	m, err := New(Config{Mode: ModeLocal, Dir: b.TempDir(), Hosts: func() []string { return []string{"gate.example.com"} }})
	if err != nil {
		b.Fatal(err)
	}
	hello := &tls.ClientHelloInfo{ServerName: "gate.example.com"}
	b.ReportAllocs()
	for b.Loop() {
		if c, err := m.certificate(hello); c == nil || err != nil {
			b.Fatal(err)
		}
	}
}
