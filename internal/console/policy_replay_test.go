package console

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/accesslogtest"
	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/change/changetest"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/policy"
)

const (
	studioHead = "package ringfence.all\n\nimport rego.v2\n\n"
	noSecrets  = studioHead + `deny contains {"code": "no_secrets", "message": "That is secret.", "help": "Ask."} if input.request.path[1] == "secret"` + "\n"
	noQuarter  = studioHead + `deny contains {"code": "no_quarter", "message": "That is closed.", "help": "Ask."} if input.request.path[1] == "q4"` + "\n"
	noPlay     = studioHead + `deny contains {"code": "no_play", "message": "That is play.", "help": "Ask."} if input.request.headers["x-purpose"] == "play"` + "\n"
)

// A trialOffice is an office with change control, a studio, a shadow and a log
// on disk, whose draft 1 lifts one denial and adds others.
type trialOffice struct {
	*office
	changes *changetest.Memory
	shadows *memoryShadows
	log     *accesslogtest.Log
	block   chan struct{} // replays wait for it, nil: they do not
}

func newTrialOffice(t *testing.T) *trialOffice {
	t.Helper()
	o := &trialOffice{office: newOffice(t, plainText)}
	o.changes = changetest.New(o.dir.d.Accounts, map[string]string{"all/secret.rego": noSecrets})
	o.changes.Now = o.Now
	o.shadows = &memoryShadows{now: o.Now}
	o.log = accesslogtest.New(t, 0)
	c := o.Console.Config
	c.Changes, c.Studio, c.Shadows, c.Log, c.LogFolder, c.Sets = o.changes, trialStudio{runner, o}, o.shadows, o.log.Log, o.log.Dir, nil
	var err error
	if o.office.Console, err = New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.StopTrials)
	ada := officeAda
	d, err := o.changes.Begin(t.Context(), ada, "Open the secrets", "The quarter is over.")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.changes.Save(t.Context(), ada, d.ID, d.Version, change.Edit{Remove: []string{"all/secret.rego"}, Write: map[string]string{"all/quarter.rego": noQuarter, "all/play.rego": noPlay}}); err != nil {
		t.Fatal(err)
	}
	return o
}

// runner runs jobs in this process.
var runner = studio.New(studio.Config{})

// trialStudio runs jobs in this process; replays wait where the office says so.
type trialStudio struct {
	*studio.Runner
	o *trialOffice
}

func (s trialStudio) Replay(ctx context.Context, a studio.ReplayRequest, tell func(studio.Progress)) (studio.ReplayResult, error) {
	if s.o.block != nil {
		tell(studio.Progress{Done: 40, Total: 100})
		select {
		case <-ctx.Done():
			return studio.ReplayResult{}, ctx.Err()
		case <-s.o.block:
		}
	}
	return runner.Replay(ctx, a, tell)
}

// ends waits for the newest trial about draft 1.
func (o *trialOffice) ends(kind string) {
	o.t.Helper()
	select {
	case <-o.desk.trials.newest(kind, trialSet{Draft: 1}).done:
	case <-time.After(time.Minute):
		o.t.Fatalf("the %s does not end", kind)
	}
}

// record has the log hold kim's request for a path of the claims cluster.
func (o *trialOffice) record(n int, path string, edit func(*policy.Record)) uint64 {
	o.t.Helper()
	at := o.now.Add(-time.Hour + time.Duration(n)*time.Second)
	facts := o.dir.Snapshot().Facts("kim", "claims", netip.MustParseAddr("198.51.100.24"))
	in := &policy.Input{Version: policy.ContractVersion, Facts: facts,
		Subject: policy.Subject{Account: "kim", Email: "kim@example.com", Vendor: "acme", Roles: []policy.Role{policy.Contractor}, Session: "s",
			Credential: policy.CredentialSession, Factors: map[string]int64{policy.FactorPassword: 60, policy.FactorTOTP: 60}},
		Request: policy.Request{ID: fmt.Sprint("r", n), Time: at.Format(time.RFC3339Nano), TimeNS: at.UnixNano(), Protocol: "http", Method: "GET", Host: "claims.test",
			Path: strings.Split(path, "/")[1:], RawPath: path, SourceIP: "198.51.100.24"},
		Resource: policy.Resource{Cluster: "claims", Classification: "confidential", Route: "web"}}
	d := policy.Decision{Effect: policy.Allow, Revision: "e1"}
	if strings.HasPrefix(path, "/reports/secret") {
		d = policy.Decision{Effect: policy.Deny, Revision: "e1", Reasons: []policy.Reason{{Code: "no_secrets"}}}
	}
	r := accesslogtest.Request(in, d)
	if edit != nil {
		edit(r)
	}
	return o.log.Add(o.t, r)
}

