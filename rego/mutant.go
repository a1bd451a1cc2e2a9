package rego

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/ringfence/ringfence/policy"
)

// A Mutant is a policy set with one small change that nothing noticed.
type Mutant struct {
	policy.Diagnostic // Code is one of the Mutant… codes
	// Rule names the rule that was changed, such as "deny no_export".
	Rule string `json:"rule"`
	Was  string `json:"was,omitempty"` // what was changed, as Rego; empty for a rule that was dropped
	Now  string `json:"now,omitempty"`
}

// Kinds of mutants, as codes of diagnostics.
const (
	MutantDropped    = "mutant_rule_dropped"
	MutantComparison = "mutant_comparison_turned"
	MutantNegation   = "mutant_negation_removed"
	MutantConstant   = "mutant_constant_changed"
	MutantMember     = "mutant_member_removed"
)

// A MutantReport says which changes nothing noticed.
type MutantReport struct {
	Mutants    int      `json:"mutants"`     // changes that were made and make a policy
	ByTests    int      `json:"by_tests"`    // of them, those that a unit test noticed
	ByRequests int      `json:"by_requests"` // those that only recorded requests noticed
	Requests   int      `json:"requests"`    // recorded requests that each was tried on
	Unfit      int      `json:"unfit"`       // of which the log does not keep a field that the policies read
	Cut        bool     `json:"cut,omitempty"`
	Survivors  []Mutant `json:"survivors"` // sorted by place
}

// Bounds of one run over mutants.
const (
	maxMutants     = 2000
	maxMutantTime  = 5 * time.Minute
	maxSample      = 400 // recorded requests that each mutant is tried on
	maxSampleAlike = 3
)

// A Mutator makes mutants of a policy set and tries them. [Mutator.Recorded] is
// safe for concurrent use and comes before [Mutator.Run].
type Mutator struct {
	src     Source
	set     *set
	engine  *Engine
	modules map[string]module
	fields  readable

	mu     sync.Mutex
	report MutantReport
	alike  map[string]int
	sample []sampled
}

type sampled struct {
	input *ast.Term
	was   policy.Decision
}

// NewMutator compiles a set and runs its tests, which must hold before they
// can notice anything: the error is a *[CompileError] or a *[TestError].
func NewMutator(ctx context.Context, src Source) (*Mutator, error) {
	e, err := NewEngine(Config{Deadline: 5 * time.Second})
	if err != nil {
		return nil, err
	}
	src = maps.Clone(src)
	s, err := compileWithin(ctx, src)
	if err != nil {
		return nil, err
	}
	if _, err := runTests(ctx, src, false, nil); err != nil {
		return nil, err
	}
	modules, _ := parse(src, capabilities()) // without faults: it has been compiled
	return &Mutator{src: src, set: s, engine: e, modules: modules, fields: readableOf(s), alike: map[string]int{}}, nil
}

// Recorded adds a recorded request to those that mutants are tried on, unless
// there are enough of its kind.
func (m *Mutator) Recorded(ctx context.Context, in *policy.Input, withheld []string) {
	if in.Subject.IsAnonymous() {
		return
	}
	unfit := slices.ContainsFunc(withheld, func(f string) bool { return m.fields.has(strings.Split(f, ".")) })
	prefix := ""
	if len(in.Request.Path) > 0 {
		prefix = in.Request.Path[0]
	}
	key := fmt.Sprintf("%q %q %q %q %q", in.Subject.Account, in.Resource.Cluster, in.Resource.Route, in.Request.Method, prefix)
	m.mu.Lock()
	if unfit {
		m.report.Unfit++
	}
	m.alike[key]++
	enough := unfit || m.alike[key] > maxSampleAlike || len(m.sample) >= maxSample
	m.mu.Unlock()
	if enough {
		return
	}
	t := inputTerm(in)
	one := sampled{t, m.decide(ctx, m.set, t)}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sample = append(m.sample, one)
}

