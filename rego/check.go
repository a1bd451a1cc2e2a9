package rego

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/ringfence/ringfence/policy"
)

// A Report says what [Check] found.
type Report struct {
	Revision    string              `json:"revision"` // that the set would have; empty when it does not compile
	Tests       int                 `json:"tests"`    // that ran, those of the stock policies among them
	Failed      int                 `json:"failed"`
	Failures    []TestFailure       `json:"failures,omitempty"`
	Diagnostics []policy.Diagnostic `json:"diagnostics,omitempty"`
}

// A TestFailure is one test of a policy that did not hold.
type TestFailure struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Name    string `json:"name"` // with its package
	Message string `json:"message"`
}

// String returns file:line: name message.
func (f TestFailure) String() string {
	return fmt.Sprintf("%s:%d: %s %s", f.File, f.Line, f.Name, f.Message)
}

// A TestError says that a policy set compiled and failed its own tests.
type TestError struct {
	Failures []TestFailure // sorted by file and line; never empty
}

// Error returns the first failure and how many there are.
func (e *TestError) Error() string {
	if n := len(e.Failures) - 1; n > 0 {
		return fmt.Sprintf("testing policies: %s (and %d more)", e.Failures[0], n)
	}
	return fmt.Sprintf("testing policies: %s", e.Failures[0])
}

// Check does what [Engine.Load] does and puts nothing in force. It also runs
// the tests of the stock policies. The report is filled as far as
// it got; the error is the one that Load would return.
func Check(ctx context.Context, src Source) (Report, error) {
	e, err := NewEngine(Config{})
	if err != nil {
		return Report{}, err
	}
	s, err := compileWithin(ctx, src)
	if err != nil {
		return Report{Diagnostics: diagnosticsOf(err)}, err
	}
	// The stock tests know nothing of src and would trip over it, so they run
	// in a set of their own.
	stock, err := runTests(ctx, nil, true, nil)
	if err != nil {
		return stock, err
	}
	r, err := runTests(ctx, src, false, nil)
	r.Revision, r.Tests = s.revision, r.Tests+stock.Tests
	if err == nil {
		err = e.try(ctx, s)
	}
	r.Diagnostics = diagnosticsOf(err)
	return r, err
}

func diagnosticsOf(err error) []policy.Diagnostic {
	if c, ok := errors.AsType[*CompileError](err); ok {
		return c.Diagnostics
	}
	return nil
}

// Bounds on the tests of a set. One test that does not end in time fails; all
// of them together are given up on after the second.
const (
	testLimit  = 5 * time.Second
	testsLimit = 2 * time.Minute
)

// runTests runs the tests in src, and those of the stock policies when asked
// to. tracer, when not nil, sees what they evaluate.
func runTests(ctx context.Context, src Source, stockToo bool, tracer topdown.QueryTracer) (Report, error) {
	own := maps.Clone(src)
	c, err := within(ctx, func() (*ast.Compiler, error) { return compileTests(own, stockToo) })
	if c == nil || err != nil {
		return Report{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, testsLimit)
	defer cancel()
	runner := tester.NewRunner().SetCompiler(c).SetStore(noData{}).SetTimeout(testLimit).RaiseBuiltinErrors(true)
	if tracer != nil {
		runner.SetCoverageQueryTracer(tracer)
	}
	results, err := runner.RunTests(ctx, noTransaction{})
	if err != nil {
		return Report{}, fmt.Errorf("testing policies: %w", err)
	}
	return collect(ctx, results)
}

// compileTests compiles src together with its tests; nil when there are none.
func compileTests(src Source, stockToo bool) (*ast.Compiler, error) {
	caps := capabilities()
	modules, faults := parse(src, caps)
	all, tests := map[string]*ast.Module{}, false
	for name, m := range modules {
		all[name] = m.Module
		tests = tests || m.scope.test
	}
	for name, text := range stock() {
		if isTest(name) && !stockToo {
			continue
		}
		m, ds := parseModule(name, text, caps)
		faults, all[name] = append(faults, ds...), m
	}
	if len(faults) > 0 {
		return nil, &CompileError{Diagnostics: sortDiagnostics(faults)}
	}
	if !tests && !stockToo {
		return nil, nil
	}
	all[demandsName] = demands(modules)
	c := newCompiler(caps).WithRewriteTestRules(true)
	if c.Compile(all); c.Failed() {
		return nil, &CompileError{Diagnostics: sortDiagnostics(diagnose("", c.Errors))}
	}
	return c, nil
}

// collect waits for the results, and no longer than ctx: a test can hang in
// an expression that does not look at its deadline.
func collect(ctx context.Context, results <-chan *tester.Result) (Report, error) {
	var r Report
	for {
		select {
		case <-ctx.Done():
			go func() { // lets the runner end when it can
				for range results {
				}
			}()
			return r, fmt.Errorf("testing policies: %w", ctx.Err())
		case res, open := <-results:
			if !open {
				return r.finish()
			}
			if res.Skip {
				continue
			}
			r.Tests++
			if !res.Pass() {
				r.Failures = append(r.Failures, failure(res))
			}
		}
	}
}

func (r Report) finish() (Report, error) {
	if r.Failed = len(r.Failures); r.Failed == 0 {
		return r, nil
	}
	slices.SortFunc(r.Failures, func(a, b TestFailure) int {
		return strings.Compare(fmt.Sprintf("%s:%09d", a.File, a.Line), fmt.Sprintf("%s:%09d", b.File, b.Line))
	})
	return r, &TestError{Failures: r.Failures}
}

func failure(res *tester.Result) TestFailure {
	f := TestFailure{Name: strings.TrimPrefix(res.Package, "data.") + "." + res.Name, Message: "does not hold"}
	if res.Error != nil {
		f.Message = "ends with an error: " + res.Error.Error()
	}
	if res.Location != nil {
		f.File, f.Line = res.Location.File, res.Location.Row
	}
	return f
}

// trials is how often a decision may miss the deadline in a trial before the
// set is refused, so that a busy machine refuses no good policy.
const trials = 3

// try decides one made-up request in every scope of s and refuses a set that
// does not finish in time. The answers do not matter.
func (e *Engine) try(ctx context.Context, s *set) error {
	for _, cluster := range append([]string{"trial"}, s.clusters...) {
		err := errTimeout
		for i := 0; i < trials && errors.Is(err, errTimeout); i++ {
			err = e.tryOnce(ctx, s, cluster)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("trying policies: %w", ctx.Err())
		}
		if errors.Is(err, errTimeout) {
			file := "all"
			if cluster != "trial" {
				file = "clusters/" + cluster
			}
			return &CompileError{Diagnostics: []policy.Diagnostic{{File: file, Code: codeTrial,
				Message: fmt.Sprintf("a decision takes longer than %v; no request would be served", e.deadline)}}}
		}
	}
	return nil
}

// tryOnce gives up on an evaluation that does not even stop at its deadline.
func (e *Engine) tryOnce(ctx context.Context, s *set, cluster string) error {
	done := make(chan error, 1)
	go func() {
		_, err := e.decide(ctx, s, trialInput(cluster, e.now()), nil)
		done <- err
	}()
	patience := time.NewTimer(10*e.deadline + time.Second)
	defer patience.Stop()
	select {
	case err := <-done:
		return err
	case <-patience.C:
		return errTimeout
	}
}
