package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const authorityLife = 10 * 365 * 24 * time.Hour

// An authority is the gateway's own certificate authority, kept in the files
// ca.key and ca.pem.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pem  []byte
}

// openAuthority reads the authority in dir, or makes it when there is none.
func openAuthority(dir string, domains []string, now time.Time) (*authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the certificate folder: %w", err)
	}
	keyFile, certFile := filepath.Join(dir, "ca.key"), filepath.Join(dir, "ca.pem")
	_, certErr := os.Stat(certFile)
	key, err := readAuthorityKey(keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		if certErr == nil {
			// Clients trust the certificate; a new key would silently part from them.
			return nil, fmt.Errorf("the local authority has a certificate (%s) but no key: restore %s from the backup, or remove the certificate to make a new authority that every client must be given again", certFile, keyFile)
		}
		key, err = makeAuthorityKey(keyFile)
	}
	if err != nil {
		return nil, err
	}
	// A key without a certificate is what a crash leaves behind; it goes on from there.
	if errors.Is(certErr, fs.ErrNotExist) {
		if err := makeAuthorityCertificate(certFile, key, domains, now); err != nil {
			return nil, err
		}
	}
	return readAuthority(certFile, key, now)
}

func readAuthorityKey(path string) (*ecdsa.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the local authority's key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the local authority's key can be read by others: run chmod 600 %s, and make a new authority if somebody may have read it", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the local authority's key: %w", err)
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, fmt.Errorf("reading the local authority's key: %s is not one PEM private key: restore it from the backup", path)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the local authority's key: %s: %w", path, err)
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("reading the local authority's key: %s is not an ECDSA key", path)
	}
	return key, nil
}

func makeAuthorityKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the local authority's key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("making the local authority's key: %w", err)
	}
	err = createFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	if errors.Is(err, fs.ErrExist) {
		return readAuthorityKey(path) // another process was first
	}
	if err != nil {
		return nil, fmt.Errorf("keeping the local authority's key: %w", err)
	}
	return key, nil
}

func makeAuthorityCertificate(path string, key *ecdsa.PrivateKey, domains []string, now time.Time) error {
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "Ringfence local authority " + now.UTC().Format("2006-01-02")},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(authorityLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		// People put this certificate among those they trust for everything:
		// the constraints keep a stolen key from vouching for other sites.
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         domains,
		ExcludedIPRanges:            []*net.IPNet{{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}, {IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return fmt.Errorf("making the local authority: %w", err)
	}
	err = createFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("keeping the local authority: %w", err)
	}
	return nil
}

func readAuthority(path string, key *ecdsa.PrivateKey, now time.Time) (*authority, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the local authority: %w", err)
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, fmt.Errorf("reading the local authority: %s is not one PEM certificate: restore it from the backup", path)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the local authority: %s: %w", path, err)
	case !key.PublicKey.Equal(cert.PublicKey):
		return nil, fmt.Errorf("reading the local authority: %s does not belong to the key beside it: restore both from one backup", path)
	case !cert.IsCA:
		return nil, fmt.Errorf("reading the local authority: %s is not an authority's certificate", path)
	case now.After(cert.NotAfter):
		return nil, fmt.Errorf("the local authority ended on %s: remove %s and the key beside it to make a new one, and give its certificate to every client", cert.NotAfter.UTC().Format(time.DateOnly), path)
	}
	return &authority{key: key, cert: cert, pem: pem.EncodeToMemory(block)}, nil
}

// allows says whether the authority's certificate lets it vouch for host.
func (a *authority) allows(host string) bool {
	if len(a.cert.PermittedDNSDomains) == 0 {
		return true
	}
	for _, d := range a.cert.PermittedDNSDomains {
		d = strings.TrimPrefix(d, ".")
		if host == d || strings.HasSuffix(host, "."+d) {
			return true
		}
	}
	return false
}

func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b)
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}
