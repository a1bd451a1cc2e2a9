package watch

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ringfence/ringfence/auth/provider"
	"github.com/ringfence/ringfence/internal/alarm"
)

const (
	secretPrefix = "whsec_"
	sendTimeout  = 15 * time.Second
	// maxAnswer is how much is read of an answer: nothing in it matters.
	maxAnswer = 64 << 10
)

// errGone: the receiver says that it wants nothing any longer.
var errGone = errors.New("the receiver answers 410: it wants nothing any longer")

// NewSecret returns a new secret of a webhook, as its receiver is to be given
// it: whsec_ and base64 of 32 bytes.
func NewSecret() string {
	b := make([]byte, 32)
	rand.Read(b)
	return secretPrefix + base64.StdEncoding.EncodeToString(b)
}

// CheckSecret reports what is wrong with the secret of a webhook.
func CheckSecret(s string) error {
	_, err := secretKey(s)
	return err
}

func secretKey(s string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, secretPrefix))
	if err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New("a webhook's secret is whsec_ and base64 of 24 to 64 bytes")
	}
	return key, nil
}

// sign returns the signature of a message as Standard Webhooks 1.0 have it.
func sign(key []byte, id string, at time.Time, body []byte) string {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
	m.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// A blockedError says that a receiver's name led to an address of the
// gateway's own surroundings.
type blockedError struct{ addr netip.Addr }

func (e *blockedError) Error() string {
	return fmt.Sprintf("connecting to %s is not allowed: name its network in alarms.allow_networks", e.addr)
}

// dialer looks at each resolved address right before connecting: a name that
// was public when it was looked up may lead to the machine itself a moment later.
func dialer(allowed []netip.Prefix) *net.Dialer {
	return &net.Dialer{Timeout: sendTimeout / 2, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("reading address of the receiver: %w", err)
		}
		if !provider.Public(ap.Addr(), allowed) {
			return &blockedError{ap.Addr().Unmap()}
		}
		return nil
	}}
}

// tlsOf returns what a receiver's certificate is checked with.
func tlsOf(c *alarm.Receiver) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM([]byte(c.CA)) {
			return nil, errors.New("reading the receiver's certificates: no PEM certificate was found")
		}
	}
	return conf, nil
}

// CheckURL reports what is wrong with the address of a webhook.
func CheckURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return errors.New("a webhook's address is an https URL without name, password and fragment")
	}
	return nil
}

// postWebhook sends one message. Whatever the receiver answers but 2xx is an
// error, and nothing of its words is kept but the status.
func postWebhook(ctx context.Context, c *alarm.Receiver, secret string, allowed []netip.Prefix, id string, at time.Time, body []byte) error {
	if err := CheckURL(c.Address); err != nil {
		return err
	}
	key, err := secretKey(secret)
	if err != nil {
		return err
	}
	conf, err := tlsOf(c)
	if err != nil {
		return err
	}
	t := &http.Transport{DialContext: dialer(allowed).DialContext, TLSClientConfig: conf, TLSHandshakeTimeout: sendTimeout / 2,
		ResponseHeaderTimeout: sendTimeout, MaxResponseHeaderBytes: maxAnswer, ForceAttemptHTTP2: true, DisableKeepAlives: true}
	defer t.CloseIdleConnections()
	client := &http.Client{Transport: t, Timeout: sendTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Address, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Ringfence")
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	r.Header.Set("Webhook-Signature", sign(key, id, at, body))
	res, err := client.Do(r)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // the address may hold a token
		}
		return fmt.Errorf("posting to the receiver: %w", err)
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswer) // only politeness
	switch {
	case res.StatusCode == http.StatusGone:
		return errGone
	case res.StatusCode < 200 || res.StatusCode > 299:
		return fmt.Errorf("the receiver answers %d", res.StatusCode)
	}
	return nil
}
