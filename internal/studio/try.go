package studio

import (
	"context"
	"errors"
	"time"

	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

// A TryRequest asks how one input is decided under a policy set, and why.
type TryRequest struct {
	Modules map[string]string `json:"modules"`
	Input   *policy.Input     `json:"input"`
}

// tryLimit is how long people wait for one decision.
const tryLimit = 20 * time.Second

// Try decides one input under a set, whether or not its tests hold, and
// explains the decision. A set that does not compile is a *[FailedError].
func (r *Runner) Try(ctx context.Context, a TryRequest) (policy.Explanation, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, tryLimit, &LimitError{"time"})
	defer cancel()
	return call[policy.Explanation](ctx, r, r.short, "try", a, nil)
}

// Decide is [Runner.Try] with the errors of a set that does not compile or
// whose tests do not hold, as [rego.Engine.Load] returns them.
func (r *Runner) Decide(ctx context.Context, a TryRequest) (policy.Explanation, error) {
	f, err := call[found[policy.Explanation]](ctx, r, r.short, "decide", a, nil)
	return f.result(err)
}

func decide(ctx context.Context, a TryRequest, _ func(Progress)) (found[policy.Explanation], error) {
	e, err := rego.NewEngine(rego.Config{})
	if err != nil {
		return found[policy.Explanation]{}, err
	}
	if _, err := e.Load(ctx, rego.Source(a.Modules)); err != nil {
		return faults(policy.Explanation{}, err)
	}
	x := e.Explain(ctx, a.Input)
	x.Decision = e.Decide(ctx, a.Input) // within the time that a decision has
	return faults(x, nil)
}

func try(ctx context.Context, a TryRequest, _ func(Progress)) (policy.Explanation, error) {
	if a.Input == nil {
		return policy.Explanation{}, errors.New("there is nothing to decide")
	}
	return rego.Explain(ctx, rego.Config{}, rego.Source(a.Modules), a.Input)
}