func (m *Mutator) decide(ctx context.Context, s *set, input *ast.Term) policy.Decision {
	answer, err := m.engine.evaluate(ctx, s, input, nil)
	if err != nil {
		return policy.Decision{Reasons: []policy.Reason{{Code: policy.ReasonPolicyError}}}
	}
	return effective(answer, input)
}

// Run tries every mutant on the tests and the recorded requests. tell hears
// how many are done.
func (m *Mutator) Run(ctx context.Context, tell func(done, total int)) (MutantReport, error) {
	all := m.all()
	if len(all) > maxMutants {
		all, m.report.Cut = all[:maxMutants], true
	}
	m.report.Requests = len(m.sample)
	end := time.Now().Add(maxMutantTime)
	next, done := 0, 0
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				m.mu.Lock()
				i := next
				next++
				late := i < len(all) && time.Now().After(end)
				m.report.Cut = m.report.Cut || late
				m.mu.Unlock()
				if i >= len(all) || late || ctx.Err() != nil {
					return
				}
				m.try(ctx, all[i])
				m.mu.Lock()
				done++
				n := done
				m.mu.Unlock()
				tell(n, len(all))
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return MutantReport{}, fmt.Errorf("trying mutants: %w", context.Cause(ctx))
	}
	slices.SortFunc(m.report.Survivors, func(a, b Mutant) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Now, b.Now))
	})
	if m.report.Survivors == nil {
		m.report.Survivors = []Mutant{}
	}
	return m.report, nil
}

// A madeMutant is one change of one module.
type madeMutant struct {
	Mutant
	text string
}

// all makes every mutant of every module but tests.
func (m *Mutator) all() []madeMutant {
	var out []madeMutant
	for _, name := range slices.Sorted(maps.Keys(m.modules)) {
		mod := m.modules[name]
		if mod.scope.test {
			continue
		}
		for i, r := range mod.Rules {
			for j, n := 0, len(mutationsOf(r.Copy())); j < n; j++ {
				c := mod.Copy()
				made := mutationsOf(c.Rules[i])[j]
				made.apply()
				text := moduleText(c)
				if text == "" {
					continue
				}
				at := made.at
				if at == nil {
					at = r.Location
				}
				out = append(out, madeMutant{text: text, Mutant: Mutant{Rule: headOf(r), Was: made.was, Now: made.now,
					Diagnostic: policy.Diagnostic{File: name, Line: at.Row, Column: at.Col, Code: made.code, Message: made.message()}}})
			}
		}
	}
	return out
}

// try counts one mutant. One that is no policy any more is none.
func (m *Mutator) try(ctx context.Context, one madeMutant) {
	src := maps.Clone(m.src)
	src[one.File] = one.text
	s, err := compileWithin(ctx, src)
	if err != nil {
		return
	}
	noticed, byTest := false, false
	if _, err := runTests(ctx, src, false, nil); err != nil {
		if _, ok := errors.AsType[*TestError](err); !ok {
			return // the tests do not compile with it, or ctx has ended
		}
		noticed, byTest = true, true
	}
	for i := 0; !noticed && i < len(m.sample); i++ {
		noticed = differs(m.sample[i].was, m.decide(ctx, s, m.sample[i].input))
	}
	if ctx.Err() != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report.Mutants++
	switch {
	case byTest:
		m.report.ByTests++
	case noticed:
		m.report.ByRequests++
	default:
		m.report.Survivors = append(m.report.Survivors, one.Mutant)
	}
}

// differs reports whether two decisions are not the same, whatever the words
// of their reasons.
func differs(a, b policy.Decision) bool {
	same := func(x, y policy.Reason) bool { return x.Code == y.Code }
	oa, ob := a.Obligations, b.Obligations
	return a.Effect != b.Effect || !slices.EqualFunc(a.Reasons, b.Reasons, same) ||
		oa.MaxResponseBytes != ob.MaxResponseBytes || oa.EgressBudget != ob.EgressBudget || oa.MaxCodeAge != ob.MaxCodeAge ||
		!slices.Equal(oa.Mask, ob.Mask) || !slices.Equal(oa.StripHeaders, ob.StripHeaders) || !slices.Equal(oa.Notify, ob.Notify)
}
