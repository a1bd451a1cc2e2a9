package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A gateway is what serve makes of a Manager: an HTTPS and an HTTP listener.
type gateway struct {
	// domain differs from test to test: certmagic keeps challenges by host for
	// the whole process, and the tests run side by side.
	domain     string
	manager    *Manager
	httpPort   int
	tlsPort    int
	challenges atomic.Int64 // http-01 challenges that were answered
	log        lockedBuffer
}

func newGateway(t *testing.T, domain string) (g *gateway, httpLn, tlsLn net.Listener) {
	t.Helper()
	var lns [2]net.Listener
	for i := range lns {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		lns[i] = ln
	}
	return &gateway{domain: domain, httpPort: lns[0].Addr().(*net.TCPAddr).Port, tlsPort: lns[1].Addr().(*net.TCPAddr).Port}, lns[0], lns[1]
}

func (g *gateway) serve(t *testing.T, cfg Config, httpLn, tlsLn net.Listener) {
	t.Helper()
	cfg.Mode = ModeACME
	cfg.ACME.Email = "it@example.com"
	cfg.ACME.ListenHost, cfg.ACME.HTTPPort, cfg.ACME.TLSPort = "127.0.0.1", g.httpPort, g.tlsPort
	cfg.Logger = slog.New(slog.NewTextHandler(&g.log, nil))
	cfg.Hosts = func() []string { return []string{g.gate()} }
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	g.manager = m
	quiet := slog.NewLogLogger(slog.DiscardHandler, 0)

	redirect := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://"+r.Host+r.RequestURI, http.StatusMovedPermanently)
	})
	plain := m.HTTPChallenge(redirect)
	httpSrv := &http.Server{ErrorLog: quiet, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/.well-known/acme-challenge/") {
			g.challenges.Add(1)
		}
		plain.ServeHTTP(w, r)
	})}
	tlsSrv := &http.Server{ErrorLog: quiet, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "served ", r.TLS.ServerName) })}
	go httpSrv.Serve(httpLn)
	go tlsSrv.Serve(tls.NewListener(tlsLn, m.TLSConfig()))

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		httpSrv.Close()
		tlsSrv.Close()
		if t.Failed() {
			t.Log(g.log.String())
		}
	})
}

func (g *gateway) gate() string   { return "gate." + g.domain }
func (g *gateway) claims() string { return "claims." + g.domain }

// visit shakes hands as a browser that trusts pool would.
func (g *gateway) visit(host string, pool *x509.CertPool) (*x509.Certificate, error) {
	c, err := tls.Dial("tcp", addr(g.tlsPort), &tls.Config{ServerName: host, RootCAs: pool, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0], nil
}

func (g *gateway) await(t *testing.T, host string, pool *x509.CertPool) *x509.Certificate {
	t.Helper()
	var cert *x509.Certificate
	eventually(t, 90*time.Second, func() (err error) {
		cert, err = g.visit(host, pool)
		return err
	})
	return cert
}

// The gate has a certificate soon after the start, a cluster that is added
// later has one soon after that, both lead to the authority's root, and a
// restart finds them again with the authority out of reach.
func TestACME_GateAndLaterClusterAreCertified(t *testing.T) {
	t.Run("tls-alpn-01", func(t *testing.T) {
		t.Parallel()
		g, httpLn, tlsLn := newGateway(t, "alpn.test")
		p := startPebble(t, g.httpPort, g.tlsPort)
		certify(t, g, p, httpLn, tlsLn, true)
		if n := g.challenges.Load(); n != 0 {
			t.Errorf("%d http-01 challenges came, with plain HTTP off", n)
		}
	})
	t.Run("http-01", func(t *testing.T) {
		t.Parallel()
		g, httpLn, tlsLn := newGateway(t, "http.test")
		// This authority looks for HTTPS where nothing is, so only http-01 can succeed.
		p := startPebble(t, g.httpPort, freePorts(t, 1)[0])
		certify(t, g, p, httpLn, tlsLn, false)
		if g.challenges.Load() == 0 {
			t.Error("no http-01 challenge came")
		}
	})
}

func certify(t *testing.T, g *gateway, p *pebble, httpLn, tlsLn net.Listener, noHTTP bool) {
	cfg := Config{Dir: filepath.Join(t.TempDir(), "certs"), ACME: ACME{Directory: p.directory, CAFile: p.caFile, NoHTTP: noHTTP}}
	g.serve(t, cfg, httpLn, tlsLn)

	gate := g.await(t, g.gate(), p.roots)
	if _, err := g.visit(g.claims(), p.roots); !refusedName(err) {
		t.Errorf("a cluster that is not known yet: %v", err)
	}
	if err := g.manager.SetHosts([]string{g.gate(), g.claims()}); err != nil {
		t.Fatal(err)
	}
	claims := g.await(t, g.claims(), p.roots)
	if again := g.await(t, g.gate(), p.roots); again.SerialNumber.Cmp(gate.SerialNumber) != 0 {
		t.Error("the gate's certificate was ordered again")
	}
	if claims.VerifyHostname(g.gate()) == nil {
		t.Error("the cluster's certificate names the gate as well")
	}
	if _, err := g.visit("other."+g.domain, p.roots); !refusedName(err) {
		t.Errorf("an unknown host: %v", err)
	}
	privateFiles(t, cfg.Dir)

	if err := g.manager.SetHosts([]string{g.gate()}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.visit(g.claims(), p.roots); !refusedName(err) {
		t.Errorf("a cluster that left: %v", err)
	}

	p.stop()
	after, httpLn2, tlsLn2 := newGateway(t, g.domain)
	after.serve(t, cfg, httpLn2, tlsLn2)
	if kept := after.await(t, g.gate(), p.roots); kept.SerialNumber.Cmp(gate.SerialNumber) != 0 {
		t.Error("the restart serves another certificate")
	}
}

// privateFiles fails where a private key can be read by others.
func privateFiles(t *testing.T, dir string) {
	t.Helper()
	keys := 0
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && strings.HasSuffix(path, ".key") {
			keys++
			if info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %v", path, info.Mode())
			}
		}
		return err
	})
	if err != nil || keys == 0 {
		t.Errorf("%d keys, %v", keys, err)
	}
}

// An authority that refuses is told of in the operational log, with its host,
// and the gateway goes on.
func TestACME_RefusedOrderIsLogged(t *testing.T) {
	t.Parallel()
	g, httpLn, tlsLn := newGateway(t, "refused.test")
	closed := freePorts(t, 2)
	p := startPebble(t, closed[0], closed[1])
	g.serve(t, Config{Dir: t.TempDir(), ACME: ACME{Directory: p.directory, CAFile: p.caFile}}, httpLn, tlsLn)
	eventually(t, 60*time.Second, func() error {
		for line := range strings.Lines(g.log.String()) {
			if strings.Contains(line, "level=ERROR") && strings.Contains(line, g.gate()) && strings.Contains(line, "component=certificates") {
				return nil
			}
		}
		return errors.New("nothing was logged")
	})
	if _, err := g.visit(g.gate(), p.roots); !refusedName(err) {
		t.Errorf("without a certificate: %v", err)
	}
}
