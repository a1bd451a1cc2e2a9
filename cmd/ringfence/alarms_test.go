package main

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A bell takes webhooks and notes when each came.
type bell struct {
	*httptest.Server
	mu   sync.Mutex
	down bool
	rung map[string]int // by the alarm's account and kind
	last time.Time
}

func newBell(t *testing.T) *bell {
	b := &bell{rung: map[string]int{}}
	b.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.down || !strings.HasPrefix(r.Header.Get("Webhook-Signature"), "v1,") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		var m struct {
			Type string
			Data struct{ Kind, Text, Entry string }
		}
		_ = json.Unmarshal(body, &m) // what is none counts for nothing
		if m.Type == "alarm.acknowledged" {
			m.Data.Kind = m.Type
		}
		b.rung[m.Data.Kind+" "+m.Data.Entry]++
		b.last = time.Now()
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *bell) count(kind string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k := range b.rung {
		if strings.HasPrefix(k, kind+" ") {
			n++
		}
	}
	return n
}

// TestAlarms_RaisedAndTold: denied requests raise an alarm within five seconds
// on the built program; a webhook is told, also when it was away and the
// gateway was killed meanwhile, and nothing is raised twice.
func TestAlarms_RaisedAndTold(t *testing.T) {
	slow(t)
	dir := filepath.Join(t.TempDir(), "state")
	p := startDemo(t, "--data", dir)
	hook := newBell(t)
	kim := p.signIn(t, "kim@northwind.example", 0)
	kim.accept = "text/html"
	ada := p.signIn(t, p.withRole(t, "administrator"), 0)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Certificate().Raw}))
	pg := ada.post(p.ready.Gate+"/console/alarms/receivers/new", url.Values{"kind": {"webhook"}, "title": {"Bell"}, "address": {hook.URL + "/in"}, "state": {"on"}, "ca": {ca}})
	if pg.status != 200 || !strings.Contains(pg.body, "whsec_") {
		t.Fatalf("adding a receiver: %d at %s\n%s", pg.status, pg.url, pg.body)
	}
	_, id, _ := strings.Cut(pg.body, "/console/alarms/receivers/to-")
	id, _, _ = strings.Cut(id, `"`)
	rule := url.Values{"seen": {"0"}, "on": {"on"}, "severity": {"high"}, "count": {"3"}, "within": {"1m"}, "again": {""}, "tell": {"to-" + id}, "try_days": {"7"}}
	if pg = ada.post(p.ready.Gate+"/console/alarms/rules/denials", rule); pg.status != 200 || !strings.Contains(pg.body, "3 within 1m") {
		t.Fatalf("changing a rule: %d at %s\n%s", pg.status, pg.url, pg.body)
	}
	if pg = kim.get(p.cluster(t, "telemetry") + "/"); pg.status != http.StatusForbidden {
		t.Fatalf("kim at telemetry: %d", pg.status)
	}
	denied := func() time.Time {
		var at time.Time
		for range 3 {
			at = time.Now()
			if pg := kim.get(p.cluster(t, "telemetry") + "/"); pg.status != http.StatusForbidden {
				t.Fatalf("kim at telemetry: %d", pg.status)
			}
		}
		return at
	}
	at := denied()
	eventually(t, 20*time.Second, "the bell rings", func() bool { return hook.count("denials") == 1 })
	if late := hook.last.Sub(at); late > 5*time.Second {
		t.Errorf("the alarm came %s after its entry", late)
	}
	rows := p.entries(t, "--action", "alarm.raise", "--account", "kim@northwind.example")
	if len(rows) != 1 || rows[0]["type"] != "log" {
		t.Fatalf("recorded %v", rows)
	}
	hook.mu.Lock()
	hook.down = true
	hook.mu.Unlock()
	denied()
	eventually(t, 20*time.Second, "the next alarm is recorded", func() bool {
		return len(p.entries(t, "--action", "alarm.raise", "--account", "kim@northwind.example")) == 2
	})
	p.kill()
	hook.mu.Lock()
	hook.down = false
	hook.mu.Unlock()
	p = startDemo(t, "--data", dir)
	eventually(t, 60*time.Second, "the bell rings for what it was away for", func() bool { return hook.count("denials") == 2 })
	ada = p.signIn(t, p.withRole(t, "administrator"), 1)
	list := ada.get(p.ready.Gate + "/console/alarms")
	if n := strings.Count(list.body, "Many denied requests"); n != 2 {
		t.Errorf("%d alarms are open, want 2", n)
	}
	_, alarm, _ := strings.Cut(list.body, `href="/console/alarms/`)
	for strings.HasPrefix(alarm, "r") { // rules and receivers
		_, alarm, _ = strings.Cut(alarm, `href="/console/alarms/`)
	}
	alarm, _, _ = strings.Cut(alarm, `"`)
	if pg = ada.post(p.ready.Gate+"/console/alarms/"+alarm, url.Values{"note": {"A test."}}); pg.status != 200 || strings.Count(pg.body, "Many denied requests") != 1 {
		t.Errorf("acknowledging: %d at %s", pg.status, pg.url)
	}
	if rows := p.entries(t, "--action", "alarm.acknowledge"); len(rows) != 1 {
		t.Errorf("recorded %v", rows)
	}
	eventually(t, 20*time.Second, "the bell rings for the acknowledgement", func() bool { return hook.count("alarm.acknowledged") == 1 })
	// The other one is acknowledged on the machine, beside the gateway.
	var open struct{ ID, Kind, Text string }
	if err := json.Unmarshal([]byte(ringfence(t, "alarm", "list", "--json", "--data", dir)), &open); err != nil || open.Kind != "denials" {
		t.Fatalf("%+v, %v", open, err)
	}
	ringfence(t, "alarm", "acknowledge", open.ID, "--note", "A drill.\u009b2J", "--data", dir)
	if shown := ringfence(t, "alarm", "show", open.ID, "--data", dir); !strings.Contains(shown, "by operator") || !strings.Contains(shown, "A drill.") || strings.Contains(shown, "\u009b") {
		t.Errorf("shown is %s", shown)
	}
	eventually(t, 20*time.Second, "the bell rings for that as well", func() bool { return hook.count("alarm.acknowledged") == 2 })
	// What a stricter rule would have found in the past.
	pg = ada.post(p.ready.Gate+"/console/alarms/rules/denials/try", url.Values{"seen": {"1"}, "on": {"on"}, "severity": {"high"}, "count": {"1"}, "within": {"1m"}, "again": {""}, "try_days": {"7"}})
	eventually(t, 20*time.Second, "the trial ends", func() bool {
		pg = ada.get(p.ready.Gate + "/console/alarms/rules/denials?tried=yes")
		return strings.Contains(pg.body, "it would have raised 7 alarms")
	})
	if n := len(p.entries(t, "--action", "alarm.raise", "--account", "kim@northwind.example")); n != 2 {
		t.Errorf("%d alarms are recorded in the end, want 2", n)
	}
}

// withRole returns the address of somebody with the role.
func (p *process) withRole(t testing.TB, role string) string {
	t.Helper()
	for _, a := range p.ready.Accounts {
		for _, r := range a.Roles {
			if r == role {
				return a.Email
			}
		}
	}
	t.Fatalf("nobody is %s", role)
	return ""
}
