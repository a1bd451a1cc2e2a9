package studio

import (
	"context"
	"errors"

	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

// A ReachRequest asks which lines of a policy set its tests reach.
type ReachRequest struct {
	Modules map[string]string `json:"modules"`
}

// A ReachResult is what the tests of a set came to.
type ReachResult struct {
	Diagnostics []policy.Diagnostic `json:"diagnostics,omitempty"` // why nothing could be run; empty otherwise
	Findings    []policy.Diagnostic `json:"findings,omitempty"`    // what is most likely not meant
	Tests       int                 `json:"tests"`
	Failures    []rego.TestFailure  `json:"failures,omitempty"`
	Coverage    rego.Coverage       `json:"coverage"`
}

// Reach runs the tests of a set and says what they reach. It is for whoever
// writes: the stock policies' tests and the knock-out test are left to
// [Runner.Check]. What is wrong with the set is in the result.
func (r *Runner) Reach(ctx context.Context, a ReachRequest) (ReachResult, error) {
	return call[ReachResult](ctx, r, r.short, "reach", a, nil)
}

func reach(ctx context.Context, a ReachRequest, _ func(Progress)) (ReachResult, error) {
	c, report, err := rego.Cover(ctx, rego.Source(a.Modules))
	out := ReachResult{Tests: report.Tests, Failures: report.Failures, Coverage: c, Diagnostics: report.Diagnostics}
	if ds := faultsOf(err); len(ds) > 0 {
		out.Diagnostics = ds
	}
	out.Findings, _ = rego.Lint(rego.Source(a.Modules)) // what cannot be parsed is a diagnostic
	return out, unlessFound(err)
}

// A FormatRequest asks for modules in their one layout.
type FormatRequest struct {
	Modules map[string]string `json:"modules"`
}

// A FormatResult holds them, or why one cannot be read.
type FormatResult struct {
	Modules     map[string]string   `json:"modules,omitempty"`
	Diagnostics []policy.Diagnostic `json:"diagnostics,omitempty"`
}

// Format lays modules out as OPA's formatter does.
func (r *Runner) Format(ctx context.Context, a FormatRequest) (FormatResult, error) {
	return call[FormatResult](ctx, r, r.short, "format", a, nil)
}

func formatModules(_ context.Context, a FormatRequest, _ func(Progress)) (FormatResult, error) {
	out, err := rego.Format(rego.Source(a.Modules))
	return FormatResult{Modules: out, Diagnostics: faultsOf(err)}, unlessFound(err)
}

// faultsOf returns the diagnostics that an error of package rego carries.
func faultsOf(err error) []policy.Diagnostic {
	if c, ok := errors.AsType[*rego.CompileError](err); ok {
		return c.Diagnostics
	}
	return nil
}
