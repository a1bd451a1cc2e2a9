package studio

import (
	"context"
	"errors"
	"time"

	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

// A CheckRequest asks what is wrong with a policy set.
type CheckRequest struct {
	Modules map[string]string `json:"modules"`
	// Quick leaves out the tests, the trial and the knock-out: for whoever types.
	Quick bool `json:"quick"`
	// Log is the access log's folder, whose denials the knock-out test looks at
	// too, the newest first, for [recordedTime] at most; empty: only tests.
	Log string `json:"log,omitempty"`
	// Since bounds the entries' time; zero: no bound.
	Since time.Time `json:"since,omitzero"`
}

// recordedTime is how long a check looks at recorded denials: somebody waits.
const recordedTime = 8 * time.Second

// A CheckResult is what was found.
type CheckResult struct {
	Revision    string              `json:"revision"`              // that the engine would call it; empty when it does not compile
	Diagnostics []policy.Diagnostic `json:"diagnostics,omitempty"` // why it is refused
	Findings    []policy.Diagnostic `json:"findings,omitempty"`    // what is most likely not meant
	Tests       int                 `json:"tests"`
	Failures    []rego.TestFailure  `json:"failures,omitempty"`
	Coverage    rego.Coverage       `json:"coverage"`
	Knockout    rego.KnockoutReport `json:"knockout"`
	LogFault    string              `json:"log_fault,omitempty"` // why recorded denials were not all looked at
}

// Publishable reports whether the set may be put in force.
func (r *CheckResult) Publishable() bool {
	return r.Revision != "" && len(r.Diagnostics) == 0 && len(r.Failures) == 0 && len(r.Knockout.Holes) == 0 && r.LogFault == ""
}

// Check compiles a set, lints it, runs its tests with coverage and the
// knock-out test over its tests and, where a log is named, over recorded
// denials. What is wrong with the set is in the result, not in the error.
func (r *Runner) Check(ctx context.Context, a CheckRequest) (CheckResult, error) {
	return call[CheckResult](ctx, r, r.short, "check", a, nil)
}

// Vet is [Runner.Check] for a set that a second person approves, or that
// somebody rolls back to: it passed once, and waits for nobody's trial.
func (r *Runner) Vet(ctx context.Context, a CheckRequest) (CheckResult, error) {
	return call[CheckResult](ctx, r, r.vet, "check", a, nil)
}

func check(ctx context.Context, a CheckRequest, _ func(Progress)) (CheckResult, error) {
	var out CheckResult
	src := rego.Source(a.Modules)
	out.Findings, _ = rego.Lint(src) // what cannot be parsed is a diagnostic below
	if a.Quick {
		ds, err := rego.Diagnose(ctx, src)
		out.Diagnostics = ds
		return out, err
	}
	report, err := rego.Check(ctx, src)
	out.Revision, out.Tests, out.Failures, out.Diagnostics = report.Revision, report.Tests, report.Failures, report.Diagnostics
	if err != nil {
		return out, unlessFound(err)
	}
	if out.Coverage, _, err = rego.Cover(ctx, src); err != nil {
		return out, err
	}
	k, err := rego.NewKnocker(ctx, src)
	if err != nil {
		return out, err
	}
	if err := k.Tests(ctx); err != nil {
		return out, err
	}
	if err := knockRecent(ctx, k, a, recordedTime); ctx.Err() != nil {
		return out, context.Cause(ctx)
	} else if err != nil {
		out.LogFault = err.Error()
	}
	out.Knockout = k.Report(ctx)
	return out, nil
}

// knockRecent looks at recorded denials, those of the last day before those of
// the last week, until the time for it is over, which the report says then.
func knockRecent(ctx context.Context, k *rego.Knocker, a CheckRequest, within time.Duration) error {
	if a.Log == "" {
		return nil
	}
	limit, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	now := time.Now()
	until := now
	for _, back := range []time.Duration{24 * time.Hour, 7 * 24 * time.Hour, now.Sub(a.Since)} {
		since := now.Add(-back)
		if since.Before(a.Since) {
			since = a.Since
		}
		if err := knockRecorded(limit, k, GapRequest{Log: a.Log, Since: since, Until: until}, func(Progress) {}); limit.Err() != nil {
			k.Cut()
			return nil
		} else if err != nil {
			return err
		}
		if until = since.Add(-1); until.Before(a.Since) {
			return nil
		}
	}
	return nil
}

// unlessFound passes on what is no fault of the set itself.
func unlessFound(err error) error {
	if _, ok := errors.AsType[*rego.CompileError](err); ok {
		return nil
	}
	if _, ok := errors.AsType[*rego.TestError](err); ok {
		return nil
	}
	return err
}
