package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/store"
	"github.com/ringfence/ringfence/policy"
)

const noEvents = `package ringfence.all

import rego.v2

deny contains {"code": "no_events", "message": "No events today.", "help": "Ask the owner."} if input.request.path[0] == "events"
`

// changeWorld is a gateway in this process whose drafts are tried in children.
type changeWorld struct {
	*warmPath
	changes  consoleChanges
	ada, ben directory.Actor // administrator and approver
}

func newChangeWorld(t *testing.T) *changeWorld {
	t.Helper()
	t.Setenv(asRingfence, "1") // children are this binary
	p := newWarmPath(t)
	w := &changeWorld{warmPath: p, changes: consoleChanges{p.gateway.changes, p.gateway}}
	w.ada, w.ben = w.actor(t, "ada@harbour.example"), w.actor(t, "ben@harbour.example")
	return w
}

func (w *changeWorld) actor(t *testing.T, email string) directory.Actor {
	t.Helper()
	a, ok := w.gateway.snapshot.Load().AccountByEmail(email)
	if !ok {
		t.Fatalf("no account %s", email)
	}
	return directory.Actor{Account: a.ID, Email: email, RequestID: "req-1", IP: "127.0.0.1"}
}

// submitted is a draft of ada's that waits for a second person.
func (w *changeWorld) submitted(t *testing.T, name, text string) change.Draft {
	t.Helper()
	d, err := w.changes.Begin(t.Context(), w.ada, "No events", "The feed is closed.")
	if err == nil {
		d, err = w.changes.Save(t.Context(), w.ada, d.ID, d.Version, change.Edit{Write: map[string]string{name: text}})
	}
	if err == nil {
		d, err = w.changes.Submit(t.Context(), w.ada, d.ID, d.Version)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// stream opens an endless response of the claims cluster and returns when it ended.
func (w *changeWorld) stream(t *testing.T) <-chan time.Time {
	t.Helper()
	endless := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(rw, "data: begun\n\n")
		rw.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(endless.Close)
	if _, err := (consoleDirectory{w.gateway}).Change(t.Context(), operator, func(d *directory.Directory) error {
		for i := range d.Clusters {
			if d.Clusters[i].Name == "claims" {
				d.Clusters[i].Routes[0].Upstreams = []string{endless.URL}
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewTLSServer(w.gateway.proxy)
	t.Cleanup(front.Close)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, front.Listener.Addr().String())
	}}}
	t.Cleanup(client.CloseIdleConnections)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://claims.localhost/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.AddCookie(&http.Cookie{Name: auth.SessionCookie, Value: w.cookie})
	res, err := client.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("opening a stream: %v, %v", res, err)
	}
	lines := bufio.NewScanner(res.Body)
	if !lines.Scan() {
		t.Fatal("the stream says nothing")
	}
	ended := make(chan time.Time, 1)
	go func() {
		defer res.Body.Close()
		for lines.Scan() {
		}
		ended <- time.Now()
	}()
	return ended
}

// TestChange_ApprovedPolicyCutsStreams: what a second person approves is in
// force when their click returns, and open streams that it denies end.
func TestChange_ApprovedPolicyCutsStreams(t *testing.T) {
	w := newChangeWorld(t)
	ended := w.stream(t)
	d := w.submitted(t, "all/events.rego", noEvents)
	if _, err := w.changes.Approve(t.Context(), w.ada, d.ID, d.Seal()); err == nil {
		t.Fatal("the author approved")
	}
	select {
	case <-ended:
		t.Fatal("a draft cut a stream")
	default:
	}
	before := w.gateway.engine.Revision()
	r, err := w.changes.Approve(t.Context(), w.ben, d.ID, d.Seal())
	if err != nil {
		t.Fatal(err)
	}
	published := time.Now()
	if w.gateway.engine.Revision() == before {
		t.Error("what was approved is not in force")
	}
	select {
	case at := <-ended:
		if took := at.Sub(published); took > time.Second {
			t.Errorf("the stream ended %v later", took)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the stream goes on")
	}
	if o := w.changes.Origin(); o.Kind != "console" || o.Fault != "" || o.At.IsZero() || o.ReadOnly() {
		t.Errorf("origin %+v", o)
	}
	if r.Figures.Tests == 0 || r.Approver.Email != w.ben.Email || r.Fault != "" {
		t.Errorf("revision %+v", r)
	}
}

// TestChange_HostileDraft: a draft that would take the machine down is refused,
// and the gateway goes on.
func TestChange_HostileDraft(t *testing.T) {
	slow(t)
	w := newChangeWorld(t)
	d, err := w.changes.Begin(t.Context(), w.ada, "Loop", "To see.")
	if err != nil {
		t.Fatal(err)
	}
	d, err = w.changes.Save(t.Context(), w.ada, d.ID, d.Version, change.Edit{Write: map[string]string{"all/loop.rego": `package ringfence.all

import rego.v2

deny contains {"code": "x", "message": "Not now.", "help": "Ask."} if count([1 | some a in numbers.range(1, 100000); some b in numbers.range(1, 100000); a == b]) == 0
`}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.changes.Submit(t.Context(), w.ada, d.ID, d.Version)
	if _, ok := errors.AsType[*change.FaultError](err); !ok {
		t.Fatalf("submitted what never ends: %v", err)
	}
	serveOnce(t, w.gateway.proxy, w.request())
}

// TestChange_TamperedStore: what is changed in the file itself is not put in
// force, neither in a running gateway nor at a start, and is said.
func TestChange_TamperedStore(t *testing.T) {
	slow(t)
	w := newChangeWorld(t)
	g := w.gateway
	d := w.submitted(t, "all/events.rego", noEvents)
	if _, err := w.changes.Approve(t.Context(), w.ben, d.ID, d.Seal()); err != nil {
		t.Fatal(err)
	}
	d = w.submitted(t, "all/events.rego", strings.ReplaceAll(noEvents, "today", "tomorrow"))
	if _, err := w.changes.Approve(t.Context(), w.ben, d.ID, d.Seal()); err != nil {
		t.Fatal(err)
	}
	good := g.engine.Revision()
	db, err := sql.Open("sqlite", paths{g.cfg.Load().Data}.db())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{`DROP TRIGGER policy_module_fixed`, `UPDATE policy_module SET source = replace(source, '"events"', '"nothing"') WHERE revision = 2`} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	g.verifyPolicies(t.Context()) // as it does every few seconds
	if _, body := g.readiness(); !strings.Contains(fmt.Sprint(body["policies"]), "not what was signed") {
		t.Errorf("readiness says %v", body)
	}
	if err := g.refresh(t.Context(), map[string]bool{store.KindPolicy: true}); !errors.Is(err, change.ErrTampered) {
		t.Errorf("refreshing: %v", err)
	}
	if g.engine.Revision() != good {
		t.Error("what was tampered with is in force")
	}
	if _, err := policySource(t.Context(), g.cfg.Load(), g.db); !errors.Is(err, change.ErrTampered) || !strings.Contains(hint(err), "policy rollback") {
		t.Errorf("a start would take %v", err)
	}
	if _, err := w.changes.RollBackAlone(t.Context(), w.ada, 1, "The store was changed."); err != nil {
		t.Fatal(err)
	}
	if _, body := g.readiness(); body["policies"] != nil {
		t.Errorf("mended, readiness says %v", body)
	}
}

// TestChange_Alone: one person's roll back is in force at once, and everybody
// who could have been the second hears of it, as do the vendors' owners.
func TestChange_Alone(t *testing.T) {
	slow(t)
	w := newChangeWorld(t)
	g := w.gateway
	for _, text := range []string{noEvents, strings.ReplaceAll(noEvents, "today", "tomorrow")} {
		d := w.submitted(t, "all/events.rego", text)
		if _, err := w.changes.Approve(t.Context(), w.ben, d.ID, d.Seal()); err != nil {
			t.Fatal(err)
		}
	}
	before := g.engine.Revision()
	r, err := w.changes.RollBackAlone(t.Context(), w.ben, 1, "Nobody gets through.")
	if err != nil || !r.Alone || r.BackTo != 1 || g.engine.Revision() == before {
		t.Fatalf("rolling back: %+v, %v", r, err)
	}
	for _, a := range []directory.Actor{w.ada, w.ben} {
		list, err := g.auth.Notices(t.Context(), a.Account)
		if err != nil || len(list) == 0 || list[0].Kind != auth.NoticePolicyBackAlone || list[0].Detail["by"] != w.ben.Email || list[0].Detail["reason"] != "Nobody gets through." {
			t.Errorf("%s is told %+v, %v", a.Email, list, err)
		}
	}
	list, err := g.auth.OpenWarnings(t.Context())
	if err != nil || len(list) != len(g.snapshot.Load().Directory().Vendors) || list[0].Kind != auth.NoticePolicyBackAlone || list[0].Account != w.ben.Account {
		t.Errorf("warnings %+v, %v", list, err)
	}
	if _, err := w.changes.RollBackAlone(t.Context(), operator, 2, "By the operator."); err != nil { // who has no account
		t.Error(err)
	}
}

// TestChange_ResetApprover: an approver whose sign-in an author has reset is no
// second person; the act itself is what is noted.
func TestChange_ResetApprover(t *testing.T) {
	slow(t)
	w := newChangeWorld(t)
	d := w.submitted(t, "all/events.rego", noEvents)
	if err := w.changes.Second(t.Context(), w.ben, d.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.gateway.auth.ResetFactor(t.Context(), auth.Actor{Account: w.ada.Account, Email: w.ada.Email}, w.ben.Account); err != nil {
		t.Fatal(err)
	}
	_, err := w.changes.Approve(t.Context(), w.ben, d.ID, d.Seal())
	if s, ok := errors.AsType[*change.SecondError](err); !ok || s.Code != change.SecondAcquainted || s.By.Email != w.ada.Email {
		t.Errorf("approved: %v", err)
	}
}

// TestChange_Effect: decisions are counted under the revision that made them.
func TestChange_Effect(t *testing.T) {
	slow(t)
	w := newChangeWorld(t)
	d := w.submitted(t, "all/events.rego", noEvents)
	r, err := w.changes.Approve(t.Context(), w.ben, d.ID, d.Seal())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		serveOnce(t, w.gateway.proxy, w.request())
	}
	denied := w.request()
	denied.URL.Path, denied.RequestURI = "/events", "/events"
	w.gateway.proxy.ServeHTTP(&discard{header: http.Header{}}, denied)
	w.gateway.countEffects(t.Context())
	w.gateway.countEffects(t.Context()) // which adds nothing twice
	got, err := w.changes.Revision(t.Context(), r.ID)
	if err != nil || got.Effect.Allowed != 3 || got.Effect.Denied != 1 || got.Effect.Challenged != 0 || got.Effect.First.IsZero() || got.Effect.Last.Before(got.Effect.First) {
		t.Errorf("%+v, %v", got.Effect, err)
	}
}

// TestChange_ReadOnly: where a folder holds the policies nothing is changed here.
func TestChange_ReadOnly(t *testing.T) {
	slow(t)
	w := newChangeWorld(t)
	d := w.submitted(t, "all/events.rego", noEvents)
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "all"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "all", "events.rego"), []byte(noEvents), 0o600); err != nil {
		t.Fatal(err)
	}
	next := *w.gateway.cfg.Load()
	next.Policies = folder
	w.gateway.cfg.Store(&next)
	if o := w.changes.Origin(); o.Kind != "folder" || o.Place != folder || !o.ReadOnly() {
		t.Errorf("origin %+v", o)
	}
	for name, do := range map[string]func() error{
		"begin":   func() error { _, err := w.changes.Begin(t.Context(), w.ada, "T", "R"); return err },
		"save":    func() error { _, err := w.changes.Save(t.Context(), w.ada, d.ID, d.Version, change.Edit{}); return err },
		"approve": func() error { _, err := w.changes.Approve(t.Context(), w.ben, d.ID, d.Seal()); return err },
		"back":    func() error { _, err := w.changes.RollBackAlone(t.Context(), w.ada, 1, "why"); return err },
	} {
		if err := do(); !errors.Is(err, change.ErrReadOnly) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestChange_ByCommand: what a command publishes is in force in the running
// gateway within a second, and its roll back too.
func TestChange_ByCommand(t *testing.T) {
	slow(t)
	p := startDemo(t)
	b := p.signIn(t, "noor@meridian.example", 0)
	target := p.cluster(t, "billing") + "/"
	becomes := func(status int) {
		t.Helper()
		begun := time.Now()
		eventually(t, 10*time.Second, fmt.Sprintf("the answer is %d", status), func() bool { return b.get(target).status == status })
		if took := time.Since(begun); took > time.Second {
			t.Errorf("in force after %v", took)
		}
	}
	publish := func(module string) {
		t.Helper()
		folder := t.TempDir()
		if err := os.MkdirAll(filepath.Join(folder, "clusters", "billing"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "clusters", "billing", "x.rego"), []byte(module), 0o600); err != nil {
			t.Fatal(err)
		}
		ringfence(t, "policy", "publish", folder, "--reason", "test", "--data", p.ready.Data)
	}
	const head = "package ringfence.clusters[\"billing\"]\n\nimport rego.v2\n\ndeny contains {\"code\": \"closed\", \"message\": \"Closed today.\", \"help\": \"Ask.\"} if input.request.method == "
	publish(head + "\"PUT\"\n")
	publish(head + "\"GET\"\n")
	becomes(http.StatusForbidden)
	ringfence(t, "policy", "rollback", "--reason", "nobody can work", "--data", p.ready.Data)
	becomes(http.StatusOK)
	rows := p.entries(t, "--type", "policy")
	seen := map[any]bool{}
	for _, r := range rows {
		seen[r["action"]] = true
	}
	if !seen["policy.publish"] || !seen["policy.rollback_alone"] {
		t.Errorf("recorded %v", seen)
	}
}

const noPlay = `package ringfence.all

import rego.v2

deny contains {"code": "play", "message": "Nobody plays here.", "help": "Ask the owner."} if input.request.headers["x-purpose"] == "play"
`

// TestChange_RecordedHole: what a missing field would lift of a recorded denial
// is neither handed in nor approved nor published by command; a log that cannot
// be read lets nothing pass either. An emergency roll back asks for neither.
func TestChange_RecordedHole(t *testing.T) {
	slow(t)
	w := newChangeWorld(t)
	g := w.gateway
	first := w.submitted(t, "all/play.rego", noPlay) // before anybody was denied
	if _, err := w.changes.Approve(t.Context(), w.ben, first.ID, first.Seal()); err != nil {
		t.Fatal(err)
	}
	waiting := w.submitted(t, "all/play.rego", strings.ReplaceAll(noPlay, "Nobody", "No one"))
	r := w.request()
	r.Header.Set("X-Purpose", "play")
	rec := httptest.NewRecorder()
	if g.proxy.ServeHTTP(rec, r); rec.Code != http.StatusForbidden {
		t.Fatalf("status %d", rec.Code)
	}
	refused := func(what, code string, err error, words ...string) {
		t.Helper()
		f, ok := errors.AsType[*change.FaultError](err)
		if !ok || f.Faults[0].Code != code {
			t.Fatalf("%s: %v", what, err)
		}
		for _, word := range words {
			if !strings.Contains(fmt.Sprint(f.Faults), word) {
				t.Errorf("%s: no %q in %s", what, word, f.Faults)
			}
		}
	}
	_, err := w.changes.Approve(t.Context(), w.ben, waiting.ID, waiting.Seal())
	refused("approving", change.CodeHole, err, "all/play.rego:5:1", "deny play", "input.request.headers.x-purpose", "of the access log", "this closes it: deny contains")
	d, err := w.changes.Begin(t.Context(), w.ada, "Again", "To see.")
	if err != nil {
		t.Fatal(err)
	}
	d, err = w.changes.Save(t.Context(), w.ada, d.ID, d.Version, change.Edit{Write: map[string]string{"all/events.rego": noEvents}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.changes.Submit(t.Context(), w.ada, d.ID, d.Version)
	refused("handing in", change.CodeHole, err, "deny play")
	unreadable := checkModules(g.studio.Check, t.TempDir())
	found, err := unreadable(t.Context(), map[string]string{"all/events.rego": noEvents})
	if err != nil {
		t.Fatal(err)
	}
	refused("without a log", change.CodeLog, &change.FaultError{Faults: found.Faults}, "recorded denials could not be looked at")
	if _, err := w.changes.PublishAlone(t.Context(), operator, nil, &change.Checked{Of: policy.Revision(nil)}, "None", "To begin anew."); err != nil {
		t.Fatal(err)
	}
	if _, err := w.changes.RollBackAlone(t.Context(), w.ben, 1, "Nobody gets through."); err != nil {
		t.Errorf("an emergency waits for a hole: %v", err)
	}
}

// TestDecided_ByAnotherBuild: what another version of Ringfence had in force is
// found under the name that it gave it, with that version's name.
func TestDecided_ByAnotherBuild(t *testing.T) {
	slow(t)
	p := newWarmPath(t)
	sets := consoleSets{p.gateway}
	then := store.LoadedPolicies{Revision: "0123456789abcdef", Modules: map[string]string{"all/events.rego": noEvents}, Build: "v0.9", OPA: "1.0.0"}
	if _, _, err := p.gateway.db.NotePolicies(t.Context(), then); err != nil {
		t.Fatal(err)
	}
	for revision, want := range map[string]struct {
		other string
		ok    bool
		files int
	}{then.Revision: {"v0.9", true, 1}, "ffff": {"", false, 0}, p.gateway.engine.Revision(): {"", true, len(p.gateway.inForce.Load().modules)}} {
		modules, other, ok, err := sets.Decided(t.Context(), revision)
		if err != nil || other != want.other || ok != want.ok || len(modules) != want.files {
			t.Errorf("%s: %d files of %q, %v, %v", revision, len(modules), other, ok, err)
		}
	}
}
