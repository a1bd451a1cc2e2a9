package provider

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// Limits on what a provider may send and how long it may take.
const (
	maxResponse    = 1 << 20
	maxHeaders     = 64 << 10
	requestTimeout = 10 * time.Second
)

var (
	errRedirect = errors.New("the provider answers with a redirect, which is not followed")
	errTooLarge = fmt.Errorf("the provider's answer is larger than %d MiB", maxResponse>>20)
	errScheme   = errors.New("the provider names an address that is not https")
)

// A blockedError says that a provider's name led to an address of the
// gateway's own surroundings.
type blockedError struct{ addr netip.Addr }

func (e *blockedError) Error() string {
	return fmt.Sprintf("connecting to %s is not allowed: name its network among the allowed ones of identity providers", e.addr)
}

// special are networks of the machine itself, of its site or of its cloud,
// beyond what net/netip knows.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // carriers' own; some clouds' metadata
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("192.88.99.0/24"), // relays that are no more
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("::ffff:0:0:0/96"), // translators' (RFC 2765)
	netip.MustParsePrefix("64:ff9b:1::/48"),  // a site's own translators (RFC 8215)
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), // Teredo and other protocols' own
	netip.MustParsePrefix("fec0::/10"),
}

// wrappers are IPv6 networks whose addresses hold an IPv4 address that a
// translator on the way would connect to, with its place in bytes.
var wrappers = []struct {
	net netip.Prefix
	at  int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},
	{netip.MustParsePrefix("2002::/16"), 2},
}

// public reports whether a provider may have the address: one of the public
// network, or of a network that the operator has named. The addresses in a
// provider's own documents are chosen by the vendor, who must not reach
// through them what only the gateway reaches.
func public(a netip.Addr, allowed []netip.Prefix) bool {
	a = a.Unmap().WithZone("")
	if within(a, allowed) {
		return true
	}
	for _, w := range wrappers {
		if w.net.Contains(a) {
			b := a.As16()
			return public(netip.AddrFrom4([4]byte(b[w.at:w.at+4])), allowed)
		}
	}
	return a.IsValid() && a.IsGlobalUnicast() && !a.IsPrivate() && !within(a, special)
}

func within(a netip.Addr, networks []netip.Prefix) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// newHTTPClient returns a client that looks at each resolved address right
// before connecting, follows no redirect, takes no proxy from the environment,
// and limits time and size.
func newHTTPClient(allowed []netip.Prefix, ca string, timeout time.Duration) (*http.Client, error) {
	var roots *x509.CertPool
	if ca != "" {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM([]byte(ca)) {
			return nil, errors.New("reading the provider's certificates: no PEM certificate was found")
		}
	}
	dialer := &net.Dialer{
		Timeout: timeout / 2,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("reading address of the provider: %w", err)
			}
			if !public(ap.Addr(), allowed) {
				return &blockedError{ap.Addr().Unmap()}
			}
			return nil
		},
	}
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
		Transport: limited{&http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: timeout / 2, ResponseHeaderTimeout: timeout, MaxResponseHeaderBytes: maxHeaders,
			MaxConnsPerHost: 16, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true,
		}},
	}, nil
}

// limited refuses plain HTTP and cuts bodies that are too large, after any
// decompression.
type limited struct{ base *http.Transport }

// RoundTrip implements [http.RoundTripper].
func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, errScheme
	}
	res, err := l.base.RoundTrip(r)
	if err == nil {
		res.Body = &cut{ReadCloser: res.Body, left: maxResponse}
	}
	return res, err
}

// CloseIdleConnections lets http.Client.CloseIdleConnections through.
func (l limited) CloseIdleConnections() { l.base.CloseIdleConnections() }

// cut fails a body that goes on beyond its limit: one that was shortened in
// silence could still be read as something.
type cut struct {
	io.ReadCloser
	left int
}

func (c *cut) Read(b []byte) (int, error) {
	if c.left < 0 {
		return 0, errTooLarge
	}
	if len(b) > c.left+1 {
		b = b[:c.left+1]
	}
	n, err := c.ReadCloser.Read(b)
	if c.left -= n; c.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}
