package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/alarm"
	"github.com/ringfence/ringfence/internal/directory"
)

// memoryAlarms keeps alarms in memory.
type memoryAlarms struct {
	mu        sync.Mutex
	alarms    []alarm.Alarm
	rules     []alarm.Rule
	receivers []alarm.Receiver
	secrets   map[string]string
	tried     []alarm.Rule
	found     alarm.Trial
	tests     []string
	refuse    error // of TryReceiver
	hold      chan struct{}
}

func newMemoryAlarms(now time.Time, say sampleText) *memoryAlarms {
	entry := uint64(1)
	a := func(n int, k alarm.Kind, severity string, facts map[string]string) alarm.Alarm {
		return alarm.Alarm{ID: fmt.Sprintf("a%d", n), Rule: alarm.DefaultID(k), Kind: k, Severity: severity, At: now.Add(-time.Duration(n) * time.Hour), Raised: now.Add(-time.Duration(n) * time.Hour),
			Entry: &entry, Account: "kim", Vendor: "acme", Cluster: "claims", About: "kim", Facts: facts}
	}
	since := now.Add(-2 * time.Hour).UTC().Format(time.RFC3339)
	m := &memoryAlarms{rules: alarm.Defaults(), secrets: map[string]string{}, alarms: []alarm.Alarm{
		a(1, alarm.Denials, alarm.Medium, map[string]string{"count": "20", "since": since}),
		a(2, alarm.Volume, alarm.High, map[string]string{"what": "bytes", "bytes": "812000000", "usual_bytes": "31000000"}),
		a(3, alarm.UnusualHour, alarm.Medium, map[string]string{"hour": "3", "days": "18"}),
	}}
	m.alarms[0].ID = "kim" // what the walks over all routes ask for
	m.alarms[0].Sends = []alarm.Send{{Receiver: alarm.OwnerReceiver, Sent: now}, {Receiver: "hook", Tries: 2, Fault: "the receiver answers 500", Next: now.Add(time.Minute)}}
	m.alarms[2].Acknowledged = alarm.Acknowledgement{Account: "rae", Email: "rae@example.com", Note: string(say("A release at night.")), At: now}
	m.receivers = []alarm.Receiver{{ID: "hook", Kind: alarm.Webhook, Title: string(say("Duty desk")), Address: "https://hooks.example.com/T000/secretpath", Sealed: []byte("x")}}
	return m
}

func (m *memoryAlarms) Alarms(_ context.Context, f alarm.Filter) (out []alarm.Alarm, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.alarms {
		if (!f.Open || a.Open()) && (f.Account == "" || f.Account == a.Account) && (f.Clusters == nil || slices.Contains(f.Clusters, a.Cluster)) && (f.Before.IsZero() || a.Raised.Before(f.Before)) {
			out = append(out, a)
		}
	}
	return out[:min(len(out), f.Limit)], nil
}

func (m *memoryAlarms) OpenAlarms(ctx context.Context, limit int) (int, []alarm.Alarm, error) {
	all, err := m.Alarms(ctx, alarm.Filter{Open: true, Limit: limit})
	return len(all), all, err
}

func (m *memoryAlarms) Alarm(_ context.Context, id string) (alarm.Alarm, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.alarms {
		if a.ID == id {
			return a, nil
		}
	}
	return alarm.Alarm{}, alarm.ErrNotFound
}

func (m *memoryAlarms) Acknowledge(_ context.Context, actor directory.Actor, id, note string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.alarms {
		if a := &m.alarms[i]; a.ID == id {
			if !a.Open() {
				return alarm.ErrDone
			}
			if a.Involves(actor.Account) {
				return alarm.ErrInvolved
			}
			a.Acknowledged = alarm.Acknowledgement{Account: actor.Account, Email: actor.Email, Note: note, At: sampleNow}
			return nil
		}
	}
	return alarm.ErrNotFound
}

func (m *memoryAlarms) AlarmRules(context.Context) ([]alarm.Rule, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.rules), nil
}

func (m *memoryAlarms) SaveRule(_ context.Context, _ directory.Actor, r alarm.Rule) (alarm.Rule, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := r.Check(); err != nil {
		return r, err
	}
	i := slices.IndexFunc(m.rules, func(x alarm.Rule) bool { return x.ID == r.ID })
	if i < 0 {
		m.rules = append(m.rules, r)
		i = len(m.rules) - 1
	} else if m.rules[i].Revision != r.Revision {
		return r, alarm.ErrChanged
	}
	r.Revision++
	m.rules[i] = r
	return r, nil
}

func (m *memoryAlarms) Receivers(context.Context) ([]alarm.Receiver, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.receivers), nil
}

