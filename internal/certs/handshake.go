package certs

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// challengeProtocol is what an ACME authority offers, alone, when it validates
// by tls-alpn-01 (RFC 8737).
const challengeProtocol = "acme-tls/1"

// TLSConfig returns the configuration for the public listener: TLS 1.2 and
// later, HTTP/2 and HTTP/1.1. A host that is not known is shown the
// certificate of Config.Fallback, or refused with the alert
// unrecognized_name where there is none, resumed sessions included. The caller may clone it,
// but must keep GetConfigForClient, which refuses.
func (m *Manager) TLSConfig() *tls.Config {
	serve := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: m.certificate,
	}
	refuse := &tls.Config{
		MinVersion:             tls.VersionTLS12,
		SessionTicketsDisabled: true,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil },
	}
	// A challenge's connection can carry nothing else, so that it never
	// becomes a way to the HTTP server.
	challenge := &tls.Config{
		MinVersion:             tls.VersionTLS12,
		NextProtos:             []string{challengeProtocol},
		SessionTicketsDisabled: true,
		GetCertificate:         m.certificate,
	}
	serve.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		host, known := m.host(hello)
		switch {
		case !known:
			return refuse, nil
		case isChallenge(hello) && !m.names(hello, host):
			return refuse, nil // a challenge is about the host that it names
		case m.acme != nil && isChallenge(hello):
			return challenge, nil
		}
		return nil, nil
	}
	return serve
}

func (m *Manager) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	host, known := m.host(hello)
	if !known {
		return nil, nil // crypto/tls answers unrecognized_name
	}
	if !m.names(hello, host) {
		asked := *hello
		asked.ServerName = host
		hello = &asked
	}
	return m.source.certificate(hello, host)
}

// host is the known host that a handshake is for: the one it names, or the fallback.
func (m *Manager) host(hello *tls.ClientHelloInfo) (string, bool) {
	if host, err := canonicalHost(hello.ServerName); err == nil && m.knows(host) {
		return host, true
	}
	return m.fallback, m.fallback != "" && m.knows(m.fallback)
}

func (m *Manager) names(hello *tls.ClientHelloInfo, host string) bool {
	named, err := canonicalHost(hello.ServerName)
	return err == nil && named == host
}

func isChallenge(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == challengeProtocol
}

var errNotHost = errors.New("not a host name")

// canonicalHost returns a host in the one form under which it is known: lower
// case, its labels in their xn-- form, without a trailing dot. Addresses and
// wildcards are no hosts.
func canonicalHost(host string) (string, error) {
	name, err := idna.Lookup.ToASCII(strings.TrimSuffix(host, "."))
	if err != nil || name == "" || len(name) > 253 || strings.HasSuffix(name, ".") {
		return "", errNotHost
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "", errNotHost
	}
	return strings.ToLower(name), nil
}

func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}
