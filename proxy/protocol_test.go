package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ringfence/ringfence/policy"
)

// TestUpstream_Protocols takes a request and its trailers through every pair of protocols.
func TestUpstream_Protocols(t *testing.T) {
	cert, _ := certificate(t)
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprintf(w, "%s %s %s", r.Proto, r.Header.Get(HeaderAccount), b)
		w.Header().Set("X-Sum", "9")
	})
	serve := func(protocols func(*http.Protocols), useTLS bool) string {
		s := httptest.NewUnstartedServer(answer)
		s.Config.Protocols = new(http.Protocols)
		protocols(s.Config.Protocols)
		if useTLS {
			s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
			s.EnableHTTP2 = s.Config.Protocols.HTTP2()
			s.StartTLS()
		} else {
			s.Start()
		}
		t.Cleanup(s.Close)
		return s.URL
	}
	for name, u := range map[string]struct{ url, proto string }{
		"h1":      {serve(func(p *http.Protocols) { p.SetHTTP1(true) }, false), "HTTP/1.1"},
		"h2c":     {strings.Replace(serve(func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }, false), "http://", "h2c://", 1), "HTTP/2.0"},
		"TLS h1":  {serve(func(p *http.Protocols) { p.SetHTTP1(true) }, true), "HTTP/1.1"},
		"TLS h2":  {serve(func(p *http.Protocols) { p.SetHTTP1(true); p.SetHTTP2(true) }, true), "HTTP/2.0"},
		"foreign": {serve(func(p *http.Protocols) { p.SetHTTP1(true) }, true), ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := claims(u.url)
			if name != "foreign" {
				c[0].Routes[0].UpstreamCA = certificatePEM(t)
			}
			g := start(t, c)
			for _, h2 := range []bool{true, false} {
				g.client = g.newClient(h2)
				res, body := g.do(request(t, "POST", "https://"+testHost+"/", strings.NewReader("hi")))
				if u.proto == "" { // a certificate from an authority that nobody named
					wantRefusal(t, res, body, 502, policy.ReasonUpstreamDown)
					continue
				}
				if (res.ProtoMajor == 2) != h2 || body != u.proto+" kim hi" || res.Trailer.Get("X-Sum") != "9" {
					t.Errorf("client over h2 %v: got %s %q, trailers %v", h2, res.Proto, body, res.Trailer)
				}
			}
		})
	}
}

func TestGRPC_RoundTrip(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan metadata.MD, 10)
	s := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		seen <- md
		return h(ctx, req)
	}))
	hs := health.NewServer()
	healthpb.RegisterHealthServer(s, hs)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	g := start(t, claims("h2c://"+l.Addr().String()))
	conn, err := grpc.NewClient("passthrough:///"+testHost, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: g.roots, ServerName: testHost})),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return g.dial(ctx, "", "") }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer rft_kim", "x-ringfence-account", "forged")
	c := healthpb.NewHealthClient(conn)
	if r, err := c.Check(ctx, &healthpb.HealthCheckRequest{}); err != nil || r.Status != healthpb.HealthCheckResponse_SERVING {
		t.Fatalf("got %v, %v", r, err)
	}
	if md := <-seen; md.Get("x-ringfence-account")[0] != "kim" || len(md.Get("x-ringfence-account")) != 1 || md.Get("authorization") != nil {
		t.Errorf("upstream got %v", md)
	}
	if g.lastInput().Request.Protocol != protocolGRPC {
		t.Error("policy was not told of gRPC")
	}
	// An error is a response of trailers alone.
	if _, err := c.Check(ctx, &healthpb.HealthCheckRequest{Service: "none"}); status.Code(err) != grpccodes.NotFound {
		t.Errorf("got %v", err)
	}
	if _, err := c.Check(t.Context(), &healthpb.HealthCheckRequest{}); status.Code(err) != grpccodes.Unauthenticated {
		t.Errorf("without a token: %v", err)
	}
	// A stream, cut.
	stream, err := c.Watch(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range []healthpb.HealthCheckResponse_ServingStatus{healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING} {
		if r, err := stream.Recv(); err != nil || r.Status != st {
			t.Fatalf("got %v, %v", r, err)
		}
		hs.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	}
	g.set(func() { g.ended["s-kim"] = true })
	g.h.Recheck()
	if _, err := stream.Recv(); err == nil || err == io.EOF {
		t.Errorf("the stream ended with %v", err)
	}
}

