package console

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/retention"
)

// memoryRetention removes nothing and remembers who asked.
type memoryRetention struct {
	state   retention.State
	archive string
	asked   []string
	kept    []directory.RetentionRule // newest first
	barred  error                     // of Decide
}

func (*memoryRetention) FileRules() retention.Rules {
	return retention.Rules{Days: 396, Clusters: map[string]int{"claims": 0, "cliams": 0}, Classifications: map[string]int{"restricted": 2555}}
}

func (m *memoryRetention) Kept(context.Context) ([]directory.RetentionRule, error) {
	return m.kept, nil
}

func (m *memoryRetention) Set(_ context.Context, actor directory.Actor, r directory.RetentionRule) (directory.RetentionRule, error) {
	file := m.FileRules()
	second, err := file.NeedsSecond(m.kept, r)
	if err != nil {
		return r, fmt.Errorf("setting: %w", err)
	}
	r.ID, r.AskedBy, r.Asked, r.State = int64(len(m.kept)+1), actor.Account, sampleNow, directory.RetainStanding
	if second {
		r.State = directory.RetainWaiting
	}
	m.kept = append([]directory.RetentionRule{r}, m.kept...)
	return r, nil
}

func (m *memoryRetention) Decide(_ context.Context, actor directory.Actor, id int64, approve bool) error {
	for i := range m.kept {
		r := &m.kept[i]
		if r.ID != id || r.State != directory.RetainWaiting {
			continue
		}
		if approve && r.AskedBy == actor.Account {
			return directory.ErrNotAllowed
		}
		if m.barred != nil {
			return m.barred
		}
		if r.State = directory.RetainRefused; approve {
			r.State = directory.RetainStanding
		}
		return nil
	}
	return directory.ErrNoRule
}
func (m *memoryRetention) ArchivedTo() string     { return m.archive }
func (m *memoryRetention) State() retention.State { return m.state }
func (m *memoryRetention) Ask(account string)     { m.asked = append(m.asked, account) }

func withRetention(t *testing.T) (*office, *memoryRetention) {
	o, m := newOffice(t, plainText), &memoryRetention{}
	o.Console.Retention, o.Console.LogFolder = m, t.TempDir()
	return o, m
}

