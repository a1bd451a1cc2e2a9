package console

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/policy"
)

// TestRecorded_OneselfAlone: everybody sees what is about them, all of it, and
// nothing of anybody else.
func TestRecorded_OneselfAlone(t *testing.T) {
	o := newOffice(t, plainText)
	for _, r := range []policy.Record{
		{Type: policy.RecordRequest, Account: "lee", Email: "lee@example.com", Cluster: "maps", Method: "GET", Path: "/lees/own", Effect: "allow", Time: o.now},
		{Type: policy.RecordAdmin, Actor: "ada", Email: "ada@example.com", Action: "assignment.create", Object: "assignment:lee@example.com/maps", SourceIP: "203.0.113.77", Time: o.now},
		{Type: policy.RecordAdmin, Actor: "ada", Email: "ada@example.com", Action: "account.update", Object: "account:kim@example.com", SourceIP: "203.0.113.78", Time: o.now},
	} {
		o.entries.add(r, nil)
	}
	for _, r := range []policy.Record{
		{Type: policy.RecordLogin, Action: "factor.reset", Account: "kim", Email: "kim@example.com", Actor: "ada", Detail: map[string]string{accesslog.ActorEmail: "ada@example.com", "why": "lost"}, Time: o.now},
		{Type: policy.RecordLog, Action: "alarm.raise", Account: "kim", Email: "kim@example.com", Actor: operatorActor, Detail: map[string]string{"rule": "night-work", "fact_usual_bytes": "31000000"}, Time: o.now},
		{Type: policy.RecordLog, Action: "alarm.acknowledge", Account: "kim", Email: "kim@example.com", Actor: "rae", Detail: map[string]string{"note": "Copies more than she should.", accesslog.ActorEmail: "rae@example.com"}, Time: o.now},
	} {
		o.entries.add(r, nil)
	}
	w := o.get("kim", recordedPath)
	shows(t, w, http.StatusOK, "What is recorded about me", "GET /tiles/8/132/85.png", "Status 502", "The assignment did not allow the method.", "This was done by somebody else, not by you.", "login code", "198.51.100.24", "recorded as well")
	for _, hidden := range []string{"/lees/own", "lee@example.com", "203.0.113.7", "ada@example.com", "/console/log", "10.20.0.5", "Policy revision",
		"rae@example.com", "night-work", "31000000", "Copies more"} {
		if strings.Contains(w.Body.String(), hidden) {
			t.Errorf("kim is shown %q", hidden)
		}
	}
	if r := o.entries.last("log.own"); r == nil || r.Actor != "kim" || r.Object != "account:kim" {
		t.Errorf("recorded %+v", r)
	}
	older := o.get("kim", recordedPath+"?before=40").Body.String()
	if strings.Contains(older, "/tiles/8/132/85.png") && !strings.Contains(older, "Newer") {
		t.Errorf("older entries:\n%s", older)
	}
	signIns := o.get("kim", recordedPath+"?kind=sign-ins").Body.String()
	if !strings.Contains(signIns, "login code") || strings.Contains(signIns, "/reports") {
		t.Errorf("sign-ins:\n%s", signIns)
	}
	shows(t, o.get("kim", recordedPath+"?cluster=claims&since=2h"), http.StatusOK, "line")
	shows(t, o.get("kim", recordedPath+"?cluster=payroll"), http.StatusUnprocessableEntity, "not among the choices")
	shows(t, o.get("rae", recordedPath+"?kind=requests"), http.StatusOK, "Nothing about you fits")
	o.entries.fail = http.ErrServerClosed
	if w := o.get("kim", recordedPath); w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "/reports") {
		t.Errorf("without an entry: status %d", w.Code)
	}
}

