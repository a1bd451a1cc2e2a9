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

	"github.com/ringfence/ringfence/policy"
)

// A Hole is a denial that turns to allow when one field is missing.
type Hole struct {
	policy.Diagnostic
	Rule  string `json:"rule"`  // such as "deny no_export"
	Field string `json:"field"` // of the input, such as "request.headers.x-ticket" or "facts.agreements[].version"
	// Repair is Rego that closes the hole: a rule to put beside the one above,
	// or, for allow, a condition to add to it. It has been tried; empty where
	// none was found that does.
	Repair string `json:"repair,omitempty"`
	// Entry is the index of a recorded denial that shows it; nil where a unit
	// test does.
	Entry *uint64 `json:"entry,omitempty"`
}

// CodeHole is the code of a [Hole].
const CodeHole = "knockout_hole"

// A KnockoutReport says what a knock-out test looked at and found.
type KnockoutReport struct {
	Denials  int `json:"denials"`  // of the tests, that were run again without each field
	Recorded int `json:"recorded"` // denials of the access log, likewise
	Fields   int `json:"fields"`   // that they have and the administrators' policies can read
	Unjudged int `json:"unjudged"` // inputs that the guardrails deny anyway
	// Alike counts recorded denials that were left out because enough of their
	// kind had been looked at; Unfit those of which the log does not keep a
	// field that the policies read.
	Alike int `json:"alike"`
	Unfit int `json:"unfit"`
	// Cut reports whether the bound on evaluations or time was reached before the end.
	Cut   bool   `json:"cut,omitempty"`
	Holes []Hole `json:"holes"` // sorted by place and field
}

// Bounds of one knock-out test.
const (
	maxKnockouts   = 5000   // inputs of tests that are looked at
	maxEvaluations = 60_000 // some ten seconds of one processor
	maxAlike       = 8      // recorded denials of one kind that are looked at
	maxRepairs     = 100    // repairs that are tried
)

// Knockout takes each field that the administrators' policies can read away
// from every input that their tests deny or challenge, and reports what is
// allowed then: a condition over a field that is missing is undefined, and a
// deny rule written with it is silent. What a test leaves out of its input is
// filled in as the guardrails want it, so a field without which the guardrails
// deny is no hole. A set that does not compile is a *[CompileError].
func Knockout(ctx context.Context, src Source) (KnockoutReport, error) {
	k, err := NewKnocker(ctx, src)
	if err != nil {
		return KnockoutReport{}, err
	}
	if err := k.Tests(ctx); err != nil {
		return KnockoutReport{}, err
	}
	return k.Report(ctx), nil
}

// A Knocker is one knock-out test of a policy set: [Knocker.Tests] and
// [Knocker.Recorded] look at denials, [Knocker.Report] says what was found. It
// is safe for concurrent use.
type Knocker struct {
	engine     *Engine
	src        Source
	set, stock *set
	modules    map[string]module
	fields     readable

	mu     sync.Mutex
	report KnockoutReport
	spent  int
	seen   map[string]int  // recorded denials by kind
	named  map[string]bool // fields that were taken away
	holes  map[string]*found
}

// found is a hole with what shows it.
type found struct {
	Hole
	rule    *ast.Rule // as it was parsed; nil where it is not known
	reason  string    // that was lost
	path    []string
	without *ast.Term
	value   *ast.Term // that was taken away
}

// NewKnocker compiles a set for a knock-out test. A set that does not compile
// is a *[CompileError].
func NewKnocker(ctx context.Context, src Source) (*Knocker, error) {
	e, err := NewEngine(Config{Deadline: 5 * time.Second})
	if err != nil {
		return nil, err
	}
	src = maps.Clone(src)
	s, err := compileWithin(ctx, src)
	if err != nil {
		return nil, err
	}
	modules, _ := parse(src, capabilities()) // without faults: it has been compiled
	return &Knocker{engine: e, src: src, set: s, stock: e.current.Load(), modules: modules, fields: readableOf(s),
		seen: map[string]int{}, named: map[string]bool{}, holes: map[string]*found{}}, nil
}

// Tests looks at the denials of the set's own unit tests.
func (k *Knocker) Tests(ctx context.Context) error {
	for _, cluster := range append([]string{""}, k.set.clusters...) {
		inputs, err := testInputs(ctx, k.src, k.modules, cluster)
		if err != nil {
			return err
		}
		for _, in := range inputs {
			full, ok := completed(cmp.Or(cluster, "trial"), in)
			if !ok {
				continue // not of the contract's shape
			}
			if err := k.denial(ctx, full, nil, &k.report.Denials); err != nil {
				return err
			}
		}
	}
	return nil
}

