package rego

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/ringfence/ringfence/policy"
)

// Bounds on what a story keeps, far above what people read.
const (
	maxRules  = 500 // rules that were considered
	maxValues = 8   // of one condition
	maxValue  = 200 // bytes of one value
)

// A story is a tracer that keeps what a person wants to know of an evaluation.
type story struct {
	compiler *ast.Compiler
	told     map[*ast.Rule]*told
	order    []*told
	owner    map[uint64]*told // the rule in whose body, or a part of it, a query runs
	direct   map[uint64]bool  // queries that are a rule's body itself
	answer   *ast.Term        // of the whole set
}

func newStory(c *ast.Compiler) *story {
	return &story{compiler: c, told: map[*ast.Rule]*told{}, owner: map[uint64]*told{}, direct: map[uint64]bool{}}
}

// told is what was seen of one rule.
type told struct {
	rule  *ast.Rule
	held  bool
	value *ast.Term // of the last time that it held
	code  string    // of the reason that it gave; "" where there were several
	codes int
	conds []*toldCondition
}

// A toldCondition is one condition as it was written. The compiler makes
// several expressions of one.
type toldCondition struct {
	at     *ast.Location
	exprs  map[*ast.Expr]bool // whether each has held
	seen   bool
	negate bool
	refs   []ast.Ref // into data
	values []policy.ExplainedValue
}

func (c *toldCondition) held() bool {
	for _, held := range c.exprs {
		if !held {
			return false
		}
	}
	return true
}

func (t *story) Enabled() bool { return true }

func (t *story) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// TraceEvent must read values while the event is young: bindings are undone.
func (t *story) TraceEvent(e topdown.Event) {
	rule, isRule := e.Node.(*ast.Rule)
	switch {
	case isRule && e.Op == topdown.EnterOp:
		t.enter(&e, rule)
	case isRule && e.Op == topdown.ExitOp:
		t.exit(&e, rule)
	case isRule:
	default:
		if t.owner[e.QueryID] == nil {
			t.owner[e.QueryID] = t.owner[e.ParentID]
		}
		if x, ok := e.Node.(*ast.Expr); ok {
			t.expr(&e, x)
		}
	}
}

func (t *story) enter(e *topdown.Event, r *ast.Rule) {
	w := t.told[r]
	if w == nil {
		w = &told{rule: r, conds: conditionsOf(r)}
		t.told[r], t.order = w, append(t.order, w)
	}
	t.owner[e.QueryID], t.direct[e.QueryID] = w, true
}

func (t *story) exit(e *topdown.Event, r *ast.Rule) {
	w := t.told[r]
	if w == nil {
		return
	}
	if r.Head.Value != nil && r.Head.Key == nil {
		w.value = e.Plug(r.Head.Value)
		if w.value.Equal(ast.InternedTerm(false)) {
			return // whoever asks takes it for one that failed
		}
	}
	w.held = true
	if ruleName(r) == "decision" && isStock(r, mainName) {
		t.answer = w.value
	}
	if r.Head.Key == nil {
		return
	}
	if o, ok := e.Plug(r.Head.Key).Value.(ast.Object); ok {
		if code, ok := value(o, keyCode).(ast.String); ok && string(code) != w.code {
			w.code = string(code)
			w.codes++
		}
	}
}

// expr notes how an expression went, with the values that it looked at.
func (t *story) expr(e *topdown.Event, x *ast.Expr) {
	w := t.owner[e.QueryID]
	if w == nil || x.Location == nil {
		return
	}
	c := w.condition(x.Location)
	if c == nil {
		return
	}
	direct := t.direct[e.QueryID]
	switch e.Op {
	case topdown.EvalOp:
		if direct {
			c.seen = true
		}
	case topdown.FailOp:
		t.values(e, x, c)
	case topdown.RedoOp:
		if direct {
			c.exprs[x] = true
		}
		t.values(e, x, c)
	}
}

// condition finds the condition that holds a place.
func (w *told) condition(at *ast.Location) *toldCondition {
	for _, c := range w.conds {
		if c.at.Offset <= at.Offset && at.Offset < c.at.Offset+max(len(c.at.Text), 1) {
			return c
		}
	}
	return nil
}

// conditionsOf returns the conditions of a rule as they were written: each
// expression that lies in no other's text.
func conditionsOf(r *ast.Rule) []*toldCondition {
	var out []*toldCondition
	inside := func(a, b *ast.Location) bool {
		return b.Offset <= a.Offset && a.Offset+len(a.Text) <= b.Offset+len(b.Text)
	}
	for _, x := range r.Body {
		if x.Location == nil || isTrue(x) {
			continue
		}
		i := slices.IndexFunc(out, func(c *toldCondition) bool { return inside(x.Location, c.at) })
		if i < 0 {
			c := &toldCondition{at: x.Location, exprs: map[*ast.Expr]bool{}}
			out = slices.DeleteFunc(out, func(o *toldCondition) bool {
				within := inside(o.at, c.at)
				if within {
					for held := range o.exprs {
						c.exprs[held] = false
					}
					c.refs = append(c.refs, o.refs...)
				}
				return within
			})
			out, i = append(out, c), len(out)
		}
		c := out[i]
		c.exprs[x] = false
		if _, not := x.Terms.(*ast.Not); not || x.Negated {
			c.negate = true
		}
		ast.WalkRefs(x, func(ref ast.Ref) bool {
			if ref[0].Equal(ast.DefaultRootDocument) {
				c.refs = append(c.refs, ref)
			}
			return false
		})
	}
	slices.SortStableFunc(out, func(a, b *toldCondition) int { return a.at.Offset - b.at.Offset })
	return out
}