// TestReaders_WhoeverSelectedAnEntryOfMine is listed, and nobody else; what
// cannot be told is listed as such.
func TestReaders_WhoeverSelectedAnEntryOfMine(t *testing.T) {
	o := newOffice(t, plainText)
	o.alarms.alarms = nil // those about kim would keep readings back
	shows(t, o.get("kim", readersPath), http.StatusOK, "Nobody looked")
	read := func(actor, action string, detail map[string]string) {
		o.entries.add(policy.Record{Type: policy.RecordLog, Time: o.now, Action: action, Actor: actor, Account: actor, Email: actor + "@example.com", Detail: detail}, nil)
	}
	mine, notMine := uint64(0), uint64(0)
	for i := range o.entries.entries {
		if o.entries.entries[i].Account == "kim" {
			mine = o.entries.entries[i].Index
		} else if o.entries.entries[i].Type == policy.RecordAdmin && o.entries.entries[i].Account == "" {
			notMine = o.entries.entries[i].Index
		}
	}
	o.entries.entries[notMine].Object = "vendor:delta"
	shown := func(actor string) bool {
		t.Helper()
		w := o.get("kim", readersPath)
		if w.Code != http.StatusOK {
			t.Fatalf("status %d", w.Code)
		}
		return strings.Contains(w.Body.String(), `<span translate="no">`+actor+"@example.com")
	}
	for i, c := range []struct {
		action string
		detail map[string]string
		want   bool
	}{
		{"log.query", map[string]string{"query": "account:kim"}, true},
		{"log.query", map[string]string{"query": "cluster:claims effect:deny since:30d"}, true},
		{"log.query", map[string]string{"query": "account:lee"}, false},
		{"log.query", map[string]string{"query": "cluster:payroll"}, false},
		{"log.query", map[string]string{"query": "since:1s type:request"}, false},
		{"log.query", nil, true},
		{"log.query", map[string]string{"query": "cluster:("}, true},
		{"log.query", map[string]string{"account": "kim@example.com", "since": "7d", "limit": "10"}, true},
		{"log.query", map[string]string{"account": "lee@example.com"}, false},
		{"log.query", map[string]string{"something": "new"}, true},
		{"log.query", map[string]string{"query": "cluster:claims", "scope": "cluster:payroll"}, false},
		{"log.query", map[string]string{"vendor": "acme", "via": "api", "scope": "cluster:payroll"}, false},
		{"log.query", map[string]string{"scope": "cluster:claims"}, true},
		{"log.query", map[string]string{"scope": "cluster:("}, true},
		{"log.export", map[string]string{"query": "vendor:acme", "format": "csv"}, true},
		{"log.tail", map[string]string{"query": "vendor:acme"}, true},
		{"log.entry", map[string]string{"index": fmt.Sprint(mine)}, true},
		{"log.entry", map[string]string{"index": fmt.Sprint(notMine)}, false},
		{"log.query", map[string]string{"filter": "limit=50 vendor=acme"}, true},
		{"log.query", map[string]string{"filter": "vendor=delta"}, false},
		{"log.query", map[string]string{"query": "vendor:acme", "before": "1"}, false},
		{"log.query", map[string]string{"vendor": "delta", "via": "api"}, false},
		{"log.review", map[string]string{"query": "vendor:acme", "first": "0", "last": "20"}, true},
		{"log.review", map[string]string{"query": "vendor:acme", "first": "0", "last": "0"}, false},
		{"log.publish", map[string]string{"to": "folder"}, true},
		{"log.query", map[string]string{"filter": "json=true query=account:lee vendor:acme"}, false},
		{"log.query", map[string]string{"filter": "text=two words"}, true},
	} {
		actor := fmt.Sprintf("reader%02d", i)
		read(actor, c.action, c.detail)
		if got := shown(actor); got != c.want {
			t.Errorf("%s %v: listed %v, want %v", c.action, c.detail, got, c.want)
		}
	}
	shows(t, o.get("kim", readersPath), http.StatusOK, "asked for you", "a wider search", "perhaps yours")
	read("operator", "log.query", map[string]string{"filter": "vendor=acme"})
	shows(t, o.get("kim", readersPath), http.StatusOK, "whoever works on the machine")
	if shown("kim") {
		t.Error("one's own looks are listed")
	}
	// What came after a search was not part of it.
	o.now = o.now.Add(5 * time.Minute)
	read("early", "log.query", map[string]string{"query": "path:/later"})
	o.entries.add(policy.Record{Type: policy.RecordRequest, Account: "kim", Path: "/later", Time: o.now}, nil)
	if shown("early") {
		t.Error("a search found what was not there yet")
	}
}

