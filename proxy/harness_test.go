package proxy

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
)

const (
	testHost = "claims.example.com"
	testGate = "gate.example.com"
)

// A world is everything the proxy asks, played harshly: records are checked
// for order and completeness, and every answer can be changed while streams run.
type world struct {
	t        testing.TB
	mu       sync.Mutex
	records  []*policy.Record
	failing  error // what Record returns
	ended    map[string]bool
	decide   func(*policy.Input) policy.Decision
	facts    *policy.Document
	identErr error
	decided  []policy.Input
	log      syncBuffer
	changed  chan struct{} // closed and replaced at each record
}

func newWorld(t testing.TB) *world {
	doc, err := policy.NewDocument(policy.Facts{Engagement: &policy.EngagementFacts{Name: "e1"}})
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, facts: doc, ended: map[string]bool{}, changed: make(chan struct{})}
}

// IdentifyAt takes the cookie __Host-ringfence=ACCOUNT or a bearer token rft_ACCOUNT.
func (w *world) IdentifyAt(r *http.Request, _ *policy.Arrival) (policy.Subject, error) {
	if w.identErr != nil {
		return policy.Anonymous, w.identErr
	}
	if c, err := r.Cookie("__Host-ringfence"); err == nil {
		return subject(c.Value, policy.CredentialSession), nil
	}
	if a, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer rft_"); ok {
		return subject(a, policy.CredentialToken), nil
	}
	return policy.Anonymous, nil
}

func subject(account, credential string) policy.Subject {
	return policy.Subject{Account: account, Email: account + "@vendor.example", Vendor: "acme", Roles: []policy.Role{policy.Contractor},
		Session: "s-" + account, Credential: credential, Factors: map[string]int64{policy.FactorPassword: 9, policy.FactorTOTP: 5}}
}

func (w *world) Refresh(s policy.Subject) (policy.Subject, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return s, !w.ended[s.Session]
}

func (w *world) Decide(_ context.Context, in *policy.Input) policy.Decision {
	w.mu.Lock()
	decide := w.decide
	if len(w.decided) < 10_000 {
		w.decided = append(w.decided, *in)
	}
	w.mu.Unlock()
	if in.Subject.IsAnonymous() {
		return policy.Decision{Effect: policy.Challenge, Reasons: []policy.Reason{{Code: policy.ReasonSignIn}}}
	}
	if decide != nil {
		return decide(in)
	}
	return policy.Decision{Effect: policy.Allow, Revision: "r1"}
}

func (w *world) Facts(string, string, netip.Addr) *policy.Document {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.facts
}

func (w *world) Record(_ context.Context, r *policy.Record) (uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failing != nil {
		return 0, w.failing
	}
	w.add(r)
	return uint64(len(w.records) - 1), nil
}

func (w *world) Append(r *policy.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.add(r)
	return nil
}

func (w *world) add(r *policy.Record) {
	if r.RequestID == "" || r.Time.IsZero() || r.Time.Location() != time.UTC {
		w.t.Errorf("record without request id or UTC time: %+v", r)
	}
	if _, err := json.Marshal(r); err != nil {
		w.t.Errorf("encoding record: %v", err)
	}
	w.records = append(w.records, r)
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *world) Assert(s policy.Subject, cluster, host, id string) (string, error) {
	return "assertion-of-" + s.Account, nil
}

// Refuse answers as a client that is no browser is answered.
func (w *world) Refuse(rw http.ResponseWriter, r *http.Request, f policy.Refusal) {
	codes := []string{}
	for _, reason := range f.Decision.Reasons {
		codes = append(codes, reason.Code)
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(f.Status)
	json.NewEncoder(rw).Encode(map[string]any{"codes": codes, "request_id": f.RequestID, "cluster": f.Cluster})
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// of returns the records of one type so far.
func (w *world) of(t policy.RecordType) []*policy.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*policy.Record
	for _, r := range w.records {
		if r.Type == t {
			out = append(out, r)
		}
	}
	return out
}

// outcome waits for the n-th outcome, from 0.
func (w *world) outcome(n int) *policy.Record {
	w.t.Helper()
	deadline := time.After(15 * time.Second)
	for {
		w.mu.Lock()
		changed := w.changed
		w.mu.Unlock()
		if all := w.of(policy.RecordOutcome); len(all) > n {
			return all[n]
		}
		select {
		case <-changed:
		case <-deadline:
			w.t.Fatalf("no outcome number %d was recorded", n)
		}
	}
}

func (w *world) lastInput() policy.Input {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.decided) == 0 {
		w.t.Fatal("nothing was decided")
	}
	return w.decided[len(w.decided)-1]
}

// A gateway is the handler behind its real listener, with its clients.
type gateway struct {
	*world
	h      *Handler
	addr   string
	client *http.Client // trusts the gateway, resolves every host to it, follows nothing
	roots  *x509.CertPool
}

