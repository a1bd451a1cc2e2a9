package rego

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/ringfence/ringfence/policy"
)

// Codes of what [Lint] finds.
const (
	LintAllow       = "lint_allow_without_condition"
	LintReason      = "lint_reason_without_sentence"
	LintUnreachable = "lint_unreachable_rule"
	LintPerson      = "lint_person_by_name"
	LintPath        = "lint_path_pattern"
	LintMask        = "lint_mask_of_a_path"
)

// Lint reports what compiles and is most likely not what was meant: an allow
// without a condition, a reason that tells its reader nothing, a rule that no
// request can reach, a person by name where an assignment belongs, a pattern
// over the path that another spelling gets around, a mask that names a place
// where it takes a field. Tests are not looked at.
// The findings are sorted by place; modules that cannot be parsed are a *[CompileError].
func Lint(src Source) ([]policy.Diagnostic, error) {
	modules, faults := parse(src, capabilities())
	if len(faults) > 0 {
		return nil, &CompileError{Diagnostics: sortDiagnostics(faults)}
	}
	l := linter{reached: reach(modules)}
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		if m := modules[name]; !m.scope.test && !m.params {
			l.file, l.module = name, m
			for _, r := range m.Rules {
				l.rule(r)
			}
		}
	}
	return sortDiagnostics(l.found), nil
}

type linter struct {
	reached map[string]bool // rules that a decision looks at, by package and name

	file   string
	module module
	found  []policy.Diagnostic
}

func (l *linter) find(at *ast.Location, code, format string, args ...any) {
	d := policy.Diagnostic{File: l.file, Code: code, Message: fmt.Sprintf(format, args...)}
	if at != nil {
		d.Line, d.Column = at.Row, at.Col
	}
	l.found = append(l.found, d)
}

func (l *linter) rule(r *ast.Rule) {
	name := ruleName(r)
	l.allow(r, name)
	l.reason(r, name)
	l.reachable(r, name)
	l.contradictions(r)
	ast.WalkTerms(r, func(t *ast.Term) bool { l.person(t); l.mask(t); return false })
	ast.WalkExprs(r, func(e *ast.Expr) bool { l.pattern(e); return false })
	ast.WalkTerms(r, func(t *ast.Term) bool {
		if c, ok := t.Value.(ast.Call); ok {
			l.call(c, t.Location)
		}
		return false
	})
	if r.Else != nil {
		l.rule(r.Else)
	}
}

// allow finds an allow that holds whatever is asked for.
func (l *linter) allow(r *ast.Rule, name string) {
	if name != "allow" {
		return
	}
	isTrue := r.Head.Value != nil && r.Head.Value.Value.Compare(ast.Boolean(true)) == 0
	if isTrue && (r.Default || always(r.Body)) {
		l.find(r.Location, LintAllow, "allow holds for every request: give it a condition, or leave it out, since assignments allow already")
	}
}

// always reports whether a body is empty or constantly true.
func always(b ast.Body) bool {
	for _, e := range b {
		t, ok := e.Terms.(*ast.Term)
		if !ok || e.Negated || t.Value.Compare(ast.Boolean(true)) != 0 {
			return false
		}
	}
	return true
}

// reason finds denials and challenges that do not say why, or say it in words
// that change from request to request.
func (l *linter) reason(r *ast.Rule, name string) {
	if name != "deny" && name != "challenge" || r.Head.Key == nil {
		return
	}
	o, ok := r.Head.Key.Value.(ast.Object)
	if !ok {
		return // made elsewhere; decoding it is guarded
	}
	for _, field := range []string{"code", "message"} {
		v := o.Get(ast.StringTerm(field))
		if v == nil {
			l.find(r.Head.Location, LintReason, "the %s has no %s: say why in a sentence for the person who reads it", name, field)
			continue
		}
		s, ok := v.Value.(ast.String)
		if !ok {
			l.find(v.Location, LintReason, "the %s of a reason must be constant: values of the request belong into the record, not into the words", field)
			continue
		}
		if field == "message" && (len(strings.Fields(string(s))) < 3 || !strings.ContainsAny(string(s[max(0, len(s)-1):]), ".!?")) {
			l.find(v.Location, LintReason, "%q is no sentence: say to its reader what is not allowed, and end it with a full stop", string(s))
		}
	}
	if name == "deny" && o.Get(ast.StringTerm("help")) == nil {
		l.find(r.Head.Location, LintReason, "the deny has no help: say who can grant it or what to do instead")
	}
}