// TestFullDuplex: a response may begin, and be read, while the body is still being sent.
func TestFullDuplex(t *testing.T) {
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		b := make([]byte, 4)
		for {
			if _, err := io.ReadFull(r.Body, b); err != nil {
				return
			}
			w.Write(b)
			w.(http.Flusher).Flush()
		}
	})
	g := start(t, claims(up.URL))
	for _, h2 := range []bool{true, false} {
		pr, pw := io.Pipe()
		go pw.Write([]byte("ping"))
		res, err := g.newClient(h2).Do(request(t, "POST", "https://"+testHost+"/", pr))
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4)
		for range 3 {
			if _, err := io.ReadFull(res.Body, b); err != nil {
				t.Fatal(err)
			}
			go pw.Write(b)
		}
		io.ReadFull(res.Body, b)
		pw.Close()
		res.Body.Close()
	}
}

func TestInformationalResponses_Pass(t *testing.T) {
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Write([]byte("x"))
	})
	g := start(t, claims(up.URL))
	got := g.raw("GET / HTTP/1.1\r\nHost: " + testHost + "\r\nCookie: __Host-ringfence=kim\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 103") || !strings.Contains(got, "HTTP/1.1 200") || !strings.Contains(got, HeaderRequestID) {
		t.Errorf("got %s", got)
	}
}

// TestStreaming_ConstantMemory passes a large body each way and watches the heap.
func TestStreaming_ConstantMemory(t *testing.T) {
	size := int64(256 << 20)
	if requireAll() {
		size = 2 << 30
	}
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(size))
		io.CopyN(w, zeros{}, size)
	})
	g := start(t, claims(up.URL))
	for _, h2 := range []bool{true, false} {
		client := g.newClient(h2)
		peak := watchHeap(t, func() {
			res, err := client.Do(request(t, "GET", "https://"+testHost+"/", nil))
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, res.Body); n != size || err != nil {
				t.Errorf("downloaded %d of %d bytes, %v", n, size, err)
			}
			res.Body.Close()
			res, err = client.Do(request(t, "POST", "https://"+testHost+"/", io.LimitReader(zeros{}, size)))
			if err != nil {
				t.Fatal(err)
			}
			if b, _ := io.ReadAll(res.Body); string(b) != fmt.Sprint(size) {
				t.Errorf("uploaded %s of %d bytes", b, size)
			}
			res.Body.Close()
		})
		t.Logf("over h2 %v: %d MiB each way, %.1f MiB of heap in use at most", h2, size>>20, float64(peak)/(1<<20))
		if peak > 64<<20 {
			t.Errorf("over h2 %v: the heap grew to %d bytes", h2, peak)
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func watchHeap(t *testing.T, work func()) (peak uint64) {
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		var m runtime.MemStats
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	work()
	close(done)
	<-watched
	return peak
}

func TestUpstreams_RetryOnlySafeRequests(t *testing.T) {
	var hits atomic.Int64
	alive := upstream(t, func(w http.ResponseWriter, r *http.Request) { hits.Add(1); io.Copy(io.Discard, r.Body) })
	for _, tt := range []struct {
		method, body string
		dead         string
		retried      bool
	}{
		{"GET", "", "closed port", true}, {"HEAD", "", "closed port", true}, {"OPTIONS", "", "closed port", true},
		{"GET", "", "hangs up", true}, {"GET", "body", "closed port", false}, {"POST", "", "closed port", false}, {"POST", "x", "hangs up", false},
		{"PUT", "x", "closed port", false}, {"DELETE", "", "hangs up", false}, {"PATCH", "", "closed port", false},
	} {
		t.Run(tt.method+tt.body+" "+tt.dead, func(t *testing.T) {
			dead := fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
			if tt.dead == "hangs up" {
				dead = rawUpstream(t, "")
			}
			hits.Store(0)
			g := start(t, claims(dead, alive.URL))
			g.h.table.Load().clusters[0].routes[0].next.Store(1) // so that the dead one is first
			var body io.Reader
			if tt.body != "" {
				body = strings.NewReader(tt.body)
			}
			res, text := g.do(request(t, tt.method, "https://"+testHost+"/", body))
			if tt.retried && (res.StatusCode != 200 || hits.Load() != 1) {
				t.Errorf("got %d %s", res.StatusCode, text)
			}
			if !tt.retried {
				wantRefusal(t, res, text, 502, policy.ReasonUpstreamDown)
				if hits.Load() != 0 {
					t.Error("it was sent a second time")
				}
			}
			if res, _ := g.get("/"); res.StatusCode != 200 {
				t.Errorf("the next request went to the dead upstream: %d", res.StatusCode)
			}
		})
	}
}

func TestUpstreams_HealthChecks(t *testing.T) {
	var ill atomic.Bool
	up := func(name string, ill *atomic.Bool) string {
		return upstream(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/healthz" && ill != nil && ill.Load() {
				w.WriteHeader(500)
			}
			fmt.Fprint(w, name)
		}).URL
	}
	c := claims(up("a", &ill), up("b", nil))
	c[0].Routes[0].HealthPath = "/healthz"
	g := start(t, c, func(c *Config) { c.HealthEvery = 5 * time.Millisecond })
	count := func() map[string]int {
		n := map[string]int{}
		for range 10 {
			_, body := g.get("/")
			n[body]++
		}
		return n
	}
	if n := count(); n["a"] == 0 || n["b"] == 0 {
		t.Errorf("requests were not shared out: %v", n)
	}
	ill.Store(true)
	until(t, "the ill upstream is known", func() bool { return !g.h.Upstreams()[0].Healthy })
	if n := count(); n["a"] != 0 {
		t.Errorf("an ill upstream was used: %v", n)
	}
	if s := g.h.Upstreams()[0]; s.Error == "" || s.Since.IsZero() || s.Cluster != "claims" || s.Route != "all" {
		t.Errorf("status %+v", s)
	}
	ill.Store(false)
	until(t, "the upstream is well again", func() bool { return g.h.Upstreams()[0].Healthy })
	if n := count(); n["a"] == 0 {
		t.Errorf("a recovered upstream was not used: %v", n)
	}
}

