package rego

import (
	"slices"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/ringfence/ringfence/policy"
)

const allowed = `{"effect": "allow", "reasons": set(), "obligations": set()}`

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		answer string
		want   policy.Effect
		ok     bool
	}{
		{allowed, policy.Allow, true},
		{`{"effect": "deny", "reasons": {{"code": "a", "message": "b"}}, "obligations": set()}`, policy.Deny, true},
		{`{"effect": "challenge", "reasons": {{"code": "a", "message": "b", "help": "c"}}, "obligations": set()}`, policy.Challenge, true},
		{`{"effect": "allow", "reasons": {{"code": "a", "message": "b"}}, "obligations": set()}`, policy.Deny, false},
		{`{"effect": "deny", "reasons": set(), "obligations": set()}`, policy.Deny, false},
		{`{"effect": "challenge", "reasons": set(), "obligations": set()}`, policy.Deny, false},
		{`{"effect": "ALLOW", "reasons": set(), "obligations": set()}`, policy.Deny, false},
		{`{"effect": true, "reasons": set(), "obligations": set()}`, policy.Deny, false},
		{`{"effect": ["allow"], "reasons": set(), "obligations": set()}`, policy.Deny, false},
		{`{"effect": "allow", "reasons": [], "obligations": set()}`, policy.Deny, false},
		{`{"effect": "allow", "reasons": set(), "obligations": []}`, policy.Deny, false},
		{`{"effect": "allow", "reasons": set()}`, policy.Deny, false},
		{`{"effect": "allow", "reasons": set(), "obligations": set(), "more": 1}`, policy.Deny, false},
		{`{"effect": "deny", "reasons": {"a"}, "obligations": set()}`, policy.Deny, false},
		{`{"effect": "deny", "reasons": {{"code": "a"}}, "obligations": set()}`, policy.Deny, false},
		{`{"effect": "deny", "reasons": {{"code": "", "message": "b"}}, "obligations": set()}`, policy.Deny, false},
		{`{"effect": "deny", "reasons": {{"code": 1, "message": "b"}}, "obligations": set()}`, policy.Deny, false},
		{`{"effect": "deny", "reasons": {{"code": "a", "message": "b", "help": 1}}, "obligations": set()}`, policy.Deny, false},
		{`{"effect": "deny", "reasons": {{"code": "a", "message": "b", "note": "c"}}, "obligations": set()}`, policy.Deny, false},
		{`true`, policy.Deny, false},
		{`"allow"`, policy.Deny, false},
		{`{}`, policy.Deny, false},
	} {
		d, err := decode(ast.MustParseTerm(c.answer))
		if d.Effect != c.want || (err == nil) != c.ok {
			t.Errorf("%s: %v, %v", c.answer, d.Effect, err)
		}
	}
}

func TestDecodeObligations(t *testing.T) {
	for _, c := range []struct {
		set  string
		want policy.Obligations
		ok   bool
	}{
		{`{{"max_response_bytes": 9}, {"max_response_bytes": 5, "egress_budget": 7}, {"egress_budget": 8}}`, policy.Obligations{MaxResponseBytes: 5, EgressBudget: 7}, true},
		{`{{"max_code_age": 900}, {"max_code_age": 60}}`, policy.Obligations{MaxCodeAge: 60}, true},
		{`{{"mask": ["b", "a"]}, {"mask": {"a", "c"}}}`, policy.Obligations{Mask: []string{"a", "b", "c"}}, true},
		{`{{"strip_headers": ["server"], "notify": {"x@example.com"}}}`, policy.Obligations{StripHeaders: []string{"server"}, Notify: []string{"x@example.com"}}, true},
		{`{{}}`, policy.Obligations{}, true},
		{`{{"max_response_byte": 9}}`, policy.Obligations{}, false},
		{`{{"max_response_bytes": 0}}`, policy.Obligations{}, false},
		{`{{"max_response_bytes": -1}}`, policy.Obligations{}, false},
		{`{{"max_response_bytes": 1.5}}`, policy.Obligations{}, false},
		{`{{"max_response_bytes": 1e30}}`, policy.Obligations{}, false},
		{`{{"max_response_bytes": "9"}}`, policy.Obligations{}, false},
		{`{{"mask": "a"}}`, policy.Obligations{}, false},
		{`{{"mask": [1]}}`, policy.Obligations{}, false},
		{`{{"mask": [""]}}`, policy.Obligations{}, false},
		{`{{"mask": {"a": "b"}}}`, policy.Obligations{}, false},
		{`{{1: 2}}`, policy.Obligations{}, false},
		{`{"mask"}`, policy.Obligations{}, false},
	} {
		got, err := decodeObligations(ast.MustParseTerm(c.set).Value)
		if (err == nil) != c.ok || got.MaxResponseBytes != c.want.MaxResponseBytes || got.EgressBudget != c.want.EgressBudget || got.MaxCodeAge != c.want.MaxCodeAge ||
			!slices.Equal(got.Mask, c.want.Mask) || !slices.Equal(got.StripHeaders, c.want.StripHeaders) || !slices.Equal(got.Notify, c.want.Notify) {
			t.Errorf("%s: %+v, %v", c.set, got, err)
		}
	}
}

// FuzzDecodeDecision feeds any value of the language to the decoder: nothing
// but an explicit allow, complete and without reasons, allows.
func FuzzDecodeDecision(f *testing.F) {
	for _, s := range []string{allowed, `{"effect": "allow", "reasons": set(), "obligations": {{"mask": ["a"]}}}`, `true`, `{"allow": true}`,
		`{"effect": "allow", "reasons": {"x"}, "obligations": set()}`, `{"effect": "deny", "reasons": {{"code": "a", "message": "b"}}, "obligations": set()}`,
		`[{"effect": "allow"}]`, `{"effect": "allow", "reasons": [], "obligations": null}`, `input.x`, `{"effect": data.x, "reasons": set(), "obligations": set()}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		term, err := ast.ParseTerm(text)
		if err != nil || term == nil {
			return
		}
		d, err := decode(term)
		if err != nil && (d.Effect != policy.Deny || d.Reasons != nil || !d.Obligations.IsZero()) {
			t.Fatalf("an error beside %+v", d)
		}
		if d.Effect == policy.Deny {
			return
		}
		o, ok := term.Value.(ast.Object)
		if !ok || o.Len() != 3 || o.Get(ast.StringTerm("effect")).Value.Compare(ast.String(d.Effect.String())) != 0 {
			t.Fatalf("%s gives %v", text, d.Effect)
		}
		if reasons := o.Get(ast.StringTerm("reasons")).Value.(ast.Set); (reasons.Len() == 0) != (d.Effect == policy.Allow) || len(d.Reasons) != reasons.Len() {
			t.Fatalf("%s gives %v with %d reasons", text, d.Effect, len(d.Reasons))
		}
	})
}