// reachable finds rules that no decision looks at: most often a contributed
// rule with a slip of the pen in its name.
func (l *linter) reachable(r *ast.Rule, name string) {
	if l.reached[packageOf(l.module.Package.Path)+"/"+name] {
		return
	}
	near := ""
	for _, c := range contributed {
		if levenshtein.ComputeDistance(name, c) <= 2 {
			near = fmt.Sprintf(" (was %s meant?)", c)
		}
	}
	l.find(r.Location, LintUnreachable, "no decision looks at %s, so no request can reach it%s", name, near)
}

// reach follows every reference from the contributed rules on.
func reach(modules map[string]module) map[string]bool {
	refers := map[string][]string{} // rule, by package and name, to what it refers to
	var todo []string
	for _, m := range modules {
		if m.scope.test {
			continue
		}
		own := packageOf(m.Package.Path)
		for _, r := range m.Rules {
			rule := own + "/" + ruleName(r)
			refers[rule] = append(refers[rule], m.references(r)...)
			if slices.Contains(contributed, strings.TrimPrefix(rule, own+"/")) {
				todo = append(todo, rule)
			}
		}
	}
	reached := map[string]bool{}
	for len(todo) > 0 {
		next := todo[0]
		todo = todo[1:]
		if reached[next] {
			continue
		}
		reached[next] = true
		for rule := range refers {
			// A reference can be to a part of a rule's value, or to a whole package.
			if rule == next || strings.HasPrefix(next, rule+"/") || strings.HasPrefix(rule, next+"/") {
				if !reached[rule] {
					todo = append(todo, rule)
				}
				if rule == next || strings.HasPrefix(next, rule+"/") {
					todo = append(todo, refers[rule]...)
				}
			}
		}
	}
	return reached
}

// references returns the rules that r names, by package and name; a local
// variable may be among them, and then names no rule.
func (m module) references(r *ast.Rule) (out []string) {
	own := packageOf(m.Package.Path)
	imported := map[string]string{}
	for _, i := range m.Imports {
		if path, ok := i.Path.Value.(ast.Ref); ok && path[0].Equal(ast.DefaultRootDocument) {
			imported[string(i.Name())] = packageOf(path)
		}
	}
	var visit func(t *ast.Term) bool
	visit = func(t *ast.Term) bool {
		ref := ast.Ref{t}
		if v, ok := t.Value.(ast.Ref); ok {
			ref = v
			for _, operand := range ref[1:] {
				ast.WalkTerms(operand, visit)
			}
		}
		head, ok := ref[0].Value.(ast.Var)
		if !ok {
			return false
		}
		parts := strings.Join(append([]string{""}, segments(ref)...), "/")
		switch path, isImport := imported[string(head)]; {
		case head.Equal(ast.DefaultRootDocument.Value):
			out = append(out, strings.TrimPrefix(parts, "/"))
		case isImport:
			out = append(out, path+parts)
		default:
			out = append(out, own+"/"+string(head))
		}
		return true // its head alone would name the whole package
	}
	ast.WalkTerms(r, visit)
	return out
}

func packageOf(r ast.Ref) string { return strings.Join(segments(r), "/") }

// contradictions finds a body that two of its conditions keep from ever
// holding, and comparisons with values that the contract never gives.
func (l *linter) contradictions(r *ast.Rule) {
	values := map[string]ast.Value{}
	for _, e := range r.Body {
		if e.Negated || len(e.With) > 0 {
			continue
		}
		if t, ok := e.Terms.(*ast.Term); ok && t.Value.Compare(ast.Boolean(false)) == 0 {
			l.find(e.Location, LintUnreachable, "this condition never holds, so no request can reach the rule")
		}
		left, right, ok := equality(e)
		if !ok {
			continue
		}
		if have, ok := values[left.String()]; ok && have.Compare(right) != 0 {
			l.find(e.Location, LintUnreachable, "%s cannot be %s and %s at once, so no request can reach the rule", left, have, right)
		}
		values[left.String()] = right
		l.impossible(e, left.String(), right)
	}
}

// equality takes an expression apart that compares a reference into the input with a constant.
func equality(e *ast.Expr) (ast.Ref, ast.Value, bool) {
	if !e.IsCall() || len(e.Operands()) != 2 {
		return nil, nil, false
	}
	op := e.Operator().String()
	if op != ast.Equal.Name && op != ast.Equality.Name && op != "eq" && op != "equal" {
		return nil, nil, false
	}
	a, b := e.Operand(0), e.Operand(1)
	if _, ok := a.Value.(ast.Ref); !ok {
		a, b = b, a
	}
	ref, ok := a.Value.(ast.Ref)
	if !ok || !ref[0].Equal(ast.InputRootDocument) || !ref.IsGround() || !ast.IsConstant(b.Value) {
		return nil, nil, false
	}
	return ref, b.Value, true
}

