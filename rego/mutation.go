package rego

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A mutation is one small change of a rule that can be made.
type mutation struct {
	code     string
	at       *ast.Location
	was, now string
	apply    func()
}

func (m mutation) message() string {
	if m.code == MutantDropped {
		return "nothing notices when this rule is not there"
	}
	return fmt.Sprintf("nothing notices when %s becomes %s", brief60(m.was), brief60(m.now))
}

func brief60(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}

// maxMembers bounds the members of one set that are taken out one by one.
const maxMembers = 12

// turned are the comparisons that take the place of another one.
var turned = map[string][]*ast.Builtin{
	ast.Equal.Name: {ast.NotEqual}, ast.NotEqual.Name: {ast.Equal},
	ast.LessThan.Name: {ast.GreaterThanEq, ast.LessThanEq}, ast.LessThanEq.Name: {ast.GreaterThan, ast.LessThan},
	ast.GreaterThan.Name: {ast.LessThanEq, ast.GreaterThanEq}, ast.GreaterThanEq.Name: {ast.LessThan, ast.GreaterThan},
}

// A mutationFinder lists the mutations of one rule, always in the same order.
// The rule must be a copy that shares no terms with another one.
type mutationFinder struct{ out []mutation }

func mutationsOf(r *ast.Rule) []mutation {
	var f mutationFinder
	if !r.Default {
		f.add(MutantDropped, r.Location, "", "", func() {
			r.Body, r.Else = ast.NewBody(ast.NewExpr(ast.BooleanTerm(false))), nil
		})
	}
	for part := r; part != nil; part = part.Else {
		f.head(part)
		f.body(part.Body)
	}
	return f.out
}

func (f *mutationFinder) add(code string, at *ast.Location, was, now string, apply func()) {
	f.out = append(f.out, mutation{code, at, was, now, apply})
}

// head changes what a rule gives, but not the code and the words of a reason.
func (f *mutationFinder) head(r *ast.Rule) {
	switch name := ruleName(r); {
	case name == "deny" || name == "challenge":
	case r.Head.Key != nil:
		f.term(r.Head.Key)
	case r.Head.Value != nil && (r.Default || !r.Head.Value.Equal(ast.BooleanTerm(true))):
		f.term(r.Head.Value)
	}
}

func (f *mutationFinder) body(b ast.Body) {
	for _, x := range b {
		f.expr(x)
	}
}

func (f *mutationFinder) expr(x *ast.Expr) {
	f.negation(x)
	switch t := x.Terms.(type) {
	case *ast.Term:
		f.term(t)
	case []*ast.Term:
		f.call(t, x.Location, func() *ast.Expr { return x })
	case *ast.Not:
		f.body(t.Body)
	case *ast.Every:
		f.term(t.Domain)
		f.body(t.Body)
	case *ast.SomeDecl:
		for _, s := range t.Symbols {
			if c, ok := s.Value.(ast.Call); ok { // some x in …
				f.term(c[len(c)-1])
			}
		}
	}
	for _, w := range x.With {
		f.term(w.Value)
	}
}

// negation takes a not away.
func (f *mutationFinder) negation(x *ast.Expr) {
	was := exprText(x)
	if x.Negated {
		f.add(MutantNegation, x.Location, was, strings.TrimSpace(strings.TrimPrefix(was, "not ")), func() { x.Negated = false })
	}
	if n, ok := x.Terms.(*ast.Not); ok && len(n.Body) == 1 {
		f.add(MutantNegation, x.Location, was, strings.TrimSpace(strings.TrimPrefix(was, "not ")), func() {
			x.Terms = n.Body[0].Terms
			x.With = append(x.With, n.Body[0].With...)
		})
	}
}

// call turns a comparison and looks into the operands. whole is the expression
// that the call is, nil inside of another one.
func (f *mutationFinder) call(t []*ast.Term, at *ast.Location, whole func() *ast.Expr) {
	name := t[0].Value.String()
	for _, to := range turned[name] {
		changed := slices.Clone(t)
		changed[0] = ast.NewTerm(to.Ref())
		f.add(MutantComparison, at, infix(t), infix(changed), func() { t[0] = ast.NewTerm(to.Ref()) })
	}
	if (name == ast.Member.Name || name == ast.MemberWithKey.Name) && whole != nil && !whole().Negated {
		f.add(MutantComparison, at, infix(t), "not "+infix(t), func() { whole().Negated = true })
	}
	if name == ast.Sprintf.Name {
		return // words
	}
	for _, operand := range t[1:] {
		f.term(operand)
	}
}

// infix writes a comparison as people do.
func infix(t []*ast.Term) string {
	if len(t) == 3 {
		for _, b := range []*ast.Builtin{ast.Equal, ast.NotEqual, ast.LessThan, ast.LessThanEq, ast.GreaterThan, ast.GreaterThanEq, ast.Member} {
			if t[0].Value.String() == b.Name && b.Infix != "" {
				return termText(t[1]) + " " + b.Infix + " " + termText(t[2])
			}
		}
	}
	return ast.Call(t).String()
}

func termText(t *ast.Term) string {
	if t.Location != nil && len(t.Location.Text) > 0 {
		return string(t.Location.Text)
	}
	return t.String()
}

// term changes constants, and takes members out of sets, lists and objects.
func (f *mutationFinder) term(t *ast.Term) {
	switch v := t.Value.(type) {
	case ast.Boolean:
		f.constant(t, ast.Boolean(!v))
	case ast.Number:
		if n, ok := v.Int64(); ok {
			f.constant(t, ast.Number(strconv.FormatInt(n+1, 10)))
		}
	case ast.String:
		f.constant(t, v+"~")
	case ast.Set:
		members := v.Slice()
		for i := range min(len(members), maxMembers) {
			f.member(t, members[i], ast.NewSet(slices.Delete(slices.Clone(members), i, i+1)...))
		}
	case *ast.Array:
		for i := range min(v.Len(), maxMembers) {
			var left []*ast.Term
			for j := range v.Len() {
				if j != i {
					left = append(left, v.Elem(j))
				}
			}
			if _, fixed := v.Elem(i).Value.(ast.Ref); !fixed {
				f.member(t, v.Elem(i), ast.NewArray(left...))
			}
		}
	case ast.Object:
		for i, key := range v.Keys() {
			if i == maxMembers {
				break
			}
			left := ast.NewObject()
			v.Foreach(func(k, value *ast.Term) {
				if !k.Equal(key) {
					left.Insert(k, value)
				}
			})
			f.member(t, key, left)
			f.term(v.Get(key))
		}
	case ast.Call:
		f.call(v, t.Location, nil)
	case *ast.SetComprehension:
		f.body(v.Body)
	case *ast.ArrayComprehension:
		f.body(v.Body)
	case *ast.ObjectComprehension:
		f.body(v.Body)
	}
}

func (f *mutationFinder) constant(t *ast.Term, to ast.Value) {
	f.add(MutantConstant, t.Location, termText(t), to.String(), func() { replace(t, to) })
}

// replace gives a term another value, and the text that the formatter goes by.
func replace(t *ast.Term, to ast.Value) {
	t.Value = to
	if t.Location != nil {
		at := *t.Location
		at.Text = []byte(to.String())
		t.Location = &at
	}
}

func (f *mutationFinder) member(t, gone *ast.Term, left ast.Value) {
	f.add(MutantMember, t.Location, termText(t), fmt.Sprintf("the same without %s", termText(gone)), func() { replace(t, left) })
}
