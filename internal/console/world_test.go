package console

import (
	"bytes"
	"context"
	"encoding/base32"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/auth/totp"
	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/change/changetest"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

const (
	gateURL   = "https://gate.test:8443"
	claimsURL = "https://claims.test:8443"
	mapsURL   = "https://maps.test:8443"
	password  = "lantern orchard pebble quiet"
)

// A world is a gate with its clusters, all in memory, on a clock that tests move.
type world struct {
	*Console
	t        *testing.T
	store    *authtest.Store
	recorder *authtest.Recorder
	dir      *memoryDirectory

	mu      sync.Mutex
	now     time.Time
	uris    map[string]string // otpauth URI by account id
	refusal func(host string, r *http.Request, s policy.Subject) *policy.Refusal
	company *authtest.IDP // a vendor's provider, which browsers reach as well; may be nil
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// memoryDirectory is a directory that is changed at once.
type memoryDirectory struct {
	mu       sync.Mutex
	d        *directory.Directory
	accepted []directory.Acceptance
	evidence []directory.Evidence
	fail     error
}

func (m *memoryDirectory) Snapshot() *directory.Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := directory.NewSnapshot(m.d.Clone(), slices.Clone(m.accepted), nil)
	if err != nil {
		panic(err)
	}
	return s
}

func (m *memoryDirectory) Change(_ context.Context, _ directory.Actor, edit func(*directory.Directory) error) ([]directory.Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	want := m.d.Clone()
	if err := errors.Join(m.fail, edit(want)); err != nil {
		return nil, err
	}
	changes := directory.Diff(m.d, want)
	m.d = want
	return changes, nil
}

func (m *memoryDirectory) Accept(_ context.Context, _ directory.Actor, a directory.Evidence) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.accepted, m.evidence = append(m.accepted, a.Acceptance), append(m.evidence, a)
	return nil
}

// emptyLog is an access log without entries.
type emptyLog struct{}

func (emptyLog) Query(context.Context, accesslog.Filter, func(*accesslog.Entry) bool) error {
	return nil
}
func (emptyLog) Record(context.Context, *policy.Record) (uint64, error) { return 0, nil }
func (emptyLog) Size() uint64                                           { return 0 }
func (emptyLog) Checkpoint() []byte                                     { return nil }
func (emptyLog) Healthy() error                                         { return nil }

type oneRevision struct{}

func (oneRevision) Revision() string { return "0123456789abcdef0123456789abcdef" }

type allHealthy struct{}

func (allHealthy) Clusters() []ClusterStatus { return nil }
func (allHealthy) OpenStreams() int          { return 0 }