// Recorded looks at a decision that the access log recorded, if the set denies
// or challenges it. Withheld names what the log does not keep of it.
func (k *Knocker) Recorded(ctx context.Context, in *policy.Input, withheld []string, index uint64) error {
	if in.Subject.IsAnonymous() {
		return nil // nobody's rule decides about them
	}
	for _, field := range withheld {
		if k.fields.has(strings.Split(field, ".")) {
			k.count(&k.report.Unfit)
			return nil
		}
	}
	return k.denial(ctx, inputTerm(in), &index, &k.report.Recorded)
}

func (k *Knocker) count(n *int) {
	k.mu.Lock()
	*n++
	k.mu.Unlock()
}

// Cut notes that not all of what there is was looked at.
func (k *Knocker) Cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.report.Cut = true
}

// denial judges one input whole and without each field, if it is denied.
func (k *Knocker) denial(ctx context.Context, full *ast.Term, entry *uint64, counted *int) error {
	if ctx.Err() != nil {
		return fmt.Errorf("knocking out fields: %w", ctx.Err())
	}
	d, ok := k.judge(ctx, k.set, full)
	if !ok {
		return nil
	}
	if d.Effect == policy.Allow {
		if entry != nil || d.Obligations.MaxCodeAge == 0 {
			return nil
		}
		// Allowed for a fresh code alone: without one it is a denial, too.
		full = stale(full, int64(d.Obligations.MaxCodeAge)+1)
		if d, ok = k.judge(ctx, k.set, full); !ok || d.Effect == policy.Allow {
			return nil
		}
	}
	if stock, _ := k.judge(ctx, k.stock, full); stock.Effect != policy.Allow {
		k.count(&k.report.Unjudged)
		return nil
	}
	paths := k.fields.of(full)
	if entry != nil && k.enough(d, full, paths) {
		return nil
	}
	k.count(counted)
	for _, path := range paths {
		without, had := drop(full, path)
		if had == nil {
			continue
		}
		after, ok := k.judge(ctx, k.set, without)
		if !ok {
			return nil
		}
		k.mu.Lock()
		k.named[fieldName(path)] = true
		k.mu.Unlock()
		if after.Effect == policy.Allow {
			k.blame(ctx, d, full, without, had, path, entry)
		}
	}
	return nil
}

// enough reports whether a recorded denial is like others that were looked at:
// for the same reasons on the same route, with the same fields.
func (k *Knocker) enough(d policy.Decision, full *ast.Term, paths [][]string) bool {
	var b strings.Builder
	for _, r := range d.Reasons {
		b.WriteString(r.Code + " ")
	}
	for _, at := range [][]string{{"resource", "cluster"}, {"resource", "route"}, {"request", "method"}} {
		if v, err := full.Value.Find(ast.Ref{ast.StringTerm(at[0]), ast.StringTerm(at[1])}); err == nil {
			b.WriteString(v.String() + " ")
		}
	}
	for _, p := range paths {
		b.WriteString(fieldName(p) + " ")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	key := b.String()
	if k.seen[key]++; k.seen[key] > maxAlike {
		k.report.Alike++
		return true
	}
	return false
}

// judge decides a term that need not be an input at all; a fault denies. It is
// not done, and false, once the bound on evaluations is reached.
func (k *Knocker) judge(ctx context.Context, s *set, input *ast.Term) (policy.Decision, bool) {
	k.mu.Lock()
	k.spent++
	over := k.spent > maxEvaluations
	k.report.Cut = k.report.Cut || over
	k.mu.Unlock()
	if over {
		return policy.Decision{}, false
	}
	answer, err := k.engine.evaluate(ctx, s, input, nil)
	if err != nil {
		return policy.Decision{}, true
	}
	return effective(answer, input), true
}

// effective is what the gateway makes of an answer: a code that is too old is a
// challenge, and anything that cannot be read a denial.
func effective(answer, input *ast.Term) policy.Decision {
	d, err := decode(answer)
	if err != nil {
		return policy.Decision{}
	}
	if d.Effect == policy.Deny || d.Obligations.MaxCodeAge == 0 {
		return d
	}
	var in policy.Input
	v, err := ast.JSON(input.Value)
	if err != nil {
		return policy.Decision{}
	}
	b, err := json.Marshal(v)
	if err != nil || json.Unmarshal(b, &in) != nil {
		return policy.Decision{}
	}
	demandFreshFactor(&d, &in)
	return d
}

// Report says what was found so far, and tries repairs.
func (k *Knocker) Report(ctx context.Context) KnockoutReport {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := slices.SortedFunc(maps.Values(k.holes), func(a, b *found) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Field, b.Field))
	})
	r := k.report
	r.Fields, r.Holes = len(k.named), make([]Hole, 0, len(all))
	for i, f := range all {
		if f.Repair == "" && i < maxRepairs && ctx.Err() == nil {
			f.Repair = k.repair(ctx, f)
		}
		r.Holes = append(r.Holes, f.Hole)
	}
	return r
}
