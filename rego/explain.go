package rego

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/ringfence/ringfence/policy"
)

// maxLines bounds what Explain tells.
const maxLines = 500

// Explain decides in as [Engine.Decide] does and says how it came about, a
// line each: the rules that held, and the conditions that failed with the
// values they looked at. The lines are for people and change between versions.
// An error says what went wrong behind a decision with a policy_… code.
// Explaining takes many times as long as deciding, and has as much more time.
func (e *Engine) Explain(ctx context.Context, in *policy.Input) (policy.Decision, []string, error) {
	s := e.current.Load()
	slow := &Engine{deadline: 50 * e.deadline, now: e.now, logger: e.logger, values: e.values}
	t := &story{rules: map[uint64]*ast.Rule{}, parents: map[uint64]uint64{}}
	d, err := slow.decide(ctx, s, in, t)
	if err != nil {
		d = e.faulted(ctx, s, in, err)
	}
	d.Revision = s.revision
	for _, r := range d.Reasons {
		t.tell(fmt.Sprintf("%s: %s: %s", d.Effect, r.Code, r.Message))
	}
	return d, t.lines, err
}

// A story is a tracer that keeps what a person wants to know.
type story struct {
	lines   []string
	rules   map[uint64]*ast.Rule // by the query that evaluates their body
	parents map[uint64]uint64
}

func (t *story) Enabled() bool { return len(t.lines) < maxLines }

func (t *story) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// TraceEvent must read values while the event is young: bindings are undone.
func (t *story) TraceEvent(e topdown.Event) {
	switch e.Op {
	case topdown.EnterOp:
		t.parents[e.QueryID] = e.ParentID
		if r, ok := e.Node.(*ast.Rule); ok {
			t.rules[e.QueryID] = r
		}
	case topdown.ExitOp:
		if r, ok := e.Node.(*ast.Rule); ok && slices.Contains(contributed, ruleName(r)) && len(r.Body) > 0 {
			t.tell(fmt.Sprintf("%s: %s holds", place(r.Location), headOf(r)))
		}
	case topdown.FailOp:
		x, ok := e.Node.(*ast.Expr)
		r := t.ruleOf(e.QueryID)
		if !ok || r == nil || x.Location == nil || explains(r) {
			return
		}
		t.tell(fmt.Sprintf("%s: %s fails: %s%s", place(x.Location), ruleName(r), firstLine(x.Location), valuesOf(&e, x)))
	}
}

// tell adds a line that was not told yet.
func (t *story) tell(line string) {
	if len(t.lines) < maxLines && !slices.Contains(t.lines, line) {
		t.lines = append(t.lines, line)
	}
}

// ruleOf returns the rule in whose body, or a part of it, a query runs.
func (t *story) ruleOf(query uint64) *ast.Rule {
	for range len(t.parents) + 1 {
		if r := t.rules[query]; r != nil {
			return r
		}
		parent, ok := t.parents[query]
		if !ok || parent == query {
			return nil
		}
		query = parent
	}
	return nil
}

// explains reports whether a stock rule only words what others found: that it
// did not apply tells nobody anything.
func explains(r *ast.Rule) bool {
	return strings.HasPrefix(r.Location.File, stockPrefix) &&
		(slices.Contains(contributed, ruleName(r)) || ruleName(r) == "decision")
}

func ruleName(r *ast.Rule) string { return string(r.Head.Ref()[0].Value.(ast.Var)) }

// headOf names a rule and, for a reason with a constant code, the code.
func headOf(r *ast.Rule) string {
	if r.Head.Key != nil {
		if o, ok := r.Head.Key.Value.(ast.Object); ok {
			if code, ok := value(o, keyCode).(ast.String); ok {
				return ruleName(r) + " " + string(code)
			}
		}
	}
	return ruleName(r)
}

func place(l *ast.Location) string { return fmt.Sprintf("%s:%d", l.File, l.Row) }

func firstLine(l *ast.Location) string {
	line, rest, _ := strings.Cut(strings.TrimSpace(string(l.Text)), "\n")
	if rest != "" {
		line += " …"
	}
	return line
}

// valuesOf tells what the references of x to input and to local variables
// stand for at the moment.
func valuesOf(e *topdown.Event, x *ast.Expr) string {
	var out []string
	ast.WalkRefs(x, func(r ast.Ref) bool {
		if len(r) < 2 || !r.IsGround() && !r[0].Equal(ast.InputRootDocument) {
			return false
		}
		root := e.Input()
		if !r[0].Equal(ast.InputRootDocument) {
			if _, isVar := r[0].Value.(ast.Var); !isVar || r[0].Equal(ast.DefaultRootDocument) {
				return false
			}
			root = e.Plug(r[0])
		}
		name := r.String()
		if len(r) > 1 && r[0].Location != nil && len(r[0].Location.Text) > 0 {
			name = string(r[0].Location.Text) + strings.TrimPrefix(name, r[0].String())
		}
		said := name + " is not known"
		if root != nil {
			if v, err := root.Value.Find(r[1:]); err == nil {
				said = name + " is " + brief(v)
			}
		}
		if !slices.Contains(out, said) {
			out = append(out, said)
		}
		return false
	})
	if len(out) == 0 {
		return ""
	}
	return " (" + strings.Join(out, ", ") + ")"
}

// brief writes a value so that it fits in a line.
func brief(v ast.Value) string {
	s := v.String()
	if len(s) > 120 {
		s = strings.ToValidUTF8(s[:120], "") + "…"
	}
	return s
}
