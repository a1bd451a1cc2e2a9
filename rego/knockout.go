package rego

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/ringfence/ringfence/policy"
)

// A Hole is a denial that turns to allow when one field is missing.
type Hole struct {
	policy.Diagnostic
	Rule  string `json:"rule"`  // such as "deny no_export"
	Field string `json:"field"` // of the input, such as "request.headers.x-ticket"
}

// CodeHole is the code of a [Hole].
const CodeHole = "knockout_hole"

// A KnockoutReport says what [Knockout] looked at and found.
type KnockoutReport struct {
	Denials  int    `json:"denials"`  // of the tests, that were run again without each field
	Fields   int    `json:"fields"`   // that the administrators' policies can read
	Unjudged int    `json:"unjudged"` // inputs of tests that the guardrails deny anyway
	Holes    []Hole `json:"holes"`    // sorted by place and field
}

// maxKnockouts bounds the inputs of tests that are looked at.
const maxKnockouts = 5000

// Knockout takes each field that the administrators' policies can read away
// from every input that their tests deny or challenge, and reports what is
// allowed then: a condition over a field that is missing is undefined, and a
// deny rule written with it is silent. What a test leaves out of its input is
// filled in as the guardrails want it, so a field without which the guardrails
// deny is no hole. A set that does not compile is a *[CompileError].
func Knockout(ctx context.Context, src Source) (KnockoutReport, error) {
	e, err := NewEngine(Config{Deadline: 5 * time.Second})
	if err != nil {
		return KnockoutReport{}, err
	}
	s, err := compileWithin(ctx, src)
	if err != nil {
		return KnockoutReport{}, err
	}
	modules, _ := parse(src, capabilities()) // without faults: it has been compiled
	k := &knockout{engine: e, set: s, stock: e.current.Load(), modules: modules, fields: fieldsOf(modules), holes: map[string]Hole{}}
	for _, cluster := range append([]string{""}, s.clusters...) {
		inputs, err := testInputs(ctx, src, modules, cluster)
		if err != nil {
			return KnockoutReport{}, err
		}
		for _, in := range inputs {
			if err := k.input(ctx, cmp.Or(cluster, "trial"), in); err != nil {
				return KnockoutReport{}, err
			}
		}
	}
	k.report.Fields = len(k.fields)
	k.report.Holes = slices.SortedFunc(maps.Values(k.holes), func(a, b Hole) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Field, b.Field))
	})
	return k.report, nil
}

type knockout struct {
	engine     *Engine
	set, stock *set
	modules    map[string]module
	fields     [][]string
	report     KnockoutReport
	holes      map[string]Hole
}

// input judges one input of a test whole and without each field.
func (k *knockout) input(ctx context.Context, cluster string, in *ast.Term) error {
	if ctx.Err() != nil {
		return fmt.Errorf("knocking out fields: %w", ctx.Err())
	}
	full, ok := completed(cluster, in)
	if !ok {
		return nil // not of the contract's shape
	}
	d := k.judge(ctx, k.set, full)
	if d.Effect == policy.Allow {
		return nil
	}
	if k.judge(ctx, k.stock, full).Effect != policy.Allow {
		k.report.Unjudged++
		return nil
	}
	k.report.Denials++
	for _, field := range k.fields {
		without, had := drop(full, field)
		if had && k.judge(ctx, k.set, without).Effect == policy.Allow {
			k.hole(d.Reasons, strings.Join(field, "."))
		}
	}
	return nil
}

// judge decides a term that need not be an input at all; a fault denies.
func (k *knockout) judge(ctx context.Context, s *set, input *ast.Term) policy.Decision {
	answer, err := k.engine.evaluate(ctx, s, input, nil)
	if err != nil {
		return policy.Decision{}
	}
	d, err := decode(answer)
	if err != nil {
		return policy.Decision{}
	}
	return d
}

// hole notes the rules that gave the reasons which are gone without a field.
func (k *knockout) hole(reasons []policy.Reason, field string) {
	for _, reason := range reasons {
		for name, m := range k.modules {
			for _, r := range m.Rules {
				head := headOf(r)
				if m.scope.test || head != "deny "+reason.Code && head != "challenge "+reason.Code {
					continue
				}
				h := Hole{Rule: head, Field: field, Diagnostic: policy.Diagnostic{File: name, Line: r.Location.Row, Column: r.Location.Col, Code: CodeHole,
					Message: fmt.Sprintf("%s is silent when input.%s is missing, and the request is allowed: write down what must be so as a rule of its own, and deny with 'not' that rule", head, field)}}
				k.holes[fmt.Sprint(h)] = h
			}
		}
	}
}

