package rego

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

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

// stale returns an input in which every factor was given that many seconds ago.
func stale(t *ast.Term, age int64) *ast.Term {
	return editAt(t, []string{"subject", "factors"}, func(factors *ast.Term) *ast.Term {
		o, ok := factors.Value.(ast.Object)
		if !ok {
			return factors
		}
		out := ast.NewObject()
		o.Foreach(func(name, _ *ast.Term) { out.Insert(name, intTerm(age)) })
		return ast.NewTerm(out)
	})
}

// editAt returns t with what is at path made another.
func editAt(t *ast.Term, path []string, with func(*ast.Term) *ast.Term) *ast.Term {
	if len(path) == 0 {
		return with(t)
	}
	o, ok := t.Value.(ast.Object)
	if !ok {
		return t
	}
	out := ast.NewObject()
	o.Foreach(func(key, value *ast.Term) {
		if key.Value.Compare(ast.String(path[0])) == 0 {
			value = editAt(value, path[1:], with)
		}
		out.Insert(key, value)
	})
	return ast.NewTerm(out)
}
