package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
)

// handshake connects a client that asks for host to cfg and returns what the
// client saw.
func handshake(t *testing.T, cfg, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer b.Close()
		s := tls.Server(b, cfg)
		if s.Handshake() == nil {
			io.Copy(io.Discard, s)
		}
	}()
	c := tls.Client(a, client)
	err := c.Handshake()
	state := c.ConnectionState()
	a.Close()
	<-done
	return state, err
}

func roots(t *testing.T, pem []byte) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate in the authority's PEM")
	}
	return p
}

func newTest(t *testing.T, cfg Config, hosts ...string) *Manager {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Hosts = func() []string { return hosts }
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// refusedName says whether err is the alert unrecognized_name.
func refusedName(err error) bool {
	return err != nil && strings.Contains(err.Error(), "tls: unrecognized name")
}

func TestHandshake_KnownHostsOnly(t *testing.T) {
	m := newTest(t, Config{Mode: ModeLocal}, "gate.example.com", "Claims.Example.com.", "xn--bcher-kva.example.com")
	pool := roots(t, m.AuthorityPEM())
	for _, host := range []string{"gate.example.com", "GATE.example.com", "claims.example.com", "bücher.example.com"} {
		name, err := canonicalHost(host)
		if err != nil {
			t.Fatal(err)
		}
		state, err := handshake(t, m.TLSConfig(), &tls.Config{ServerName: name, RootCAs: pool, NextProtos: []string{"h2", "http/1.1"}})
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		if state.NegotiatedProtocol != "h2" {
			t.Errorf("%s speaks %q", host, state.NegotiatedProtocol)
		}
	}
	for _, host := range []string{"other.example.com", "sub.gate.example.com", "example.com", "127.0.0.1", "", "gate.example.com.evil.test", "*.example.com"} {
		_, err := handshake(t, m.TLSConfig(), &tls.Config{ServerName: host, InsecureSkipVerify: true})
		if !refusedName(err) {
			t.Errorf("%q: %v, want unrecognized_name", host, err)
		}
	}
}

func TestHandshake_OldProtocolsAreRefused(t *testing.T) {
	m := newTest(t, Config{Mode: ModeLocal}, "gate.example.com")
	_, err := handshake(t, m.TLSConfig(), &tls.Config{ServerName: "gate.example.com", InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	if err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	state, err := handshake(t, m.TLSConfig(), &tls.Config{ServerName: "gate.example.com", RootCAs: roots(t, m.AuthorityPEM()), MaxVersion: tls.VersionTLS12})
	if err != nil || state.Version != tls.VersionTLS12 {
		t.Errorf("TLS 1.2: %v", err)
	}
}

// Only an ACME authority offers acme-tls/1; in other modes nobody has a reason to.
func TestHandshake_ChallengeProtocolIsForACMEOnly(t *testing.T) {
	m := newTest(t, Config{Mode: ModeLocal}, "gate.example.com")
	_, err := handshake(t, m.TLSConfig(), &tls.Config{ServerName: "gate.example.com", InsecureSkipVerify: true, NextProtos: []string{challengeProtocol}})
	if err == nil {
		t.Error("acme-tls/1 was agreed upon")
	}
}

func TestSetHosts_TakesEffectAtOnce(t *testing.T) {
	m := newTest(t, Config{Mode: ModeLocal}, "gate.example.com", "old.example.com")
	if err := m.SetHosts([]string{"gate.example.com", "new.example.com", "not a host", "192.0.2.1", "*.example.com"}); err == nil ||
		!strings.Contains(err.Error(), `"not a host"`) || !strings.Contains(err.Error(), `"192.0.2.1"`) || !strings.Contains(err.Error(), `"*.example.com"`) {
		t.Errorf("error %v", err)
	}
	cfg := m.TLSConfig()
	if _, err := handshake(t, cfg, &tls.Config{ServerName: "new.example.com", RootCAs: roots(t, m.AuthorityPEM())}); err != nil {
		t.Error(err)
	}
	if _, err := handshake(t, cfg, &tls.Config{ServerName: "old.example.com", InsecureSkipVerify: true}); !refusedName(err) {
		t.Errorf("a host that left: %v", err)
	}
}

// A session resumed with a ticket shows no certificate, so nothing but the
// look at the name stands between a removed host and its visitors.
func TestSetHosts_RemovedHostIsRefusedToResumedSessions(t *testing.T) {
	m := newTest(t, Config{Mode: ModeLocal}, "gate.example.com")
	ln, err := tls.Listen("tcp", "127.0.0.1:0", m.TLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go srv.Serve(ln)
	defer srv.Close()

	client := &tls.Config{ServerName: "gate.example.com", RootCAs: roots(t, m.AuthorityPEM()), ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	visit := func() (resumed bool, err error) {
		c, err := tls.Dial("tcp", ln.Addr().String(), client)
		if err != nil {
			return false, err
		}
		defer c.Close()
		// The ticket comes with the first bytes that are read.
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: gate.example.com\r\nConnection: close\r\n\r\n")
		_, err = io.Copy(io.Discard, c)
		return c.ConnectionState().DidResume, err
	}
	if _, err := visit(); err != nil {
		t.Fatal(err)
	}
	if resumed, err := visit(); err != nil || !resumed {
		t.Fatalf("second visit: resumed %v, %v", resumed, err)
	}
	m.SetHosts(nil)
	if _, err := visit(); !refusedName(err) {
		t.Errorf("third visit: %v", err)
	}
}

func TestSetHosts_IsSafeBesideHandshakes(t *testing.T) {
	m := newTest(t, Config{Mode: ModeLocal}, "gate.example.com")
	cfg := m.TLSConfig()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				if _, err := handshake(t, cfg, &tls.Config{ServerName: "gate.example.com", InsecureSkipVerify: true}); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 50 {
				m.SetHosts([]string{"gate.example.com", "x.example.com"})
				m.SetHosts([]string{"gate.example.com"})
			}
		})
	}
	wg.Wait()
}

func TestHTTPChallenge_LeavesEverythingElseToNext(t *testing.T) {
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	local := newTest(t, Config{Mode: ModeLocal}, "gate.example.com")
	acme := newTest(t, Config{Mode: ModeACME}, "gate.example.com")
	for _, m := range []*Manager{local, acme} {
		for _, url := range []string{
			"http://gate.example.com/", "http://gate.example.com:8080/.well-known/acme-challenge/x",
			"http://other.example.com/.well-known/acme-challenge/x", "http://127.0.0.1/.well-known/acme-challenge/../x",
		} {
			w := httptest.NewRecorder()
			m.HTTPChallenge(next).ServeHTTP(w, httptest.NewRequest("GET", url, nil))
			if w.Code != http.StatusTeapot {
				t.Errorf("%s: %d", url, w.Code)
			}
		}
	}
	if acme.AuthorityPEM() != nil {
		t.Error("mode acme has an authority of its own")
	}
}

func TestNew_SaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"mode":        {Config{Mode: "letsencrypt"}, `"letsencrypt" is not known`},
		"no files":    {Config{Mode: ModeFiles}, "name at least one"},
		"missing":     {Config{Mode: ModeFiles, Files: []Pair{{"/none/a.pem", "/none/a.key"}}}, "/none/a.key"},
		"no folder":   {Config{Mode: ModeACME}, "no folder"},
		"ca file":     {Config{Mode: ModeACME, Dir: t.TempDir(), ACME: ACME{CAFile: "/none/ca.pem"}}, "/none/ca.pem"},
		"not a ca":    {Config{Mode: ModeACME, Dir: t.TempDir(), ACME: ACME{CAFile: "certs_test.go"}}, "no PEM certificate"},
		"half a bond": {Config{Mode: ModeACME, Dir: t.TempDir(), ACME: ACME{KeyID: "k"}}, "both"},
		"domain":      {Config{Mode: ModeLocal, Dir: t.TempDir(), Domains: []string{"*.example.com"}}, "*.example.com"},
	} {
		m, err := New(c.cfg)
		if m != nil || err == nil || !strings.HasPrefix(err.Error(), "preparing certificates: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSlogCore_KeepsLevelsFieldsAndOrder(t *testing.T) {
	var buf bytes.Buffer
	h := slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	log := zap.New(&slogCore{handler: h}).With(zap.String("issuer", "pebble"))
	log.Debug("unseen")
	log.Info("obtained", zap.String("b", "1"), zap.String("a", "2"))
	log.Error("refused", zap.Error(errors.New("no")))
	want := `level=INFO msg=obtained component=certificates issuer=pebble b=1 a=2
level=ERROR msg=refused component=certificates issuer=pebble err=no
`
	if got := buf.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestRun_EndsWithItsContext(t *testing.T) {
	for _, m := range []*Manager{newTest(t, Config{Mode: ModeLocal}), newTest(t, Config{Mode: ModeACME}), newTest(t, Config{Mode: ModeFiles, Files: []Pair{writePair(t, t.TempDir(), "a", time.Now(), "a.example.com")}})} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
