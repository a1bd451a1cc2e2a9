package bundle

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// newClient returns a client that follows no redirect: the server that was
// configured answers, and nobody whom it names gets the token.
func newClient(caFile string) (*http.Client, error) {
	t := &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, TLSHandshakeTimeout: 10 * time.Second,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		MaxResponseHeaderBytes: 64 << 10, MaxIdleConns: 1, IdleConnTimeout: time.Minute,
		DisableCompression: true, ForceAttemptHTTP2: true,
	}
	if caFile != "" {
		b, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("reading the authorities of the bundle server: %w", err)
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("reading the authorities of the bundle server: %s holds no certificate", caFile)
		}
	}
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

// get asks the server, unless it says that nothing has changed.
func (k *Keeper) get(ctx context.Context) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, k.cfg.URL, nil)
	if err != nil || r.URL.Scheme != "https" {
		return nil, errors.New("fetching the policy bundle: the address is not an https URL")
	}
	r.Header.Set("Accept", "application/gzip, application/octet-stream")
	r.Header.Set("User-Agent", "ringfence")
	if k.etag != "" {
		r.Header.Set("If-None-Match", k.etag)
	}
	if k.cfg.TokenFile != "" {
		token, err := readToken(k.cfg.TokenFile)
		if err != nil {
			return nil, err
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := k.client.Do(r)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // the address may hold what nobody should read
		}
		return nil, fmt.Errorf("fetching the policy bundle: %w", err)
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusNotModified && k.etag != "":
		return nil, ErrUnchanged
	case res.StatusCode >= 300 && res.StatusCode < 400:
		return nil, fmt.Errorf("fetching the policy bundle: the server sends to another place (%d), which is not followed", res.StatusCode)
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("fetching the policy bundle: the server answers %d", res.StatusCode)
	}
	data, err := limited(res.Body)
	if err != nil {
		return nil, fmt.Errorf("fetching the policy bundle: %w", err)
	}
	k.etag = ""
	if tag := res.Header.Get("ETag"); len(tag) <= 200 {
		k.etag = tag
	}
	return data, nil
}

// readToken reads what proves to the server who asks.
func readToken(name string) (string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("reading the token for the bundle server: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", fmt.Errorf("reading the token for the bundle server: %s holds no single line of plain characters", name)
	}
	return token, nil
}

// Place is where a bundle comes from, for people: without the parts of an
// address that may hold a secret.
func Place(file, address string) string {
	u, err := url.Parse(address)
	if file != "" || err != nil {
		return file
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