// sampleDirectory has one vendor with two contractors, two clusters, and one
// account for each other role.
func sampleDirectory() *directory.Directory {
	starts, ends := sampleNow.Add(-30*24*time.Hour), sampleNow.Add(60*24*time.Hour)
	account := func(id, name, vendor string, roles ...policy.Role) directory.Account {
		a := directory.Account{ID: id, Email: id + "@example.com", Name: name, Vendor: vendor, Roles: roles, Status: policy.StatusActive, Created: starts}
		if vendor != "" {
			a.Ends = ends
		}
		return a
	}
	route := []directory.Route{{Name: "web", Path: "/", Upstreams: []string{"http://127.0.0.1:9"}}}
	return &directory.Directory{
		Vendors:    []directory.Vendor{{Name: "acme", Title: "Acme Analytics", Owner: policy.Person{Name: "Ines Okafor", Email: "ines@example.com"}}},
		Agreements: []directory.Agreement{{Name: "nda", Title: "Non-disclosure agreement", Version: 2, Text: sampleAgreement}},
		Engagements: []directory.Engagement{{Name: "migration", Vendor: "acme", Title: "Claims migration", Starts: starts, Ends: ends,
			Clusters: []string{"claims", "maps"}, Agreements: []string{"nda"}}},
		Clusters: []directory.Cluster{
			{Name: "claims", Title: "Claims archive", Classification: "confidential", Owner: policy.Person{Name: "Tom Abara", Email: "tom@example.com"}, Hosts: []string{"claims.test"}, Routes: route},
			{Name: "maps", Title: "Flood maps", Classification: "internal", Owner: policy.Person{Name: "Tom Abara", Email: "tom@example.com"}, Hosts: []string{"maps.test"}, Routes: route},
		},
		Accounts: []directory.Account{account("kim", "Kim Larsen", "acme", policy.Contractor), account("lee", "Lee Moreau", "acme", policy.Contractor),
			account("ada", "Ada Brandt", "", policy.Administrator), account("abe", "Abe Novak", "", policy.Approver), account("rae", "Rae Castillo", "", policy.Reviewer)},
		Assignments: []directory.Assignment{{Account: "kim@example.com", Cluster: "claims", Engagement: "migration", Starts: starts, Ends: ends,
			Access: policy.AccessRead, Paths: []string{"/reports"}, Reason: "Migrating old claims", GivenBy: directory.Operator}},
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: sampleNow, store: authtest.New(), recorder: new(authtest.Recorder), dir: &memoryDirectory{d: sampleDirectory()}, uris: map[string]string{}}
	w.dir.accepted = []directory.Acceptance{{Account: "kim", Agreement: "nda", Version: 2, At: sampleNow, TypedName: "Kim Larsen"}}
	for _, a := range w.dir.d.Accounts {
		w.store.SetAccount(auth.Account{ID: a.ID, Email: a.Email, Name: a.Name, Vendor: a.Vendor, Roles: a.Roles, Ends: a.Ends})
	}
	s, err := auth.New(auth.Config{Store: w.store,
		Recorder: w.recorder, RootKey: bytes.Repeat([]byte{7}, 32), Issuer: gateURL, HashCost: auth.HashCost{Memory: 64, Passes: 1}, Now: w.clock,
		ProviderNetworks:  authtest.Loopback(),
		PhishingResistant: func(id string) bool { return w.dir.Snapshot().PhishingResistant(id, w.clock()) },
		KnownHost:         func(h string) bool { return h == "claims.test" || h == "maps.test" }})
	if err != nil {
		t.Fatal(err)
	}
	w.Console, err = New(Config{Auth: s, Directory: w.dir, Agreements: &memoryAgreements{snapshot: w.dir.Snapshot}, Log: emptyLog{}, Search: scanEngine{emptyLog{}}, Reviews: &memoryReviews{log: emptyLog{}, now: w.clock}, Policies: oneRevision{}, Changes: changetest.New(w.dir.d.Accounts, nil), Studio: runner, Shadows: &memoryShadows{}, Alarms: newMemoryAlarms(sampleNow, plainText), Status: allHealthy{}, UI: markedRenderer(t, w.data), GateURL: gateURL,
		Organisation: "Northwind Mutual", ClientIP: func(*http.Request) netip.Addr { return netip.MustParseAddr("198.51.100.24") },
		CAPEM: []byte("-----BEGIN CERTIFICATE-----\n"), Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	w.Console.Search = logEngine{emptyLog{}, w.clock}
	return w
}

// data returns the strings that a page may show as they are.
func (w *world) data() []string {
	w.dir.mu.Lock()
	defer w.dir.mu.Unlock()
	return dataOf(w.dir.d, nil, "Northwind Mutual", "request-1", "gate.test:8443", "import <1>", "A release at night.", "Duty desk", "the receiver answers 500")
}

// enrolled gives the accounts a password and a factor.
func (w *world) enrolled(ids ...string) *world {
	w.t.Helper()
	for _, id := range ids {
		uri, _, err := w.Auth.Provision(context.Background(), auth.Actor{Account: auth.Operator}, id, password, w.clock())
		if err != nil {
			w.t.Fatal(err)
		}
		w.uris[id] = uri
	}
	return w
}

// code returns the account's code of the moment.
func (w *world) code(id string) string {
	w.t.Helper()
	u, err := url.Parse(w.uris[id])
	if err != nil {
		w.t.Fatal(err)
	}
	return codeAt(w.t, u.Query().Get("secret"), w.clock())
}

func codeAt(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	code, err := totp.Code(raw, totp.Step(at))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// ServeHTTP does what the proxy does: the gate's host is the gate's, and on a
// cluster's host everybody who is known gets through unless w.refusal objects.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	host := canonicalHost(r)
	switch {
	case host == "gate.test":
		w.Gate().ServeHTTP(rw, r)
	case strings.HasPrefix(r.URL.Path, reservedPrefix+"/"):
		w.Reserved().ServeHTTP(rw, r)
	default:
		s, err := w.Auth.Identify(r, host)
		if err != nil {
			http.Error(rw, err.Error(), http.StatusServiceUnavailable)
			return
		}
		if w.refusal != nil {
			if f := w.refusal(host, r, s); f != nil {
				w.Refuse(rw, r, *f)
				return
			}
		}
		if s.IsAnonymous() {
			w.Refuse(rw, r, refusalOf(http.StatusUnauthorized, policy.Challenge, policy.ReasonSignIn, "Sign in first."))
			return
		}
		io.WriteString(rw, "upstream "+host+" "+r.URL.RequestURI()+" for "+s.Email)
	}
}

// refusalOf is a refusal of the claims cluster.
func refusalOf(status int, e policy.Effect, code, message string) policy.Refusal {
	return policy.Refusal{Status: status, RequestID: "request-1", Cluster: "claims", Title: "Claims archive", Owner: policy.Person{Name: "Tom Abara", Email: "tom@example.com"},
		Decision: policy.Decision{Effect: e, Reasons: []policy.Reason{{Code: code, Message: message}}}}
}

// A browser is a plain client that keeps cookies, follows redirects and posts
// the forms that it is shown. It runs no script.
type browser struct {
	*http.Client
	w       *world
	headers http.Header
	page    *html.Node
	body    string
	status  int
	at      *url.URL
	trail   []string // every address of the last visit
	last    *http.Response
}

// RoundTrip serves the request in memory.
func (b *browser) RoundTrip(r *http.Request) (*http.Response, error) {
	in := httptest.NewRequest(r.Method, r.URL.RequestURI(), r.Body)
	in.Host, in.Header, in.ContentLength = r.URL.Host, r.Header.Clone(), r.ContentLength
	for k, v := range b.headers {
		in.Header[k] = v
	}
	rec := httptest.NewRecorder()
	if p := b.w.company; p != nil && "https://"+r.URL.Host == p.URL {
		p.ServeHTTP(rec, in)
	} else {
		b.w.ServeHTTP(rec, in)
	}
	b.trail = append(b.trail, r.URL.String())
	res := rec.Result()
	res.Request = r
	return res, nil
}

func (w *world) browser() *browser {
	jar, _ := cookiejar.New(nil)
	b := &browser{w: w, headers: http.Header{"Accept": {"text/html,application/xhtml+xml"}}}
	b.Client = &http.Client{Jar: jar, Transport: b}
	return b
}

func (b *browser) take(res *http.Response, err error) *browser {
	b.w.t.Helper()
	if err != nil {
		b.w.t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	b.last, b.status, b.body, b.at = res, res.StatusCode, string(body), res.Request.URL
	b.page, err = html.Parse(bytes.NewReader(body))
	if err != nil {
		b.w.t.Fatal(err)
	}
	return b
}

func (b *browser) visit(url string) *browser {
	b.w.t.Helper()
	b.trail = nil
	return b.take(b.Client.Get(b.absolute(url)))
}

func (b *browser) absolute(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		b.w.t.Fatal(err)
	}
	base, _ := url.Parse(gateURL)
	if b.at != nil {
		base = b.at
	}
	return base.ResolveReference(u).String()
}

// submit fills the first form of the page that has every named field, and posts it.
func (b *browser) submit(fields map[string]string) *browser {
	b.w.t.Helper()
	for form := range elements(b.page, "form") {
		values := url.Values{}
		for in := range elements(form, "input") {
			if name := attr(in, "name"); name != "" && attr(in, "type") != "checkbox" {
				values.Set(name, attr(in, "value"))
			}
		}
		names := map[string]bool{}
		for _, kind := range []string{"input", "select", "textarea"} {
			for in := range elements(form, kind) {
				names[attr(in, "name")] = true
			}
		}
		fits := true
		for k, v := range fields {
			fits = fits && names[k]
			values.Set(k, v)
		}
		if fits && strings.EqualFold(attr(form, "method"), "post") {
			b.trail = nil
			return b.take(b.Client.PostForm(b.absolute(attr(form, "action")), values))
		}
	}
	b.w.t.Fatalf("no form with %v at %s:\n%s", fields, b.at, b.body)
	return b
}

// press posts the form whose button says label, as it stands.
func (b *browser) press(label string) *browser {
	b.w.t.Helper()
	for form := range elements(b.page, "form") {
		for button := range elements(form, "button") {
			if strings.Contains(textOf(button), label) {
				values := url.Values{}
				for in := range elements(form, "input") {
					if name := attr(in, "name"); name != "" {
						values.Set(name, attr(in, "value"))
					}
				}
				b.trail = nil
				return b.take(b.Client.PostForm(b.absolute(attr(form, "action")), values))
			}
		}
	}
	b.w.t.Fatalf("no button %q at %s:\n%s", label, b.at, b.text())
	return b
}

// signIn goes through both forms.
func (b *browser) signIn(id string) *browser {
	b.w.t.Helper()
	b.visit(gateURL + "/login")
	b.submit(map[string]string{"email": id + "@example.com", "password": password})
	return b.submit(map[string]string{"code": b.w.code(id)})
}

// has fails the test unless the page has the status and the texts.
func (b *browser) has(status int, texts ...string) *browser {
	b.w.t.Helper()
	if b.status != status {
		b.w.t.Fatalf("%s: status %d, want %d:\n%s", b.at, b.status, status, b.text())
	}
	for _, s := range texts {
		if !strings.Contains(b.text(), s) {
			b.w.t.Fatalf("%s lacks %q:\n%s", b.at, s, b.text())
		}
	}
	return b
}

func (b *browser) lacks(texts ...string) *browser {
	b.w.t.Helper()
	for _, s := range texts {
		if strings.Contains(b.body, s) {
			b.w.t.Fatalf("%s shows %q:\n%s", b.at, s, b.text())
		}
	}
	return b
}

// text returns what a person reads.
func (b *browser) text() string { return strings.Join(strings.Fields(textOf(b.page)), " ") }

func textOf(n *html.Node) string {
	if n.Type == html.TextNode {
		return n.Data
	}
	var s strings.Builder
	for c := range n.ChildNodes() {
		s.WriteString(textOf(c))
	}
	if n.Type == html.ElementNode && !slices.Contains([]string{"span", "strong", "a", "code", "time"}, n.Data) {
		s.WriteString(" ")
	}
	return s.String()
}

// elements yields every element of the kind below n, "" for all kinds.
func elements(n *html.Node, kind string) func(func(*html.Node) bool) {
	return func(yield func(*html.Node) bool) {
		for d := range n.Descendants() {
			if d.Type == html.ElementNode && (kind == "" || d.Data == kind) && !yield(d) {
				return
			}
		}
	}
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}
