package console

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/alarm"
	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/policy"
)

// Details name accounts by id; the page says who they are, while they are.
func TestEntry_NamesAccounts(t *testing.T) {
	o := newOffice(t, plainText)
	index := o.entries.add(policy.Record{Type: policy.RecordPolicy, Action: "policy.publish", Result: "ok", Actor: "ada", Time: o.now,
		Detail: map[string]string{"approver": "rae", "authors": "ada, operator", "title": "kims"}}, nil)
	w := o.get("rae", entryURL(index))
	shows(t, w, http.StatusOK, "rae (Rae Castillo)", "ada, operator (Ada ")
	if strings.Contains(w.Body.String(), "kims (") {
		t.Error("a part of a word is taken for an account")
	}
}

// What a limited reviewer reads is recorded with what they are limited to, and
// alarms are listed and counted for them as far as they read.
func TestLogScope_RecordedAndCounted(t *testing.T) {
	o := newOffice(t, plainText)
	o.limit("maps")
	for _, address := range []string{"/console/log?q=effect%3Adeny", "/api/v1/log/entries?vendor=acme", "/console/log/account/kim"} {
		w := o.get("rae", address)
		if to := w.Header().Get("Location"); to != "" {
			w = o.get("rae", to)
		}
		if w.Code != http.StatusOK {
			t.Fatalf("%s: status %d", address, w.Code)
		}
		if r := o.entries.last("log.query"); r == nil || r.Actor != "rae" || r.Detail["scope"] != "cluster:maps" {
			t.Errorf("%s is recorded as %+v", address, r)
		}
	}
	o.get("ada", "/console/log?q=effect%3Adeny")
	if r := o.entries.last("log.query"); r == nil || r.Actor != "ada" || r.Detail["scope"] != "" {
		t.Errorf("a reading of everything is recorded as %+v", r)
	}
	o.get("rae", recordedPath)
	if r := o.entries.last("log.own"); r == nil || r.Detail["scope"] != "" {
		t.Errorf("a look at one's own entries is recorded as %+v", r)
	}
	for i := range 9 {
		a := alarm.Alarm{ID: "m" + string(rune('0'+i)), Rule: "denials", Kind: alarm.Denials, Severity: alarm.Low, At: o.now, Raised: o.now, Cluster: "maps", Facts: map[string]string{"count": "20", "since": "2026-03-10T10:00:00Z"}}
		o.alarms.alarms = append(o.alarms.alarms, a)
	}
	over := o.get("rae", "/console/")
	shows(t, over, http.StatusOK, "4 more alarms")
	if strings.Contains(over.Body.String(), "Much more than usual") {
		t.Error("an alarm of another cluster is shown")
	}
	list := o.get("rae", "/console/alarms").Body.String()
	if strings.Contains(list, "/console/alarms/a2") || strings.Count(list, "/console/alarms/m") != 9 {
		t.Error("alarms of other clusters are listed, or not all of its own")
	}
	shows(t, o.get("rae", "/console/alarms/a2"), http.StatusNotFound)
	one := o.get("rae", "/console/alarms/m1")
	shows(t, one, http.StatusOK, "Its figures count all clusters")
	if strings.Contains(one.Body.String(), "20 requests") || strings.Contains(list, "20 requests") {
		t.Error("figures of all clusters are shown")
	}
}

