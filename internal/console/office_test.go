package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/policy"
)

// officeGate is where the office's gate is.
const officeGate = "https://gate.test:8443"

// An office is a console over a larger directory and a log with entries, all in
// memory, on a clock that tests move.
type office struct {
	*Console
	t       testing.TB
	store   *authtest.Store
	dir     *officeDirectory
	entries *officeLog
	status  officeStatus
	changes *officeChanges
	reviews *memoryReviews
	studio  *officeStudio
	alarms  *memoryAlarms
	now     time.Time
	cookies map[string]string
	say     sampleText
}

// officeDirectory checks what is changed, as a real one does.
type officeDirectory struct {
	mu     sync.Mutex
	o      *office
	d      *directory.Directory
	actors []directory.Actor
	fail   error
}

func (m *officeDirectory) Snapshot() *directory.Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := directory.NewSnapshot(m.d.Clone(), []directory.Acceptance{{Account: "kim", Agreement: "nda", Version: 2, At: m.o.now}}, nil)
	if err != nil {
		panic(err)
	}
	return s
}

func (m *officeDirectory) Change(_ context.Context, actor directory.Actor, edit func(*directory.Directory) error) ([]directory.Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return nil, m.fail
	}
	want := m.d.Clone()
	if err := edit(want); err != nil {
		return nil, err
	}
	if err := want.Check(directory.Rules{GateHost: "gate.test", Have: m.d, Now: m.o.now}); err != nil {
		return nil, err
	}
	for i := range want.Accounts {
		a := &want.Accounts[i]
		if a.ID == "" {
			a.ID, a.Status, a.Created = "new-"+strings.Split(a.Email, "@")[0], policy.StatusInvited, m.o.now
		}
		vendor := find(want.Vendors, vendorNamed(a.Vendor))
		m.o.store.SetAccount(auth.Account{ID: a.ID, Email: a.Email, Name: a.Name, Vendor: a.Vendor, Roles: a.Roles, Ends: a.Ends, Disabled: a.Disabled,
			VendorSuspended: vendor != nil && vendor.Suspended})
	}
	changes := directory.Diff(m.d, want)
	m.d, m.actors = want, append(m.actors, actor)
	return changes, nil
}

func (m *officeDirectory) Accept(context.Context, directory.Actor, directory.Evidence) error {
	return errors.New("nobody accepts anything here")
}

// officeLog keeps entries in memory and selects them as a real log does.
type officeLog struct {
	mu      sync.Mutex
	now     func() time.Time
	entries []accesslog.Entry
	fail    error // of Record
	broken  error // of Query
	sick    error
	space   accesslog.Space
	missed  uint64
}

func (l *officeLog) Space() accesslog.Space {
	if l.space.Total == 0 {
		return accesslog.Space{Free: 60 << 30, Total: 100 << 30}
	}
	return l.space
}

func (l *officeLog) Stats() accesslog.Stats {
	return accesslog.Stats{LastCommit: 1200 * time.Microsecond, SlowestCommit: 40 * time.Millisecond, Missed: l.missed}
}

func (l *officeLog) add(r policy.Record, facts json.RawMessage) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := accesslog.Entry{Index: uint64(len(l.entries)), Node: "gw1", Record: r, FactsJSON: facts}
	if e.Time.IsZero() {
		e.Time = l.now()
	}
	raw, err := json.Marshal(e.Record)
	if err != nil {
		panic(err)
	}
	e.Payload = append(fmt.Appendf(nil, `{"index":%d,"node":"gw1",`, e.Index), raw[1:]...)
	l.entries = append(l.entries, e)
	return e.Index
}

func (l *officeLog) Query(ctx context.Context, f accesslog.Filter, yield func(*accesslog.Entry) bool) error {
	l.mu.Lock()
	entries := slices.Clone(l.entries)
	l.mu.Unlock()
	if l.broken != nil {
		return l.broken
	}
	if !f.Ascending {
		slices.Reverse(entries)
	}
	n := 0
	for _, e := range entries {
		if !f.Match(&e) {
			continue
		}
		if n++; !yield(&e) || n == f.Limit {
			return nil
		}
	}
	return ctx.Err()
}