// isTrue reports whether x is the body of a rule without conditions.
func isTrue(x *ast.Expr) bool {
	t, ok := x.Terms.(*ast.Term)
	return ok && t.Equal(ast.InternedTerm(true))
}

// values notes what the references and the local variables of x stand for.
func (t *story) values(e *topdown.Event, x *ast.Expr, c *toldCondition) {
	operands, ok := x.Terms.([]*ast.Term)
	if ok {
		operands = operands[1:] // without the function
	} else if one, single := x.Terms.(*ast.Term); single {
		operands = []*ast.Term{one}
	}
	for _, o := range operands {
		ast.WalkTerms(o, func(term *ast.Term) bool {
			switch v := term.Value.(type) {
			case ast.Ref:
				t.ref(e, term, v, c)
				return true
			case ast.Var:
				t.variable(e, term, c)
			case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
				return true // their variables are of no use outside
			}
			return false
		})
	}
}

func (t *story) variable(e *topdown.Event, term *ast.Term, c *toldCondition) {
	if term.Location == nil || len(term.Location.Text) == 0 {
		return
	}
	if v := e.Plug(term); v != nil && v.IsGround() {
		c.add(oneLine(string(term.Location.Text)), v.Value)
	}
}

func (t *story) ref(e *topdown.Event, term *ast.Term, r ast.Ref, c *toldCondition) {
	if len(r) < 2 {
		return
	}
	if v, ok := r[0].Value.(ast.Var); ok && v.IsGenerated() {
		if r[0].Location == term.Location || term.Location == nil || len(term.Location.Text) == 0 {
			return // nobody wrote a name for it: what every or some goes through
		}
	}
	name, plugged := r.GroundPrefix().String(), r.GroundPrefix()
	if term.Location != nil && len(term.Location.Text) > 0 { // as it was written
		var ok bool
		if plugged, ok = e.Plug(term).Value.(ast.Ref); !ok {
			return
		}
		name, plugged = oneLine(string(term.Location.Text)), plugged.GroundPrefix()
	}
	if len(plugged) == 0 {
		return
	}
	var root ast.Value
	rest := plugged[1:]
	switch {
	case r[0].Equal(ast.InputRootDocument):
		if in := e.Input(); in != nil {
			root = in.Value
		}
	case r[0].Equal(ast.DefaultRootDocument):
		if root, rest = t.ruleValue(plugged); root == nil {
			return // a rule, which is told by itself
		}
	default:
		root = e.Plug(r[0]).Value
		if _, unbound := root.(ast.Var); unbound {
			return
		}
	}
	var v ast.Value
	if root != nil {
		v, _ = root.Find(rest) // an error: it is not there
	}
	c.add(name, v)
}

// ruleValue returns the value of the rule that a reference names, where it has
// one that says more than that it held, and the rest of the reference.
func (t *story) ruleValue(r ast.Ref) (ast.Value, ast.Ref) {
	for n := len(r); n > 1; n-- {
		for _, rule := range t.compiler.GetRulesExact(r[:n]) {
			v := rule.Head.Value
			if w := t.told[rule]; w != nil {
				v = w.value
			}
			if v != nil && v.IsGround() && rule.Head.Key == nil && len(rule.Head.Args) == 0 && !v.Equal(ast.InternedTerm(true)) {
				return v.Value, r[n:]
			}
		}
	}
	return nil, nil
}

// add notes a value, nil for one that is not there, unless it says nothing new.
func (c *toldCondition) add(name string, v ast.Value) {
	out := policy.ExplainedValue{Name: name, Known: v != nil}
	if v != nil {
		out.Value = clip(jsonOf(v), maxValue)
	}
	_, isText := v.(ast.String)
	if len(c.values) >= maxValues || name == out.Value || isText && name == `"`+string(v.(ast.String))+`"` ||
		slices.ContainsFunc(c.values, func(have policy.ExplainedValue) bool {
			return have == out || have.Value == out.Value && out.Known && strings.ContainsAny(out.Value[:1], "[{") && len(out.Value) > 2
		}) {
		return
	}
	c.values = append(c.values, out)
}

// jsonOf writes a value as JSON; sets, which JSON lacks, become arrays.
func jsonOf(v ast.Value) string {
	if room := 100 * maxValue; !measure(v, &room) {
		return "…" // a few values can stand for more than any memory holds
	}
	if x, err := ast.JSON(v); err == nil {
		if b, err := marshal(x); err == nil {
			return string(b)
		}
	}
	return v.String()
}

// oneLine writes the text of a condition without its line breaks.
func oneLine(s string) string { return clip(strings.Join(strings.Fields(s), " "), 300) }

func ruleName(r *ast.Rule) string { return string(r.Head.Ref()[0].Value.(ast.Var)) }

func isStock(r *ast.Rule, file string) bool { return r.Location != nil && r.Location.File == file }
