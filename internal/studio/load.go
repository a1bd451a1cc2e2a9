package studio

import (
	"context"
	"errors"
	"time"

	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

// A loadRequest asks for one of the things that can be found out about a set.
type loadRequest struct {
	Modules  map[string]string `json:"modules"`
	Deadline time.Duration     `json:"deadline,omitempty"`
}

// found is a result together with the faults of the set that end in an error.
type found[T any] struct {
	Value       T                   `json:"value"`
	Diagnostics []policy.Diagnostic `json:"diagnostics,omitempty"`
	Failures    []rego.TestFailure  `json:"failures,omitempty"`
}

// faults takes the faults of a set out of err; what is left is of another kind.
func faults[T any](value T, err error) (found[T], error) {
	out := found[T]{Value: value}
	if c, ok := errors.AsType[*rego.CompileError](err); ok {
		out.Diagnostics, err = c.Diagnostics, nil
	}
	if t, ok := errors.AsType[*rego.TestError](err); ok {
		out.Failures, err = t.Failures, nil
	}
	return out, err
}

// result makes the error again.
func (f found[T]) result(err error) (T, error) {
	switch {
	case err != nil:
	case len(f.Diagnostics) > 0:
		err = &rego.CompileError{Diagnostics: f.Diagnostics}
	case len(f.Failures) > 0:
		err = &rego.TestError{Failures: f.Failures}
	}
	return f.Value, err
}

// Load compiles a set, runs its tests and tries it as [rego.Engine.Load] does
// with a deadline for decisions, and returns the revision that the engine would
// call it and the error that it would return. Whoever puts a set in force asks
// this first: what takes more than a trial may have is a *[LimitError].
func (r *Runner) Load(ctx context.Context, modules map[string]string, deadline time.Duration) (string, error) {
	f, err := call[found[string]](ctx, r, r.load, "load", loadRequest{modules, deadline}, nil)
	return f.result(err)
}

func load(ctx context.Context, a loadRequest, _ func(Progress)) (found[string], error) {
	e, err := rego.NewEngine(rego.Config{Deadline: a.Deadline})
	if err != nil {
		return found[string]{}, err
	}
	return faults(e.Load(ctx, rego.Source(a.Modules)))
}

// Test does what [rego.Check] does, with its errors.
func (r *Runner) Test(ctx context.Context, modules map[string]string) (rego.Report, error) {
	f, err := call[found[rego.Report]](ctx, r, r.short, "test", loadRequest{Modules: modules}, nil)
	return f.result(err)
}

func test(ctx context.Context, a loadRequest, _ func(Progress)) (found[rego.Report], error) {
	return faults(rego.Check(ctx, rego.Source(a.Modules)))
}

// Cover does what [rego.Cover] does, with its errors.
func (r *Runner) Cover(ctx context.Context, modules map[string]string) (rego.Coverage, error) {
	f, err := call[found[rego.Coverage]](ctx, r, r.short, "cover", loadRequest{Modules: modules}, nil)
	return f.result(err)
}

func cover(ctx context.Context, a loadRequest, _ func(Progress)) (found[rego.Coverage], error) {
	c, _, err := rego.Cover(ctx, rego.Source(a.Modules))
	return faults(c, err)
}
