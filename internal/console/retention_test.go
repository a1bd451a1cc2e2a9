package console

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/retention"
)

// memoryRetention removes nothing and remembers who asked.
type memoryRetention struct {
	state   retention.State
	archive string
	asked   []string
}

func (*memoryRetention) Rules() retention.Rules {
	return retention.Rules{Days: 396, Clusters: map[string]int{"claims": 0}, Classifications: map[string]int{"restricted": 2555}}
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
	shows(t, o.get("ada", retentionPath), http.StatusOK, "claims", "for ever", "restricted", "2555 days", "396 days", "not looked yet", "Nothing is archived",
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
