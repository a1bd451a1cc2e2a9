package policy

// An Explanation says how a decision came about, for people.
type Explanation struct {
	Decision Decision `json:"decision"`
	// Fault is what went wrong behind a decision with a policy_… code; empty otherwise.
	Fault string `json:"fault,omitempty"`
	// Rules are those that were considered, the ones that decided first.
	Rules []ExplainedRule `json:"rules"`
}

// An ExplainedRule is one rule that was considered.
type ExplainedRule struct {
	File  string `json:"file"`
	Line  int    `json:"line"`
	Name  string `json:"name"`           // such as deny, or in_scope for a helper
	Code  string `json:"code,omitempty"` // of the reason that it gives, where that is constant
	Stock bool   `json:"stock"`          // shipped with Ringfence: a guardrail
	Held  bool   `json:"held"`
	// Decided reports whether the decision is as it is because of this rule.
	Decided    bool                 `json:"decided"`
	Conditions []ExplainedCondition `json:"conditions"`
}

// An ExplainedCondition is one condition of a rule, as it was written.
type ExplainedCondition struct {
	File   string           `json:"file"`
	Line   int              `json:"line"`
	Text   string           `json:"text"`
	Held   bool             `json:"held"`
	Values []ExplainedValue `json:"values,omitempty"` // that it looked at
}

// An ExplainedValue is what a name in a condition stood for.
type ExplainedValue struct {
	Name  string `json:"name"`            // such as input.request.method
	Value string `json:"value,omitempty"` // as JSON, cut where it is long
	Known bool   `json:"known"`           // false: nothing was there
}