func (m *memoryAlarms) SaveReceiver(_ context.Context, _ directory.Actor, c alarm.Receiver, secret []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.receivers, func(x alarm.Receiver) bool { return x.ID == c.ID })
	if c.Kind == alarm.Webhook && len(secret) == 0 && (i < 0 || m.receivers[i].Address != c.Address) {
		return &alarm.Fault{Part: "secret", What: "is needed"}
	}
	if len(secret) > 0 {
		m.secrets[c.ID] = string(secret)
	}
	if i < 0 {
		m.receivers = append(m.receivers, c)
		return nil
	}
	m.receivers[i] = c
	return nil
}

func (m *memoryAlarms) RemoveReceiver(_ context.Context, _ directory.Actor, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := len(m.receivers)
	if m.receivers = slices.DeleteFunc(m.receivers, func(x alarm.Receiver) bool { return x.ID == id }); len(m.receivers) == was {
		return alarm.ErrNotFound
	}
	return nil
}

func (m *memoryAlarms) Try(ctx context.Context, r alarm.Rule, _ time.Time, progress func(done, total uint64)) (alarm.Trial, error) {
	m.mu.Lock()
	m.tried = append(m.tried, r)
	found, hold := m.found, m.hold
	m.mu.Unlock()
	progress(1, 2)
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return found, ctx.Err()
		}
	}
	return found, nil
}

func (m *memoryAlarms) TryReceiver(_ context.Context, id string, a alarm.Alarm) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tests = append(m.tests, id+" "+a.Title)
	return m.refuse
}

// ruleValues is the form of the rule about denials, with one value changed.
func ruleValues(changes ...string) url.Values {
	v := url.Values{"seen": {"0"}, "on": {"on"}, "severity": {"high"}, "count": {"5"}, "within": {"10m"}, "again": {"1h"}, "try_days": {"30"}, "clusters": {"claims"}, "accounts": {"kim@example.com"}, "tell": {"owner", "hook"}}
	for i := 0; i+1 < len(changes); i += 2 {
		v.Set(changes[i], changes[i+1])
	}
	return v
}

func TestAlarms_Acknowledge(t *testing.T) {
	o := newOffice(t, plainText)
	shows(t, o.get("rae", "/console/alarms"), 200, "Many denied requests", "20 requests of Kim Larsen were denied since", "Much more than usual", "812 MB", "31 MB")
	if body := o.get("rae", "/console/alarms").Body.String(); strings.Contains(body, "unusual hour") {
		t.Error("what was acknowledged stands among the open ones")
	}
	shows(t, o.get("rae", "/console/alarms?show=all"), 200, "At work at an unusual hour", "rae@example.com")
	shows(t, o.get("rae", "/console/alarms/kim"), 200, "the owner of Acme Analytics", "the receiver answers 500", "2 failed tries", "/console/log/1")
	shows(t, o.get("rae", "/console/alarms/none"), 404)
	shows(t, o.post("rae", "/console/alarms/kim", url.Values{"note": {" "}}), 422, "Say what you found")
	if w := o.post("rae", "/console/alarms/kim", url.Values{"note": {"A new tool.\r\nAgreed with Kim."}}); w.Code != http.StatusSeeOther {
		t.Fatalf("status %d", w.Code)
	}
	if got := o.alarms.alarms[0].Acknowledged; got.Note != "A new tool.\nAgreed with Kim." || got.Account != "rae" {
		t.Errorf("acknowledged as %+v", got)
	}
	shows(t, o.post("ada", "/console/alarms/kim", url.Values{"note": {"Me too."}}), 409, "Somebody else acknowledged it")
	// The overview names what is open.
	shows(t, o.get("rae", "/console/"), 200, "Much more than usual", "/console/alarms/a2")
	if strings.Contains(o.get("abe", "/console/").Body.String(), "Much more than usual") {
		t.Error("an approver is shown alarms, who may not read the log")
	}
}

// Nobody acknowledges what is about themselves or what they did: the page says
// who can, and a form that is sent all the same changes nothing.
func TestAlarms_OwnIsAnothers(t *testing.T) {
	o := newOffice(t, plainText)
	o.alarms.alarms[1].Account = "ada"
	o.alarms.alarms[2] = alarm.Alarm{ID: "a3", Rule: "policy-alone", Kind: alarm.PolicyAlone, Severity: alarm.High, At: o.now, Raised: o.now, Actor: "ada", Facts: map[string]string{"what": "rollback", "by": "ada"}}
	for id, why := range map[string]string{"a2": "about your own account", "a3": "about what you did yourself"} {
		w := o.get("ada", "/console/alarms/"+id)
		shows(t, w, 200, why, "Rae Castillo")
		if strings.Contains(w.Body.String(), `name="note"`) {
			t.Errorf("%s: the form is there", id)
		}
		shows(t, o.post("ada", "/console/alarms/"+id, url.Values{"note": {"Nothing."}}), 403, why)
		if a, _ := o.alarms.Alarm(t.Context(), id); !a.Open() {
			t.Errorf("%s: acknowledged by whom it is about", id)
		}
		if w := o.post("rae", "/console/alarms/"+id, url.Values{"note": {"Asked her."}}); w.Code != http.StatusSeeOther {
			t.Errorf("%s: another's word: status %d", id, w.Code)
		}
	}
	a := alarm.Alarm{Account: "rae", Actor: "rae", Cluster: "claims"}
	d := o.dir.Snapshot().Directory().Clone()
	for i := range d.Accounts {
		if x := &d.Accounts[i]; x.ID != "rae" {
			x.Disabled = true
		}
	}
	if got := acknowledgers(d, &a, o.now).String(); !strings.Contains(got, "Nobody else") {
		t.Errorf("with nobody else there: %s", got)
	}
}

