package rego

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/ringfence/ringfence/policy"
)

// decision is what the policies themselves said; the zero one where they gave
// no answer.
func (t *story) decision() policy.Decision {
	if t.answer == nil {
		return policy.Decision{}
	}
	d, err := decode(t.answer)
	if err != nil {
		return policy.Decision{}
	}
	return d
}

// explained returns the rules that were considered: those that gave d's
// reasons, each followed by what it asked, then what else decided, then the rest.
func (t *story) explained(d *policy.Decision) []policy.ExplainedRule {
	var path []*told
	on := map[*told]bool{}
	var follow func(w *told)
	follow = func(w *told) {
		if on[w] {
			return
		}
		on[w] = true
		path = append(path, w)
		for _, next := range t.asked(w) {
			follow(next)
		}
	}
	for _, r := range d.Reasons {
		for _, w := range t.order {
			if w.held && w.code == r.Code && !isStock(w.rule, mainName) || w.code == r.Code && r.Code == policy.ReasonPolicyNotAllowed {
				follow(w)
			}
		}
	}
	for _, w := range t.order {
		if ruleName(w.rule) == "decision" && isStock(w.rule, mainName) && (w.held || t.answer == nil) {
			follow(w)
		}
	}
	for _, w := range t.order {
		// Why a fresh code is asked for is in the obligation that asks.
		if ruleName(w.rule) == "obligations" && w.held && d.Effect != policy.Deny {
			follow(w)
		}
	}
	var out []policy.ExplainedRule
	tell := func(w *told) {
		if len(out) < maxRules && w.worthTelling(on[w]) {
			out = append(out, w.explained(on[w]))
		}
	}
	for _, w := range path {
		tell(w)
	}
	for _, w := range t.order {
		if !on[w] {
			tell(w)
		}
	}
	return out
}

// asked returns the rules because of which w held or failed.
func (t *story) asked(w *told) []*told {
	var out []*told
	for _, c := range w.conds {
		held := c.held()
		if !w.held && held || !c.seen {
			continue // what held is not why the rule failed
		}
		for _, ref := range c.refs {
			for _, rule := range t.rulesOf(ref) {
				next := t.told[rule]
				if next == nil || held != c.negate && !next.held {
					continue
				}
				out = append(out, next)
			}
		}
		if !w.held {
			break
		}
	}
	return out
}

// rulesOf returns the rules that a reference reads.
func (t *story) rulesOf(r ast.Ref) []*ast.Rule {
	var out []*ast.Rule
	for _, rule := range t.compiler.GetRulesDynamic(r) {
		for ; rule != nil; rule = rule.Else {
			out = append(out, rule)
		}
	}
	return out
}

// worthTelling leaves out what would only lengthen the story: the entry module
// but for the reason that it gives itself, and names for values.
func (w *told) worthTelling(decided bool) bool {
	name := ruleName(w.rule)
	switch {
	case w.rule.Default || w.rule.Location == nil || w.rule.Location.File == demandsName:
		return false
	case isStock(w.rule, mainName):
		return decided && w.code == policy.ReasonPolicyNotAllowed
	case slices.Contains(contributed, name):
		return true
	}
	written := slices.ContainsFunc(w.rule.Body, func(x *ast.Expr) bool { return !x.Generated && !isTrue(x) })
	return written || !w.held
}

func (w *told) explained(decided bool) policy.ExplainedRule {
	r := policy.ExplainedRule{File: w.rule.Location.File, Line: w.rule.Location.Row, Name: ruleName(w.rule), Code: w.code,
		Stock: strings.HasPrefix(w.rule.Location.File, stockPrefix), Held: w.held, Decided: decided, Conditions: []policy.ExplainedCondition{}}
	if w.codes > 1 {
		r.Code = ""
	}
	if r.Code == "" {
		r.Code = codeOf(w.rule)
	}
	for _, c := range w.conds {
		if !c.seen {
			continue
		}
		held := w.held || c.held()
		r.Conditions = append(r.Conditions, policy.ExplainedCondition{File: c.at.File, Line: c.at.Row, Text: oneLine(string(c.at.Text)), Held: held, Values: c.values})
		if !held {
			break
		}
	}
	if n := len(r.Conditions); !r.Held && n > 0 && r.Failed() == nil {
		r.Conditions[n-1].Held = false // it held, and what it says is false
	}
	return r
}

// codeOf returns the code of a rule that gives a reason with a constant one.
func codeOf(r *ast.Rule) string {
	if r.Head.Key == nil {
		return ""
	}
	if o, ok := r.Head.Key.Value.(ast.Object); ok {
		if code, ok := value(o, keyCode).(ast.String); ok {
			return string(code)
		}
	}
	return ""
}

// headOf names a rule and, for a reason with a constant code, the code.
func headOf(r *ast.Rule) string {
	if code := codeOf(r); code != "" {
		return ruleName(r) + " " + code
	}
	return ruleName(r)
}

// marshal writes JSON as it stands in a policy, with <, > and & as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