// fieldsOf returns the fields of the input that the modules name, each as a
// path, the groups above them too.
func fieldsOf(modules map[string]module) [][]string {
	seen := map[string][]string{}
	for _, m := range modules {
		if m.scope.test {
			continue
		}
		ast.WalkRefs(m.Module, func(r ast.Ref) bool {
			if !r[0].Equal(ast.InputRootDocument) {
				return false
			}
			path := segments(r)
			for n := 2; n <= len(path); n++ { // a whole group is never missing, but for facts
				seen[strings.Join(path[:n], "\x00")] = path[:n]
			}
			if len(path) > 0 && path[0] == "facts" {
				seen["facts"] = path[:1]
			}
			return false
		})
	}
	return slices.SortedFunc(maps.Values(seen), slices.Compare)
}

// drop returns t without the field at path, and whether it had one.
func drop(t *ast.Term, path []string) (*ast.Term, bool) {
	o, ok := t.Value.(ast.Object)
	if !ok {
		return t, false
	}
	had := false
	out := ast.NewObject()
	o.Foreach(func(key, value *ast.Term) {
		if key.Value.Compare(ast.String(path[0])) == 0 {
			if len(path) == 1 {
				had = true
				return
			}
			value, had = drop(value, path[1:])
		}
		out.Insert(key, value)
	})
	return ast.NewTerm(out), had
}

// testInputs runs the tests of one scope and returns every input that they
// evaluate policies with.
func testInputs(ctx context.Context, src Source, modules map[string]module, cluster string) ([]*ast.Term, error) {
	own := Source{}
	for name, text := range src {
		if m := modules[name]; !m.scope.test || m.scope.cluster == cluster {
			own[name] = text
		}
	}
	w := &inputWatch{seen: map[string]*ast.Term{}, terms: map[*ast.Term]bool{}}
	if _, err := runTests(ctx, own, false, w); err != nil {
		return nil, err
	}
	var out []*ast.Term
	for _, name := range slices.Sorted(maps.Keys(w.seen)) {
		out = append(out, w.seen[name])
	}
	return out, nil
}

// An inputWatch is a tracer that keeps every input there was. Tests run side
// by side and share it.
type inputWatch struct {
	mu    sync.Mutex
	terms map[*ast.Term]bool
	seen  map[string]*ast.Term
}

func (w *inputWatch) Enabled() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.seen) < maxKnockouts
}

func (w *inputWatch) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

func (w *inputWatch) TraceEvent(e topdown.Event) {
	in := e.Input()
	w.mu.Lock()
	defer w.mu.Unlock()
	if in == nil || w.terms[in] {
		return
	}
	w.terms[in] = true
	if _, ok := in.Value.(ast.Object); ok && in.IsGround() {
		w.seen[in.String()] = in
	}
}

// completed fills an input of a test up to one that the guardrails allow. What
// the test says stands; what must agree with it is made to.
func completed(cluster string, in *ast.Term) (*ast.Term, bool) {
	var own map[string]any
	v, err := ast.JSON(in.Value)
	if err != nil {
		return nil, false
	}
	own, ok := v.(map[string]any)
	if !ok {
		return nil, false
	}
	text := func(group, field string) (string, bool) {
		g, _ := own[group].(map[string]any)
		s, ok := g[field].(string)
		return s, ok
	}
	if c, ok := text("resource", "cluster"); ok {
		cluster = c
	}
	now := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	if g, ok := own["request"].(map[string]any); ok {
		if n, ok := g["time_ns"].(json.Number); ok {
			if ns, err := n.Int64(); err == nil {
				now = time.Unix(0, ns)
			}
		}
	}
	base, err := ast.JSON(inputTerm(trialInput(cluster, now)).Value)
	if err != nil {
		return nil, false
	}
	all, ok := base.(map[string]any)
	if !ok {
		return nil, false
	}
	facts := all["facts"].(map[string]any)
	if vendor, ok := text("subject", "vendor"); ok {
		facts["vendor"].(map[string]any)["name"] = vendor
	}
	if account, ok := text("subject", "account"); ok {
		facts["account"].(map[string]any)["id"] = account
	}
	overlay(all, own)
	out, err := ast.InterfaceToValue(all)
	if err != nil {
		return nil, false
	}
	return ast.NewTerm(out), true
}

// overlay puts what over says in place of what base says; objects are joined.
func overlay(base, over map[string]any) {
	for key, value := range over {
		inner, ok := value.(map[string]any)
		below, okBelow := base[key].(map[string]any)
		if ok && okBelow {
			overlay(below, inner)
			continue
		}
		base[key] = value
	}
}