// TestGrouped: the same question by one person on one day is asked once.
func TestGrouped(t *testing.T) {
	var entries []*accesslog.Entry
	for i := range 10 {
		entries = append(entries, &accesslog.Entry{Index: uint64(100 - i), Record: policy.Record{Time: sampleNow.Add(-time.Duration(i) * time.Minute), Action: "log.query", Actor: "rae", Object: "log", Detail: map[string]string{"query": "vendor:acme"}}})
	}
	entries[9].Actor = "ada"
	entries[8].Detail = map[string]string{"query": "vendor:delta"}
	entries[7].Time = sampleNow.AddDate(0, 0, -1)
	got := grouped(entries)
	if len(got) != 4 || got[0].times != 7 || got[0].past != 100 || query.Print(got[0].where) != "vendor:acme" {
		t.Errorf("%+v", got)
	}
}

// TestReaders_LongQuestions: what was asked for is recorded to its end, so that
// nobody hides whom they looked for behind words that select nothing.
func TestReaders_LongQuestions(t *testing.T) {
	o := newOffice(t, plainText)
	asked := query.Print(query.Any(is(query.Path, "/"+strings.Repeat("x", 2100)), is(query.AccountID, "kim")))
	path := strings.Repeat("*", 400) + "/reports*"
	for action, address := range map[string]string{"query": "/console/log?q=" + url.QueryEscape(asked), "path": "/api/v1/log/entries?path=" + url.QueryEscape(path)} {
		w := o.get("rae", address)
		if to := w.Header().Get("Location"); to != "" {
			w = o.get("rae", to)
		}
		if w.Code != http.StatusOK {
			t.Fatalf("%s: status %d", action, w.Code)
		}
		want := map[string]string{"query": asked, "path": path}[action]
		if r := o.entries.last("log.query"); r == nil || r.Detail[action] != want {
			t.Errorf("the entry about a search does not say all of its %s: %+v", action, r)
		}
		if where, _ := readingOf(&accesslog.Entry{Index: 1000, Record: *o.entries.last("log.query")}); where == nil || !query.Compile(where, o.now).Match(&accesslog.Entry{
			Record: policy.Record{Account: "kim", Path: "/reports/q4"}}) {
			t.Errorf("%s: it is not told that kim's entries were among what was found", action)
		}
	}
}

// TestReaders_OneAtATime: anybody who is signed in may ask who looked, and
// cannot keep the index busy with it.
func TestReaders_OneAtATime(t *testing.T) {
	o := newOffice(t, plainText)
	if !o.looks.enter("kim") {
		t.Fatal("the first is refused")
	}
	if w := o.get("kim", readersPath); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
		t.Errorf("a second one of the same account: status %d", w.Code)
	}
	shows(t, o.get("rae", readersPath), http.StatusOK, "Who looked at it")
	for i := range mostLooks - 1 {
		o.looks.enter(fmt.Sprint(i))
	}
	if w := o.get("rae", readersPath); w.Code != http.StatusTooManyRequests {
		t.Errorf("more than %d: status %d", mostLooks, w.Code)
	}
	o.looks.leave("kim")
	shows(t, o.get("kim", readersPath), http.StatusOK, "Who looked at it")
	shows(t, o.get("kim", readersPath), http.StatusOK, "Who looked at it")
}