func (l *officeLog) Record(_ context.Context, r *policy.Record) (uint64, error) {
	if l.fail != nil {
		return 0, l.fail
	}
	return l.add(*r, nil), nil
}

func (l *officeLog) Size() uint64 { l.mu.Lock(); defer l.mu.Unlock(); return uint64(len(l.entries)) }
func (l *officeLog) Checkpoint() []byte {
	return []byte("gw1.northwind.example\n1840\nqH1s2t3u4v5w6x7y8z9A0B1C2D3E4F5G6H7I8J9K0L=\n\n— gw1.northwind.example wXyZ0123abcd\n")
}
func (l *officeLog) Healthy() error { return l.sick }

// last returns the newest entry with an action.
func (l *officeLog) last(action string) *policy.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range slices.Backward(l.entries) {
		if e.Action == action {
			return &e.Record
		}
	}
	return nil
}

type officeStatus []ClusterStatus

func (s officeStatus) Clusters() []ClusterStatus { return s }
func (s officeStatus) OpenStreams() int          { return 3 }

// officeAccounts are one account for each role, by the word that is its id.
var officeAccounts = []string{"ada", "abe", "rae", "kim"}

// fillDirectory makes the office's directory; say words what people wrote.
func fillDirectory(say sampleText) *directory.Directory {
	now := sampleNow
	day := 24 * time.Hour
	owner := policy.Person{Name: say("Ines Okafor"), Email: "ines.okafor@northwind.example"}
	account := func(id, name, vendor string, roles ...policy.Role) directory.Account {
		a := directory.Account{ID: id, Email: id + "@example.com", Name: say(name), Vendor: vendor, Roles: roles, Status: policy.StatusActive, Created: now.Add(-40 * day), LastLogin: now.Add(-3 * time.Hour)}
		if vendor != "" {
			a.Ends = now.Add(90 * day).Truncate(day).Add(day - time.Second)
		}
		return a
	}
	d := &directory.Directory{
		Vendors: []directory.Vendor{
			{Name: "acme", Title: say("Acme Analytics"), Owner: owner, IdentityProvider: &directory.IdentityProvider{Issuer: "https://login.acme.example", ClientID: say("ringfence"),
				Domains: []string{"acme.example"}, TrustedAMR: []string{"mfa"}, Required: true, Sealed: []byte("canary of the sealed secret")}},
			{Name: "delta", Title: say("Delta Field Services"), Owner: policy.Person{Name: say("Tom Abara"), Email: "tom.abara@northwind.example"}},
			{Name: "orbit", Title: say("Orbit Contractors"), Owner: owner, Suspended: true, SuspendedReason: say("A laptop was stolen on 8 March; waiting for their report.")},
		},
		Agreements: []directory.Agreement{{Name: "nda", Title: say("Non-disclosure agreement"), Version: 2, Text: say(sampleAgreement)}},
		Clusters: []directory.Cluster{
			{Name: "claims", Title: say("Claims archive"), Classification: "confidential", Owner: owner, Hosts: []string{"claims.test"},
				Routes: []directory.Route{{Name: "web", Path: "/", Upstreams: []string{"http://10.20.0.5:8080", "http://10.20.0.6:8080"}, HealthPath: "/healthz"},
					{Name: "api", Path: "/api", Upstreams: []string{"https://claims-api.internal:8443"}, Timeout: 90 * time.Second, PreserveHost: true}}},
			{Name: "maps", Title: say("Flood maps"), Classification: "internal", Owner: owner, Hosts: []string{"maps.test"},
				Routes: []directory.Route{{Name: "web", Path: "/", Upstreams: []string{"http://10.20.1.9:80"}}}},
			{Name: "payroll", Title: say("Payroll test copy"), Classification: "restricted", Owner: owner, Hosts: []string{"payroll.test"},
				Routes: []directory.Route{{Name: "web", Path: "/", Upstreams: []string{"http://10.20.2.9:80"}}}},
		},
		Engagements: []directory.Engagement{
			{Name: "migration", Vendor: "acme", Title: say("Claims migration 2026"), Starts: now.Add(-60 * day), Ends: now.Add(12 * day), Clusters: []string{"claims"}, Agreements: []string{"nda"}},
			{Name: "support", Vendor: "acme", Title: say("Map support"), Starts: now.Add(-200 * day), Ends: now.Add(120 * day), Clusters: []string{"maps", "claims"}},
			{Name: "pilot", Vendor: "delta", Title: say("Pilot 2025"), Starts: now.Add(-300 * day), Ends: now.Add(-20 * day), Clusters: []string{"maps"}},
			{Name: "audit", Vendor: "orbit", Title: say("Payroll audit"), Starts: now.Add(-10 * day), Ends: now.Add(80 * day), Clusters: []string{"payroll"}, Agreements: []string{"nda"}},
		},
		Accounts: []directory.Account{account("ada", "Ada Brandt", "", policy.Administrator), account("bea", "Bea Lindqvist", "", policy.Administrator, policy.Reviewer),
			account("abe", "Abe Novak", "", policy.Approver), account("rae", "Rae Castillo", "", policy.Reviewer),
			account("kim", "Kim Larsen", "acme", policy.Contractor), account("lee", "Lee Moreau", "acme", policy.Contractor), account("oma", "Oma Petrov", "orbit", policy.Contractor),
			account("dan", "Dan Uzun", "delta", policy.Contractor), account("ivy", "Ivy Chen", "acme", policy.Contractor)},
		Assignments: []directory.Assignment{
			{Account: "kim@example.com", Cluster: "claims", Engagement: "migration", Starts: now.Add(-50 * day), Ends: now.Add(12 * day), Access: policy.AccessRead,
				Paths: []string{"/reports", "/api/v2"}, Reason: say("Moving the 2019 to 2022 claims into the new archive."), GivenBy: "ada@example.com"},
			{Account: "kim@example.com", Cluster: "maps", Engagement: "support", Starts: now.Add(-150 * day), Ends: now.Add(-20 * day), Access: policy.AccessWrite, Reason: say("Coastal tiles.")},
			{Account: "lee@example.com", Cluster: "maps", Engagement: "support", Starts: now.Add(-150 * day), Ends: now.Add(60 * day), Access: policy.AccessWrite, Methods: []string{"GET", "POST"}, Reason: say("Rebuilding the tiles.")},
			{Account: "oma@example.com", Cluster: "payroll", Engagement: "audit", Starts: now.Add(-5 * day), Ends: now.Add(60 * day), Access: policy.AccessRead, Reason: say("Audit.")},
		},
	}
	d.Accounts[7].Disabled = true
	d.Accounts[8].Status, d.Accounts[8].LastLogin, d.Accounts[8].Created = policy.StatusInvited, time.Time{}, now.Add(-2*day)
	for i := range 60 {
		d.Accounts = append(d.Accounts, account(fmt.Sprintf("worker%02d", i), fmt.Sprintf("Worker %02d", i), "delta", policy.Contractor))
	}
	return d
}

