package certs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// watchEvery is how often the files are looked at. Reading them is the only
// way that sees every kind of replacement, a swapped link in a container's
// volume included, and they are small.
const watchEvery = 5 * time.Second

// A fileSource serves certificates that somebody else keeps up to date.
type fileSource struct {
	pairs  []Pair
	now    func() time.Time
	logger *slog.Logger

	certs atomic.Pointer[[]*tls.Certificate]

	mu       sync.Mutex // protects what follows, and lets one reload run at a time
	loaded   []byte     // hash of the files in force
	rejected []byte     // hash of the files last refused, so that each is told of once
	known    map[string]bool
}

func newFiles(cfg Config) (*fileSource, error) {
	if len(cfg.Files) == 0 {
		return nil, errors.New("no files are named: name at least one certificate and its key")
	}
	s := &fileSource{pairs: slices.Clone(cfg.Files), now: cfg.Now, logger: cfg.Logger}
	if err := s.reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// reload takes over the files, if every one of them is good.
func (s *fileSource) reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.load()
	return err
}

// load reads the files and puts them in force when they changed. Callers hold mu.
func (s *fileSource) load() (changed bool, err error) {
	blobs, hash, err := s.read()
	if err != nil {
		return !s.told(hash), err
	}
	if bytes.Equal(hash, s.loaded) {
		s.rejected = nil
		return false, nil
	}
	certs, err := s.parse(blobs)
	if err != nil {
		return !s.told(hash), err
	}
	s.certs.Store(&certs)
	s.loaded, s.rejected = hash, nil
	for h := range s.known {
		if err := s.serves(h); err != nil {
			s.logger.Error("a host lost its certificate", "host", h, "err", err)
		}
	}
	return true, nil
}

// told notes what was refused and says whether it was the last time already.
func (s *fileSource) told(hash []byte) bool {
	same := s.rejected != nil && bytes.Equal(hash, s.rejected)
	s.rejected = hash
	return same
}

// read returns the contents of all files and one hash over them; on an error
// the hash is over the error, so that the same one is told of once.
func (s *fileSource) read() (blobs [][2][]byte, hash []byte, err error) {
	sum := sha256.New()
	var faults []error
	for _, p := range s.pairs {
		var blob [2][]byte
		for i, name := range [2]string{p.Certificate, p.Key} {
			b, err := os.ReadFile(name)
			if err != nil {
				faults = append(faults, fmt.Errorf("reading a certificate's file: %w", err))
			}
			fmt.Fprintf(sum, "%d:%s", len(b), b)
			blob[i] = b
		}
		blobs = append(blobs, blob)
	}
	if err := errors.Join(faults...); err != nil {
		fmt.Fprint(sum, err)
		return nil, sum.Sum(nil), err
	}
	return blobs, sum.Sum(nil), nil
}

func (s *fileSource) parse(blobs [][2][]byte) ([]*tls.Certificate, error) {
	var certs []*tls.Certificate
	var faults []error
	for i, b := range blobs {
		c, err := parsePair(b[0], b[1], s.now())
		if err != nil {
			faults = append(faults, fmt.Errorf("certificate %s: %w", s.pairs[i].Certificate, err))
			continue
		}
		certs = append(certs, c)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return certs, nil
}

func parsePair(cert, key []byte, now time.Time) (*tls.Certificate, error) {
	c, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("reading it with its key: %w", err)
	}
	if c.Leaf == nil {
		if c.Leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
			return nil, fmt.Errorf("reading it: %w", err)
		}
	}
	switch {
	case len(c.Leaf.DNSNames) == 0:
		return nil, errors.New("it names no host: clients read the subject alternative names alone")
	case now.After(c.Leaf.NotAfter):
		return nil, fmt.Errorf("it ended on %s: renew it", c.Leaf.NotAfter.UTC().Format(time.DateOnly))
	case now.Before(c.Leaf.NotBefore):
		return nil, fmt.Errorf("it begins only on %s", c.Leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return &c, nil
}

// certificate prefers, among those that name the host, what the client can
// use, then what ends last.
func (s *fileSource) certificate(hello *tls.ClientHelloInfo, host string) (*tls.Certificate, error) {
	var best *tls.Certificate
	bestFits := false
	for _, c := range *s.certs.Load() {
		if c.Leaf.VerifyHostname(host) != nil {
			continue
		}
		fits := hello.SupportsCertificate(c) == nil
		if best == nil || fits && !bestFits || fits == bestFits && c.Leaf.NotAfter.After(best.Leaf.NotAfter) {
			best, bestFits = c, fits
		}
	}
	return best, nil
}

func (s *fileSource) serves(host string) error {
	for _, c := range *s.certs.Load() {
		if c.Leaf.VerifyHostname(host) == nil {
			return nil
		}
	}
	return errors.New("no certificate names it: add one to the files")
}

func (s *fileSource) hosts(set map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = set
}

func (s *fileSource) run(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.watch()
		}
	}
}

func (s *fileSource) watch() {
	s.mu.Lock()
	changed, err := s.load()
	s.mu.Unlock()
	switch {
	case err != nil && changed:
		s.logger.Error("certificates changed and cannot be used; those before stay in force", "err", err)
	case err == nil && changed:
		s.logger.Info("certificates were read again", "certificates", len(*s.certs.Load()))
	}
}