// filled records what the draft lets in, shuts out, leaves, and cannot judge.
func (o *trialOffice) filled() (letIn, shutOut uint64) {
	for i := range 3 {
		letIn = o.record(i, "/reports/secret", nil)
		shutOut = o.record(10+i, "/reports/q4", nil)
		o.record(20+i, "/reports/q1", nil)
	}
	o.record(30, "/reports/q1", func(r *policy.Record) { r.Input = nil })
	return letIn, shutOut
}

const replayOf1 = "/console/policies/drafts/1/replay"

var fromBeginning = url.Values{"since": {"2020-01-01"}}

// TestReplay_Page: a replay is started, shows what would change with what is
// let in first, and leaves its figures with the draft.
func TestReplay_Page(t *testing.T) {
	o := newTrialOffice(t)
	letIn, shutOut := o.filled()
	shows(t, o.get("ada", replayOf1), http.StatusOK, "Replay", "From (UTC)")
	leadsTo(t, o.post("ada", replayOf1, fromBeginning), replayOf1)
	o.ends("replay")
	w := o.get("ada", replayOf1)
	shows(t, w, http.StatusOK, "9 requests were decided again", "from before whole inputs were recorded", "no_quarter", "no_secrets", "GET /reports/secret",
		`href="`+entryURL(letIn)+`"`, `href="`+entryURL(shutOut)+`"`)
	page := w.Body.String()
	if in, out := strings.Index(page, ">let in<"), strings.Index(page, ">shut out<"); in < 0 || out < in {
		t.Errorf("what is let in stands at %d, what is shut out at %d", in, out)
	}
	d, err := o.changes.Draft(t.Context(), 1)
	if err != nil || d.Figures.Of != d.Hash || d.Figures.Widened != 3 || d.Figures.Narrowed != 3 || d.Figures.Unfit == 0 || d.Figures.Since.Year() != 2020 {
		t.Errorf("%+v, %v", d.Figures, err)
	}
	read := 0
	for range readsOf(t, o, "log.replay") {
		read++
	}
	if read != 1 {
		t.Errorf("the reading was recorded %d times", read)
	}
}

// TestReplay_Roles: whoever may not read the log or write drafts is shown no
// way to do so.
func TestReplay_Roles(t *testing.T) {
	o := newTrialOffice(t)
	letIn, _ := o.filled()
	leadsTo(t, o.post("abe", replayOf1, fromBeginning), replayOf1) // an approver may look too
	o.ends("replay")
	for who, c := range map[string]struct{ entries, tests bool }{"ada": {true, true}, "rae": {true, false}, "abe": {false, false}} {
		page := o.get(who, replayOf1).Body.String()
		if got := strings.Contains(page, `href="`+entryURL(letIn)+`"`); got != c.entries {
			t.Errorf("%s: entries lead on: %v", who, got)
		}
		if got := strings.Contains(page, "/reports/secret"); got != c.entries {
			t.Errorf("%s: single requests are shown: %v", who, got)
		}
		if got := strings.Contains(page, replayOf1+"/test"); got != c.tests {
			t.Errorf("%s: tests can be made: %v", who, got)
		}
	}
	for _, who := range []string{"rae", "abe", "kim"} {
		if w := o.post(who, replayOf1+"/test", url.Values{"entry": {strconv.FormatUint(letIn, 10)}, "seen": {"2"}}); w.Code != http.StatusForbidden {
			t.Errorf("%s makes a test: %d", who, w.Code)
		}
	}
	if w := o.post("kim", replayOf1, fromBeginning); w.Code != http.StatusForbidden {
		t.Errorf("a contractor replays: %d", w.Code)
	}
}

