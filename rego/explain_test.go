package rego

import (
	"context"
	goast "go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

// elsewhere are the codes that no policy gives: such a request never came to
// one, or was judged already.
var elsewhere = []string{
	policy.ReasonRequestAmbiguous, policy.ReasonCrossOrigin, policy.ReasonUnknownHost, policy.ReasonUnknownRoute,
	policy.ReasonLogUnavailable, policy.ReasonUpstreamDown, policy.ReasonResponseTooLarge, policy.ReasonRateLimited,
	policy.ReasonEgressBudget, policy.ReasonNotMaskable, // of obligations, when they are met
}

// faults are codes of evaluations without an answer, which [policy.Explanation.Fault] words.
var faults = []string{policy.ReasonPolicyUndefined, policy.ReasonPolicyError, policy.ReasonPolicyTimeout}

const day = int64(24 * 3600 * 1e9)

type edit = func(in *policy.Input, f *policy.Facts)

// explained has, for each code of the guardrails and of the engine, a request
// that gets it and what its explanation must name: a condition, and a value of it.
var explained = map[string]struct {
	edit      edit
	src       Source
	condition string
	value     string
}{
	policy.ReasonSignIn:             {func(in *policy.Input, f *policy.Facts) { in.Subject.Account = "" }, nil, `input.subject.account != ""`, "input.subject.account is not known"},
	policy.ReasonSecondFactor:       {func(in *policy.Input, f *policy.Facts) { in.Subject.Factors = map[string]int64{"password": 5} }, nil, `not factor in {"password", "external", "provider"}`, `factor is "password"`},
	policy.ReasonPhishingResistant:  {func(in *policy.Input, f *policy.Facts) { f.Engagement.PhishingResistant = true }, nil, `is_number(input.subject.factors.webauthn)`, "input.subject.factors.webauthn is not known"},
	policy.ReasonAgreementMissing:   {func(in *policy.Input, f *policy.Facts) { f.Agreements[0].Version = 7 }, nil, `agreement.accepted_version == agreement.version`, "agreement.version is 7"},
	policy.ReasonCodeStale:          {func(in *policy.Input, f *policy.Facts) { in.Subject.Factors["totp"] = 901 }, fresh, `age(input.subject.factors) > 300`, "input.subject.factors.totp is 901"},
	policy.ReasonAccountNotActive:   {func(in *policy.Input, f *policy.Facts) { f.Account.Status = "disabled" }, nil, `input.facts.account.status != "active"`, `input.facts.account.status is "disabled"`},
	policy.ReasonAccountEnded:       {func(in *policy.Input, f *policy.Facts) { f.Account.EndsNS = in.Request.TimeNS - day }, nil, `not now < account_ends`, "account_ends is " + strconv.FormatInt(noon.UnixNano()-day, 10)},
	policy.ReasonVendorNotActive:    {func(in *policy.Input, f *policy.Facts) { f.Vendor.Status = "suspended" }, nil, `vendor.status == "active"`, `vendor.status is "suspended"`},
	policy.ReasonNoAssignment:       {func(in *policy.Input, f *policy.Facts) { f.Assignment = nil }, nil, `input.facts.assignment`, "input.facts.assignment is not known"},
	policy.ReasonAssignmentPending:  {func(in *policy.Input, f *policy.Facts) { f.Assignment.StartsNS = in.Request.TimeNS + 1 }, nil, `now < input.facts.assignment.starts_ns`, "now is " + strconv.FormatInt(noon.UnixNano(), 10)},
	policy.ReasonAssignmentEnded:    {func(in *policy.Input, f *policy.Facts) { f.Assignment.EndsNS = in.Request.TimeNS }, nil, `now >= input.facts.assignment.ends_ns`, "input.facts.assignment.ends_ns is " + strconv.FormatInt(noon.UnixNano(), 10)},
	policy.ReasonEngagementInactive: {func(in *policy.Input, f *policy.Facts) { f.Engagement.Status = "closed" }, nil, `input.facts.engagement.status != "active"`, `input.facts.engagement.status is "closed"`},
	policy.ReasonEngagementPending:  {func(in *policy.Input, f *policy.Facts) { f.Engagement.StartsNS = in.Request.TimeNS + 1 }, nil, `now < input.facts.engagement.starts_ns`, "input.facts.engagement.starts_ns is " + strconv.FormatInt(noon.UnixNano()+1, 10)},
	policy.ReasonEngagementEnded:    {func(in *policy.Input, f *policy.Facts) { f.Engagement.EndsNS = in.Request.TimeNS }, nil, `now >= input.facts.engagement.ends_ns`, "input.facts.engagement.ends_ns is " + strconv.FormatInt(noon.UnixNano(), 10)},
	policy.ReasonClusterNotCovered:  {func(in *policy.Input, f *policy.Facts) { f.Engagement.Clusters = []string{"payroll"} }, nil, `not input.resource.cluster in input.facts.engagement.clusters`, `input.facts.engagement.clusters is ["payroll"]`},
	policy.ReasonMethodOutOfScope:   {func(in *policy.Input, f *policy.Facts) { f.Assignment.Methods = []string{"POST", "PUT"} }, nil, `input.request.method in input.facts.assignment.methods`, `input.request.method is "GET"`},
	policy.ReasonPathOutOfScope:     {func(in *policy.Input, f *policy.Facts) { f.Assignment.Paths = [][]string{{"x"}, {"y", "z"}} }, nil, `array.slice(input.request.path, 0, count(prefix)) == prefix`, `prefix is ["y","z"]`},
	policy.ReasonTokenOtherCluster:  {func(in *policy.Input, f *policy.Facts) { in.Subject.TokenCluster = "payroll" }, nil, `not input.subject.token_cluster == input.resource.cluster`, `input.subject.token_cluster is "payroll"`},
	policy.ReasonTokenNotAllowed: {func(in *policy.Input, f *policy.Facts) {
		in.Subject.Credential, in.Subject.TokenScope = policy.CredentialAccessToken, &policy.TokenScope{Access: "write", Methods: []string{}, Paths: [][]string{{}}}
	}, nil, `input.facts.engagement.access_tokens == true`, "input.facts.engagement.access_tokens is not known"},
	policy.ReasonTokenOutOfScope: {func(in *policy.Input, f *policy.Facts) {
		f.Engagement.AccessTokens = true
		in.Subject.Credential, in.Subject.TokenScope = policy.CredentialAccessToken, &policy.TokenScope{Access: "write", Methods: []string{}, Paths: [][]string{{"other"}}}
	}, nil, `array.slice(input.request.path, 0, count(prefix)) == prefix`, `prefix is ["other"]`},
	policy.ReasonFactsMissing:     {func(in *policy.Input, f *policy.Facts) { f.Account = nil }, nil, `not input.facts.account.id == input.subject.account`, "input.facts.account.id is not known"},
	policy.ReasonPolicyNotAllowed: {func(in *policy.Input, f *policy.Facts) { in.Request.Method = "PUT" }, Source{"all/a.rego": "package ringfence.all\n\nimport rego.v2\n\nallow if input.request.method in {\"GET\", \"HEAD\"}\n"}, `input.request.method in {"GET", "HEAD"}`, `input.request.method is "PUT"`},
	policy.ReasonRequestTooLarge:  {func(in *policy.Input, f *policy.Facts) { in.Request.RawPath = strings.Repeat("a", 70000) }, nil, `size(input.request) > 65536`, "size(input.request) is 70"},
}

var fresh = Source{"all/fresh.rego": "package ringfence.all\n\nimport rego.v2\n\nobligations contains {\"max_code_age\": 300} if input.request.method == \"GET\"\n"}

// TestExplain_EveryReason walks the codes of package policy: each that a
// policy gives is explained by a condition and its values.
func TestExplain_EveryReason(t *testing.T) {
	for _, code := range reasonCodes(t) {
		c, ok := explained[code]
		if !ok {
			if !slices.Contains(elsewhere, code) && !slices.Contains(faults, code) {
				t.Errorf("nothing shows how %s is explained", code)
			}
			continue
		}
		t.Run(code, func(t *testing.T) {
			e := newEngine(t, quiet)
			load(t, e, c.src)
			in := edited(c.edit)
			x := e.Explain(context.Background(), in)
			if !slices.ContainsFunc(x.Decision.Reasons, func(r policy.Reason) bool { return r.Code == code }) {
				t.Fatalf("got %+v", x.Decision)
			}
			if plain := e.Decide(context.Background(), in); !slices.Equal(plain.Reasons, x.Decision.Reasons) || plain.Effect != x.Decision.Effect {
				t.Errorf("decided %v, explained %v", plain, x.Decision)
			}
			said := tellAll(x.Rules)
			if !says(decided(x.Rules), c.condition, c.value) {
				t.Errorf("%q with %q is missing in\n%s", c.condition, c.value, said)
			}
			if of := x.Of(code); len(of) == 0 && code != policy.ReasonSignIn {
				t.Errorf("no rule stands for %s in\n%s", code, said)
			}
		})
	}
}

// TestExplain_Faults: what goes wrong is in the explanation.
func TestExplain_Faults(t *testing.T) {
	head := "package ringfence.all\n\nimport rego.v2\n\n"
	for code, src := range map[string]Source{
		policy.ReasonPolicyError:   {"all/a.rego": head + "deny contains input.request.method if input.version == 1\n"},
		policy.ReasonPolicyTimeout: {"all/a.rego": head + "deny contains {\"code\": \"a\", \"message\": \"b\"} if { " + hostile["three nested loops"] + " }\n"},
	} {
		s, err := compile(src)
		if err != nil {
			t.Fatal(err)
		}
		e := newEngine(t, Config{Logger: quiet.Logger, Deadline: 1e6})
		e.current.Store(s)
		x := e.Explain(context.Background(), edited(func(*policy.Input, *policy.Facts) {}))
		if len(x.Decision.Reasons) != 1 || x.Decision.Reasons[0].Code != code || x.Fault == "" {
			t.Errorf("%s: %+v", code, x)
		}
	}
}

// TestExplain_Allowed: what let a request through is told too, and what
// administrators' rules looked at.
func TestExplain_Allowed(t *testing.T) {
	e := newEngine(t, quiet)
	load(t, e, Source{"clusters/claims/a.rego": `package ringfence.clusters.claims

import rego.v2

params := {"hours": {"from": 8, "to": 18}}

hour := time.clock(input.request.time_ns)[0]

deny contains {"code": "at_night", "message": "This cluster is closed at night."} if not open

open if {
	hour >= params.hours.from
	hour < params.hours.to
}
`})
	x := e.Explain(context.Background(), edited(func(*policy.Input, *policy.Facts) {}))
	if x.Decision.Effect != policy.Allow || !says(x.Rules, "vendor_in_order", "") || !says(x.Rules, "not open", "") {
		t.Errorf("%+v\n%s", x.Decision, tellAll(x.Rules))
	}
	x = e.Explain(context.Background(), edited(func(in *policy.Input, _ *policy.Facts) { in.Request.TimeNS += 9 * day / 24 }))
	of := x.Of("at_night")
	if x.Decision.Effect != policy.Deny || len(of) == 0 || of[0].Name != "deny" || !says(of, "hour < params.hours.to", "params.hours.to is 18") || !says(of, "hour < params.hours.to", "hour is 21") {
		t.Errorf("%+v\n%s", x.Decision, tellAll(x.Rules))
	}
}

// says reports whether a rule has a condition with a value.
func says(rules []policy.ExplainedRule, condition, value string) bool {
	for _, r := range rules {
		for _, c := range r.Conditions {
			if strings.Contains(c.Text, condition) && strings.Contains(valuesIn(c), value) {
				return true
			}
		}
	}
	return false
}

func decided(rules []policy.ExplainedRule) []policy.ExplainedRule {
	return slices.DeleteFunc(slices.Clone(rules), func(r policy.ExplainedRule) bool { return !r.Decided })
}

func valuesIn(c policy.ExplainedCondition) string {
	var b strings.Builder
	for _, v := range c.Values {
		if v.Known {
			b.WriteString(v.Name + " is " + v.Value + "; ")
		} else {
			b.WriteString(v.Name + " is not known; ")
		}
	}
	return b.String()
}

func tellAll(rules []policy.ExplainedRule) string {
	var b strings.Builder
	for _, r := range rules {
		b.WriteString(r.File + ":" + strconv.Itoa(r.Line) + " " + r.Name + " " + r.Code + " held=" + strconv.FormatBool(r.Held))
		if r.Decided {
			b.WriteString(" decided")
		}
		b.WriteString("\n")
		for _, c := range r.Conditions {
			b.WriteString("    " + strconv.FormatBool(c.Held) + " " + c.Text + "   [" + valuesIn(c) + "]\n")
		}
	}
	return b.String()
}

// reasonCodes reads the codes out of package policy's source.
func reasonCodes(t *testing.T) []string {
	f, err := parser.ParseFile(token.NewFileSet(), "../policy/reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	goast.Inspect(f, func(n goast.Node) bool {
		if v, ok := n.(*goast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "Reason") {
			code, err := strconv.Unquote(v.Values[0].(*goast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, code)
		}
		return true
	})
	if len(out) < 30 {
		t.Fatalf("only %d codes", len(out))
	}
	return out
}