// fillLog writes a day of entries; say words what clients sent.
func fillLog(o *office) {
	facts := o.dir.Snapshot().Facts("kim", "claims", netip.MustParseAddr("198.51.100.24"))
	o.entries.add(policy.Record{Type: policy.RecordLog, Time: sampleNow.Add(-26 * time.Hour), Action: accesslog.ActionFacts, Facts: facts.Hash()}, facts.JSON())
	kinds := []struct {
		method, path, effect, cluster string
		status                        int
		reasons                       []string
	}{
		{"GET", "/reports/2025/q4", "allow", "claims", 200, nil},
		{"GET", "/api/v2/claims/88213", "allow", "claims", 200, nil},
		{"POST", "/api/v2/claims/88213", "deny", "claims", 403, []string{policy.ReasonMethodOutOfScope}},
		{"GET", "/admin", "deny", "claims", 403, []string{policy.ReasonPathOutOfScope, "office_hours"}},
		{"GET", "/reports/", "challenge", "claims", 401, []string{policy.ReasonCodeStale}},
		{"GET", "/tiles/8/132/85.png", "allow", "maps", 502, nil},
	}
	for i := range 48 {
		k := kinds[i%len(kinds)]
		at := sampleNow.Add(-24*time.Hour + time.Duration(i+1)*30*time.Minute - time.Minute)
		r := policy.Record{Type: policy.RecordRequest, Time: at, RequestID: fmt.Sprintf("req%04d", i), Account: "kim", Email: "kim@example.com", Vendor: "acme", Engagement: "migration",
			Session: "ses_kim", Credential: policy.CredentialSession, Factors: map[string]int64{"password": 640, "totp": 600}, CodeAge: policy.Int64(600),
			Cluster: k.cluster, Classification: "confidential", Route: "web", Protocol: "http", Method: k.method, Host: k.cluster + ".test", Path: o.say(k.path), QueryNames: []string{o.say("page")},
			SourceIP: "198.51.100.24", UserAgent: o.say("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:141.0) Gecko/20100101 Firefox/141.0"), Effect: k.effect, Reasons: k.reasons,
			Obligations: &policy.Obligations{MaxResponseBytes: 1 << 20, Mask: []string{o.say("iban")}, MaxCodeAge: 3600}, Revision: "0123456789abcdef0123456789abcdef", Facts: facts.Hash()}
		if k.effect != "allow" {
			r.Status = k.status
		}
		o.entries.add(r, nil)
		if k.effect == "allow" && i != 43 {
			o.entries.add(policy.Record{Type: policy.RecordOutcome, Time: at.Add(40 * time.Millisecond), RequestID: r.RequestID, Account: r.Account, Email: r.Email, Vendor: r.Vendor, Cluster: r.Cluster,
				Method: r.Method, Path: r.Path, Status: k.status, BytesIn: policy.Int64(0), BytesOut: policy.Int64(48213), FirstByte: policy.Int64(31), Duration: policy.Int64(38), Upstream: "http://10.20.0.5:8080"}, nil)
		}
	}
	o.entries.add(policy.Record{Type: policy.RecordLogin, Time: sampleNow.Add(-40 * time.Minute), Action: "login.code", Result: "bad_credentials", Account: "kim", Email: "kim@example.com", SourceIP: "203.0.113.9", UserAgent: o.say("curl/8.11.1")}, nil)
	o.entries.add(policy.Record{Type: policy.RecordAdmin, Time: sampleNow.Add(-30 * time.Minute), Action: "assignment.create", Result: "ok", Actor: "ada", Email: "ada@example.com", Object: "assignment:kim@example.com/claims",
		Detail: map[string]string{"reason": o.say("Moving claims"), "access": "read"}}, nil)
}

