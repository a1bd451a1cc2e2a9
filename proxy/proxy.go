package proxy

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// Config is what a [Handler] is made of. Identifier, Decider, Recorder and
// Refuser are required.
type Config struct {
	GateHost string       // in any spelling, with or without a port; empty: there is no gate here
	Gate     http.Handler // serves GateHost
	Reserved http.Handler // serves [ReservedPrefix] on every cluster's host

	Identifier Identifier
	Decider    Decider
	Recorder   Recorder
	Knower     Knower // nil: nothing is ever known, so that guardrails deny
	Refuser    Refuser
	Asserter   Asserter // nil: upstreams get no assertion
	Watcher    Watcher  // nil: nobody

	// TrustedProxies are peers whose X-Forwarded-For and X-Forwarded-Proto are
	// believed. None by default: naming a network that clients can be in lets
	// them choose their address.
	TrustedProxies []netip.Prefix
	// AllowUpstreamNetworks are the networks in which an upstream may be although
	// they are loopback, link-local, multicast or the like.
	AllowUpstreamNetworks []netip.Prefix
	// QueryValues names the fields of a query whose values are recorded. None by
	// default: queries often hold what people look for, and sometimes secrets.
	QueryValues []string
	Origin      string // of the access log, for [HeaderEntry]
	Limits      Limits
	HealthEvery time.Duration // between health checks; 0: 5 s
	Now         func() time.Time
	Logger      *slog.Logger
	Metrics     Metrics // nil: nothing is counted
}

// A Handler is the enforcing reverse proxy. It is safe for concurrent use.
// [Handler.SetClusters] must be called before it serves anything but the gate,
// and [Handler.Run] must run, or streams are not cut and health is not checked.
type Handler struct {
	Config
	gateHost string
	limits   Limits
	dialer   *net.Dialer
	proxy    *httputil.ReverseProxy
	metrics  Metrics

	setting sync.Mutex // held while the table is replaced
	table   atomic.Pointer[table]

	streams    streams
	generation atomic.Uint64 // counts calls of Recheck
	wake       chan struct{} // capacity 1: a recheck is due
	closing    atomic.Pointer[string]
}

// New returns a handler without clusters.
func New(c Config) (*Handler, error) {
	if c.Identifier == nil || c.Decider == nil || c.Recorder == nil || c.Refuser == nil {
		return nil, errors.New("making proxy: identifier, decider, recorder and refuser are all needed")
	}
	h := &Handler{Config: c, limits: c.Limits.withDefaults(), dialer: newDialer(c.AllowUpstreamNetworks),
		metrics: c.Metrics, wake: make(chan struct{}, 1)}
	if c.GateHost != "" {
		host, _, err := canonicalHost(c.GateHost)
		if err != nil {
			return nil, fmt.Errorf("making proxy: gate host %q is no host name", c.GateHost)
		}
		if c.Gate == nil {
			return nil, fmt.Errorf("making proxy: nothing serves the gate host %s", host)
		}
		h.gateHost = host
	}
	if h.Now == nil {
		h.Now = time.Now
	}
	if h.Logger == nil {
		h.Logger = slog.Default()
	}
	if h.metrics == nil {
		h.metrics = noMetrics{}
	}
	if h.HealthEvery <= 0 {
		h.HealthEvery = 5 * time.Second
	}
	h.streams.init()
	h.proxy = &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      transport{},
		ModifyResponse: modifyResponse,
		ErrorHandler:   upstreamFailed,
		BufferPool:     buffers{},
		ErrorLog:       slog.NewLogLogger(h.Logger.Handler(), slog.LevelDebug),
	}
	return h, nil
}

// Upstreams returns the state of every upstream, by cluster and route.
func (h *Handler) Upstreams() []UpstreamStatus {
	var out []UpstreamStatus
	if t := h.table.Load(); t != nil {
		for _, c := range t.clusters {
			for _, r := range c.routes {
				for _, p := range r.pools {
					out = append(out, p.status(c.Name, r.Name))
				}
			}
		}
	}
	return out
}

type noMetrics struct{}

func (noMetrics) Decided(string, policy.Effect, time.Duration, time.Duration)       {}
func (noMetrics) Finished(string, string, int, int64, int64, time.Duration, string) {}
func (noMetrics) Upstream(string, string, string, bool)                             {}
