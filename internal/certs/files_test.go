package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// writePair writes a certificate and key for hosts, signed by an authority of
// the test's own, and returns their names.
func writePair(t *testing.T, dir, name string, now time.Time, host string) Pair {
	t.Helper()
	a, err := openAuthority(filepath.Join(dir, "authority"), nil, now)
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.issue(host, now)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	p := Pair{filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")}
	for file, block := range map[string]*pem.Block{p.Certificate: {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, p.Key: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func served(t *testing.T, m *Manager, host string) string {
	t.Helper()
	c, err := m.certificate(&tls.ClientHelloInfo{ServerName: host})
	if err != nil {
		t.Fatal(err)
	}
	if c == nil {
		return ""
	}
	return c.Leaf.SerialNumber.String()
}

func TestFiles_HostWithoutCertificateIsToldAndRefused(t *testing.T) {
	p := writePair(t, t.TempDir(), "gate", time.Now(), "gate.example.com")
	m := newTest(t, Config{Mode: ModeFiles, Files: []Pair{p}})
	if err := m.SetHosts([]string{"gate.example.com", "claims.example.com"}); err == nil || !strings.Contains(err.Error(), `"claims.example.com": no certificate names it`) {
		t.Errorf("error %v", err)
	}
	if _, err := handshake(t, m.TLSConfig(), &tls.Config{ServerName: "claims.example.com", InsecureSkipVerify: true}); !refusedName(err) {
		t.Errorf("handshake: %v", err)
	}
	if _, err := handshake(t, m.TLSConfig(), &tls.Config{ServerName: "gate.example.com", InsecureSkipVerify: true}); err != nil {
		t.Error(err)
	}
}

// A certificate for a host is no reason to serve it: only hosts of clusters are known.
func TestFiles_CertificateAloneMakesNoHost(t *testing.T) {
	dir := t.TempDir()
	m := newTest(t, Config{Mode: ModeFiles, Files: []Pair{writePair(t, dir, "gate", time.Now(), "gate.example.com"), writePair(t, dir, "other", time.Now(), "other.example.com")}}, "gate.example.com")
	if _, err := handshake(t, m.TLSConfig(), &tls.Config{ServerName: "other.example.com", InsecureSkipVerify: true}); !refusedName(err) {
		t.Errorf("handshake: %v", err)
	}
}

func TestFiles_ReloadIsWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	pairs := []Pair{writePair(t, dir, "a", now, "a.example.com"), writePair(t, dir, "b", now, "b.example.com")}
	m := newTest(t, Config{Mode: ModeFiles, Files: pairs, Now: func() time.Time { return now }}, "a.example.com", "b.example.com")
	a, b := served(t, m, "a.example.com"), served(t, m, "b.example.com")

	// a is good and new, b is broken in one way after the other: neither counts.
	keep, err := os.ReadFile(pairs[1].Certificate)
	if err != nil {
		t.Fatal(err)
	}
	writePair(t, dir, "a", now, "a.example.com")
	stale := t.TempDir()
	writePair(t, stale, "b", now.Add(-60*24*time.Hour), "b.example.com")
	old, err := os.ReadFile(filepath.Join(stale, "b.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"empty": {}, "torn": keep[:len(keep)/2], "another key's": old, "not PEM": []byte("hello")} {
		if err := os.WriteFile(pairs[1].Certificate, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := m.Reload(); err == nil || !strings.Contains(err.Error(), pairs[1].Certificate) {
			t.Errorf("%s: error %v", name, err)
		}
		if served(t, m, "a.example.com") != a || served(t, m, "b.example.com") != b {
			t.Errorf("%s: certificates changed", name)
		}
	}
	if err := os.Remove(pairs[1].Certificate); err != nil {
		t.Fatal(err)
	}
	if err := m.Reload(); err == nil {
		t.Error("a missing file was not told")
	}

	writePair(t, dir, "b", now, "b.example.com")
	if err := m.Reload(); err != nil {
		t.Fatal(err)
	}
	if served(t, m, "a.example.com") == a || served(t, m, "b.example.com") == b {
		t.Error("a good set was not taken over")
	}
}

func TestFiles_EndedOrFutureCertificateIsRefused(t *testing.T) {
	dir := t.TempDir()
	p := writePair(t, dir, "a", time.Now().Add(-31*24*time.Hour), "a.example.com")
	if _, err := New(Config{Mode: ModeFiles, Files: []Pair{p}}); err == nil || !strings.Contains(err.Error(), "it ended on") {
		t.Errorf("error %v", err)
	}
	p = writePair(t, t.TempDir(), "a", time.Now().Add(48*time.Hour), "a.example.com")
	if _, err := New(Config{Mode: ModeFiles, Files: []Pair{p}}); err == nil || !strings.Contains(err.Error(), "it begins only on") {
		t.Errorf("error %v", err)
	}
}

func TestFiles_BestOfSeveralForOneHost(t *testing.T) {
	now := time.Now()
	older := writePair(t, t.TempDir(), "a", now.Add(-10*24*time.Hour), "a.example.com")
	newer := writePair(t, t.TempDir(), "a", now, "a.example.com")
	m := newTest(t, Config{Mode: ModeFiles, Files: []Pair{newer, older}}, "a.example.com")
	n := newTest(t, Config{Mode: ModeFiles, Files: []Pair{older, newer}}, "a.example.com")
	if served(t, m, "a.example.com") != served(t, n, "a.example.com") {
		t.Error("the order of the files decides which certificate is served")
	}
}

// A common name alone is what old tools make and what no browser accepts.
func TestFiles_CertificateWithoutNamesIsRefused(t *testing.T) {
	dir := t.TempDir()
	a, err := openAuthority(dir, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	// The authority's own certificate names no host.
	p := Pair{filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key")}
	if _, err := New(Config{Mode: ModeFiles, Files: []Pair{p}}); err == nil || !strings.Contains(err.Error(), "names no host") {
		t.Errorf("%s: error %v", a.cert.Subject, err)
	}
}

// Run sees every replacement, and says of each bad one once, not every few seconds.
func TestFiles_RunSeesChangesAndComplainsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		p := writePair(t, dir, "a", time.Now(), "a.example.com")
		var buf bytes.Buffer
		m := newTest(t, Config{Mode: ModeFiles, Files: []Pair{p}, Logger: slog.New(slog.NewTextHandler(&buf, nil))}, "a.example.com")
		go m.Run(t.Context())
		first := served(t, m, "a.example.com")

		writePair(t, dir, "a", time.Now(), "a.example.com")
		time.Sleep(watchEvery + time.Second)
		synctest.Wait()
		second := served(t, m, "a.example.com")
		if first == second {
			t.Error("the change was not seen")
		}

		if err := os.WriteFile(p.Certificate, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * watchEvery)
		synctest.Wait()
		if served(t, m, "a.example.com") != second {
			t.Error("a bad file replaced a good certificate")
		}
		if n := strings.Count(buf.String(), "cannot be used"); n != 1 {
			t.Errorf("%d complaints about one fault:\n%s", n, buf.String())
		}
	})
}

// A host whose certificate comes later is served without a word from anybody.
func TestFiles_CertificateThatComesLaterServesItsHost(t *testing.T) {
	dir := t.TempDir()
	p := writePair(t, dir, "a", time.Now(), "gate.example.com")
	m := newTest(t, Config{Mode: ModeFiles, Files: []Pair{p}}, "gate.example.com", "claims.example.com")
	if served(t, m, "claims.example.com") != "" {
		t.Fatal("served without a certificate")
	}
	writePair(t, dir, "a", time.Now(), "claims.example.com")
	if err := m.Reload(); err != nil {
		t.Fatal(err)
	}
	if served(t, m, "claims.example.com") == "" {
		t.Error("the new certificate is not served")
	}
}