// TestReplay_UnitTest: one click makes a test of a flipped request, which holds
// the draft to what was decided, or to what it decides.
func TestReplay_UnitTest(t *testing.T) {
	for expect, failures := range map[string]int{"old": 1, "new": 0} {
		t.Run(expect, func(t *testing.T) {
			o := newTrialOffice(t)
			letIn, shutOut := o.filled()
			o.post("ada", replayOf1, fromBeginning)
			o.ends("replay")
			for _, index := range []uint64{letIn, shutOut} {
				before, err := o.changes.Draft(t.Context(), 1)
				if err != nil {
					t.Fatal(err)
				}
				form := url.Values{"entry": {strconv.FormatUint(index, 10)}, "expect": {expect}, "seen": {strconv.Itoa(before.Version)}}
				leadsTo(t, o.post("ada", replayOf1+"/test", form), replayOf1)
				shows(t, o.get("ada", replayOf1), http.StatusOK, "The test stands in")
				if w := o.post("ada", replayOf1+"/test", form); w.Code != http.StatusConflict && index == shutOut {
					t.Errorf("a form from before the draft changed: %d", w.Code)
				}
				now, err := o.changes.Draft(t.Context(), 1)
				if err != nil || len(now.Modules) != len(before.Modules)+1 {
					t.Fatalf("%d modules, %v", len(now.Modules), err)
				}
				if now.Figures.Of != now.Hash || now.Figures.Widened != 3 {
					t.Errorf("the replay's figures are lost: %+v", now.Figures)
				}
				got, err := runner.Check(t.Context(), studio.CheckRequest{Modules: now.Modules})
				if n := len(now.Modules) - 2; err != nil || len(got.Failures) != failures*n || len(got.Diagnostics) > 0 {
					t.Errorf("%d failures of %d, %v, %v", len(got.Failures), n, got.Diagnostics, err)
				}
			}
			if w := o.post("ada", replayOf1+"/test", url.Values{"entry": {"0"}, "seen": {"4"}}); w.Code != http.StatusGone {
				t.Errorf("of a request that the replay does not show: %d", w.Code)
			}
		})
	}
}

// TestReplay_ProgressAndStop: the page of a running replay loads itself again,
// and somebody else may stop it.
func TestReplay_ProgressAndStop(t *testing.T) {
	o := newTrialOffice(t)
	o.block = make(chan struct{})
	leadsTo(t, o.post("ada", replayOf1, fromBeginning), replayOf1)
	leadsTo(t, o.post("rae", replayOf1, fromBeginning), replayOf1) // finds the one that runs
	if n := len(o.desk.trials.all); n != 1 {
		t.Errorf("%d replays run", n)
	}
	running := o.desk.trials.newest("replay", trialSet{Draft: 1})
	for running.state().Progress.Done == 0 {
		time.Sleep(time.Millisecond)
	}
	w := o.get("abe", replayOf1)
	shows(t, w, http.StatusOK, "Under way: 40 %", `<progress max="100" value="40"`, "ada@example.com")
	if w.Header().Get("Refresh") == "" {
		t.Error("the page does not load itself again")
	}
	leadsTo(t, o.post("rae", replayOf1+"/stop", nil), replayOf1)
	o.ends("replay")
	w = o.get("rae", replayOf1)
	shows(t, w, http.StatusOK, "stopped before it ended")
	if w.Header().Get("Refresh") != "" {
		t.Error("the page loads itself again for nothing")
	}
	if d, err := o.changes.Draft(t.Context(), 1); err != nil || d.Figures.Replayed != 0 {
		t.Errorf("a stopped replay leaves figures: %+v, %v", d.Figures, err)
	}
}

