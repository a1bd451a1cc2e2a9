package rego

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/ringfence/ringfence/policy"
)

// optional are the fields whose absence means something by the contract: an
// account without an end does not end.
var optional = map[string]bool{"facts.account.ends_ns": true}

// judge decides a term that need not be any input at all.
func judge(t *testing.T, e *Engine, input *ast.Term) policy.Decision {
	t.Helper()
	s := e.current.Load()
	answer, err := e.evaluate(context.Background(), s, input, nil)
	if err != nil {
		return policy.Decision{}
	}
	d, err := decode(answer)
	if err != nil {
		return policy.Decision{}
	}
	return d
}

// A change is one field of an input, taken away or made another.
type change struct {
	field string
	input *ast.Term
}

// drops returns input without one field, for every field at any depth.
func drops(input *ast.Term) []change {
	return vary(input, func(*ast.Term) []*ast.Term { return []*ast.Term{nil} })
}

// retypes returns input with one field null or of another type, for every field.
func retypes(input *ast.Term) []change {
	other := []*ast.Term{ast.NullTerm(), ast.BooleanTerm(false), ast.BooleanTerm(true), ast.IntNumberTerm(0), ast.IntNumberTerm(-1), ast.StringTerm(""),
		ast.StringTerm("x"), ast.ArrayTerm(), ast.ArrayTerm(ast.NullTerm()), ast.ObjectTerm(), ast.SetTerm()}
	return vary(input, func(t *ast.Term) []*ast.Term {
		var out []*ast.Term
		for _, o := range other {
			if fmt.Sprintf("%T", o.Value) != fmt.Sprintf("%T", t.Value) {
				out = append(out, o)
			}
		}
		return out
	})
}

func vary(t *ast.Term, with func(*ast.Term) []*ast.Term) []change {
	var out []change
	switch v := t.Value.(type) {
	case ast.Object:
		for _, k := range v.Keys() {
			name := string(k.Value.(ast.String))
			rebuild := func(value *ast.Term) *ast.Term {
				o := ast.NewObject()
				v.Foreach(func(k2, e *ast.Term) {
					if !k2.Equal(k) {
						o.Insert(k2, e)
					} else if value != nil {
						o.Insert(k2, value)
					}
				})
				return ast.NewTerm(o)
			}
			for _, value := range with(v.Get(k)) {
				out = append(out, change{name, rebuild(value)})
			}
			for _, c := range vary(v.Get(k), with) {
				out = append(out, change{name + "." + c.field, rebuild(c.input)})
			}
		}
	case *ast.Array:
		for i := range v.Len() {
			for _, c := range vary(v.Elem(i), with) {
				terms := make([]*ast.Term, v.Len())
				for j := range terms {
					terms[j] = v.Elem(j)
				}
				terms[i] = c.input
				out = append(out, change{fmt.Sprintf("%d.%s", i, c.field), ast.ArrayTerm(terms...)})
			}
		}
	}
	return out
}

// allowedInputs returns inputs that are allowed, one for each way through the guardrails.
func allowedInputs() map[string]*policy.Input {
	out := map[string]*policy.Input{}
	add := func(name string, edit func(*policy.Input, *policy.Facts)) {
		out[name] = edited(edit)
	}
	add("token and write", func(*policy.Input, *policy.Facts) {})
	add("session", func(in *policy.Input, _ *policy.Facts) {
		in.Subject.Credential, in.Subject.TokenCluster = policy.CredentialSession, ""
	})
	add("read", func(_ *policy.Input, f *policy.Facts) { f.Assignment.Access = policy.AccessRead })
	add("methods", func(_ *policy.Input, f *policy.Facts) { f.Assignment.Methods = []string{"GET", "POST"} })
	add("paths", func(_ *policy.Input, f *policy.Facts) { f.Assignment.Paths = [][]string{{"x"}, {"a"}} })
	accessToken := func(in *policy.Input, f *policy.Facts) {
		in.Subject.Credential, in.Subject.TokenBinding = policy.CredentialAccessToken, policy.BindingNetwork
		in.Subject.TokenScope = &policy.TokenScope{Access: policy.AccessRead, Methods: []string{"GET"}, Paths: [][]string{{"x"}, {"a"}}}
		f.Engagement.AccessTokens = true
	}
	add("access token", accessToken)
	add("access token that writes", func(in *policy.Input, f *policy.Facts) {
		accessToken(in, f)
		in.Subject.TokenScope = &policy.TokenScope{Access: policy.AccessWrite, Methods: []string{}, Paths: [][]string{{}}}
		in.Request.Method = "POST"
	})
	add("recovery code", func(in *policy.Input, _ *policy.Facts) {
		in.Subject.Factors = map[string]int64{"password": 9, "recovery": 9}
	})
	add("the provider's second factor", func(in *policy.Input, f *policy.Facts) {
		in.Subject.Factors = map[string]int64{policy.FactorExternal: 9, policy.FactorProvider: 9}
		f.Engagement.TrustProviderFactor = true
	})
	add("own people", func(in *policy.Input, f *policy.Facts) {
		in.Subject.Vendor, f.Vendor = "", nil
		in.Subject.Roles = []policy.Role{policy.Administrator}
		f.Account.Roles = in.Subject.Roles
	})
	add("key", func(in *policy.Input, f *policy.Facts) {
		in.Subject.Factors = map[string]int64{"password": 9, "webauthn": 9}
		f.Engagement.PhishingResistant = true
	})
	add("two agreements", func(_ *policy.Input, f *policy.Facts) {
		f.Agreements = append(f.Agreements, policy.AgreementFacts{Name: "data", Version: 3, AcceptedVersion: 3, AcceptedNS: 1})
	})
	return out
}

