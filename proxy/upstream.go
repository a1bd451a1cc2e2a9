package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

type counter = atomic.Uint64

// A poolKey names what makes two upstreams the same. The cluster is part of it,
// so that an upstream that poisons its connections harms no other cluster.
type poolKey struct {
	cluster, url, ca string
	timeout          time.Duration
	health           string
}

// A pool is one upstream with its connections and its state.
type pool struct {
	poolKey
	scheme, host string // of the URL that requests are sent to
	transport    *http.Transport
	rt           http.RoundTripper // the transport
	inFlight     atomic.Int64
	known        atomic.Bool // it was reached or missed at least once
	down         atomic.Bool // fault is not empty

	mu      sync.Mutex // guards the rest
	since   time.Time
	fault   string // empty: healthy
	fails   int    // in a row
	retryAt time.Time
}

func (h *Handler) newPool(k poolKey) (*pool, error) {
	u, err := url.Parse(k.url)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("upstream %q is no URL of the form http://, https:// or h2c:// host:port, without a path", k.url)
	}
	protocols := new(http.Protocols)
	p := &pool{poolKey: k, scheme: u.Scheme, host: u.Host}
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	switch u.Scheme {
	case "http":
		protocols.SetHTTP1(true)
	case "h2c":
		p.scheme = "http"
		protocols.SetUnencryptedHTTP2(true)
	case "https":
		protocols.SetHTTP1(true)
		protocols.SetHTTP2(true)
	default:
		return nil, fmt.Errorf("upstream %q: the scheme is none of http, https, h2c", k.url)
	}
	if k.ca != "" {
		tlsConfig.RootCAs = x509.NewCertPool()
		if !tlsConfig.RootCAs.AppendCertsFromPEM([]byte(k.ca)) {
			return nil, errors.New("its upstream authorities hold no PEM certificate")
		}
	}
	p.transport = &http.Transport{ // no Proxy: the environment must not redirect a cluster's traffic
		DialContext:            h.dialer.DialContext,
		TLSClientConfig:        tlsConfig,
		TLSHandshakeTimeout:    5 * time.Second,
		DisableCompression:     true, // bodies pass as they are
		MaxIdleConns:           0,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        90 * time.Second,
		ResponseHeaderTimeout:  k.timeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: max(0, h.limits.ResponseHeaderBytes),
		WriteBufferSize:        8 << 10,
		ReadBufferSize:         16 << 10,
		Protocols:              protocols,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
	p.rt = p.transport
	return p, nil
}

// passive reports whether only real requests tell whether p is healthy.
func (p *pool) passive() bool { return p.health == "" }

// usable reports whether p may be given a request now. An upstream found
// broken by a request is tried again after a while.
func (p *pool) usable(now time.Time) bool {
	if !p.down.Load() {
		return true
	}
	if !p.passive() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !now.Before(p.retryAt)
}

// succeeded notes that p answered, and reports whether that changed its state.
func (p *pool) succeeded(now time.Time) bool {
	if p.known.Load() && !p.down.Load() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := p.fault != ""
	if changed || !p.known.Load() {
		p.since = now
	}
	p.known.Store(true)
	p.fault, p.fails = "", 0
	p.down.Store(false)
	return changed
}

// failed notes that p could not be reached, and reports whether that changed its state.
func (p *pool) failed(now time.Time, why string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := p.fault == ""
	if changed {
		p.since = now
	}
	p.fault = why
	p.known.Store(true)
	p.fails++
	p.retryAt = now.Add(min(30*time.Second, time.Second<<min(p.fails-1, 5)))
	p.down.Store(true)
	return changed
}

func (p *pool) status(cluster, route string) UpstreamStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return UpstreamStatus{Cluster: cluster, Route: route, Upstream: p.url, Healthy: p.fault == "", Since: p.since,
		Error: p.fault, InFlight: int(p.inFlight.Load())}
}

// pick returns the upstream for the next attempt: of the usable ones not tried
// yet the one with the fewest requests in flight, in turn where equal. When
// none is usable and nothing checks their health, the least recently failed is
// tried all the same, since only a request can find out. Nil: none is left.
func (r *route) pick(now time.Time, tried []*pool) *pool {
	if len(r.pools) == 1 {
		if p := r.pools[0]; len(tried) == 0 && (p.passive() || p.usable(now)) {
			return p
		}
		return nil
	}
	var best, last *pool
	start := int(r.next.Add(1) % uint64(len(r.pools)))
	for i := range r.pools {
		p := r.pools[(start+i)%len(r.pools)]
		if contains(tried, p) {
			continue
		}
		if p.usable(now) {
			if best == nil || p.inFlight.Load() < best.inFlight.Load() {
				best = p
			}
		} else if p.passive() && last == nil {
			last = p
		}
	}
	if best == nil && len(tried) == 0 {
		return last
	}
	return best
}

func contains(ps []*pool, p *pool) bool {
	for _, o := range ps {
		if o == p {
			return true
		}
	}
	return false
}