func TestAlarms_RuleIsSaved(t *testing.T) {
	o := newOffice(t, plainText)
	shows(t, o.get("rae", "/console/alarms/rules"), 200, "20 within 5m", "5 times a usual day")
	shows(t, o.get("ada", "/console/alarms/rules/denials"), 200, `value="20"`, `value="5m"`)
	for _, bad := range [][]string{{"count", "0"}, {"count", "many"}, {"within", "yesterday"}, {"within", "800h"}, {"severity", "odd"}, {"clusters", "nowhere"}, {"accounts", "nobody@example.com"}, {"on", ""}, {"again", "-1h"}} {
		if w := o.post("ada", "/console/alarms/rules/denials", ruleValues(bad...)); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "One thing is not right") {
			t.Errorf("%v: status %d", bad, w.Code)
		}
	}
	if w := o.post("ada", "/console/alarms/rules/denials", ruleValues()); w.Code != http.StatusSeeOther {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	got := o.alarms.rules[0]
	if got.Count != 5 || got.Within != 10*time.Minute || !slices.Equal(got.Clusters, []string{"claims"}) || !slices.Equal(got.Accounts, []string{"kim"}) || !got.Owner || !slices.Equal(got.To, []string{"hook"}) || got.Severity != alarm.High || got.Kind != alarm.Denials {
		t.Errorf("saved %+v", got)
	}
	shows(t, o.post("ada", "/console/alarms/rules/denials", ruleValues()), 422, "Somebody else changed this")
	shows(t, o.post("ada", "/console/alarms/rules/nothing", ruleValues()), 404)
}