// edited returns the trial's input with changes.
func edited(edit func(*policy.Input, *policy.Facts)) *policy.Input {
	in := trialInput("claims", noon)
	f := *in.Facts.Facts()
	account, vendor, engagement, assignment := *f.Account, *f.Vendor, *f.Engagement, *f.Assignment
	f.Account, f.Vendor, f.Engagement, f.Assignment = &account, &vendor, &engagement, &assignment
	edit(in, &f)
	d, err := policy.NewDocument(f)
	if err != nil {
		panic(err)
	}
	in.Facts = d
	return in
}

// TestPolicyDataMissing takes each field away from inputs that are allowed and
// makes it another type: whatever the stock policies read must then deny or
// challenge, and what they do not read must change nothing.
func TestPolicyDataMissing(t *testing.T) {
	e := newEngine(t, quiet)
	for name, in := range allowedInputs() {
		t.Run(name, func(t *testing.T) {
			full := inputTerm(in)
			if d := judge(t, e, full); d.Effect != policy.Allow {
				t.Fatalf("not allowed to begin with: %v", d.Reasons)
			}
			read := fieldsRead(name)
			for _, c := range append(drops(full), retypes(full)...) {
				d := judge(t, e, c.input)
				switch {
				case optional[c.field] && dropped(c):
				case read(c.field) && d.Effect == policy.Allow:
					t.Errorf("%s: still allowed: %v", c.field, at(c))
				case !read(c.field) && d.Effect != policy.Allow:
					t.Errorf("%s: %v although it is listed as not read", c.field, d.Reasons)
				}
			}
		})
	}
}

// at returns the value that the changed field has now, as text.
func at(c change) string {
	v := c.input.Value
	for _, part := range strings.Split(c.field, ".") {
		var next *ast.Term
		switch x := v.(type) {
		case ast.Object:
			next = x.Get(ast.StringTerm(part))
		case *ast.Array:
			var i int
			fmt.Sscan(part, &i)
			next = x.Elem(i)
		}
		if next == nil {
			return "absent"
		}
		v = next.Value
	}
	return v.String()
}

func dropped(c change) bool { return at(c) == "absent" }

// fieldsRead says which fields the stock policies depend on for one of the
// allowed inputs. The list is of those that they do not, so that a new field
// is a failure until somebody has thought about it.
func fieldsRead(name string) func(field string) bool {
	ignored := []string{
		"subject.email", "subject.roles", "subject.session", "subject.factors.password", "subject.factors.external", "subject.token_binding",
		"facts.account.email", "facts.account.time_zone", "facts.account.clusters", "facts.vendor.title", "facts.vendor.owner", "facts.engagement.name",
		"facts.agreements.0.name", "facts.agreements.0.accepted_ns", "facts.agreements.1.name", "facts.agreements.1.accepted_ns",
		"facts.assignment.reason", "facts.zone",
		"request.id", "request.time", "request.host", "request.raw_path", "request.query", "request.headers", "request.source_ip", "request.tls",
		"resource.classification", "resource.route",
	}
	if name != "own people" {
		ignored = append(ignored, "facts.account.roles")
	}
	if !strings.HasPrefix(name, "access token") {
		ignored = append(ignored, "facts.engagement.access_tokens")
	}
	if name == "session" {
		ignored = append(ignored, "subject.token_cluster")
	}
	return func(field string) bool {
		for _, i := range ignored {
			if field == "request.time_ns" {
				return true
			}
			if field == i || strings.HasPrefix(field, i+".") {
				return false
			}
		}
		return true
	}
}

