package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"
)

// An acmeSource orders certificates while it runs, and keeps them in Dir.
type acmeSource struct {
	template certmagic.ACMEIssuer
	storage  *certmagic.FileStorage
	logger   *zap.Logger

	// magic is what runs, nil before and after. Handshakes read it.
	magic atomic.Pointer[magic]

	mu      sync.Mutex                    // protects what follows
	wanted  map[string]bool               // from SetHosts
	ctx     context.Context               // of run; nil while it does not run
	managed map[string]context.CancelFunc // hosts under management, each with the end of its orders
}

// magic is one run's certificate manager.
type magic struct {
	cache  *certmagic.Cache
	config *certmagic.Config
	issuer *certmagic.ACMEIssuer
}

func newACME(cfg Config) (*acmeSource, error) {
	if cfg.Dir == "" {
		return nil, errors.New("no folder is named for what ACME must keep")
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the certificate folder: %w", err)
	}
	s := &acmeSource{
		storage: &certmagic.FileStorage{Path: cfg.Dir},
		logger:  zap.New(&slogCore{handler: cfg.Logger.Handler()}),
		managed: map[string]context.CancelFunc{},
	}
	s.template = certmagic.ACMEIssuer{
		CA:                   cfg.ACME.Directory,
		Email:                cfg.ACME.Email,
		Agreed:               true, // choosing the mode agrees; config says so
		ListenHost:           cfg.ACME.ListenHost,
		AltHTTPPort:          cfg.ACME.HTTPPort,
		AltTLSALPNPort:       cfg.ACME.TLSPort,
		DisableHTTPChallenge: cfg.ACME.NoHTTP,
		Logger:               s.logger,
	}
	if s.template.CA == "" {
		s.template.CA = certmagic.LetsEncryptProductionCA
	}
	var err error
	if s.template.TrustedRoots, err = readRoots(cfg.ACME.CAFile); err != nil {
		return nil, err
	}
	if s.template.ExternalAccount, err = readBinding(cfg.ACME.KeyID, cfg.ACME.KeyFile); err != nil {
		return nil, err
	}
	return s, nil
}

func readRoots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the ACME authority's CA file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("reading the ACME authority's CA file: %s holds no PEM certificate", path)
	}
	return pool, nil
}

func readBinding(keyID, keyFile string) (*acme.EAB, error) {
	if keyID == "" && keyFile == "" {
		return nil, nil
	}
	if keyID == "" || keyFile == "" {
		return nil, errors.New("an external account needs both its key id and its key file")
	}
	b, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("reading the external account's key: %w", err)
	}
	return &acme.EAB{KeyID: keyID, MACKey: strings.TrimSpace(string(b))}, nil
}

// start builds the certificate manager. It is not built before run, because it
// starts goroutines of its own.
func (s *acmeSource) start() *magic {
	m := &magic{}
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) {
			if running := s.magic.Load(); running != nil {
				return running.config, nil
			}
			return nil, errors.New("certificates are not managed now")
		},
		Logger: s.logger,
	})
	m.config = certmagic.New(m.cache, certmagic.Config{
		Storage:   s.storage,
		KeySource: certmagic.StandardKeyGenerator{KeyType: certmagic.P256},
		Logger:    s.logger,
	})
	m.issuer = certmagic.NewACMEIssuer(m.config, s.template)
	m.config.Issuers = []certmagic.Issuer{m.issuer}
	return m
}

func (s *acmeSource) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := s.start()
	defer m.cache.Stop()
	s.magic.Store(m)
	defer s.magic.Store(nil)

	s.mu.Lock()
	s.ctx = ctx
	s.manage(m)
	s.mu.Unlock()

	<-ctx.Done()

	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctx = nil
	for host, stop := range s.managed {
		stop()
		delete(s.managed, host)
	}
	return nil
}

func (s *acmeSource) hosts(set map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = set
	if s.ctx != nil {
		s.manage(s.magic.Load())
	}
}

// manage makes the hosts under management those that are wanted. Callers hold mu.
func (s *acmeSource) manage(m *magic) {
	var left []certmagic.SubjectIssuer
	for host, stop := range s.managed {
		if !s.wanted[host] {
			stop() // orders for a host that left must not go on for days
			delete(s.managed, host)
			left = append(left, certmagic.SubjectIssuer{Subject: host})
		}
	}
	m.cache.RemoveManaged(left)
	for host := range s.wanted {
		if s.managed[host] != nil {
			continue
		}
		ctx, stop := context.WithCancel(s.ctx)
		s.managed[host] = stop
		// Each failure is logged and tried again, at longer and longer intervals.
		if err := m.config.ManageAsync(ctx, []string{host}); err != nil {
			s.logger.Error("ordering a certificate", zap.String("host", host), zap.Error(err))
		}
	}
}

func (s *acmeSource) certificate(hello *tls.ClientHelloInfo, host string) (*tls.Certificate, error) {
	m := s.magic.Load()
	if m == nil {
		return nil, nil
	}
	if !isChallenge(hello) && len(m.cache.AllMatchingCertificates(host)) == 0 {
		return nil, nil // ordered, not here yet
	}
	return m.config.GetCertificate(hello)
}

func (s *acmeSource) challenge(w http.ResponseWriter, r *http.Request) bool {
	m := s.magic.Load()
	return m != nil && m.issuer.HandleHTTPChallenge(w, r)
}

func (*acmeSource) serves(string) error { return nil }
