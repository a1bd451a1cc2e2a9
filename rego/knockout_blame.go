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

// A heldRule is a contributed rule of an administrator that held, with the
// reason that it gave.
type heldRule struct {
	file   string
	row    int
	name   string
	reason string // its code; empty for allow and obligations
}

// A heldWatch is a tracer that keeps which contributed rules held.
type heldWatch map[heldRule]*ast.Term

func (heldWatch) Enabled() bool { return true }

func (heldWatch) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

func (w heldWatch) TraceEvent(e topdown.Event) {
	r, ok := e.Node.(*ast.Rule)
	if e.Op != topdown.ExitOp || !ok || strings.HasPrefix(r.Location.File, stockPrefix) || !slices.Contains(contributed, ruleName(r)) {
		return
	}
	h := heldRule{file: r.Location.File, row: r.Location.Row, name: ruleName(r)}
	var key *ast.Term
	if r.Head.Key != nil {
		key = e.Plug(r.Head.Key)
		if o, ok := key.Value.(ast.Object); ok {
			if code, ok := value(o, keyCode).(ast.String); ok {
				h.reason = string(code)
			}
		}
	}
	w[h] = key
}

// held returns the contributed rules that hold for an input.
func (k *Knocker) held(ctx context.Context, input *ast.Term) heldWatch {
	w := heldWatch{}
	_, _ = k.engine.evaluate(ctx, k.set, input, w) // what went wrong has been judged already
	return w
}

// blame notes the rules that are silent without a field, or, for allow, hold.
func (k *Knocker) blame(ctx context.Context, d policy.Decision, full, without, had *ast.Term, path []string, entry *uint64) {
	before, after := k.held(ctx, full), k.held(ctx, without)
	var rules []heldRule
	for h := range before {
		if _, still := after[h]; !still && h.name != "allow" {
			rules = append(rules, h)
		}
	}
	for h := range after {
		if _, too := before[h]; !too && h.name == "allow" {
			rules = append(rules, h)
		}
	}
	if len(rules) == 0 { // it is a hole all the same
		for h := range before {
			rules = append(rules, h)
		}
	}
	if len(rules) == 0 {
		rules = []heldRule{{name: d.Effect.String()}}
	}
	for _, h := range rules {
		k.note(h, full, without, had, path, entry)
	}
}

func (k *Knocker) note(h heldRule, full, without, had *ast.Term, path []string, entry *uint64) {
	field := fieldName(path)
	f := &found{reason: h.reason, path: path, without: without, value: had}
	f.Hole = Hole{Rule: strings.TrimSpace(h.name + " " + h.reason), Field: field, Entry: entry,
		Diagnostic: policy.Diagnostic{File: h.file, Line: h.row, Code: CodeHole}}
	if m, ok := k.modules[h.file]; ok {
		for _, r := range m.Rules {
			if r.Location.Row == h.row && ruleName(r) == h.name {
				f.rule, f.Column = r, r.Location.Col
			}
		}
	}
	switch h.name {
	case "allow":
		f.Message = fmt.Sprintf("allow holds when input.%s is missing: add the condition that it is there", field)
	case "obligations":
		f.Message = fmt.Sprintf("the obligation is not there when input.%s is missing, and the request is allowed: oblige also where it is missing", field)
	default:
		f.Message = fmt.Sprintf("%s is silent when input.%s is missing, and the request is allowed: write down what must be so as a rule of its own, and deny with 'not' that rule", f.Rule, field)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	id := fmt.Sprint(h, field)
	if _, known := k.holes[id]; !known {
		k.holes[id] = f
	}
}
