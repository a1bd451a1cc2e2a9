package main

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/policy"
)

// A warmPath is a whole gateway in this process with a signed-in contractor,
// and beside it a bare reverse proxy to the same upstream.
type warmPath struct {
	gateway *gateway
	bare    http.Handler
	cookie  string
	input   *policy.Input
}

func newWarmPath(t testing.TB) *warmPath {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"ok":true}`) // the test reads what arrives
	}))
	t.Cleanup(upstream.Close)
	ctx := t.Context()
	d := &demo{data: t.TempDir(), gate: mustURL(t, "https://gate.localhost"), logLevel: "error"}
	cfg, err := d.configure("127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.populate(ctx, cfg, map[string]string{"claims": upstream.URL, "billing": upstream.URL, "telemetry": upstream.URL}); err != nil {
		t.Fatal(err)
	}
	g, err := build(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 2)
	go func() { done <- g.log.Run(run) }()
	go func() { done <- g.proxy.Run(run) }()
	t.Cleanup(func() {
		if err := g.close(); err != nil {
			t.Error(err)
		}
		stop()
		<-done
		<-done
	})
	if err := g.refresh(ctx, map[string]bool{}); err != nil {
		t.Fatal(err)
	}
	p := &warmPath{gateway: g}
	target := mustURL(t, upstream.URL)
	p.bare = &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
		FlushInterval: -1,
	}
	p.signIn(t, d.accounts[0])
	return p
}

// signIn gets the cookie of the cluster's host as a browser would.
func (p *warmPath) signIn(t testing.TB, a demoAccount) {
	t.Helper()
	ctx, s := t.Context(), p.gateway.auth
	origin := auth.Origin{IP: netip.MustParseAddr("127.0.0.1"), Host: "gate.localhost"}
	flow, err := s.Login(ctx, origin, a.Email, a.Password)
	if err != nil {
		t.Fatal(err)
	}
	_, session, err := s.LoginCode(ctx, origin, flow, code(t, a, 0))
	if err != nil {
		t.Fatal(err)
	}
	start := auth.NewSecret()
	id := s.SaveTarget("claims.localhost", "/", start)
	handoff, err := s.IssueHandoff(ctx, session, "claims.localhost", id)
	if err != nil {
		t.Fatal(err)
	}
	if p.cookie, _, err = s.RedeemHandoff(ctx, "claims.localhost", handoff, start); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	subject := session.Subject(now)
	p.input = &policy.Input{Version: policy.ContractVersion, Subject: subject,
		Facts: p.gateway.snapshot.Load().Facts(subject.Account, "claims", origin.IP),
		Request: policy.Request{ID: "r", Time: now.Format(time.RFC3339), TimeNS: now.UnixNano(), Protocol: "http", Method: "GET", Host: "claims.localhost",
			Path: []string{"claims", "CL-20418"}, RawPath: "/claims/CL-20418", SourceIP: "127.0.0.1"},
		Resource: policy.Resource{Cluster: "claims", Classification: "restricted", Route: "app"}}
}

func (p *warmPath) request() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://claims.localhost/claims/CL-20418", nil)
	r.RemoteAddr = "127.0.0.1:40000"
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "bench")
	r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256, HandshakeComplete: true}
	r.AddCookie(&http.Cookie{Name: auth.SessionCookie, Value: p.cookie})
	return r
}

// discard is a response writer that keeps nothing but the status.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) Flush()                      {}

func serveOnce(t testing.TB, h http.Handler, r *http.Request) {
	w := &discard{header: http.Header{}}
	h.ServeHTTP(w, r)
	if w.status != http.StatusOK {
		t.Fatalf("status %d", w.status)
	}
}

// TestRequestPath_Allocations holds the ceiling: what the gateway adds to a
// bare httputil.ReverseProxy for a warm session, the policy engine's
// evaluation apart, is at most 60 allocations.
func TestRequestPath_Allocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	p := newWarmPath(t)
	measure := func(f func()) float64 {
		f()
		return testing.AllocsPerRun(300, f)
	}
	whole := measure(func() { serveOnce(t, p.gateway.proxy, p.request()) })
	bare := measure(func() {
		r := p.request()
		serveOnce(t, p.bare, r)
	})
	engine := measure(func() { p.gateway.engine.Decide(context.Background(), p.input) })
	ours := whole - bare - engine
	t.Logf("whole gateway %.0f, bare reverse proxy %.0f, engine %.0f, ours %.0f allocations a request", whole, bare, engine, ours)
	if ours > 60 {
		t.Errorf("the gateway adds %.0f allocations to a request, want at most 60", ours)
	}
}

// BenchmarkRequestPath is one proxied request after another and from several
// clients, durable record included, beside a bare reverse proxy.
func BenchmarkRequestPath(b *testing.B) {
	p := newWarmPath(b)
	run := func(name string, h http.Handler) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				serveOnce(b, h, p.request())
			}
		})
		b.Run(name+"-parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					serveOnce(b, h, p.request())
				}
			})
		})
	}
	run("gateway", p.gateway.proxy)
	run("bare", p.bare)
	b.Run("decision", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p.gateway.engine.Decide(context.Background(), p.input)
		}
	})
}
