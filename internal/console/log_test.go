package console

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/policy"
)

// TestLog_OnDisk reads a log as the gateway writes it: a request with its
// facts and its outcome, found, joined and explained.
func TestLog_OnDisk(t *testing.T) {
	key, _, err := accesslog.GenerateKey("gw1.northwind.example")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	log, err := accesslog.Open(t.Context(), accesslog.Config{Dir: folder, Node: "gw1", Key: key, SegmentSize: 1 << 20, Now: func() time.Time { return sampleNow }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- log.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	}()
	o := newOffice(t, plainText)
	facts := o.dir.Snapshot().Facts("kim", "claims", netip.MustParseAddr("198.51.100.24"))
	request := policy.Record{Type: policy.RecordRequest, Time: o.now, RequestID: "req1", Account: "kim", Email: "kim@example.com", Cluster: "claims", Method: "GET", Path: "/reports/q1", Effect: "allow", Facts: facts.Hash(), Document: facts}
	index, err := log.Record(t.Context(), &request)
	if err != nil {
		t.Fatal(err)
	}
	outcome := policy.Record{Type: policy.RecordOutcome, Time: o.now, RequestID: "req1", Account: "kim", Email: "kim@example.com", Cluster: "claims", Method: "GET", Path: "/reports/q1", Status: 207}
	if _, err := log.Record(t.Context(), &outcome); err != nil {
		t.Fatal(err)
	}
	o.Console.Log, o.Console.Search, o.LogFolder = log, logEngine{log, func() time.Time { return o.now }}, folder
	shows(t, o.get("rae", "/console/log?q=account:kim"), http.StatusOK, "GET /reports/q1", "207", entryURL(index), "1 line")
	shows(t, o.get("rae", entryURL(index)), http.StatusOK, "status 207", "The assignment is in force until", "facts document")
	shows(t, o.get("rae", "/console/log?q=status:207"), http.StatusOK, entryURL(index))
	shows(t, o.get("rae", "/api/v1/log/entries?type=log&action=log.query"), http.StatusOK, `"action":"log.query"`, `"actor":"rae"`)
	shows(t, o.get("rae", "/console/"), http.StatusOK, "1 decision")
}

// What is listed is said in words; codes that only policies know stay as they are.
func TestJoinReasons(t *testing.T) {
	for want, codes := range map[string][]string{
		"": nil,
		"The cluster was not assigned to this account.":                   {policy.ReasonNoAssignment},
		"The assignment did not cover the path. And 1 further reason.":    {policy.ReasonPathOutOfScope, policy.ReasonMethodOutOfScope},
		"outside_office_hours":                                            {"outside_office_hours"},
		"The assignment did not allow the method. And 2 further reasons.": {policy.ReasonMethodOutOfScope, "a", "b"},
	} {
		if got := joinReasons(codes).String(); got != want {
			t.Errorf("joinReasons(%q) = %q, want %q", codes, got, want)
		}
	}
}

// No question says that nothing will end, in the plural.
func TestCut(t *testing.T) {
	for n, want := range map[int]string{0: "Kim is away.", 1: "1 session will end at once, with every open connection.", 3: "3 sessions will end at once, with every open connection."} {
		if got := cut(n, "Kim is away.").String(); got != want {
			t.Errorf("cut(%d) = %q, want %q", n, got, want)
		}
	}
}

// A line names and leads to the same person, also where its entry holds only
// the id of whoever did what is about somebody else.
func TestEntryRow_NamesWhoDidIt(t *testing.T) {
	o := newOffice(t, plainText)
	v := o.visitOf(t, "rae")
	row := v.entryRow(pair{entry: &accesslog.Entry{Record: policy.Record{Type: policy.RecordAdmin, Action: "account.erase", Account: "kim", Actor: "ada", Object: "account:kim"}}})
	if want := logURL(is(query.Account, "ada")); row.Who != "ada@example.com" || row.WhoURL != want {
		t.Errorf("%q leads to %q, want ada's address and %q", row.Who, row.WhoURL, want)
	}
	row = v.entryRow(pair{entry: &accesslog.Entry{Record: policy.Record{Type: policy.RecordLogin, Action: "account.invite", Account: "kim", Actor: "operator"}}})
	if want := logURL(is(query.Account, "operator")); row.Who != "operator" || row.WhoURL != want {
		t.Errorf("%q leads to %q, want %q", row.Who, row.WhoURL, want)
	}
}