type option func(*Config)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// start runs a gateway over TLS until the test ends.
func start(t testing.TB, clusters []Cluster, options ...option) *gateway {
	t.Helper()
	g := &gateway{world: newWorld(t)}
	c := Config{GateHost: testGate, Gate: named("gate"), Reserved: named("reserved"), Identifier: g, Decider: g, Recorder: g, Knower: g,
		Refuser: g, Asserter: g, AllowUpstreamNetworks: loopback, Origin: "log.example.com",
		Logger: slog.New(slog.NewTextHandler(&g.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, o := range options {
		o(&c)
	}
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.SetClusters(clusters); err != nil {
		t.Fatal(err)
	}
	g.h = h
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cert, roots := certificate(t)
	g.roots, g.addr = roots, inner.Addr().String()
	server := NewServer(h, c.Limits, c.Logger)
	l := NewListener(inner, &tls.Config{Certificates: []tls.Certificate{cert}}, c.Limits)
	served := make(chan struct{})
	go func() { defer close(served); server.Serve(l) }()
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() { defer close(ran); h.Run(ctx) }()
	g.client = g.newClient(true)
	t.Cleanup(func() {
		cancel()
		server.Close()
		h.CloseStreams("test_over")
		<-served
		<-ran
	})
	return g
}

func (g *gateway) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", g.addr)
}

func (g *gateway) newClient(h2 bool) *http.Client {
	tr := &http.Transport{DialContext: g.dial, TLSClientConfig: &tls.Config{RootCAs: g.roots}, ForceAttemptHTTP2: h2, DisableCompression: true}
	g.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// request makes a request as account kim by session cookie; an empty account is nobody.
func request(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: "__Host-ringfence", Value: "kim"})
	return r
}

func (g *gateway) do(r *http.Request) (*http.Response, string) {
	g.t.Helper()
	res, err := g.client.Do(r)
	if err != nil {
		g.t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatalf("%s %s: reading response: %v", r.Method, r.URL, err)
	}
	return res, string(b)
}

func (g *gateway) get(path string) (*http.Response, string) {
	g.t.Helper()
	return g.do(request(g.t, "GET", "https://"+testHost+path, nil))
}

// raw sends bytes over TLS with HTTP/1.1 and returns everything that comes back.
func (g *gateway) raw(text string) string {
	g.t.Helper()
	c := g.rawConn()
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		g.t.Fatal(err)
	}
	b, _ := io.ReadAll(c)
	return string(b)
}

func (g *gateway) rawConn() *tls.Conn {
	g.t.Helper()
	c, err := tls.Dial("tcp", g.addr, &tls.Config{RootCAs: g.roots, ServerName: testHost, NextProtos: []string{"http/1.1"}})
	if err != nil {
		g.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// codes reads the reason codes of a refusal.
func codes(t testing.TB, body string) []string {
	t.Helper()
	var v struct {
		Codes []string `json:"codes"`
	}
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("no refusal: %q", body)
	}
	return v.Codes
}

func wantRefusal(t testing.TB, res *http.Response, body string, status int, code string) {
	t.Helper()
	if res.StatusCode != status || !slices.Contains(codes(t, body), code) {
		t.Fatalf("got %d %s, want %d with %s", res.StatusCode, body, status, code)
	}
	if res.Header.Get(HeaderRequestID) == "" {
		t.Errorf("refusal without %s", HeaderRequestID)
	}
}

// claims is a cluster with one route to the upstreams.
func claims(upstreams ...string) []Cluster {
	return []Cluster{{Name: "claims", Title: "Claims", Classification: "confidential", Hosts: []string{testHost},
		Routes: []Route{{Name: "all", Path: "/", Upstreams: upstreams}}}}
}

func upstream(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// echo answers with what it was sent.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	json.NewEncoder(w).Encode(map[string]any{"method": r.Method, "uri": r.RequestURI, "host": r.Host, "header": r.Header, "body": string(body)})
}

type echoed struct {
	Method, URI, Host, Body string
	Header                  http.Header
}

func readEcho(t testing.TB, body string) (e echoed) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatalf("no echo: %q", body)
	}
	return e
}

func named(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %s", name, r.Host, r.RequestURI, r.Header.Get(HeaderRequestID))
	})
}

// certificate makes an authority and a certificate for every test host.
var certificate = func() func(testing.TB) (tls.Certificate, *x509.CertPool) {
	make := sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour),
			NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"*.example.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
		if err != nil {
			panic(err)
		}
		leaf, _ := x509.ParseCertificate(der)
		pool := x509.NewCertPool()
		pool.AddCert(leaf)
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
	})
	return func(testing.TB) (tls.Certificate, *x509.CertPool) { return make() }
}()

func certificatePEM(t testing.TB) string {
	cert, _ := certificate(t)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}))
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// program finds a program that a test needs, or skips the test and says which
// Debian package holds it. With RINGFENCE_TEST_REQUIRE=all it fails instead.
func program(t testing.TB, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if requireAll() {
		t.Fatalf("%s is not installed: apt-get install %s", name, debian)
	}
	t.Skipf("%s is not installed: apt-get install %s", name, debian)
	return ""
}

func requireAll() bool { return os.Getenv("RINGFENCE_TEST_REQUIRE") == "all" }

// until waits until ok holds.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func mustAddr(t testing.TB, s string) netip.Addr {
	t.Helper()
	a, err := netip.ParseAddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