// TestReplay_Faults: what cannot be asked is said beside its field, and a draft
// that does not compile in words.
func TestReplay_Faults(t *testing.T) {
	o := newTrialOffice(t)
	for field, value := range map[string]string{"since": "soon", "until": "2019-01-01", "vendor": "nobody", "cluster": "nowhere"} {
		form := url.Values{"since": {"2020-01-01"}}
		form.Set(field, value)
		if w := o.post("ada", replayOf1, form); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), `id="e-`+field+`"`) {
			t.Errorf("%s: status %d", field, w.Code)
		}
	}
	for _, path := range []string{"/console/policies/drafts/9/replay", "/console/policies/drafts/x/replay"} {
		if w := o.get("ada", path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if _, err := o.changes.Save(t.Context(), officeAda, 1, 2, change.Edit{Write: map[string]string{"all/play.rego": studioHead + "allow if input.subjct\n"}}); err != nil {
		t.Fatal(err)
	}
	o.filled()
	o.post("ada", replayOf1, fromBeginning)
	o.ends("replay")
	shows(t, o.get("ada", replayOf1), http.StatusOK, "It could not be done", "all/play.rego")
}

// TestReplay_PartLeavesNoFigures: a replay of one vendor's requests would look
// like all of the traffic in the review.
func TestReplay_PartLeavesNoFigures(t *testing.T) {
	o := newTrialOffice(t)
	o.filled()
	o.post("ada", replayOf1, url.Values{"since": {"2020-01-01"}, "vendor": {"acme"}})
	o.ends("replay")
	shows(t, o.get("ada", replayOf1), http.StatusOK, "9 requests were decided again")
	if d, err := o.changes.Draft(t.Context(), 1); err != nil || d.Figures.Replayed != 0 {
		t.Errorf("%+v, %v", d.Figures, err)
	}
}

func readsOf(t *testing.T, o *trialOffice, action string) (out []string) {
	t.Helper()
	err := o.Log.Query(t.Context(), accesslog.Filter{Type: string(policy.RecordLog), Action: action}, func(e *accesslog.Entry) bool {
		out = append(out, e.Object)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestMatrix_Page: the matrix of a draft names what is opened and closed, and
// its figures stay with the draft; without a draft it says what is so today.
func TestMatrix_Page(t *testing.T) {
	o := newTrialOffice(t)
	const of1 = matrixPath + "?draft=1"
	shows(t, o.get("abe", of1), http.StatusOK, "Work it out")
	leadsTo(t, o.post("abe", matrixPath, url.Values{"draft": {"1"}, "source": {"198.51.100.24"}, "at": {o.now.Format(minuteOf)}}), of1)
	o.ends("matrix")
	shows(t, o.get("abe", of1), http.StatusOK, "What differs", "Nobody reaches anything else")
	shows(t, o.get("abe", of1+"&show=all&who=kim"), http.StatusOK, "kim@example.com", "GET /reports", "allow", "path_out_of_scope")
	if d, err := o.changes.Draft(t.Context(), 1); err != nil || d.Figures.Cells == 0 || d.Figures.CellsMoved != 0 {
		t.Errorf("%+v, %v", d.Figures, err)
	}
	closed := studioHead + `deny contains {"code": "closed", "message": "That is closed.", "help": "Ask."} if input.resource.cluster == "claims"` + "\n"
	if _, err := o.changes.Save(t.Context(), officeAda, 1, 2, change.Edit{Write: map[string]string{"all/quarter.rego": closed}}); err != nil {
		t.Fatal(err)
	}
	o.post("rae", matrixPath, url.Values{"draft": {"1"}, "source": {"198.51.100.24"}})
	o.ends("matrix")
	w := o.get("rae", of1)
	shows(t, w, http.StatusOK, "kim@example.com", "closed", `class="narrowed"`)
	if strings.Contains(w.Body.String(), "lee@example.com") {
		t.Error("a row that does not differ is shown")
	}
	if d, err := o.changes.Draft(t.Context(), 1); err != nil || d.Figures.CellsMoved == 0 {
		t.Errorf("%+v, %v", d.Figures, err)
	}

	leadsTo(t, o.post("ada", matrixPath, url.Values{"source": {"198.51.100.24"}}), matrixPath)
	<-o.desk.trials.newest("matrix", trialSet{}).done
	shows(t, o.get("ada", matrixPath), http.StatusOK, "Today", "oma@example.com", "pairs of person and cluster")

	if w := o.post("ada", matrixPath, url.Values{"source": {"here"}}); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("no address: %d", w.Code)
	}
	for _, bad := range []string{"?draft=9", "?draft=x", "?draft=1&revision=1", "?revision=-1"} {
		if w := o.get("ada", matrixPath+bad); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", bad, w.Code)
		}
	}
	if w := o.post("kim", matrixPath, url.Values{"source": {"198.51.100.24"}}); w.Code != http.StatusForbidden {
		t.Errorf("a contractor: %d", w.Code)
	}
}

// memoryShadows keeps shadows in memory.
type memoryShadows struct {
	mu    sync.Mutex
	now   func() time.Time
	all   []change.Shadow // newest first
	found []change.Difference
	by    []string
}

func (m *memoryShadows) Shadows(context.Context) ([]change.Shadow, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.all), nil
}

func (m *memoryShadows) Differences(_ context.Context, id int64) ([]change.Difference, error) {
	if id != 1 {
		return nil, nil
	}
	return m.found, nil
}

func (m *memoryShadows) Start(_ context.Context, actor directory.Actor, s change.Shadow) (change.Shadow, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for file, text := range s.Modules {
		if strings.Contains(text, changetest.Broken) {
			return s, &change.FaultyError{Fault: file + ":1: broken"}
		}
	}
	if len(m.all) > 0 && m.all[0].Running() {
		return s, change.ErrShadowRuns
	}
	s.ID, s.Started = int64(len(m.all)+1), change.Person{Account: actor.Account, Email: actor.Email, At: m.now()}
	m.all, m.by = append([]change.Shadow{s}, m.all...), append(m.by, "start "+actor.Account)
	return s, nil
}

func (m *memoryShadows) Stop(_ context.Context, actor directory.Actor, id int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.all {
		if m.all[i].ID == id {
			m.all[i].Stopped = change.Person{Account: actor.Account, Email: actor.Email, At: m.now()}
			m.by = append(m.by, "stop "+actor.Account)
			return nil
		}
	}
	return change.ErrNotFound
}

// TestShadow_Page: an administrator starts and stops a shadow; everybody who may
// look sees what it would decide otherwise.
func TestShadow_Page(t *testing.T) {
	o := newTrialOffice(t)
	entry := o.record(1, "/reports/q4", nil)
	o.shadows.found = []change.Difference{{Count: 12, First: sampleNow.Add(-time.Hour), Last: sampleNow, Entries: []uint64{entry}, DifferenceKey: change.DifferenceKey{Turn: "narrowed", Account: "kim",
		Email: "kim@example.com", Vendor: "acme", Cluster: "claims", Route: "web", OldEffect: "allow", NewEffect: "deny", NewReasons: "no_quarter"}}}
	shows(t, o.get("rae", shadowPath), http.StatusOK, "Nothing has decided in shadow yet")
	shows(t, o.get("ada", shadowPath+"?draft=1"), http.StatusOK, `value="draft:1" selected`, `value="revision:1"`)
	start := url.Values{"of": {"draft:1"}}
	for _, who := range []string{"abe", "rae", "kim"} {
		if w := o.post(who, shadowPath, start); w.Code != http.StatusForbidden {
			t.Errorf("%s starts one: %d", who, w.Code)
		}
	}
	leadsTo(t, o.post("ada", shadowPath, start), shadowPath)
	if s := o.shadows.all[0]; s.Draft != 1 || s.Title != "Open the secrets" || s.Modules["all/quarter.rego"] != noQuarter {
		t.Errorf("%+v", s)
	}
	o.shadows.all[0].Counts = change.ShadowCounts{Decided: 100, Narrowed: 12, Dropped: 7}
	w := o.get("rae", shadowPath)
	shows(t, w, http.StatusOK, "Open the secrets", "deciding", "12×", "no_quarter", ">88<", ">7<", `href="`+entryURL(entry)+`"`)
	if strings.Contains(w.Body.String(), shadowPath+"/stop") {
		t.Error("a reviewer is shown how to stop it")
	}
	if strings.Contains(o.get("abe", shadowPath).Body.String(), entryURL(entry)) {
		t.Error("an approver is led to an entry")
	}
	if w := o.post("ada", shadowPath, url.Values{"of": {"revision:1"}}); w.Code != http.StatusConflict {
		t.Errorf("a second one: %d", w.Code)
	}
	leadsTo(t, o.post("ada", shadowPath+"/stop", url.Values{"id": {"1"}}), shadowPath+"?id=1")
	shows(t, o.get("ada", shadowPath+"?id=1"), http.StatusOK, "stopped", "12×")
	for _, of := range []string{"", "draft:", "draft:9", "folder:1", "revision:x"} {
		if w := o.post("ada", shadowPath, url.Values{"of": {of}}); w.Code != http.StatusNotFound {
			t.Errorf("%q: %d", of, w.Code)
		}
	}
	if _, err := o.changes.Save(t.Context(), officeAda, 1, 2, change.Edit{Write: map[string]string{"all/play.rego": changetest.Broken}}); err != nil {
		t.Fatal(err)
	}
	if w := o.post("ada", shadowPath, start); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "all/play.rego:1: broken") {
		t.Errorf("broken policies: %d", w.Code)
	}
	if got := strings.Join(o.shadows.by, ", "); got != "start ada, stop ada" {
		t.Errorf("%s", got)
	}
}

var officeAda = directory.Actor{Account: "ada", Email: "ada@example.com"}