func TestUpstreams_AllDown(t *testing.T) {
	dead := func() string { return fmt.Sprintf("http://127.0.0.1:%d", freePort(t)) }
	c := claims(dead(), dead())
	c[0].Routes[0].HealthPath = "/"
	g := start(t, c)
	until(t, "both are known to be down", func() bool { s := g.h.Upstreams(); return !s[0].Healthy && !s[1].Healthy })
	res, body := g.get("/")
	wantRefusal(t, res, body, 503, policy.ReasonUpstreamDown)
	if out := g.outcome(0); out.Status != 503 || out.Ended != policy.ReasonUpstreamDown {
		t.Errorf("outcome %+v", out)
	}
}

func TestUpstreams_UnchangedPoolsKeepConnections(t *testing.T) {
	var conns atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	g := start(t, claims(s.URL))
	for range 3 {
		g.get("/")
		if err := g.h.SetClusters(claims(s.URL)); err != nil {
			t.Fatal(err)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections were made", n)
	}
}

func TestSSRF_AllowedTarget(t *testing.T) {
	for addr, want := range map[string]bool{
		"10.0.0.1": true, "192.0.2.1": true, "2001:db8::1": true, "fd00::1": true,
		"127.0.0.1": false, "127.9.9.9": false, "::1": false, "::ffff:127.0.0.1": false, "169.254.169.254": false, "fe80::1": false,
		"::ffff:169.254.169.254": false, "224.0.0.1": false, "ff02::1": false, "0.0.0.0": false, "0.1.2.3": false, "::": false,
		"255.255.255.255": false, "fd00:ec2::254": false, "64:ff9b::7f00:1": false, "64:ff9b::a9fe:a9fe": false, "2002:7f00:1::": false, "::127.0.0.1": false,
		"64:ff9b::a00:1": true,
	} {
		if got := allowedTarget(mustAddr(t, addr), nil); got != want {
			t.Errorf("%s: allowed %v", addr, got)
		}
	}
	if !allowedTarget(mustAddr(t, "::ffff:127.0.0.1"), loopback) {
		t.Error("a named network is not allowed")
	}
	up := upstream(t, echo)
	for _, host := range []string{"127.0.0.1", "localhost"} {
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(up.URL, "http://"))
		g := start(t, claims("http://"+host+":"+port), func(c *Config) { c.AllowUpstreamNetworks = nil })
		res, body := g.get("/")
		wantRefusal(t, res, body, 502, policy.ReasonUpstreamDown)
		if !strings.Contains(g.log.String(), "is not allowed") {
			t.Error("the operational log does not say why")
		}
	}
}

// TestSSRF_EnvironmentProxyIsIgnored: HTTP_PROXY must not lead a cluster's traffic away.
func TestSSRF_EnvironmentProxyIsIgnored(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:1")
	g := start(t, claims(upstream(t, echo).URL))
	for _, p := range g.h.table.Load().pools {
		if p.transport.Proxy != nil {
			t.Error("the transport asks the environment for a proxy")
		}
	}
}

// TestUpstream_NotModified: an upstream may say how long the body is that it
// leaves out, over HTTP/2 too.
func TestUpstream_NotModified(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Etag", `"x"`)
			w.Header().Set("Content-Length", "5")
			w.WriteHeader(http.StatusNotModified)
		}))
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetHTTP1(!h2)
		s.Config.Protocols.SetUnencryptedHTTP2(h2)
		s.Start()
		t.Cleanup(s.Close)
		url := s.URL
		if h2 {
			url = strings.Replace(url, "http://", "h2c://", 1)
		}
		g := start(t, claims(url))
		res, body := g.get("/x")
		if out := g.outcome(0); res.StatusCode != http.StatusNotModified || res.Header.Get("Etag") != `"x"` || body != "" || out.Ended != "" {
			t.Errorf("over h2 %v: %d %v %q, ended %q", h2, res.StatusCode, res.Header, body, out.Ended)
		}
	}
}
