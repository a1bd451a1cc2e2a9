package rego

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"

	"github.com/ringfence/ringfence/policy"
)

// word is what can stand after a dot in a reference.
var word = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// repair returns Rego that closes a hole, tried on the input that shows it;
// empty where nothing did.
func (k *Knocker) repair(ctx context.Context, f *found) string {
	if f.rule == nil {
		return ""
	}
	if ruleName(f.rule) == "allow" {
		condition := strings.Join(knownBy(f, ""), "\n")
		if condition != "" && !strings.Contains(condition, "\n") && k.closes(ctx, f, conditioned(k.modules[f.File], f.rule, condition)) {
			return condition
		}
		return ""
	}
	for _, narrow := range []bool{true, false} {
		text := besides(f, narrow)
		if text != "" && k.closes(ctx, f, k.src[f.File]+"\n"+text) {
			return text
		}
	}
	return ""
}

// closes reports whether the set denies what shows the hole once the file of
// the rule has another text.
func (k *Knocker) closes(ctx context.Context, f *found, text string) bool {
	if text == "" {
		return false
	}
	src := make(Source, len(k.src))
	for name, t := range k.src {
		if !isTest(name) {
			src[name] = t
		}
	}
	src[f.File] = text
	s, err := compileWithin(ctx, src)
	if err != nil {
		return false
	}
	answer, err := k.engine.evaluate(ctx, s, f.without, nil)
	return err == nil && effective(answer, f.without).Effect != policy.Allow
}

// besides writes a rule that gives the same where the field is missing: under
// the conditions of the other one that have nothing to do with the field, or
// whatever they are.
func besides(f *found, narrow bool) string {
	known := knownBy(f, "not ")
	if known == nil {
		return ""
	}
	key := fmt.Sprintf(`{"code": %q, "message": "What decides about this request is not known.", "help": "Tell an administrator and give them the request number."}`, f.reason)
	if k := f.rule.Head.Key; k != nil && k.IsGround() && !hasRefs(k) {
		key = k.String()
	} else if f.reason == "" {
		return ""
	}
	var body []string
	if narrow {
		for _, x := range f.rule.Body {
			if independent(x, f.path) {
				body = append(body, exprText(x))
			}
		}
	}
	body = append(body, known...)
	return fmt.Sprintf("%s contains %s if {\n\t%s\n}\n", ruleName(f.rule), key, strings.Join(body, "\n\t"))
}

// knownBy writes the condition that the field is there, with not before it. In
// a list, some element lacks it.
func knownBy(f *found, not string) []string {
	is := map[string]string{"string": "is_string", "number": "is_number", "boolean": "is_boolean", "array": "is_array", "object": "is_object"}[ast.ValueName(f.value.Value)]
	if is == "" {
		return nil
	}
	var out []string
	at := "input"
	for _, part := range f.path {
		if strings.HasPrefix(part, "[") {
			if len(out) > 0 {
				return nil
			}
			out = append(out, "some item in "+at)
			at = "item"
			continue
		}
		if word.MatchString(part) && !ast.IsKeyword(part) {
			at += "." + part
		} else {
			at += fmt.Sprintf("[%q]", part)
		}
	}
	return append(out, fmt.Sprintf("%s%s(%s)", not, is, at))
}

// independent reports whether a condition stands for itself: it reads parts of
// the input by name, none of them the field, and shares no variable.
func independent(x *ast.Expr, path []string) bool {
	switch x.Terms.(type) {
	case *ast.SomeDecl, *ast.Every:
		return false
	}
	if len(x.With) > 0 {
		return false
	}
	alone := true
	operators := map[string]bool{}
	ast.NewGenericVisitor(func(n any) bool {
		switch n := n.(type) {
		case *ast.Expr:
			if n.IsCall() {
				operators[n.Operator().String()] = true
			}
		case ast.Call:
			operators[n[0].String()] = true
		case *ast.Term:
			switch v := n.Value.(type) {
			case ast.Var:
				alone = alone && (v.Equal(ast.InputRootDocument.Value) || operators[string(v)])
			case ast.Ref:
				if operators[v.String()] {
					return true
				}
				if !v[0].Equal(ast.InputRootDocument) || !v.IsGround() {
					alone = false
					return true
				}
				if r := (readable{segments(v)}); r.has(path) {
					alone = false
				}
				return true
			}
		}
		return false
	}).Walk(x)
	return alone
}

func hasRefs(t *ast.Term) bool {
	found := false
	ast.WalkTerms(t, func(t *ast.Term) bool {
		switch t.Value.(type) {
		case ast.Ref, ast.Call, ast.Var, *ast.SetComprehension, *ast.ArrayComprehension, *ast.ObjectComprehension:
			found = true
		}
		return found
	})
	return found
}

// exprText is a condition as it was written.
func exprText(x *ast.Expr) string {
	if x.Location != nil && len(x.Location.Text) > 0 {
		return strings.TrimSpace(string(x.Location.Text))
	}
	return x.String()
}

// conditioned returns the text of a module in which a rule has one condition more.
func conditioned(m module, rule *ast.Rule, condition string) string {
	body, err := ast.ParseBodyWithOpts(condition, ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err != nil {
		return ""
	}
	changed := m.Copy()
	i := slices.IndexFunc(m.Rules, func(r *ast.Rule) bool { return r == rule })
	if i < 0 {
		return ""
	}
	r := changed.Rules[i]
	for _, x := range body {
		r.Body.Append(x)
	}
	return moduleText(changed)
}

// moduleText writes a module that was changed in memory; empty where that is
// no Rego any more.
func moduleText(m *ast.Module) string {
	b, err := format.AstWithOpts(m, format.Opts{RegoVersion: ast.RegoV1})
	if err != nil {
		return ""
	}
	return string(b)
}
