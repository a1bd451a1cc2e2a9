package studio

import (
	"fmt"
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