// newOffice makes an office in which every role's account can sign in.
func newOffice(t testing.TB, say sampleText) *office {
	t.Helper()
	o := &office{t: t, store: authtest.New(), now: sampleNow, cookies: map[string]string{}, say: say}
	o.dir = &officeDirectory{o: o, d: fillDirectory(say)}
	clock := func() time.Time { return o.now }
	o.entries = &officeLog{now: clock}
	o.status = officeStatus{{Name: "claims", Upstream: "http://10.20.0.5:8080", Healthy: true, Since: sampleNow.Add(-50 * time.Hour)},
		{Name: "claims", Upstream: "http://10.20.0.6:8080", Since: sampleNow.Add(-20 * time.Minute), Error: say("dial tcp 10.20.0.6:8080: connection refused")},
		{Name: "claims", Upstream: "https://claims-api.internal:8443", Healthy: true, Since: sampleNow.Add(-50 * time.Hour)},
		{Name: "maps", Upstream: "http://10.20.1.9:80", Healthy: true, Since: sampleNow.Add(-time.Hour)}}
	for _, a := range o.dir.d.Accounts {
		o.store.SetAccount(auth.Account{ID: a.ID, Email: a.Email, Name: a.Name, Vendor: a.Vendor, Roles: a.Roles, Ends: a.Ends, Disabled: a.Disabled, VendorSuspended: a.Vendor == "orbit"})
	}
	o.alarms = newMemoryAlarms(sampleNow, say)
	o.changes, o.studio = newOfficeChanges(o), &officeStudio{Runner: studio.New(studio.Config{})}
	o.reviews = &memoryReviews{log: o.entries, now: clock}
	s, err := auth.New(auth.Config{Store: o.store,
		Recorder: new(authtest.Recorder), RootKey: bytes.Repeat([]byte{7}, 32), Issuer: officeGate, HashCost: auth.HashCost{Memory: 64, Passes: 1}, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	o.Console, err = New(Config{Auth: s, Directory: o.dir, Agreements: &memoryAgreements{snapshot: o.dir.Snapshot}, Log: o.entries, Search: scanEngine{o.entries}, Reviews: o.reviews, Policies: officeRevision{}, Changes: o.changes, Studio: o.studio, Sets: officeSets{}, Alarms: o.alarms, Deliver: newMemoryDeliveries(say), Shared: memoryShared{}, Status: o.status, UI: markedRenderer(t, o.data), GateURL: officeGate,
		Organisation: say("Northwind Mutual"), ClientIP: func(*http.Request) netip.Addr { return netip.MustParseAddr("198.51.100.24") }, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	o.Console.Search = logEngine{o.entries, clock}
	fillLog(o)
	for _, id := range officeAccounts {
		o.signIn(id)
	}
	return o
}

// data returns the strings that a page may show as they are.
func (o *office) data() []string {
	o.dir.mu.Lock()
	defer o.dir.mu.Unlock()
	o.entries.mu.Lock()
	defer o.entries.mu.Unlock()
	return dataOf(o.dir.d, o.entries.entries, append(deliveryWords(o.say), o.say("Northwind Mutual"), o.say("Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"), o.say("dial tcp 10.20.0.6:8080: connection refused"), o.say("A release at night."), o.say("Duty desk"), "the receiver answers 500")...)
}

type officeRevision struct{}

func (officeRevision) Revision() string { return "0123456789abcdef0123456789abcdef" }

// signIn starts a session of an account with a fresh code.
func (o *office) signIn(id string) {
	o.t.Helper()
	ctx, origin := context.Background(), auth.Origin{IP: netip.MustParseAddr("198.51.100.24"), UserAgent: o.say("Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"), Host: "gate.test"}
	const phrase = "lantern orchard pebble quiet"
	_, recovery, err := o.Auth.Provision(ctx, auth.Actor{Account: auth.Operator}, id, phrase, o.now)
	if err != nil {
		o.t.Fatal(err)
	}
	flow, err := o.Auth.Login(ctx, origin, id+"@example.com", phrase)
	if err != nil {
		o.t.Fatal(err)
	}
	cookie, _, err := o.Auth.LoginCode(ctx, origin, flow, recovery[0])
	if err != nil {
		o.t.Fatal(err)
	}
	o.cookies[id] = cookie
}

// do sends a request as an account; "" is nobody.
func (o *office) do(as, method, target string, body string, headers ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	o.serve(w, as, method, target, body, headers...)
	return w
}

func (o *office) serve(w http.ResponseWriter, as, method, target string, body string, headers ...string) {
	r := httptest.NewRequest(method, officeGate+target, strings.NewReader(body))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Accept", "text/html")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if c := o.cookies[as]; c != "" {
		r.AddCookie(&http.Cookie{Name: auth.SessionCookie, Value: c})
	}
	o.Gate().ServeHTTP(w, r)
}

func (o *office) get(as, target string) *httptest.ResponseRecorder {
	return o.do(as, "GET", target, "")
}

func (o *office) post(as, target string, fields url.Values) *httptest.ResponseRecorder {
	return o.do(as, "POST", target, fields.Encode(), "Sec-Fetch-Site", "same-origin")
}

// shows fails the test unless the answer has the status and the texts.
func shows(t testing.TB, w *httptest.ResponseRecorder, status int, texts ...string) {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, want %d:\n%s", w.Code, status, w.Body)
	}
	for _, s := range texts {
		if !strings.Contains(w.Body.String(), s) {
			t.Errorf("the page lacks %q:\n%s", s, w.Body)
		}
	}
}

// leadsTo fails the test unless the answer is a redirect there.
func leadsTo(t testing.TB, w *httptest.ResponseRecorder, to string) {
	t.Helper()
	if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != to {
		t.Fatalf("status %d to %q, want %q:\n%s", w.Code, got, to, w.Body)
	}
}