// Nobody learns on their own pages that an alarm is about them: neither from
// its entries, nor from who read it or acknowledged it, nor from readings that
// asked for them while it is open.
func TestRecorded_TipsNobodyOff(t *testing.T) {
	o := newOffice(t, plainText)
	o.alarms.alarms = nil
	me := func(action, actor string, more map[string]string) {
		o.entries.add(policy.Record{Type: policy.RecordLog, Action: action, Account: "kim", Email: "kim@example.com", Actor: actor, Result: "ok", Detail: more, Time: o.now}, nil)
	}
	before, readers := o.get("kim", recordedPath).Body.String(), o.get("kim", readersPath).Body.String()
	me("alarm.raise", operatorActor, map[string]string{"rule": "denials", "fact_count": "20"})
	me("alarm.acknowledge", "rae", map[string]string{"note": "Watched since May."})
	after := o.get("kim", recordedPath).Body.String()
	if strings.Contains(after, "alarm was raised") || strings.Contains(after, "acknowledged an alarm") || strings.Contains(after, "Watched") || before == "" {
		t.Error("entries of alarms are shown to whom they are about")
	}
	shows(t, o.get("kim", recordedPath), http.StatusOK, "What watches over the log", "Not shown here")

	// Readings of the alarms themselves, also by a search that finds nothing else of kim's.
	o.entries.add(policy.Record{Type: policy.RecordLog, Action: "log.query", Actor: "rae", Account: "rae", Email: "rae@example.com", Detail: map[string]string{"query": "account:kim action:alarm.*"}, Time: o.now}, nil)
	o.get("ada", "/console/alarms?account=kim")
	if got := o.get("kim", readersPath).Body.String(); strings.Contains(got, "rae@example.com") != strings.Contains(readers, "rae@example.com") || strings.Contains(got, "ada@example.com") != strings.Contains(readers, "ada@example.com") {
		t.Errorf("readings of alarms are listed:\n%s", got)
	}

	// While one is open, whoever looks into it is not listed; wider readings are.
	a := alarm.Alarm{ID: "x", Rule: "denials", Kind: alarm.Denials, Account: "kim", Cluster: "claims", At: o.now, Raised: o.now}
	o.alarms.alarms = []alarm.Alarm{a}
	for actor, q := range map[string]string{"looker": "account:kim cluster:claims", "wider": "vendor:acme"} {
		o.entries.add(policy.Record{Type: policy.RecordLog, Action: "log.query", Actor: actor, Email: actor + "@example.com", Detail: map[string]string{"query": q}, Time: o.now}, nil)
	}
	listed := func(who string) bool {
		return strings.Contains(o.get("kim", readersPath).Body.String(), who+"@example.com")
	}
	if listed("looker") || !listed("wider") {
		t.Errorf("while an alarm is open: looker %v, wider %v", listed("looker"), listed("wider"))
	}
	o.alarms.alarms[0].Acknowledged = alarm.Acknowledgement{Account: "rae", At: o.now, Note: "Asked."}
	if !listed("looker") {
		t.Error("a reading is kept back for ever")
	}
	o.alarms.alarms[0].Acknowledged = alarm.Acknowledgement{}
	o.alarms.alarms[0].Raised = o.now.Add(-withholdAtMost - 48*time.Hour)
	at := o.now.Add(-withholdAtMost - time.Hour)
	for i := range o.entries.entries { // so that there is something of then
		if e := &o.entries.entries[i]; e.Account == "kim" && e.Type == policy.RecordRequest {
			e.Time = at.Add(-time.Hour)
			break
		}
	}
	o.entries.add(policy.Record{Type: policy.RecordLog, Action: "log.query", Actor: "early", Email: "early@example.com", Detail: map[string]string{"query": "account:kim"}, Time: at}, nil)
	if !listed("early") || listed("looker") {
		t.Error("an alarm that nobody looks at keeps a reading back for ever, or none")
	}
	shows(t, o.get("kim", readersPath), http.StatusOK, "can be listed later")
}

// Whoever reads alarms, what shadows found and what replays found is recorded
// before they see anything.
func TestReadings_BesidesTheLog(t *testing.T) {
	o := newTrialOffice(t)
	o.shadows.all = []change.Shadow{{ID: 1, Draft: 1, Title: "Open the secrets"}}
	leadsTo(t, o.post("ada", replayOf1, fromBeginning), replayOf1)
	o.ends("replay")
	pages := map[string][2]string{
		"/console/alarms?show=all": {"log.alarms", "alarms"}, "/console/alarms/a2": {"log.alarm", "alarm:a2"},
		shadowPath: {"log.shadow", "shadow:1"}, replayOf1: {"log.replayed", "draft:1"},
	}
	for address, want := range pages {
		if w := o.get("rae", address); w.Code != http.StatusOK {
			t.Errorf("%s: status %d", address, w.Code)
		}
		if got := readsOf(t, o, want[0]); len(got) != 1 || got[0] != want[1] {
			t.Errorf("%s is recorded as %q", address, got)
		}
	}
	if err := o.log.Log.Close(); err != nil {
		t.Fatal(err)
	}
	for address := range pages {
		if w := o.get("rae", address); w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "kim@example.com") {
			t.Errorf("%s without a record: status %d", address, w.Code)
		}
	}
	if actionWords("log.alarm").String() == "log.alarm" {
		t.Error("a reading has no words")
	}
}
