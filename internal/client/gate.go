package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A gate is the HTTP side of a sign-in.
type gate struct {
	url  string
	http *http.Client
	// ahead is how far the gate's clock is ahead; proofs are dated by it, since a
	// wrong clock here must not lock its owner out.
	ahead   time.Duration
	program string
}

// A Fault is an answer of the gate that is no success.
type Fault struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
	Status      int    `json:"-"`
}

// Error gives the gate's own words.
func (f *Fault) Error() string {
	if f.Description == "" {
		return fmt.Sprintf("the gate answered %d", f.Status)
	}
	return "the gate says: " + strings.TrimSuffix(oneLine(f.Description), ".")
}

// Transport returns a transport that trusts the authority in ca, or the
// system's when it is empty, and honours the environment's proxies.
func Transport(ca string) (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = http.ProxyFromEnvironment
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(ca)) {
			return nil, errors.New("reading the certificate authority: there is no certificate in it")
		}
		t.TLSClientConfig.RootCAs = pool
	}
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		// Not every resolver knows that these names are this machine (RFC 6761 section 6.3).
		if host, port, err := net.SplitHostPort(addr); err == nil && strings.HasSuffix(host, ".localhost") {
			addr = net.JoinHostPort("127.0.0.1", port)
		}
		return dial(ctx, network, addr)
	}
	return t, nil
}

func newGate(address, ca, program string, ahead time.Duration) (*gate, error) {
	t, err := Transport(ca)
	if err != nil {
		return nil, err
	}
	return &gate{url: address, program: program, ahead: ahead, http: &http.Client{Transport: t, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

func (g *gate) now() time.Time { return time.Now().Add(g.ahead) }

// post sends a form with a proof of the key and reads the JSON answer. When
// the clocks turn out to differ it tries once more by the gate's.
func (g *gate) post(ctx context.Context, key Key, path string, form url.Values, answer any) error {
	for try := 0; ; try++ {
		res, err := g.send(ctx, key, path, form)
		if err != nil {
			return fmt.Errorf("asking %s: %w", g.url, err)
		}
		body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		res.Body.Close()
		if err != nil {
			return fmt.Errorf("asking %s: %w", g.url, err)
		}
		if res.StatusCode == http.StatusOK {
			if err := json.Unmarshal(body, answer); err != nil {
				return fmt.Errorf("asking %s: the answer is not what a gate says: %w", g.url, err)
			}
			return nil
		}
		f := &Fault{Status: res.StatusCode}
		if json.Unmarshal(body, f) != nil || f.Code == "" {
			return fmt.Errorf("asking %s: it answered %s: is it a gate?", g.url, oneLine(res.Status))
		}
		if f.Code != "invalid_dpop_proof" || try > 0 || !g.adjust(res.Header.Get("Date")) {
			return f
		}
	}
}

func (g *gate) send(ctx context.Context, key Key, path string, form url.Values) (*http.Response, error) {
	proof, err := key.Proof(http.MethodPost, g.url+path, "", g.now())
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", g.program)
	req.Header.Set("DPoP", proof)
	return g.http.Do(req)
}

// adjust takes over the gate's clock and reports whether that changes anything.
func (g *gate) adjust(date string) bool {
	at, err := http.ParseTime(date)
	if err != nil {
		return false
	}
	ahead := time.Until(at).Round(time.Second)
	if d := ahead - g.ahead; d > -5*time.Second && d < 5*time.Second {
		return false
	}
	g.ahead = ahead
	return true
}
