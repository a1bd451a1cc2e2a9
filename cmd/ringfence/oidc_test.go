package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A certified is a real OpenID Connect provider, started from testdata/oidc.
type certified struct {
	issuer, ca, secret string
	cmd                *exec.Cmd
	output             *lockedBuffer
}

const northwindPassword = "five quiet harbours"

// startCertified installs and starts the provider for a demo's vendor
// northwind, whose people Kim, Lee and Mallory it knows.
func startCertified(t testing.TB, p *process, conform bool) *certified {
	t.Helper()
	node := need(t, "node", "nodejs")
	npm := need(t, "npm", "npm")
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "provider.mjs"} {
		b, err := os.ReadFile(filepath.Join("testdata", "oidc", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	install := exec.Command(npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		if required() {
			t.Fatalf("installing the provider: %v\n%s", err, out)
		}
		t.Skipf("the provider cannot be installed (npm ci in testdata/oidc): %v", err)
	}
	c := &certified{secret: "canary-of-the-client-secret", cmd: exec.Command(node, "provider.mjs"), output: &lockedBuffer{}}
	cert, key := selfSigned(t)
	c.ca = cert
	config, err := json.Marshal(map[string]any{
		"cert": cert, "key": key, "conform": conform,
		"clients": []any{map[string]any{"client_id": "ringfence", "client_secret": c.secret, "redirect_uris": []string{p.ready.Gate + "/login/oidc/callback/northwind"}}},
		"people": []any{
			map[string]any{"sub": "n-1001", "login": "kim@northwind.example", "password": northwindPassword, "email": "kim@northwind.example", "verified": true},
			map[string]any{"sub": "n-1002", "login": "lee@northwind.example", "password": northwindPassword, "email": "lee@northwind.example", "verified": false},
			map[string]any{"sub": "n-1666", "login": "mallory@northwind.example", "password": northwindPassword, "email": "kim@northwind.example", "verified": true},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.cmd.Dir, c.cmd.Stdin, c.cmd.Stderr = dir, bytes.NewReader(config), c.output
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.stop()
		if t.Failed() {
			t.Logf("output of the provider:\n%s", c.output)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("starting the provider: %v\n%s", err, c.output)
	}
	c.issuer = strings.TrimSpace(line)
	return c
}

func (c *certified) stop() {
	_ = c.cmd.Process.Kill() // it may have ended
	_ = c.cmd.Wait()
}

// selfSigned makes a certificate for localhost, as PEM.
func selfSigned(t testing.TB) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	b, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}))
}

// apply gives northwind the provider, as an administrator does with a file.
func (c *certified) apply(t testing.TB, p *process, more string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte(c.secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	exported := ringfence(t, "export", "--data", p.ready.Data)
	vendor := fmt.Sprintf("  - name: northwind\n    identity_provider:\n      issuer: %s\n      client_id: ringfence\n      client_secret_file: secret\n      domains: [northwind.example]\n%s      ca: |\n        %s\n",
		c.issuer, more, strings.ReplaceAll(strings.TrimSpace(c.ca), "\n", "\n        "))
	text := strings.Replace(exported, "  - name: northwind\n", vendor, 1)
	file := filepath.Join(dir, "directory.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ringfence(t, "apply", "-f", file, "--data", p.ready.Data)
	if again := ringfence(t, "apply", "-f", file, "--data", p.ready.Data); again != "" {
		t.Errorf("applying the same file with the same secret again changes %s", again)
	}
	if out := ringfence(t, "export", "--data", p.ready.Data); strings.Contains(out, c.secret) || strings.Contains(out, "client_secret") || !strings.Contains(out, "identity_provider:") {
		t.Error("the export holds the client secret, or no provider")
	}
}

// atProvider goes to the provider from the gate's page and signs in there.
func (b *browser) atProvider(email, login, otp string) page {
	b.t.Helper()
	gate := b.p.ready.Gate
	pg := b.post(gate+"/login/oidc", url.Values{"email": {email}})
	if pg.status != 200 || !strings.Contains(pg.body, "Go on to localhost:") {
		b.t.Fatalf("got %d at %s\n%s", pg.status, pg.url, pg.body)
	}
	pg = b.post(gate+"/login/oidc/start", url.Values{"vendor": {"northwind"}, "email": {email}})
	if !strings.HasPrefix(pg.url.Path, "/interaction/") {
		b.t.Fatalf("not at the provider: %d at %s\n%s", pg.status, pg.url, pg.body)
	}
	return b.post(pg.url.String(), url.Values{"login": {login}, "password": {northwindPassword}, "otp": {otp}})
}

// TestExternalSignIn_CertifiedProvider signs in at the built gateway through a
// real provider, with plain HTTP clients.
func TestExternalSignIn_CertifiedProvider(t *testing.T) {
	if testing.Short() {
		t.Skip("it installs and starts a provider")
	}
	p := startDemo(t)
	c := startCertified(t, p, true) // addresses at the userinfo endpoint
	c.apply(t, p, "      trusted_amr: [mfa]\n")
	kim := p.account(t, "kim@northwind.example")
	claims := p.cluster(t, "claims")

	b := p.browser(t)
	b.trust(c.ca)
	if pg := b.atProvider(kim.Email, kim.Email, "123456"); pg.url.Path != "/login/code" {
		t.Fatalf("got %d at %s\n%s", pg.status, pg.url, pg.body)
	}
	if pg := b.post(p.ready.Gate+"/login/code", url.Values{"code": {code(t, kim, 0)}}); pg.url.Path != "/" {
		t.Fatalf("got %d at %s", pg.status, pg.url)
	}
	if pg := b.get(claims + "/"); pg.status != 200 {
		t.Errorf("claims: %d at %s", pg.status, pg.url)
	}
	// Somebody else at the company with Kim's address, and one without a
	// verified address, are not let in.
	for login, result := range map[string]string{"mallory@northwind.example": "subject_changed", "lee@northwind.example": "email_not_verified"} {
		other := p.browser(t)
		other.trust(c.ca)
		if pg := other.atProvider(login, login, ""); pg.status != 403 {
			t.Errorf("%s: %d at %s", login, pg.status, pg.url)
		}
		if rows := p.entries(t, "--action", "oidc.failed"); rows[0]["result"] != result && rows[len(rows)-1]["result"] != result {
			t.Errorf("%s: recorded %v", login, rows)
		}
	}
	// From now on the engagement trusts the company's second factor.
	// The file is an export, without the client secret: the stored one stays.
	text := strings.Replace(ringfence(t, "export", "--data", p.ready.Data), "  - name: northwind-2026\n", "  - name: northwind-2026\n    trust_provider_factor: true\n", 1)
	file := filepath.Join(t.TempDir(), "directory.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ringfence(t, "apply", "-f", file, "--data", p.ready.Data)
	trusted := p.browser(t)
	trusted.trust(c.ca)
	if pg := trusted.atProvider(kim.Email, kim.Email, "123456"); pg.url.Path != "/" || pg.status != 200 {
		t.Fatalf("the provider's factor is not enough: %d at %s", pg.status, pg.url)
	}
	if pg := trusted.get(claims + "/"); pg.status != 200 || !strings.HasPrefix(pg.url.String(), claims) {
		t.Errorf("claims: %d at %s", pg.status, pg.url)
	}
	// Trust is taken back while the session goes on: now a code of ours is asked
	// for, and leads back to where the person was.
	text = strings.Replace(text, "    trust_provider_factor: true\n", "", 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ringfence(t, "apply", "-f", file, "--data", p.ready.Data)
	eventually(t, 10*time.Second, "the provider's factor counts no more", func() bool { return trusted.get(claims+"/claims").url.Path == "/confirm" })
	pg := trusted.get(claims + "/claims")
	if pg = trusted.post(pg.url.String(), url.Values{"code": {code(t, kim, 1)}}); pg.status != 200 || pg.url.String() != claims+"/claims" {
		t.Errorf("after a code of ours: %d at %s", pg.status, pg.url)
	}
	// Without one there, ours is asked for.
	weak := p.browser(t)
	weak.trust(c.ca)
	if pg := weak.atProvider(kim.Email, kim.Email, ""); pg.url.Path != "/login/code" {
		t.Errorf("got %d at %s", pg.status, pg.url)
	}
	// The provider goes away: its people are told, passwords go on.
	c.stop()
	down := p.browser(t)
	if pg := down.post(p.ready.Gate+"/login", url.Values{"email": {kim.Email}, "password": {kim.Password}}); pg.url.Path != "/login/code" {
		t.Errorf("got %d at %s", pg.status, pg.url)
	}
	for _, f := range []string{p.output.String(), c.output.String()} {
		if strings.Contains(f, c.secret) {
			t.Error("the client secret stands in a log")
		}
	}
	for _, row := range p.entries(t) {
		if b, _ := json.Marshal(row); strings.Contains(string(b), c.secret) {
			t.Errorf("the client secret stands in the access log: %s", b)
		}
	}
}

// trust adds an authority to what the browser believes.
func (b *browser) trust(ca string) {
	b.t.Helper()
	tr := b.p.transport(b.t)
	if !tr.TLSClientConfig.RootCAs.AppendCertsFromPEM([]byte(ca)) {
		b.t.Fatal("no certificate")
	}
	b.client.Transport = tr
}

// TestBrowser_ExternalSignIn walks it in a real browser, an administrator's
// set-up included.
func TestBrowser_ExternalSignIn(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it starts a browser")
	}
	p := startDemo(t)
	c := startCertified(t, p, false)
	kim := p.account(t, "kim@northwind.example")

	w := chromium(t)
	w.signIn(p, "ada@harbour.example")
	w.open(p.ready.Gate + "/console/vendors/northwind")
	w.press(`document.querySelector('main a[href$="/provider"]')`)
	for name, value := range map[string]string{"issuer": c.issuer, "client_id": "ringfence", "client_secret": c.secret, "domains": "northwind.example", "trusted_amr": "mfa", "ca": c.ca} {
		ask[any](w, fmt.Sprintf(`void (document.querySelector('main [name=%q]').value = %q)`, name, value))
	}
	w.shoot("provider-form")
	w.fitsPhone("the form of a provider")
	w.press(`document.querySelector('.edit-actions button')`)
	w.press(`document.querySelector('.provider-acts button')`)
	if s := w.text(); !strings.Contains(s, "The provider answers") || strings.Contains(s, c.secret) {
		t.Errorf("the vendor's page says %s", s)
	}
	w.shoot("vendor-provider")
	w.fitsPhone("a vendor with a provider")

	k := chromium(t)
	k.open(p.cluster(t, "claims") + "/claims/CL-20418")
	k.shoot("login-company")
	k.press(`document.querySelector('.other-way a')`)
	k.shoot("company-ask")
	k.submit("email", kim.Email)
	k.shoot("company-go")
	k.fitsPhone("the page before the provider")
	k.press(`document.querySelector('main form button')`)
	if at := k.at(); "https://"+at.Host != c.issuer {
		t.Fatalf("the browser is at %s:\n%s", at, k.text())
	}
	ask[any](k, fmt.Sprintf(`void (document.querySelector('[name=password]').value = %q)`, northwindPassword))
	k.press(`document.querySelector('form button')`)
	if k.at().Path != "/login/code" {
		t.Fatalf("back at %s:\n%s", k.at(), k.text())
	}
	k.submit("code", code(t, kim, 0))
	if at := k.at(); at.Host != mustURL(t, p.cluster(t, "claims")).Host || at.Path != "/claims/CL-20418" {
		t.Fatalf("after sign-in at %s:\n%s", at, k.text())
	}
	w.open(p.ready.Gate + "/console/people")
	w.press(`[...document.querySelectorAll('main a')].find(a => a.textContent.includes('Kim Larsen'))`)
	if s := w.text(); !strings.Contains(s, "Company account") || !strings.Contains(s, c.issuer) {
		t.Errorf("the person's page says %s", s)
	}
	w.press(`document.querySelector('main a[href$="/unpin"]')`)
	w.shoot("unpin")
	w.press(`document.querySelector('main form button')`)

	// Whoever cancels there is told so.
	x := chromium(t)
	x.open(p.ready.Gate + "/login/oidc/northwind")
	x.press(`document.querySelector('main form button')`)
	x.press(`document.querySelector('[name=abort]')`)
	if s := x.text(); !strings.Contains(s, "Your company's sign-in said no") {
		t.Errorf("the page says %s", s)
	}
	x.shoot("company-refused")
}