func (l *linter) impossible(e *ast.Expr, left string, right ast.Value) {
	s, isText := right.(ast.String)
	text := string(s)
	switch {
	case !isText:
	case left == "input.request.method" && text != strings.ToUpper(text):
		l.find(e.Location, LintUnreachable, "methods are upper case: %q is never the method of a request", text)
	case left == "input.request.host" && text != strings.ToLower(text):
		l.find(e.Location, LintUnreachable, "hosts are lower case: %q is never the host of a request", text)
	case left == "input.resource.cluster" && l.module.scope.cluster != "" && text != l.module.scope.cluster:
		l.find(e.Location, LintUnreachable, "this module governs cluster %s alone: no request for %q reaches it", l.module.scope.cluster, text)
	case strings.HasPrefix(left, "input.request.path[") && strings.Contains(text, "/"):
		l.find(e.Location, LintUnreachable, "the path is an array of segments without slashes: none is %q", text)
	}
}

var address = regexp.MustCompile(`^[^@\s/]+@[^@\s/]+\.[^@\s/]+$`)

// person finds an address in a rule.
func (l *linter) person(t *ast.Term) {
	if s, ok := t.Value.(ast.String); ok && address.MatchString(string(s)) && t.Location != nil {
		l.find(t.Location, LintPerson, "%q is a person by name: give them an assignment, or use a role, a vendor or a fact, which end with the contract", string(s))
	}
}

// mask finds a mask that names a place, which no field is called, so that
// nothing is blanked.
func (l *linter) mask(t *ast.Term) {
	o, ok := t.Value.(ast.Object)
	if !ok {
		return
	}
	fields := o.Get(ast.StringTerm("mask"))
	if fields == nil {
		return
	}
	ast.WalkTerms(fields, func(t *ast.Term) bool {
		if s, ok := t.Value.(ast.String); ok && strings.ContainsAny(string(s), ".*/[]$") {
			l.find(t.Location, LintMask, "a mask takes names of fields, which are blanked wherever they stand: no field is called %q, so nothing is", string(s))
		}
		_, isRef := t.Value.(ast.Ref)
		return isRef // its segments are no fields
	})
}

// textual are the functions that judge a text by how it is written, with the
// number of the operand that is judged.
var textual = map[string]int{
	"regex.match": 1, "regex.is_match": 1, "re_match": 1, "glob.match": 2, "startswith": 0, "endswith": 0, "contains": 0,
	"regex.find_n": 1, "regex.find_all_string_submatch_n": 1,
}

func (l *linter) pattern(e *ast.Expr) {
	if e.IsCall() {
		l.judged(e.Operator().String(), e.Operands(), e.Location)
	}
}

func (l *linter) call(c ast.Call, at *ast.Location) {
	if len(c) > 1 {
		l.judged(c[0].String(), c[1:], at)
	}
}

// judged finds a pattern over the path as it was written or put together
// again: /a%62c, /ABC and /abc/ are other texts and may be the same page.
func (l *linter) judged(name string, operands []*ast.Term, at *ast.Location) {
	i, ok := textual[name]
	if !ok || i >= len(operands) || !l.isPath(operands[i]) {
		return
	}
	l.find(at, LintPath, "%s over the path can be got around by another spelling: compare the segments of input.request.path, such as input.request.path[0] == \"export\"", name)
}

// isPath reports whether a term is the path as text, or is made of it.
func (l *linter) isPath(t *ast.Term) (found bool) {
	ast.WalkRefs(t, func(r ast.Ref) bool {
		s := r.String()
		whole := s == "input.request.path"
		found = found || strings.HasPrefix(s, "input.request.raw_path") || whole && !isRef(t)
		return false
	})
	if v, ok := t.Value.(ast.Var); ok && !found {
		found = l.assignedPath(v)
	}
	return found
}

func isRef(t *ast.Term) bool { _, ok := t.Value.(ast.Ref); return ok }

// assignedPath follows a local variable or a helper of the module to what it was set to.
func (l *linter) assignedPath(v ast.Var) (found bool) {
	for _, r := range l.module.Rules {
		if ruleName(r) == string(v) && r.Head.Value != nil && r.Head.Value.Value.Compare(v) != 0 {
			found = found || l.isPath(r.Head.Value)
		}
		ast.WalkExprs(r, func(e *ast.Expr) bool {
			if e.IsAssignment() && len(e.Operands()) == 2 && e.Operand(0).Value.Compare(v) == 0 && !isVar(e.Operand(1), v) {
				found = found || l.isPath(e.Operand(1))
			}
			return false
		})
	}
	return found
}

func isVar(t *ast.Term, v ast.Var) bool { return t.Value.Compare(v) == 0 }
