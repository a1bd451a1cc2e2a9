package studio

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/accesslogtest"
	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

const module = "package ringfence.all\n\nimport rego.v2\n\n"

// noDeletes denies DELETE with one reason.
const noDeletes = module + `deny contains {"code": "no_deletes", "message": "Nothing is deleted here.", "help": "Ask."} if input.request.method == "DELETE"
`

var replayNoon = time.Now().UTC().Add(-time.Hour).Truncate(time.Second)

// people is a recorded input of one of several contractors.
func recordedInput(t testing.TB, n int, edit func(*policy.Input)) *policy.Input {
	t.Helper()
	at := replayNoon.Add(time.Duration(n) * time.Second)
	ns, day := at.UnixNano(), int64(24*time.Hour)
	account := fmt.Sprintf("acc-%d", n%3)
	facts, err := policy.NewDocument(policy.Facts{
		Account: &policy.AccountFacts{ID: account, Email: account + "@vendor.example", Status: policy.StatusActive, Roles: []policy.Role{policy.Contractor}},
		Vendor:  &policy.VendorFacts{Name: "vendor", Title: "Vendor", Status: policy.StatusActive},
		Engagement: &policy.EngagementFacts{Name: "e", Status: policy.StatusActive, StartsNS: replayNoon.UnixNano() - day, EndsNS: replayNoon.UnixNano() + 9*day,
			Clusters: []string{"claims"}},
		Assignment: &policy.AssignmentFacts{StartsNS: replayNoon.UnixNano() - day, EndsNS: replayNoon.UnixNano() + day, Access: policy.AccessWrite, Paths: [][]string{{}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	in := &policy.Input{Version: policy.ContractVersion, Facts: facts,
		Subject: policy.Subject{Account: account, Email: account + "@vendor.example", Vendor: "vendor", Roles: []policy.Role{policy.Contractor}, Session: "s",
			Credential: policy.CredentialSession, Factors: map[string]int64{policy.FactorPassword: 60, policy.FactorTOTP: 60}},
		Request: policy.Request{ID: fmt.Sprint("r", n), Time: at.Format(time.RFC3339Nano), TimeNS: ns, Protocol: "http", Method: "GET", Host: "claims.example",
			Path: []string{"a", fmt.Sprint(n)}, RawPath: fmt.Sprint("/a/", n), SourceIP: "192.0.2.1", Headers: map[string]string{"accept": "*/*", "user-agent": "test"}},
		Resource: policy.Resource{Cluster: "claims", Classification: "internal", Route: "app"},
	}
	if edit != nil {
		edit(in)
	}
	return in
}

// fill records n decisions under src, every seventh a DELETE.
func fill(t testing.TB, l *accesslogtest.Log, src rego.Source, n int) *rego.Judge {
	t.Helper()
	j, err := rego.NewJudge(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		in := recordedInput(t, i, func(in *policy.Input) {
			if i%7 == 0 {
				in.Request.Method = "DELETE"
			}
		})
		d := j.Decide(t.Context(), in)
		if d.Effect != policy.Allow && i%7 != 0 {
			t.Fatalf("the guardrails do not allow the request: %+v", d)
		}
		l.Add(t, accesslogtest.Request(in, d))
	}
	return j
}

func TestReplay_FindsWhatADraftDeniesAndNoMore(t *testing.T) {
	l := accesslogtest.New(t, 0)
	fill(t, l, nil, 140)
	var last Progress
	got, err := New(Config{}).Replay(t.Context(), ReplayRequest{Log: l.Dir, New: map[string]string{"all/x.rego": noDeletes}}, func(p Progress) { last = p })
	if err != nil {
		t.Fatal(err)
	}
	if got.Replayed != 140 || got.Narrowed != 20 || got.Widened != 0 || got.Reworded != 0 || len(got.Unfit) != 0 {
		t.Fatalf("%+v", got)
	}
	if len(got.Groups) != 3 || got.Groups[0].Kind != Narrowed || got.Groups[0].New.Reasons[0] != "no_deletes" || len(got.Examples) != 20 {
		t.Errorf("%+v", got.Groups)
	}
	if last.Total == 0 {
		t.Error("no progress was told")
	}
}

// TestReplay_CountsWhatItCannotReplay: each cause by itself, and only where a
// policy that governs the request reads what is not there.
func TestReplay_CountsWhatItCannotReplay(t *testing.T) {
	l := accesslogtest.New(t, 0)
	j, err := rego.NewJudge(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	add := func(edit func(*policy.Record)) {
		in := recordedInput(t, 1, nil)
		r := accesslogtest.Request(in, j.Decide(t.Context(), in))
		edit(r)
		l.Add(t, r)
	}
	add(func(*policy.Record) {})
	add(func(r *policy.Record) { r.QueryNames = []string{"q"} })                                // its value is not kept
	add(func(r *policy.Record) { r.Input = nil })                                               // of an earlier build
	add(func(r *policy.Record) { r.Input = nil; r.Revision, r.Effect = "", "deny" })            // not decided by policies
	add(func(r *policy.Record) { r.Input.Version = 99 })                                        // another contract
	add(func(r *policy.Record) { r.Document = nil; r.Facts = "sha256:00" })                     // facts that nobody has
	add(func(r *policy.Record) { r.Effect, r.Reasons = "deny", []string{"request_too_large"} }) // how large is not known
	reads := map[string]string{"all/x.rego": module + `deny contains {"code": "x", "message": "No such query.", "help": "Ask."} if "1" in input.request.query.q` + "\n"}
	got, err := New(Config{}).Replay(t.Context(), ReplayRequest{Log: l.Dir, New: reads}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{UnfitWithheld: 1, UnfitEarlier: 1, UnfitContract: 1, UnfitFacts: 1, UnfitLarge: 1}
	if got.Replayed != 1 || got.Undecided != 1 || !maps.Equal(got.Unfit, want) || got.Withheld["request.query.q"] != 1 {
		t.Errorf("%+v", got)
	}
	got, err = New(Config{}).Replay(t.Context(), ReplayRequest{Log: l.Dir, New: map[string]string{"all/x.rego": noDeletes}}, nil)
	if err != nil || got.Replayed != 2 || got.Unfit[UnfitWithheld] != 0 {
		t.Errorf("a value that no policy reads is missed: %+v %v", got, err)
	}
}

// TestReplay_BelievesNoRecordThatDoesNotHold: a recorded decision that the same
// policies do not take now makes the replay decide everything again.
func TestReplay_BelievesNoRecordThatDoesNotHold(t *testing.T) {
	l := accesslogtest.New(t, 0)
	j := fill(t, l, nil, 200)
	for i := range 20 {
		in := recordedInput(t, 300+i, nil)
		d := j.Decide(t.Context(), in)
		d.Effect, d.Reasons = policy.Deny, []policy.Reason{{Code: "made_up"}}
		l.Add(t, accesslogtest.Request(in, d))
	}
	got, err := New(Config{}).Replay(t.Context(), ReplayRequest{Log: l.Dir, New: map[string]string{"all/x.rego": noDeletes}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Differed == 0 || got.Widened != 0 || got.Narrowed != 29 || got.Replayed != 220 {
		t.Errorf("%+v", got)
	}
	got, err = New(Config{}).Replay(t.Context(), ReplayRequest{Log: l.Dir, Recorded: map[string]map[string]string{"x": nil}}, nil)
	if err != nil || got.Widened != 20 || got.Replayed != 220 || got.Narrowed+got.Reworded != 0 {
		t.Errorf("against the record: %+v %v", got, err)
	}
}

// TestReplay_StopsWithItsContext, and what it had by then is no result.
func TestReplay_StopsWithItsContext(t *testing.T) {
	l := accesslogtest.New(t, 0)
	fill(t, l, nil, 600)
	ctx, stop := context.WithCancel(t.Context())
	_, err := New(Config{}).Replay(ctx, ReplayRequest{Log: l.Dir, New: map[string]string{"all/x.rego": noDeletes}}, func(Progress) { stop() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestReplay_KeepsToTheSpan of time, index and filter.
func TestReplay_KeepsToTheSpan(t *testing.T) {
	l := accesslogtest.New(t, 0)
	fill(t, l, nil, 300)
	for _, c := range []struct {
		name string
		ask  ReplayRequest
		want int
	}{
		{"before an index", ReplayRequest{Before: 10}, -1},
		{"later than all", ReplayRequest{Since: time.Now().Add(time.Hour)}, 0},
		{"earlier than all", ReplayRequest{Until: replayNoon.Add(-time.Hour)}, 0},
		{"one account", ReplayRequest{Account: "acc-1@vendor.example"}, 100},
		{"another vendor", ReplayRequest{Vendor: "nobody"}, 0},
		{"another cluster", ReplayRequest{Cluster: "billing"}, 0},
	} {
		c.ask.Log, c.ask.New = l.Dir, map[string]string{"all/x.rego": noDeletes}
		got, err := New(Config{}).Replay(t.Context(), c.ask, nil)
		if err != nil || c.want >= 0 && got.Replayed != c.want || c.want < 0 && (got.Replayed == 0 || got.Replayed > 10) {
			t.Errorf("%s: %d replayed, %v", c.name, got.Replayed, err)
		}
	}
}
