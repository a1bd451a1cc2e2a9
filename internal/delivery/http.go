package delivery

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Web says how a receiver is reached over HTTP.
type Web struct {
	// URL is the receiver's: the base without the path of its interface, but of
	// OTLP the whole. https, or http to this machine itself.
	URL string
	// TLS is used with https. Default: the system's authorities.
	TLS *tls.Config
	// Authorization is sent as the header of that name. Secret. Default none.
	Authorization string
	// Gzip compresses what is sent.
	Gzip bool
}

// String shows nothing of a Web but where it leads: it holds a secret.
func (w Web) String() string { return w.URL }

// GoString is as [Web.String].
func (w Web) GoString() string { return w.URL }

const maxAnswer = 16 << 20 // a bulk answer has a line for each entry

// A poster sends bodies to one receiver.
type poster struct {
	web    Web
	client *http.Client
}

func newPoster(w Web, path string, query url.Values) (*poster, error) {
	u, err := url.Parse(w.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("%q is not a URL", w.URL)
	}
	if u.User != nil {
		return nil, errors.New("the URL holds a password")
	}
	u = u.JoinPath(path)
	if len(query) > 0 {
		u.RawQuery = query.Encode()
	}
	w.URL = u.String()
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if w.TLS != nil {
		conf = w.TLS.Clone()
	}
	t := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment,
		MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: sendTimeout}
	return &poster{web: w, client: &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // a secret goes to the configured place alone
	}}}, nil
}

func (p *poster) Close() error {
	p.client.CloseIdleConnections()
	return nil
}

// An answer is what a receiver said.
type answer struct {
	status int
	body   []byte
	after  time.Duration // how long it wants to be left alone
}

// err makes an error of the answer, to be tried again.
func (a *answer) err() error {
	err := fmt.Errorf("the receiver answered %d: %s", a.status, clip(string(a.body[:min(len(a.body), 2048)])))
	if a.after > 0 {
		return &askedError{a.after, err}
	}
	return err
}

// refused makes of the answer that the receiver will not take the batch.
func (a *answer) refused() error {
	return &RefusedError{Reason: fmt.Sprintf("%d: %s", a.status, clip(string(a.body[:min(len(a.body), 2048)])))}
}

// content reports whether the answer is about what was sent and not about who
// sends it, where to, or when.
func (a *answer) content() bool {
	return a.status == http.StatusBadRequest || a.status == http.StatusRequestEntityTooLarge || a.status == http.StatusUnprocessableEntity
}

func (p *poster) post(ctx context.Context, contentType string, body []byte, headers map[string]string) (*answer, error) {
	packed := body
	if p.web.Gzip {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(body); err != nil {
			return nil, wrap("compressing a batch", err)
		}
		if err := z.Close(); err != nil {
			return nil, wrap("compressing a batch", err)
		}
		packed = b.Bytes()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.web.URL, bytes.NewReader(packed))
	if err != nil {
		return nil, wrap("making a request", err)
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("User-Agent", "ringfence")
	if p.web.Gzip {
		r.Header.Set("Content-Encoding", "gzip")
	}
	if p.web.Authorization != "" {
		r.Header.Set("Authorization", p.web.Authorization)
	}
	for k, v := range headers {
		r.Header.Set(k, v)
	}
	resp, err := p.client.Do(r)
	if err != nil {
		return nil, wrap("reaching the receiver", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, wrap("reading the receiver's answer", err)
	}
	a := &answer{status: resp.StatusCode, body: b}
	if after := resp.Header.Get("Retry-After"); after != "" {
		if n, err := strconv.Atoi(after); err == nil && n > 0 {
			a.after = time.Duration(min(n, 86400)) * time.Second
		} else if at, err := http.ParseTime(after); err == nil {
			a.after = max(0, time.Until(at))
		}
	}
	return a, nil
}
