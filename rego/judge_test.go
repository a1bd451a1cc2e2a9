package rego

import (
	"context"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

// judged is a set with every kind of contribution, for all clusters and one.
var judged = Source{
	"all/a.rego": "package ringfence.all\n\nimport rego.v2\n\n" + `deny contains {"code": "no_deletes", "message": "Nothing is deleted."} if input.request.method == "DELETE"

challenge contains {"code": "ticket", "message": "Name a ticket."} if not input.request.headers["x-ticket"]

obligations contains {"max_code_age": 30} if input.request.method == "POST"
`,
	"clusters/claims/b.rego": "package ringfence.clusters.claims\n\nimport rego.v2\n\n" + `allow if input.request.query.ok

obligations contains {"strip_headers": ["server"]} if input.facts.zone == "office"
`,
}

// TestDecideAllowed_AgreesWithTheWhole: for whatever the stock policies or
// another set allow, the short way to decide gives what the long one does.
func TestDecideAllowed_AgreesWithTheWhole(t *testing.T) {
	if testing.Short() {
		t.Skip("decides one after the other, many times")
	}
	var judges []*Judge
	for _, src := range []Source{nil, judged, {"all/a.rego": judged["all/a.rego"]}, {"clusters/claims/b.rego": judged["clusters/claims/b.rego"]}} {
		j, err := NewJudge(t.Context(), src)
		if err != nil {
			t.Fatal(err)
		}
		judges = append(judges, j)
	}
	rng := rand.New(rand.NewPCG(4, 2))
	ctx, allowed, effects := context.Background(), 0, map[policy.Effect]int{}
	for range 2_000 {
		in := randomInput(rng)
		for _, old := range judges {
			if old.Decide(ctx, in).Effect != policy.Allow {
				continue
			}
			allowed++
			for _, j := range judges {
				long, short := j.Decide(ctx, in), j.DecideAllowed(ctx, in)
				if !reflect.DeepEqual(long, short) {
					t.Fatalf("%+v\nthe long way gives %+v\nthe short one %+v", in, long, short)
				}
				effects[long.Effect]++
			}
		}
	}
	if allowed < 500 || len(effects) != 3 {
		t.Errorf("%d inputs were allowed, effects %v: too few to tell", allowed, effects)
	}
}

func randomInput(rng *rand.Rand) *policy.Input {
	cluster := []string{"claims", "billing"}[rng.IntN(2)]
	in := trialInput(cluster, noon)
	in.Request.Method = []string{"GET", "POST", "DELETE"}[rng.IntN(3)]
	if rng.IntN(2) == 0 {
		in.Request.Headers = map[string]string{"x-ticket": "T"}
	} else {
		in.Request.Headers = nil
	}
	if rng.IntN(2) == 0 {
		in.Request.Query = map[string][]string{"ok": {}}
	}
	in.Subject.Factors = map[string]int64{policy.FactorPassword: 9, policy.FactorTOTP: int64(rng.IntN(60))}
	facts := *in.Facts.Facts()
	facts.Zone = []string{"", "office"}[rng.IntN(2)]
	switch rng.IntN(6) { // what the guardrails deny or challenge
	case 0:
		facts.Vendor = nil
	case 1:
		in.Subject = policy.Anonymous
	case 2:
		facts.Agreements = []policy.AgreementFacts{{Name: "nda", Version: 2, AcceptedVersion: 1}}
	}
	in.Facts, _ = policy.NewDocument(facts)
	return in
}

func TestJudge_CanRead(t *testing.T) {
	j, err := NewJudge(t.Context(), judged)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cluster, path string
		want          bool
	}{
		{"billing", "request.headers.x-ticket", true},
		{"billing", "request.headers", true}, // what is above it
		{"billing", "request.headers.referer", false},
		{"claims", "request.query.ok", true},
		{"billing", "request.query.ok", false},
		{"claims", "request.query.ok.better", false}, // the name of a field may hold dots
		{"billing", "subject.token_scope", true},     // guardrails
		{"billing", "request.user", false},
	} {
		if got := j.CanRead(c.cluster, c.path); got != c.want {
			t.Errorf("%s on %s: %v", c.path, c.cluster, got)
		}
	}
	dynamic, err := NewJudge(t.Context(), Source{"all/a.rego": "package ringfence.all\n\nimport rego.v2\n\n" +
		"deny contains {\"code\": \"x\", \"message\": \"No secrets in queries.\"} if {\n\tsome name\n\t\"secret\" in input.request.query[name]\n}\n"})
	if err != nil {
		t.Fatal(err)
	}
	if !dynamic.CanRead("claims", "request.query.q") || dynamic.CanRead("claims", "request.headers.referer") {
		t.Error("a field that is named by a variable is not taken for all of its group")
	}
}

func TestSameFor(t *testing.T) {
	old := Source{"all/a.rego": "1", "clusters/claims/b.rego": "2", "clusters/claims/b_test.rego": "t"}
	for _, c := range []struct {
		new             Source
		claims, billing bool
	}{
		{old, true, true},
		{Source{"all/a.rego": "1", "clusters/claims/b.rego": "2"}, true, true},
		{Source{"all/a.rego": "1", "clusters/claims/b.rego": "3"}, false, true},
		{Source{"all/a.rego": "1"}, false, true},
		{Source{"all/a.rego": "2", "clusters/claims/b.rego": "2"}, false, false},
		{Source{"all/a.rego": "1", "all/c.rego": "", "clusters/claims/b.rego": "2"}, false, false},
	} {
		if SameFor(old, c.new, "claims") != c.claims || SameFor(old, c.new, "billing") != c.billing {
			t.Errorf("%v", c.new)
		}
	}
}

func BenchmarkDecideAllowed(b *testing.B) {
	j, err := NewJudge(b.Context(), judged)
	if err != nil {
		b.Fatal(err)
	}
	in := trialInput("claims", noon)
	for name, decide := range map[string]func(context.Context, *policy.Input) policy.Decision{"whole": j.Decide, "allowed": j.DecideAllowed} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sink = decide(context.Background(), in)
			}
		})
	}
}
