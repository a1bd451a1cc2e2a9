package policy

import (
	"strconv"
	"time"
)

// An Explanation says how a decision came about, for people.
type Explanation struct {
	Decision Decision `json:"decision"`
	// Fault is what went wrong behind a decision with a policy_… code; empty otherwise.
	Fault string `json:"fault,omitempty"`
	// Rules are those that were considered, the ones that decided first: each
	// rule that gave a reason, followed by the rules that it asked.
	Rules []ExplainedRule `json:"rules"`
}

// Of returns the rules that gave the reason with a code and the rules behind
// them that decided, in order. It is empty where no policy gave that reason.
func (x *Explanation) Of(code string) []ExplainedRule {
	var out []ExplainedRule
	for _, r := range x.Rules {
		if r.Decided && (r.Code == code || r.Code == "" && len(out) > 0) {
			out = append(out, r)
		} else if len(out) > 0 {
			break
		}
	}
	return out
}

// An ExplainedRule is one rule that was considered.
type ExplainedRule struct {
	File  string `json:"file"` // empty: the engine itself, such as for the age of a code
	Line  int    `json:"line"`
	Name  string `json:"name"`           // such as deny, or in_scope for a helper
	Code  string `json:"code,omitempty"` // of the reason that it gives, where that is one
	Stock bool   `json:"stock"`          // shipped with Ringfence: a guardrail
	Held  bool   `json:"held"`
	// Decided reports whether the decision is as it is because of this rule.
	Decided bool `json:"decided"`
	// Conditions are those that were looked at, in the order in which they
	// were written. What comes after one that failed was not looked at.
	Conditions []ExplainedCondition `json:"conditions"`
}

// Failed returns the condition at which the rule failed; nil for one that held.
func (r *ExplainedRule) Failed() *ExplainedCondition {
	for i := range r.Conditions {
		if !r.Conditions[i].Held {
			return &r.Conditions[i]
		}
	}
	return nil
}

// An ExplainedCondition is one condition of a rule, as it was written.
type ExplainedCondition struct {
	File   string           `json:"file"`
	Line   int              `json:"line"`
	Text   string           `json:"text"`
	Held   bool             `json:"held"`
	Values []ExplainedValue `json:"values,omitempty"` // that it looked at
}

// Unknown returns the values that were not there.
func (c *ExplainedCondition) Unknown() []ExplainedValue {
	var out []ExplainedValue
	for _, v := range c.Values {
		if !v.Known {
			out = append(out, v)
		}
	}
	return out
}

// An ExplainedValue is what a name in a condition stood for. A condition that
// was tried several times has several of a name.
type ExplainedValue struct {
	Name  string `json:"name"`            // such as input.request.method
	Value string `json:"value,omitempty"` // as JSON, cut where it is long
	Known bool   `json:"known"`           // false: nothing was there
}

// The instants that a number of nanoseconds is taken for.
var firstInstant, lastInstant = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// Instant returns the time in UTC that the value stands for, if it is a number
// of nanoseconds since 1970 as the contract has them.
func (v ExplainedValue) Instant() (time.Time, bool) {
	ns, err := strconv.ParseInt(v.Value, 10, 64)
	at := time.Unix(0, ns).UTC()
	return at, err == nil && at.After(firstInstant) && at.Before(lastInstant)
}
