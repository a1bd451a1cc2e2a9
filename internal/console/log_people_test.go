package console

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/internal/alarm"
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
