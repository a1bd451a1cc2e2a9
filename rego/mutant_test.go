package rego

import (
	"slices"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

const gapHead = "package ringfence.all\n\nimport rego.v2\n\n"

const gapTestHead = "package ringfence.all\n\nimport rego.v2\n\n"

func survivors(r MutantReport) []string {
	var out []string
	for _, m := range r.Survivors {
		out = append(out, strings.TrimSpace(m.Code+" "+m.Was+" -> "+m.Now))
	}
	slices.Sort(out)
	return out
}

// TestMutants_Kinds: a change of each kind survives tests that are too few, and
// none survives tests that are enough.
func TestMutants_Kinds(t *testing.T) {
	if testing.Short() {
		t.Skip("decides one after the other, many times")
	}
	reason := `{"code": "x", "message": "This is not allowed.", "help": "Ask."}`
	for _, c := range []struct {
		name, rules, few, enough string
		survive                  string // one that must survive the few
		all                      bool   // whether enough leaves none
	}{
		{"a rule", "deny contains " + reason + ` if input.request.method == "DELETE"`,
			`test_it if true`, "test_yes if count(deny) == 1 with input.request.method as \"DELETE\"\n\ntest_no if count(deny) == 0 with input.request.method as \"GET\"",
			"mutant_rule_dropped  ->", true},
		{"a comparison", "deny contains " + reason + ` if input.subject.factors.totp > 300`,
			`test_it if count(deny) == 1 with input.subject.factors.totp as 900`,
			"test_more if count(deny) == 1 with input.subject.factors.totp as 301\n\ntest_less if count(deny) == 0 with input.subject.factors.totp as 300",
			"mutant_comparison_turned input.subject.factors.totp > 300 -> input.subject.factors.totp >= 300", true},
		{"a negation", "deny contains " + reason + " if {\n\tinput.request.method == \"PUT\"\n\tnot input.request.headers[\"x-ticket\"]\n}",
			`test_it if count(deny) == 0 with input.request as {"method": "GET", "headers": {}}`,
			`test_yes if count(deny) == 1 with input.request as {"method": "PUT", "headers": {}}
test_no if count(deny) == 0 with input.request as {"method": "PUT", "headers": {"x-ticket": "1"}}
test_get if count(deny) == 0 with input.request as {"method": "GET", "headers": {}}`,
			`mutant_negation_removed not input.request.headers["x-ticket"] -> input.request.headers["x-ticket"]`, true},
		{"a constant", `obligations contains {"max_code_age": 300}`,
			`test_it if count(obligations) == 1`, `test_it if obligations == {{"max_code_age": 300}}`,
			"mutant_constant_changed 300 -> 301", true},
		{"a member", "deny contains " + reason + ` if not input.request.method in {"GET", "HEAD"}`,
			`test_it if count(deny) == 1 with input.request.method as "PUT"`,
			"test_put if count(deny) == 1 with input.request.method as \"PUT\"\n\ntest_some if {\n\tevery m in [\"GET\", \"HEAD\"] {\n\t\tcount(deny) == 0 with input.request.method as m\n\t}\n}",
			`mutant_member_removed {"GET", "HEAD"} -> the same without "HEAD"`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, tests := range []string{c.few, c.enough} {
				m, err := NewMutator(t.Context(), Source{"all/x.rego": gapHead + c.rules + "\n", "all/x_test.rego": gapTestHead + tests + "\n"})
				if err != nil {
					t.Fatal(err)
				}
				told := 0
				r, err := m.Run(t.Context(), func(int, int) { told++ })
				if err != nil {
					t.Fatal(err)
				}
				got := survivors(r)
				if tests == c.few && !slices.Contains(got, c.survive) {
					t.Errorf("with few tests %q survive, want %q", got, c.survive)
				}
				if tests == c.enough && len(got) > 0 {
					t.Errorf("with enough tests %q survive", got)
				}
				if r.Mutants == 0 || r.ByTests+r.ByRequests+len(r.Survivors) != r.Mutants || told < r.Mutants {
					t.Errorf("%d mutants, %d by tests, %d by requests, %d survive, %d told", r.Mutants, r.ByTests, r.ByRequests, len(r.Survivors), told)
				}
			}
		})
	}
}

