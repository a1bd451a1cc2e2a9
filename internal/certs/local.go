package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// leafLife is short, because a leaf is made anew at no cost; it is replaced
// when a third of it is left.
const leafLife = 30 * 24 * time.Hour

// A localSource signs a certificate for each host when it is first asked for.
// The leaves live in memory only.
type localSource struct {
	authority *authority
	now       func() time.Time
	logger    *slog.Logger

	mu     sync.Mutex // protects leaves; held while one is signed, so that a host gets one
	leaves map[string]*tls.Certificate
}

func newLocal(cfg Config) (*localSource, error) {
	domains := make([]string, 0, len(cfg.Domains))
	for _, d := range cfg.Domains {
		name, err := canonicalHost(d)
		if err != nil {
			return nil, fmt.Errorf("domain %q of the local authority: %w", d, err)
		}
		domains = append(domains, name)
	}
	a, err := openAuthority(cfg.Dir, domains, cfg.Now())
	if err != nil {
		return nil, err
	}
	return &localSource{authority: a, now: cfg.Now, logger: cfg.Logger, leaves: map[string]*tls.Certificate{}}, nil
}

func (s *localSource) certificate(_ *tls.ClientHelloInfo, host string) (*tls.Certificate, error) {
	if !s.authority.allows(host) {
		return nil, nil // clients would refuse it, by the authority's constraints
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.leaves[host]; c != nil && now.After(c.Leaf.NotBefore) && now.Before(c.Leaf.NotAfter.Add(-leafLife/3)) {
		return c, nil
	}
	c, err := s.authority.issue(host, now)
	if err != nil {
		return nil, err
	}
	s.leaves[host] = c
	return c, nil
}

// issue signs a certificate for host alone.
func (a *authority) issue(host string, now time.Time) (*tls.Certificate, error) {
	if !now.Before(a.cert.NotAfter) {
		return nil, fmt.Errorf("signing a certificate for %s: the local authority ended on %s", host, a.cert.NotAfter.UTC().Format(time.DateOnly))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate for %s: %w", host, err)
	}
	ends := now.Add(leafLife)
	if ends.After(a.cert.NotAfter) {
		ends = a.cert.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      commonName(host),
		DNSNames:     []string{host},
		NotBefore:    now.Add(-time.Hour), // clients' clocks are not ours
		NotAfter:     ends,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate for %s: %w", host, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate for %s: %w", host, err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// commonName leaves out names longer than X.509 allows; clients read DNSNames.
func commonName(host string) pkix.Name {
	if len(host) > 64 {
		return pkix.Name{}
	}
	return pkix.Name{CommonName: host}
}

func (s *localSource) serves(host string) error {
	if s.authority.allows(host) {
		return nil
	}
	return fmt.Errorf("the local authority vouches for %s only: choose a host there, or make a new authority for more domains", strings.Join(s.authority.cert.PermittedDNSDomains, ", "))
}

func (s *localSource) hosts(set map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h := range s.leaves {
		if !set[h] {
			delete(s.leaves, h)
		}
	}
}

// run only warns: leaves are replaced by the handshakes that need them.
func (s *localSource) run(ctx context.Context) error {
	const notice = 90 * 24 * time.Hour
	tick := time.NewTicker(24 * time.Hour)
	defer tick.Stop()
	for {
		if left := s.authority.cert.NotAfter.Sub(s.now()); left < notice {
			s.logger.Warn("the local authority ends soon: plan a new one", "ends", s.authority.cert.NotAfter, "days_left", int(left.Hours()/24))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
