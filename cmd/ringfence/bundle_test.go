package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A bundleWorld is a deployment whose policies come from a bundle in a file.
type bundleWorld struct {
	dir, config, ops string
}

func newBundleWorld(t *testing.T) *bundleWorld {
	t.Helper()
	w := &bundleWorld{dir: t.TempDir()}
	w.config = filepath.Join(w.dir, "ringfence.yaml")
	w.keys(t, "signer")
	listen := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	w.ops = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	w.write(t, "ringfence.yaml", fmt.Sprintf(`gate: https://gate.localhost
listen: %s
http_listen: ""
operations: %s
data: state
tls:
  mode: local
policy_bundle:
  file: published.tar.gz
  public_key: signer.pem
  key_id: k1
  scope: ringfence
  poll: 5s
`, listen, w.ops))
	return w
}

func (w *bundleWorld) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *bundleWorld) keys(t *testing.T, name string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	w.write(t, name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})))
}

// bundle makes a bundle of a policy with one reason of its own.
func (w *bundleWorld) bundle(t *testing.T, out, revision, signer, code string) {
	t.Helper()
	w.write(t, "policy/all/x.rego", fmt.Sprintf("package ringfence.all\n\nimport rego.v2\n\ndeny contains {\"code\": %q, \"message\": \"Nothing is deleted.\", \"help\": \"\"} if input.request.method == \"DELETE\"\n", code))
	ringfence(t, "policy", "bundle", filepath.Join(w.dir, "policy"), "--revision", revision, "--signing-key", filepath.Join(w.dir, signer+".key"),
		"--key-id", "k1", "--scope", "ringfence", "-o", filepath.Join(w.dir, out))
}

func (w *bundleWorld) ready(t *testing.T) string {
	t.Helper()
	res, err := http.Get("http://" + w.ops + "/readyz")
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return string(b)
}

func (w *bundleWorld) serve(t *testing.T) *process {
	t.Helper()
	p := &process{cmd: program("serve", "--config", w.config), output: &lockedBuffer{}, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("output of ringfence:\n%s", p.output)
		}
	})
	eventually(t, 60*time.Second, "the gateway serves", func() bool {
		select {
		case <-p.done:
			t.Fatalf("ringfence ended early:\n%s", p.output)
		default:
		}
		return strings.Contains(w.ready(t), `"ready"`)
	})
	return p
}

// fails runs a command that must fail and returns what it says.
func (w *bundleWorld) fails(t *testing.T, args ...string) string {
	t.Helper()
	out, err := program(args...).CombinedOutput()
	if err == nil {
		t.Errorf("ringfence %s went well: %s", strings.Join(args, " "), out)
	}
	return string(out)
}

// TestBundle_Gateway follows bundles into a running gateway: a newer one is in
// force, whatever else is published is refused and said, and the last good one
// outlives it all.
func TestBundle_Gateway(t *testing.T) {
	t.Parallel()
	slow(t)
	w := newBundleWorld(t)
	ringfence(t, "init", "--config", w.config, "--email", "ada@example.com")
	if out := w.fails(t, "serve", "--config", w.config); !strings.Contains(out, "published.tar.gz") {
		t.Errorf("without a bundle: %s", out)
	}
	w.bundle(t, "published.tar.gz", "41", "signer", "first")
	if out := ringfence(t, "check", "--config", w.config); !strings.Contains(out, "revision 41") {
		t.Errorf("check says %s", out)
	}
	p := w.serve(t)
	look := func() { _ = p.cmd.Process.Signal(syscall.SIGHUP) }
	first := w.ready(t)
	if strings.Contains(first, `"policies"`) {
		t.Fatalf("something is wrong from the start: %s", first)
	}
	if out := w.fails(t, "policy", "publish", filepath.Join(w.dir, "policy"), "--config", w.config); !strings.Contains(out, "bundle") {
		t.Errorf("publish says %s", out)
	}
	revision := func(s string) string {
		_, rest, _ := strings.Cut(s, `"revision":"`)
		id, _, _ := strings.Cut(rest, `"`)
		return id
	}

	good := filepath.Join(w.dir, "published.tar.gz")
	old, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	w.bundle(t, "published.tar.gz", "42", "signer", "second")
	look()
	eventually(t, 30*time.Second, "the newer bundle is in force", func() bool { return revision(w.ready(t)) != revision(first) })
	second := revision(w.ready(t))

	w.keys(t, "stranger")
	w.bundle(t, "forged.tar.gz", "43", "stranger", "third")
	forged, err := os.ReadFile(filepath.Join(w.dir, "forged.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, data, says string }{
		{"an old one", string(old), "number 42 was in force"},
		{"a forged one", string(forged), "signature"},
		{"none at all", "", "no gzipped archive"},
	} {
		w.write(t, "published.tar.gz", c.data)
		look()
		eventually(t, 30*time.Second, c.name+" is refused and said", func() bool { return strings.Contains(w.ready(t), c.says) })
		if got := revision(w.ready(t)); got != second {
			t.Errorf("%s: revision %s is in force, want %s", c.name, got, second)
		}
		if out := w.fails(t, "check", "--config", w.config); !strings.Contains(out, c.says) {
			t.Errorf("%s: check says %s", c.name, out)
		}
	}
	if out := ringfence(t, "log", "query", "--type", "policy", "--config", w.config); strings.Count(out, "policy.refused") != 3 || !strings.Contains(out, "policy.loaded") {
		t.Errorf("the access log says:\n%s", out)
	}

	// The last good one is in force after a restart too, with nothing published.
	p.stop(t)
	if err := os.Remove(good); err != nil {
		t.Fatal(err)
	}
	p = w.serve(t)
	if got := w.ready(t); revision(got) != second || !strings.Contains(got, `"policies"`) {
		t.Errorf("after a restart: %s", got)
	}
	w.write(t, "published.tar.gz", string(old))
	look()
	eventually(t, 30*time.Second, "the old one is refused after a restart", func() bool { return strings.Contains(w.ready(t), "number 42 was in force") })
	w.bundle(t, "published.tar.gz", "44", "signer", "fourth")
	look()
	eventually(t, 30*time.Second, "a newer one is in force and nothing is wrong", func() bool {
		got := w.ready(t)
		return revision(got) != second && !strings.Contains(got, `"policies"`)
	})
}
