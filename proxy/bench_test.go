package proxy

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

// quick answers everything at once and without allocating, so that what is
// measured is the proxy.
type quick struct {
	sub policy.Subject
	doc *policy.Document
}

func (q quick) IdentifyAt(*http.Request, *policy.Arrival) (policy.Subject, error) { return q.sub, nil }
func (q quick) Refresh(s policy.Subject) (policy.Subject, bool)                   { return s, true }
func (quick) Record(context.Context, *policy.Record) (uint64, error)              { return 123456, nil }
func (quick) Append(*policy.Record) error                                         { return nil }
func (q quick) Facts(string, string, netip.Addr) *policy.Document                 { return q.doc }
func (quick) Assert(policy.Subject, string, string, string) (string, error)       { return "x.y.z", nil }
func (quick) Refuse(w http.ResponseWriter, _ *http.Request, f policy.Refusal) {
	w.WriteHeader(f.Status)
}
func (quick) Decide(context.Context, *policy.Input) policy.Decision {
	return policy.Decision{Effect: policy.Allow, Revision: "r"}
}

// canned is an upstream in memory.
type canned struct{}

func (canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: 0, Body: http.NoBody, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}, "Date": {"x"}, "Server": {"y"}, "Etag": {"z"}}}, nil
}

// discard is a response writer that costs nothing.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func quickHandler(t testing.TB, upstream string) *Handler {
	doc, _ := policy.NewDocument(policy.Facts{})
	q := quick{subject("kim", policy.CredentialSession), doc}
	h, err := New(Config{Identifier: q, Decider: q, Recorder: q, Knower: q, Refuser: q, Asserter: q, Origin: "log.example.com",
		AllowUpstreamNetworks: loopback, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.SetClusters(claims(upstream)); err != nil {
		t.Fatal(err)
	}
	return h
}

func browserRequest() *http.Request {
	r := httptest.NewRequest("GET", "https://"+testHost+"/api/v1/cases/42", nil)
	for name, v := range map[string]string{
		"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Accept": "text/html,application/json",
		"Accept-Language": "en", "Accept-Encoding": "gzip, br", "Referer": "https://" + testHost + "/", "Sec-Fetch-Site": "same-origin",
		"Sec-Fetch-Mode": "cors", "Cookie": "a=1; __Host-ringfence=token; b=2",
	} {
		r.Header.Set(name, v)
	}
	ctx, cancel := context.WithCancel(context.Background())
	_ = cancel // as under a server, the context can be cancelled
	return r.WithContext(ctx)
}

func bareProxy(target string, rt http.RoundTripper) *httputil.ReverseProxy {
	u, _ := url.Parse(target)
	return &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(u) }, Transport: rt, BufferPool: buffers{}}
}

// TestAllocations holds what the proxy itself allocates for a request, beyond
// net/http and a bare ReverseProxy, below its ceiling.
func TestAllocations(t *testing.T) {
	const ceiling = 35 // the promise is 60
	h := quickHandler(t, "http://127.0.0.1:1")
	for _, p := range h.table.Load().pools {
		p.rt = canned{}
	}
	r := browserRequest()
	measure := func(h http.Handler) float64 {
		return testing.AllocsPerRun(200, func() {
			clone := *r
			clone.Header = r.Header.Clone() // the handler cleans it in place
			h.ServeHTTP(discard{http.Header{}}, &clone)
		})
	}
	bare, ours := measure(bareProxy("http://127.0.0.1:1", canned{})), measure(h)
	t.Logf("a bare ReverseProxy allocates %.0f times, we %.0f: %.0f are ours", bare, ours, ours-bare)
	if ours-bare > ceiling {
		t.Errorf("%.0f allocations a request are ours, more than %d", ours-bare, ceiling)
	}
}

func benchmark(b *testing.B, h http.Handler) {
	r := browserRequest()
	b.ReportAllocs()
	for b.Loop() {
		clone := *r
		clone.Header = r.Header.Clone()
		h.ServeHTTP(discard{http.Header{}}, &clone)
	}
}

// BenchmarkProxiedGET is one GET through everything, with an upstream in memory
// and over loopback, each beside a bare ReverseProxy.
func BenchmarkProxiedGET(b *testing.B) {
	b.Run("memory/bare", func(b *testing.B) { benchmark(b, bareProxy("http://127.0.0.1:1", canned{})) })
	b.Run("memory/ours", func(b *testing.B) {
		h := quickHandler(b, "http://127.0.0.1:1")
		for _, p := range h.table.Load().pools {
			p.rt = canned{}
		}
		benchmark(b, h)
	})
	up := upstream(b, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	b.Run("loopback/bare", func(b *testing.B) {
		benchmark(b, bareProxy(up.URL, &http.Transport{DisableCompression: true}))
	})
	b.Run("loopback/ours", func(b *testing.B) { benchmark(b, quickHandler(b, up.URL)) })
}

func BenchmarkCanonicalPath(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := canonicalPath("/api/v1/cases/42/notes"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGuard(b *testing.B) {
	head := []byte("GET /api/v1/cases/42 HTTP/1.1\r\nHost: " + testHost + "\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
		"Accept: text/html,application/json\r\nAccept-Language: en\r\nAccept-Encoding: gzip, br\r\nCookie: a=1; b=2\r\n\r\n")
	b.ReportAllocs()
	b.SetBytes(int64(len(head)))
	g := newGuard(64 << 10)
	for b.Loop() {
		if _, ok := g.scan(head); !ok {
			b.Fatal("refused")
		}
	}
}

func BenchmarkRecheck(b *testing.B) {
	h := quickHandler(b, "http://127.0.0.1:1")
	x := h.begin(discard{http.Header{}}, browserRequest())
	x.readHost()
	x.cluster = h.clusterOf(x.host)
	x.readTarget()
	x.chooseRoute()
	x.identify()
	x.fillInput()
	b.ReportAllocs()
	for b.Loop() {
		if reason := h.reconsider(b.Context(), x); reason != "" {
			b.Fatal(reason)
		}
	}
}
