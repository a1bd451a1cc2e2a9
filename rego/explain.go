package rego

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ringfence/ringfence/policy"
)

// Explain decides in as [Engine.Decide] does and says how it came about: the
// rules that were considered, and for each the conditions that held or failed
// with the values that they looked at. What went wrong behind a decision with
// a policy_… code is in the explanation too. Explaining takes many times as
// long as deciding, and has as much more time.
func (e *Engine) Explain(ctx context.Context, in *policy.Input) policy.Explanation {
	return e.explain(ctx, e.current.Load(), in)
}

// Explain compiles src with the stock policies and explains how in is decided
// under it, within the limits of an engine with c. It runs no test. A set that
// does not compile is a *[CompileError].
func Explain(ctx context.Context, c Config, src Source, in *policy.Input) (policy.Explanation, error) {
	e, err := NewEngine(c)
	if err != nil {
		return policy.Explanation{}, err
	}
	s, err := compileWithin(ctx, src)
	if err != nil {
		return policy.Explanation{}, err
	}
	return e.explain(ctx, s, in), nil
}

func (e *Engine) explain(ctx context.Context, s *set, in *policy.Input) policy.Explanation {
	slow := &Engine{deadline: 50 * e.deadline, now: e.now, logger: e.logger, values: e.values}
	t := newStory(s.compiler)
	d, err := slow.decide(ctx, s, in, t)
	var x policy.Explanation
	if err != nil {
		d, x.Fault = e.faulted(ctx, s, in, err), clip(firstLine(err.Error()), 1000)
	}
	d.Revision = s.revision
	x.Decision = d
	had := t.decision()
	x.Rules = append(engineRules(&d, &had, in, err), t.explained(&d)...)
	slices.SortStableFunc(x.Rules, func(a, b policy.ExplainedRule) int {
		return place(a.Decided) - place(b.Decided)
	})
	return x
}

// place puts what decided first.
func place(decided bool) int {
	if decided {
		return 0
	}
	return 1
}

// engineRules words, as rules, what the engine says by itself about in. Their
// conditions are written as they would be in Rego. had is the decision of the
// policies, before the engine looked at it.
func engineRules(d, had *policy.Decision, in *policy.Input, err error) []policy.ExplainedRule {
	rule := func(name, code, text string, values ...policy.ExplainedValue) []policy.ExplainedRule {
		return []policy.ExplainedRule{{Name: name, Code: code, Stock: true, Held: true, Decided: true,
			Conditions: []policy.ExplainedCondition{{Text: text, Held: true, Values: values}}}}
	}
	if errors.Is(err, errTooLarge) {
		n := size(&in.Request)
		return rule("deny", policy.ReasonRequestTooLarge, fmt.Sprintf("size(input.request) > %d", maxInput),
			policy.ExplainedValue{Name: "size(input.request)", Value: fmt.Sprint(n), Known: true})
	}
	if err != nil {
		return nil
	}
	limit := had.Obligations.MaxCodeAge
	for _, r := range d.Reasons {
		switch {
		case slices.Contains(had.Reasons, r):
		case r.Code == policy.ReasonCodeStale:
			return rule("challenge", r.Code, fmt.Sprintf("age(input.subject.factors) > %d", limit), factorValues(in)...)
		case r.Code == policy.ReasonPhishingResistant:
			return rule("challenge", r.Code, fmt.Sprintf("not input.subject.factors.webauthn <= %d", limit), factorValues(in)...)
		}
	}
	return nil
}

// factorValues tells how long ago each factor was given.
func factorValues(in *policy.Input) []policy.ExplainedValue {
	var out []policy.ExplainedValue
	for _, name := range slices.Sorted(maps.Keys(in.Subject.Factors)) {
		out = append(out, policy.ExplainedValue{Name: "input.subject.factors." + name, Value: fmt.Sprint(in.Subject.Factors[name]), Known: true})
	}
	if out == nil {
		out = append(out, policy.ExplainedValue{Name: "input.subject.factors"})
	}
	return out
}

// clip cuts a text that is too long for people.
func clip(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}