// deniedInputs returns inputs that are denied, by the reason and what is special about it.
func deniedInputs() map[string]*policy.Input {
	out := map[string]*policy.Input{}
	add := func(code string, edit func(*policy.Input, *policy.Facts)) { out[code] = edited(edit) }
	past, future := noon.UnixNano()-1, noon.UnixNano()+1
	add(policy.ReasonAccountNotActive, func(_ *policy.Input, f *policy.Facts) { f.Account.Status = policy.StatusDisabled })
	add(policy.ReasonAccountEnded, func(_ *policy.Input, f *policy.Facts) { f.Account.EndsNS = past })
	add(policy.ReasonVendorNotActive, func(_ *policy.Input, f *policy.Facts) { f.Vendor.Status = policy.StatusSuspended })
	add(policy.ReasonNoAssignment, func(_ *policy.Input, f *policy.Facts) { f.Assignment, f.Engagement = nil, nil })
	add(policy.ReasonAssignmentPending, func(_ *policy.Input, f *policy.Facts) { f.Assignment.StartsNS = future })
	add(policy.ReasonAssignmentEnded, func(_ *policy.Input, f *policy.Facts) { f.Assignment.EndsNS = past })
	add(policy.ReasonEngagementInactive, func(_ *policy.Input, f *policy.Facts) { f.Engagement.Status = policy.StatusClosed })
	add(policy.ReasonEngagementPending, func(_ *policy.Input, f *policy.Facts) { f.Engagement.StartsNS = future })
	add(policy.ReasonEngagementEnded, func(_ *policy.Input, f *policy.Facts) { f.Engagement.EndsNS = past })
	add(policy.ReasonClusterNotCovered, func(_ *policy.Input, f *policy.Facts) { f.Engagement.Clusters = []string{"payroll"} })
	add(policy.ReasonMethodOutOfScope, func(in *policy.Input, f *policy.Facts) {
		in.Request.Method, f.Assignment.Access = "POST", policy.AccessRead
	})
	add(policy.ReasonPathOutOfScope, func(_ *policy.Input, f *policy.Facts) { f.Assignment.Paths = [][]string{{"ab"}, {"a", "b", "c"}} })
	add(policy.ReasonTokenOtherCluster, func(in *policy.Input, _ *policy.Facts) { in.Subject.TokenCluster = "payroll" })
	add(policy.ReasonFactsMissing, func(_ *policy.Input, f *policy.Facts) { f.Account.ID = "somebody else" })
	add(policy.ReasonAgreementMissing, func(_ *policy.Input, f *policy.Facts) { f.Agreements[0].Version++ })
	add(policy.ReasonSecondFactor, func(in *policy.Input, _ *policy.Facts) {
		in.Subject.Factors = map[string]int64{policy.FactorPassword: 1}
	})
	add(policy.ReasonPhishingResistant, func(in *policy.Input, f *policy.Facts) {
		in.Subject.Factors, f.Engagement.PhishingResistant = map[string]int64{"password": 1, "totp": 1}, true
	})
	add("phishing_resistant_factor, recovery code", func(in *policy.Input, f *policy.Facts) {
		in.Subject.Factors, f.Engagement.PhishingResistant = map[string]int64{"password": 1, "recovery": 1}, true
	})
	add("phishing_resistant_factor, in the future", func(in *policy.Input, f *policy.Facts) {
		in.Subject.Factors, f.Engagement.PhishingResistant = map[string]int64{"password": 1, "totp": 1, "webauthn": -1}, true
	})
	add("vendor_not_active, another one in the session", func(in *policy.Input, f *policy.Facts) { in.Subject.Vendor = "other" })
	add("vendor_not_active, contractor of nobody", func(in *policy.Input, f *policy.Facts) { in.Subject.Vendor, f.Vendor = "", nil })
	add("vendor_not_active, contractor of nobody with another role", func(in *policy.Input, f *policy.Facts) {
		in.Subject.Vendor, f.Vendor, f.Account.Roles = "", nil, []policy.Role{policy.Contractor, policy.Administrator}
	})
	add("vendor_not_active, nobody at all", func(in *policy.Input, f *policy.Facts) { in.Subject.Vendor, f.Vendor, f.Account.Roles = "", nil, nil })
	add("method_out_of_scope, not among the methods", func(_ *policy.Input, f *policy.Facts) { f.Assignment.Methods = []string{"POST"} })
	add("method_out_of_scope, listed but not of the access", func(in *policy.Input, f *policy.Facts) {
		in.Request.Method, f.Assignment.Access, f.Assignment.Methods = "POST", policy.AccessRead, []string{"POST"}
	})
	add("method_out_of_scope, no such access", func(_ *policy.Input, f *policy.Facts) { f.Assignment.Access = "admin" })
	add("path_out_of_scope, no paths", func(_ *policy.Input, f *policy.Facts) { f.Assignment.Paths = nil })
	access := func(edit func(*policy.Input, *policy.Facts, *policy.TokenScope)) func(*policy.Input, *policy.Facts) {
		return func(in *policy.Input, f *policy.Facts) {
			in.Subject.Credential, f.Engagement.AccessTokens = policy.CredentialAccessToken, true
			in.Subject.TokenScope = &policy.TokenScope{Access: policy.AccessWrite, Methods: []string{}, Paths: [][]string{{}}}
			edit(in, f, in.Subject.TokenScope)
		}
	}
	add(policy.ReasonTokenNotAllowed, access(func(_ *policy.Input, f *policy.Facts, _ *policy.TokenScope) { f.Engagement.AccessTokens = false }))
	add("token_other_cluster, access token", access(func(in *policy.Input, _ *policy.Facts, _ *policy.TokenScope) { in.Subject.TokenCluster = "payroll" }))
	add(policy.ReasonTokenOutOfScope, access(func(in *policy.Input, _ *policy.Facts, s *policy.TokenScope) {
		in.Request.Method, s.Access = "POST", policy.AccessRead
	}))
	add("token_out_of_scope, method", access(func(_ *policy.Input, _ *policy.Facts, s *policy.TokenScope) { s.Methods = []string{"POST"} }))
	add("token_out_of_scope, path", access(func(_ *policy.Input, _ *policy.Facts, s *policy.TokenScope) { s.Paths = [][]string{{"ab"}} }))
	add("token_out_of_scope, no path", access(func(_ *policy.Input, _ *policy.Facts, s *policy.TokenScope) { s.Paths = [][]string{} }))
	add("token_out_of_scope, no scope", access(func(in *policy.Input, _ *policy.Facts, _ *policy.TokenScope) { in.Subject.TokenScope = nil }))
	add("token_out_of_scope, zero scope", access(func(in *policy.Input, _ *policy.Facts, s *policy.TokenScope) {
		*s = policy.TokenScope{Methods: []string{}, Paths: [][]string{}}
	}))
	// A scope never widens what the assignment gives.
	add("method_out_of_scope, access token that writes", access(func(in *policy.Input, f *policy.Facts, _ *policy.TokenScope) {
		in.Request.Method, f.Assignment.Access = "POST", policy.AccessRead
	}))
	add("facts_missing, another credential", func(in *policy.Input, _ *policy.Facts) { in.Subject.Credential = "basic" })
	add("facts_missing, another contract", func(in *policy.Input, _ *policy.Facts) { in.Version = 2 })
	add("second_factor, of a provider that nobody trusts", func(in *policy.Input, _ *policy.Facts) {
		in.Subject.Factors = map[string]int64{policy.FactorExternal: 1, policy.FactorProvider: 1}
	})
	add("second_factor, a trusted provider's word alone", func(in *policy.Input, f *policy.Facts) {
		in.Subject.Factors, f.Engagement.TrustProviderFactor = map[string]int64{policy.FactorExternal: 1}, true
	})
	add("second_factor, in the future", func(in *policy.Input, _ *policy.Facts) { in.Subject.Factors = map[string]int64{"totp": -5} })
	return out
}

// TestPolicyDataMissing_Denials takes each field away from inputs that are
// denied or challenged: none of them may turn to allow.
func TestPolicyDataMissing_Denials(t *testing.T) {
	if testing.Short() {
		t.Skip("decides one after the other, many times")
	}
	e := newEngine(t, quiet)
	for name, in := range deniedInputs() {
		t.Run(name, func(t *testing.T) {
			full := inputTerm(in)
			d := judge(t, e, full)
			code, _, _ := strings.Cut(name, ",")
			if len(d.Reasons) != 1 || d.Reasons[0].Code != code || d.Reasons[0].Help == "" {
				t.Fatalf("got %v %v", d.Effect, d.Reasons)
			}
			for _, c := range append(drops(full), retypes(full)...) {
				if optional[c.field] && dropped(c) {
					continue
				}
				if judge(t, e, c.input).Effect == policy.Allow {
					t.Errorf("%s %s: allowed", c.field, at(c))
				}
			}
		})
	}
}