// TestMutants_Requests: what no test notices, a recorded request may.
func TestMutants_Requests(t *testing.T) {
	src := Source{"all/x.rego": gapHead + `deny contains {"code": "x", "message": "This is not allowed.", "help": "Ask."} if input.request.method == "DELETE"` + "\n"}
	m, err := NewMutator(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	in := trialInput("claims", noon)
	in.Request.Method = "DELETE"
	m.Recorded(t.Context(), in, nil)
	m.Recorded(t.Context(), in, []string{"request.method"})  // not to be had
	m.Recorded(t.Context(), in, []string{"request.query.q"}) // read by nobody
	r, err := m.Run(t.Context(), func(int, int) {})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Survivors) != 0 || r.ByRequests != r.Mutants || r.Mutants < 3 || r.Unfit != 1 || r.Requests != 2 {
		t.Errorf("%+v", r)
	}
}

// TestUnreached: a rule that held for a recorded request was reached, whether
// this revision decided it or another.
func TestUnreached(t *testing.T) {
	src := Source{"all/x.rego": gapHead + `deny contains {"code": "gone", "message": "This is not allowed.", "help": "Ask."} if input.request.method == "DELETE"

deny contains {"code": "never", "message": "This is not allowed.", "help": "Ask."} if odd

odd if input.request.method == "TRACE"

limit := 3
`, "clusters/claims/y.rego": "package ringfence.clusters.claims\n\nimport rego.v2\n\nobligations contains {\"max_code_age\": 300} if input.request.method == \"PUT\"\n"}
	r, err := NewReach(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	rules := func() string {
		var out []string
		for _, u := range r.Report().Rules {
			out = append(out, u.Rule)
		}
		return strings.Join(out, ", ")
	}
	if got := rules(); got != "deny gone, deny never, odd, obligations" {
		t.Fatalf("to begin with: %s", got)
	}
	in := trialInput("claims", noon)
	r.Recorded(t.Context(), in, nil, "", nil)
	if got := rules(); got != "deny gone, deny never, odd, obligations" {
		t.Errorf("after a request that nothing is about: %s", got)
	}
	put := trialInput("claims", noon)
	put.Request.Method = "PUT"
	r.Recorded(t.Context(), put, nil, "another", nil)
	if got := rules(); got != "deny gone, deny never, odd" {
		t.Errorf("after an obligation: %s", got)
	}
	r.Recorded(t.Context(), nil, nil, RevisionForTest(t, src), []string{"gone"}) // the input is not to be had, the reason is
	if got := rules(); got != "deny never, odd" {
		t.Errorf("after a reason: %s", got)
	}
	r.Recorded(t.Context(), nil, nil, "another", []string{"never"})
	out := r.Report()
	if len(out.Reasons) != 0 || len(out.Rules) != 2 || out.Requests != 4 || out.Looked != 2 {
		t.Errorf("in the end: %+v", out)
	}
	unfit := trialInput("claims", noon)
	r.Recorded(t.Context(), unfit, []string{"request.method"}, "", nil)
	if r.Report().Unfit != 1 {
		t.Error("a request whose method is not kept is looked at")
	}
}

// RevisionForTest is the revision of src.
func RevisionForTest(t *testing.T, src Source) string {
	t.Helper()
	r, err := Check(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	return r.Revision
}

// TestKnockout_Recorded: a recorded denial shows a hole that no test does.
func TestKnockout_Recorded(t *testing.T) {
	k, err := NewKnocker(t.Context(), Source{"all/x.rego": gapHead + `deny contains {"code": "x", "message": "This is not allowed.", "help": "Ask."} if input.facts.zone == "home"` + "\n"})
	if err != nil {
		t.Fatal(err)
	}
	in := edited(func(_ *policy.Input, f *policy.Facts) { f.Zone = "home" })
	for i := range uint64(20) {
		if err := k.Recorded(t.Context(), in, nil, 7+i); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Recorded(t.Context(), in, []string{"facts.zone"}, 30); err != nil {
		t.Fatal(err)
	}
	allowed := edited(func(*policy.Input, *policy.Facts) {})
	stopped := edited(func(_ *policy.Input, f *policy.Facts) { f.Zone, f.Account.Status = "home", policy.StatusDisabled })
	for _, in := range []*policy.Input{allowed, stopped, {}} {
		if err := k.Recorded(t.Context(), in, nil, 40); err != nil {
			t.Fatal(err)
		}
	}
	r := k.Report(t.Context())
	if len(r.Holes) != 1 || r.Holes[0].Field != "facts.zone" || r.Holes[0].Entry == nil || *r.Holes[0].Entry != 7 || r.Holes[0].Repair == "" {
		t.Errorf("%+v", r.Holes)
	}
	if r.Recorded != maxAlike || r.Alike != 20-maxAlike || r.Unfit != 1 || r.Unjudged != 1 || r.Denials != 0 {
		t.Errorf("%+v", r)
	}
}