func TestAlarms_OwnRule(t *testing.T) {
	o := newOffice(t, plainText)
	own := "/console/alarms/rules/own-abcdefghij"
	v := ruleValues("title", "Exports at night", "query", "  path:/export*   effect:allow ")
	for _, bad := range [][]string{{"query", "since:7d"}, {"query", "colour:red"}, {"query", ""}, {"title", ""}} {
		w := url.Values{}
		for k, x := range v {
			w[k] = x
		}
		w.Set(bad[0], bad[1])
		shows(t, o.post("ada", own, w), 422, "One thing is not right")
	}
	if w := o.post("ada", own, v); w.Code != http.StatusSeeOther {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	got := o.alarms.rules[len(o.alarms.rules)-1]
	if got.Kind != alarm.Matches || got.Query != "path:/export* effect:allow" || got.Title != "Exports at night" || got.ID != "own-abcdefghij" {
		t.Errorf("saved %+v", got)
	}
}

// A rule is tried as it stands in the form, and saved only by its own button.
func TestAlarms_Tried(t *testing.T) {
	o := newOffice(t, plainText)
	o.alarms.hold = make(chan struct{})
	o.alarms.found = alarm.Trial{Entries: 4711, Total: 1, Alarms: o.alarms.alarms[:1]}
	if w := o.post("ada", "/console/alarms/rules/denials/try", ruleValues()); w.Code != http.StatusSeeOther {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	if r := o.entries.last("log.query"); r == nil || r.Detail["for"] != "alarm rule denials" {
		t.Errorf("the read was recorded as %+v", r)
	}
	w := o.get("ada", "/console/alarms/rules/denials?tried=yes")
	shows(t, w, 200, "Under way", "Stop")
	if w.Header().Get("Refresh") == "" {
		t.Error("the page of a trial that runs does not load itself again")
	}
	close(o.alarms.hold)
	<-o.desk.trials.newest(trialOfRule("denials"), trialSet{}).done
	shows(t, o.get("ada", "/console/alarms/rules/denials?tried=yes"), 200, "In the last 30 days it would have raised 1 alarm", "4711 entries were looked at", "/console/log/1", `value="5"`)
	if o.alarms.rules[0].Count != 20 || o.alarms.tried[0].Count != 5 {
		t.Errorf("kept %d, tried %d", o.alarms.rules[0].Count, o.alarms.tried[0].Count)
	}
	o.entries.fail = errors.New("full")
	shows(t, o.post("ada", "/console/alarms/rules/denials/try", ruleValues()), 503)
	if len(o.alarms.tried) != 1 {
		t.Error("the log was read without a record")
	}
}

func TestAlarms_Receivers(t *testing.T) {
	o := newOffice(t, plainText)
	list := o.get("ada", "/console/alarms/receivers")
	shows(t, list, 200, "Duty desk", "hooks.example.com")
	if strings.Contains(list.Body.String(), "secretpath") {
		t.Error("the list shows the whole address of a webhook")
	}
	v := url.Values{"kind": {"webhook"}, "title": {"Pager"}, "address": {"https://pager.example.com/x"}, "state": {"on"}}
	set := func(k, x string) url.Values {
		w := url.Values{}
		for k, x := range v {
			w[k] = x
		}
		w.Set(k, x)
		return w
	}
	for _, bad := range []url.Values{set("address", "http://pager.example.com/"), set("address", "https://me:pw@pager.example.com/"), set("secret", "short"), set("ca", "no certificate"), set("kind", "pigeon"), set("title", ""), set("kind", "mail"), set("kind", "syslog")} {
		shows(t, o.post("ada", "/console/alarms/receivers/new", bad), 422, "One thing is not right")
	}
	if w := o.post("ada", "/console/alarms/receivers/new", v); w.Code != http.StatusSeeOther {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	secret := o.alarms.secrets[o.alarms.receivers[1].ID]
	if !strings.HasPrefix(secret, "whsec_") {
		t.Fatalf("secret %q", secret)
	}
	shows(t, o.get("ada", "/console/alarms/receivers"), 200, strings.ReplaceAll(secret, "+", "&#43;"))
	if strings.Contains(o.get("ada", "/console/alarms/receivers").Body.String(), "whsec_") {
		t.Error("the secret is shown twice")
	}
	at := "/console/alarms/receivers/" + o.alarms.receivers[1].ID
	if w := o.post("ada", at, v); w.Code != http.StatusSeeOther {
		t.Fatalf("status %d", w.Code)
	}
	shows(t, o.post("ada", at, set("address", "https://evil.example.com/")), 422, "needs a secret of its own")
	if w := o.post("ada", at+"/try", nil); w.Code != http.StatusSeeOther || len(o.alarms.tests) != 1 {
		t.Errorf("status %d, %d tests", w.Code, len(o.alarms.tests))
	}
	o.alarms.refuse = errors.New("the receiver answers 500")
	shows(t, o.post("ada", at+"/try", nil), 422, "It did not take a test", "the receiver answers 500")
	if w := o.post("ada", at+"/remove", nil); w.Code != http.StatusSeeOther || len(o.alarms.receivers) != 1 {
		t.Errorf("status %d", w.Code)
	}
}

// Whom the log is shown to in part is shown alarms in part. What a mail says
// holds nothing that could become a line or header of its own.
func TestAlarms_Letter(t *testing.T) {
	d := fillDirectory(plainText)
	a := &alarm.Alarm{ID: "x", Kind: alarm.Matches, Title: "Odd\r\nBcc: all@example.com", About: "\u2028two\nlines", Facts: map[string]string{"count": "2", "since": "2026-03-10T10:00:00Z"}, At: sampleNow}
	title, text, m := Letterhead{Organisation: "Northwind", Gate: officeGate}.Alarm(d, a)
	if strings.ContainsAny(title+text+m.Subject, "\r\n\u2028") {
		t.Errorf("lines in %q, %q, %q", title, text, m.Subject)
	}
	if !strings.Contains(m.Text, officeGate+"/console/alarms/x") {
		t.Errorf("the mail lacks the page: %s", m.Text)
	}
	a.Acknowledged = alarm.Acknowledgement{Account: "rae", Note: "canary of the note", At: sampleNow}
	title, text, m = Letterhead{Organisation: "Northwind", Gate: officeGate}.Alarm(d, a)
	if all := title + text + m.Text; !strings.HasPrefix(m.Subject, "Acknowledged: ") || !strings.Contains(m.Text, "Rae Castillo acknowledged it on") || strings.Contains(all, "canary") || strings.ContainsAny(title+text+m.Subject, "\r\n\u2028") {
		t.Errorf("of an acknowledgement: %q, %q, %q, %s", title, text, m.Subject, m.Text)
	}
	for _, k := range alarm.Kinds {
		for _, what := range []string{"", "requests", "bytes", "rollback", "publish", "gap", "unwritable", "deadline", "disk"} {
			a := alarm.Alarm{Kind: k, Account: "kim", Cluster: "claims", Facts: map[string]string{"what": what}}
			if alarmText(d, &a) == "" || alarmTitle("", k) == "" || alarmKinds[k].help == "" {
				t.Errorf("%s %s has no words", k, what)
			}
		}
	}
}
