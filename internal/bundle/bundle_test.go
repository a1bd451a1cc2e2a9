package bundle

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfence/ringfence/rego"
)

// A signer makes bundles whose one module says which it is.
type signer struct {
	t       *testing.T
	private string
	key     rego.BundleKey
}

func newSigner(t *testing.T) *signer {
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
	return &signer{t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		rego.BundleKey{PEM: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})), Algorithm: "ES256"}}
}

func (s *signer) bundle(revision, text string) []byte {
	s.t.Helper()
	b, err := rego.SignBundle(rego.Source{"all/x.rego": "package ringfence.all\n\n# " + text + "\n"}, revision, rego.BundleSigner{PEM: s.private, Algorithm: "ES256"})
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func keeper(t *testing.T, c Config) *Keeper {
	t.Helper()
	k, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// take fetches and keeps.
func take(t *testing.T, k *Keeper) (uint64, error) {
	t.Helper()
	b, data, err := k.Fetch(t.Context())
	if err != nil {
		return 0, err
	}
	return b.Number, k.Keep(b, data)
}

// TestKeeper_Order: an old bundle with a good signature is not good again,
// neither after a restart nor under another key.
func TestKeeper_Order(t *testing.T) {
	s, dir := newSigner(t), t.TempDir()
	file := filepath.Join(dir, "published")
	cfg := Config{File: file, Key: s.key, Dir: filepath.Join(dir, "kept")}
	k := keeper(t, cfg)
	if _, err := k.Last(); !errors.Is(err, ErrNone) {
		t.Fatalf("before the first: %v", err)
	}
	first, second := s.bundle("4", "first"), s.bundle("5", "second")
	for _, data := range [][]byte{first, second} {
		write(t, file, data)
		if _, err := take(t, k); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := take(t, k); !errors.Is(err, ErrUnchanged) {
		t.Errorf("the same again: %v", err)
	}
	refused := func(what string, k *Keeper, data []byte) {
		t.Helper()
		write(t, file, data)
		_, err := take(t, k)
		if _, ok := errors.AsType[*OrderError](err); !ok {
			t.Errorf("%s: %v", what, err)
		}
		if b, err := k.Last(); err == nil && b.Number != 5 {
			t.Errorf("%s: number %d is in force", what, b.Number)
		}
	}
	refused("the first again", k, first)
	refused("another with the same number", k, s.bundle("5", "third"))
	refused("an older one after a restart", keeper(t, cfg), first)
	other := newSigner(t)
	cfg.Key = other.key
	refused("an older one under the next key", keeper(t, cfg), other.bundle("3", "older"))
	if _, err := keeper(t, cfg).Last(); err == nil {
		t.Error("what the key of before signed is good under the next")
	}
	write(t, file, other.bundle("6", "newer"))
	if n, err := take(t, keeper(t, cfg)); err != nil || n != 6 {
		t.Errorf("the next under the next key: %d, %v", n, err)
	}
}

// TestKeeper_KeptIsChecked: what is kept is believed no more than what comes.
func TestKeeper_KeptIsChecked(t *testing.T) {
	s, dir := newSigner(t), t.TempDir()
	file := filepath.Join(dir, "published")
	k := keeper(t, Config{File: file, Key: s.key, Dir: filepath.Join(dir, "kept")})
	write(t, file, s.bundle("9", "good"))
	if _, err := take(t, k); err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(dir, "kept", "bundle.tar.gz")
	good, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	for what, data := range map[string][]byte{
		"an older one put back": s.bundle("8", "older"),
		"somebody else's":       newSigner(t).bundle("10", "x"),
		"half of it":            good[:len(good)/2],
	} {
		write(t, kept, data)
		if b, err := k.Last(); err == nil {
			t.Errorf("%s: number %d is taken", what, b.Number)
		}
	}
	write(t, kept, good)
	if b, err := k.Last(); err != nil || b.Number != 9 {
		t.Errorf("the good one: %d, %v", b.Number, err)
	}
	// Cut off between its two writes, the newer bundle is there.
	write(t, kept, s.bundle("11", "newer"))
	if b, err := k.Last(); err != nil || b.Number != 11 {
		t.Errorf("cut off in between: %d, %v", b.Number, err)
	}
}

// TestKeeper_File: what is no bundle is told apart from one that is not there.
func TestKeeper_File(t *testing.T) {
	s, dir := newSigner(t), t.TempDir()
	file := filepath.Join(dir, "published")
	k := keeper(t, Config{File: file, Key: s.key, Dir: filepath.Join(dir, "kept")})
	if _, err := take(t, k); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := take(t, k); err == nil {
		t.Error("a folder is a bundle")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	write(t, file, make([]byte, rego.MaxBundle+1))
	if _, err := take(t, k); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("too large: %v", err)
	}
}

// A publisher is an HTTPS server whose answer changes.
type publisher struct {
	*httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
	asked  atomic.Int64
	ca     string
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	p := &publisher{}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		(*p.answer.Load())(w, r)
	}))
	t.Cleanup(p.Close)
	p.ca = filepath.Join(t.TempDir(), "ca.pem")
	write(t, p.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
	return p
}

func (p *publisher) says(h http.HandlerFunc) { p.answer.Store(&h) }

// TestKeeper_HTTPS: a server's good bundle is taken, with its token shown and
// its ETag asked back.
func TestKeeper_HTTPS(t *testing.T) {
	s, p, dir := newSigner(t), newPublisher(t), t.TempDir()
	token := filepath.Join(dir, "token")
	write(t, token, []byte("s3cret\n"))
	data := s.bundle("1", "one")
	p.says(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.Header.Get("If-None-Match") == `"one"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("ETag", `"one"`)
		_, _ = w.Write(data)
	})
	cfg := Config{URL: p.URL + "/b.tar.gz?sig=hidden", Key: s.key, Dir: filepath.Join(dir, "kept"), CAFile: p.ca, TokenFile: token}
	k := keeper(t, cfg)
	if n, err := take(t, k); err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	if _, err := take(t, k); !errors.Is(err, ErrUnchanged) || p.asked.Load() != 2 {
		t.Errorf("the same again: %v after %d requests", err, p.asked.Load())
	}
	if got := Place(cfg.File, cfg.URL); got != p.URL+"/b.tar.gz" {
		t.Errorf("the place is said to be %s", got)
	}
	write(t, token, []byte("changed"))
	k.Forget()
	if _, err := take(t, k); err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "changed") {
		t.Errorf("with another token: %v", err)
	}
	for _, bad := range []string{"", "two words", "a\nb", "\x00"} {
		write(t, token, []byte(bad))
		if _, err := take(t, k); err == nil || !strings.Contains(err.Error(), "token") {
			t.Errorf("the token %q: %v", bad, err)
		}
	}
}

// TestKeeper_HostileServer: whoever answers in the server's place changes
// nothing, gets nothing and holds nobody up.
func TestKeeper_HostileServer(t *testing.T) {
	s, p, dir := newSigner(t), newPublisher(t), t.TempDir()
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	good := s.bundle("1", "one")
	hang := make(chan struct{})
	defer close(hang)
	cfg := Config{URL: p.URL + "/?sig=hidden", Key: s.key, Dir: filepath.Join(dir, "kept"), CAFile: p.ca, Timeout: 300 * time.Millisecond}
	for name, answer := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) },
		"an error":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"a page":     func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"no answer":  func(_ http.ResponseWriter, r *http.Request) { <-hang },
		"half of it": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(good)
		},
		"not changed": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) },
		"no end": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		},
	} {
		p.says(answer)
		k := keeper(t, cfg)
		_, err := take(t, k)
		if err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := k.Last(); !errors.Is(err, ErrNone) {
			t.Errorf("%s: something is kept: %v", name, err)
		}
	}
	p.says(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(good) })
	cfg.CAFile = ""
	if _, err := take(t, keeper(t, cfg)); err == nil {
		t.Error("a certificate that nobody vouches for is good")
	}
	cfg.CAFile, cfg.URL = p.ca, strings.Replace(p.URL, "https", "http", 1)
	if _, err := take(t, keeper(t, cfg)); err == nil {
		t.Error("an open connection is good enough")
	}
}

// TestKeeper_Unreachable: a fetch ends with the caller.
func TestKeeper_Unreachable(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := newSigner(t)
	k := keeper(t, Config{URL: "https://127.0.0.1:1/x", Key: s.key, Dir: t.TempDir()})
	if _, _, err := k.Fetch(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