func TestRetention_Page(t *testing.T) {
	o, m := withRetention(t)
	shows(t, o.get("ada", retentionPath), http.StatusOK, "claims", "for ever", "none has this name now", "restricted", "2555 days", "396 days", "not looked yet", "Nothing is archived",
		"the log has all of its entries", retentionPath+"/prune", "action:prune")
	oldest := &accesslog.SealedSegment{First: 4711}
	m.archive, m.state = "/mnt/<archive>", retention.State{At: sampleNow, Removed: 12, Plan: retention.Plan{Oldest: oldest, Until: sampleNow.Add(48 * time.Hour)}}
	shows(t, o.get("ada", retentionPath), http.StatusOK, "12 entries were removed", "From entry 4711 on: until", "/mnt/&lt;archive&gt;", "in order")
	for k, want := range map[retention.Keeper]string{
		{Why: retention.KeptByAccount, What: "kim"}:          "a legal hold stands on ",
		{Why: retention.KeptByEngagement, What: "migration"}: "a legal hold stands on engagement migration",
		{Why: retention.KeptByTaker, What: "siem"}:           "siem has not taken all of it",
		{Why: retention.KeptByLog}:                           "a request in it still runs",
	} {
		m.state.Plan.Kept = k
		shows(t, o.get("rae", retentionPath), http.StatusOK, want)
	}
	if b := o.get("ada", "/console/").Body.String(); strings.Contains(b, "could not be removed") {
		t.Error("the overview says that removing failed")
	}
	m.state.Plan.Due, m.state.Removed = []accesslog.SealedSegment{*oldest}, 0
	for why, want := range map[string]string{retention.WaitsFirst: "for the first time", retention.WaitsClock: "clock was set", retention.WaitsRules: "the rules or the archive were changed",
		retention.WaitsDrift: "clock is off"} {
		m.state.Waits = retention.Waiting{Why: why, Until: sampleNow.Add(retention.Settled)}
		shows(t, o.get("rae", retentionPath), http.StatusOK, "waits", want)
	}
	m.state.Fault = "the disk is gone"
	shows(t, o.get("ada", "/console/"), http.StatusOK, "Entries whose time is over could not be removed", retentionPath)
	if w := o.get("rae", retentionPath); !strings.Contains(w.Body.String(), "the disk is gone") || strings.Contains(w.Body.String(), retentionPath+"/prune") {
		t.Errorf("a reviewer sees %s", w.Body)
	}
	if err := os.WriteFile(filepath.Join(o.Console.LogFolder, "00000000000000004711.sealed"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	shows(t, o.get("ada", retentionPath), http.StatusOK, "The first 4711 entries")
}

// TestRetention_Ask: an administrator alone has it done, after being asked.
func TestRetention_Ask(t *testing.T) {
	o, m := withRetention(t)
	shows(t, o.get("ada", retentionPath+"/prune"), http.StatusOK, "Remove what is over now?", "This cannot be undone")
	m.archive = "/mnt/archive"
	shows(t, o.get("ada", retentionPath+"/prune"), http.StatusOK, "put into the archive first")
	if w := o.post("rae", retentionPath+"/prune", nil); w.Code != http.StatusForbidden || len(m.asked) > 0 {
		t.Errorf("a reviewer: %d, %v", w.Code, m.asked)
	}
	if w := o.post("ada", retentionPath+"/prune", nil); w.Code != http.StatusSeeOther || len(m.asked) != 1 || m.asked[0] != "ada" {
		t.Errorf("an administrator: %d, %v", w.Code, m.asked)
	}
	o.Console.Retention = nil
	shows(t, o.get("ada", retentionPath), http.StatusNotFound)
}

// TestRetention_Rules: longer is in force at once; what lets entries go sooner
// waits for another administrator, and nothing goes below the file.
func TestRetention_Rules(t *testing.T) {
	o, m := withRetention(t)
	set := func(who, what, days, reason string) *httptest.ResponseRecorder {
		return o.post(who, retentionPath+"/rules", url.Values{"for": {what}, "days": {days}, "reason": {reason}})
	}
	page := func(who string, want ...string) string {
		t.Helper()
		w := o.get(who, retentionPath)
		body := w.Body.String()
		shows(t, w, http.StatusOK, want...)
		return body
	}
	first := page("ada", "Save the rule", "Configuration file", "cluster:claims", "classification:internal")
	if strings.Contains(first, "Waiting for") || strings.Contains(first, "Set here") {
		t.Error("something is set before anybody did")
	}
	for _, c := range []struct{ what, days, reason, says string }{
		{"rest:", "29", "why", "Give 30 to 36500 days"}, {"rest:", "x", "why", "Give 30 to 36500 days"}, {"rest:", "40000", "why", "Give 30 to 36500 days"},
		{"rest:", "400", "", "reason"}, {"", "400", "why", "Choose what the rule is for"}, {"cluster:none", "400", "why", "Choose what the rule is for"}, {"account:ada", "400", "why", "Choose what"},
		{"rest:", "395", "why", "keeps these entries for longer"}, {"cluster:claims", "4000", "why", "keeps these entries for longer"}, {"classification:restricted", "30", "why", "for longer"},
	} {
		shows(t, set("ada", c.what, c.days, c.reason), http.StatusUnprocessableEntity, c.says)
	}
	if w := set("rae", "rest:", "500", "why"); w.Code != http.StatusForbidden || len(m.kept) > 0 {
		t.Fatalf("by a reviewer: %d, %v", w.Code, m.kept)
	}
	if w := set("ada", "rest:", "500", "<b>the auditor</b>"); w.Code != http.StatusSeeOther || m.kept[0].State != directory.RetainStanding {
		t.Fatalf("longer: %d, %+v", w.Code, m.kept)
	}
	shows(t, o.get("rae", retentionPath), http.StatusOK, "500 days", "Set here")
	if w := set("ada", "classification:internal", "60", "<b>thrift</b>"); w.Code != http.StatusSeeOther || m.kept[0].State != directory.RetainWaiting {
		t.Fatalf("shorter: %d, %+v", w.Code, m.kept)
	}
	approve, refuse := retentionPath+"/rules/2/approve", retentionPath+"/rules/2/refuse"
	if strings.Contains(page("ada", "Waiting for another administrator", "60 days", "&lt;b&gt;thrift", refuse), approve) {
		t.Error("whoever asked is offered to approve")
	}
	shows(t, o.get("ada", approve), http.StatusForbidden, "another administrator")
	if w := o.post("ada", approve, nil); w.Code != http.StatusForbidden || m.kept[0].State != directory.RetainWaiting {
		t.Fatalf("whoever asked approves: %d", w.Code)
	}
	if strings.Contains(page("rae", "Waiting for"), "/rules") {
		t.Error("a reviewer is offered to decide")
	}
	m.kept[0].AskedBy = "eve" // another one asked
	shows(t, o.get("ada", retentionPath), http.StatusOK, approve)
	shows(t, o.get("ada", refuse), http.StatusOK, "Refuse this rule?")
	shows(t, o.get("ada", approve), http.StatusOK, "Keep entries for less time?", "Classification internal: 60 days", "&lt;b&gt;thrift")
	m.barred = fmt.Errorf("deciding: %w: %w", directory.ErrNotAllowed, &change.SecondError{Code: change.SecondMade})
	shows(t, o.post("ada", approve, nil), http.StatusForbidden, "one of you two made or changed")
	m.barred = nil
	if w := o.post("ada", approve, nil); w.Code != http.StatusSeeOther || m.kept[0].State != directory.RetainStanding {
		t.Fatalf("approving: %d, %+v", w.Code, m.kept[0])
	}
	shows(t, o.post("ada", refuse, nil), http.StatusNotFound)
	shows(t, o.get("ada", approve), http.StatusNotFound)
	if w := set("ada", "classification:internal", "", "back"); w.Code != http.StatusSeeOther || m.kept[0].Days != directory.RetainAsFile || m.kept[0].State != directory.RetainStanding {
		t.Errorf("back to the file, which is longer: %+v", m.kept[0])
	}
}
