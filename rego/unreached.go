package rego

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/ringfence/ringfence/policy"
)

// An UnreachedReport says what no recorded request reached.
type UnreachedReport struct {
	Requests int `json:"requests"` // that the policies decided
	// Looked counts those that were decided again to see which rules hold;
	// others are like them, or came when nothing was left to find.
	Looked int `json:"looked"`
	Unfit  int `json:"unfit"` // of which the log does not keep a field that the policies read
	// Rules never held; Reasons were given to nobody.
	Rules   []UnreachedRule   `json:"rules"`
	Reasons []UnreachedReason `json:"reasons"`
	Cut     bool              `json:"cut,omitempty"` // the bound was reached before everything of another kind was looked at
}

// An UnreachedRule is a rule of an administrator that held for no request.
type UnreachedRule struct {
	policy.Diagnostic
	Rule string `json:"rule"` // such as "deny no_export", or a helper's name
}

// An UnreachedReason is a reason that no request was given.
type UnreachedReason struct {
	policy.Diagnostic
	Reason string `json:"reason"` // its code
}

// CodeUnreached is the code of what an [UnreachedReport] lists.
const CodeUnreached = "unreached"

// Bounds of one look for what was never reached.
const (
	maxLooked     = 10_000
	maxReachAlike = 3
)

type ruleAt struct {
	file string
	row  int
}

// A Reach collects what recorded requests reach in a policy set. It is safe
// for concurrent use.
type Reach struct {
	engine *Engine
	set    *set
	fields readable

	mu      sync.Mutex
	report  UnreachedReport
	alike   map[string]int
	rules   map[ruleAt]UnreachedRule // not reached yet
	reasons map[string]UnreachedReason
	heads   map[string][]ruleAt // rules by the reason that they alone give
}

// NewReach compiles a set; one that does not compile is a *[CompileError].
func NewReach(ctx context.Context, src Source) (*Reach, error) {
	e, err := NewEngine(Config{Deadline: 5 * time.Second})
	if err != nil {
		return nil, err
	}
	s, err := compileWithin(ctx, src)
	if err != nil {
		return nil, err
	}
	r := &Reach{engine: e, set: s, fields: readableOf(s), alike: map[string]int{}, rules: map[ruleAt]UnreachedRule{},
		reasons: map[string]UnreachedReason{}, heads: map[string][]ruleAt{}}
	modules, _ := parse(src, capabilities())
	for name, m := range modules {
		if m.scope.test {
			continue
		}
		for _, rule := range m.Rules {
			r.add(name, rule)
		}
	}
	return r, nil
}

func (r *Reach) add(file string, rule *ast.Rule) {
	at := ruleAt{file, rule.Location.Row}
	d := policy.Diagnostic{File: file, Line: rule.Location.Row, Column: rule.Location.Col, Code: CodeUnreached}
	head := headOf(rule)
	if !rule.Default && !constant(rule) {
		d.Message = head + " held for no recorded request"
		r.rules[at] = UnreachedRule{d, head}
	}
	if name, code, ok := strings.Cut(head, " "); ok && (name == "deny" || name == "challenge") {
		d.Message = "the reason " + code + " was given to nobody"
		r.reasons[code] = UnreachedReason{d, code}
		r.heads[code] = append(r.heads[code], at)
	}
	if rule.Else != nil {
		r.add(file, rule.Else)
	}
}

// constant reports whether a rule is a name for a value, which the compiler
// may put in its place.
func constant(r *ast.Rule) bool {
	return len(r.Head.Args) == 0 && len(r.Body) == 1 && r.Body[0].Equal(ast.NewExpr(ast.BooleanTerm(true))) && r.Head.Key == nil
}

// Recorded looks at a recorded request: the input, nil where the log does not
// hold it, what is withheld of it, and which revision decided it with which
// reasons.
func (r *Reach) Recorded(ctx context.Context, in *policy.Input, withheld []string, revision string, reasons []string) {
	r.mu.Lock()
	r.report.Requests++
	for _, code := range reasons {
		delete(r.reasons, code)
		if at := r.heads[code]; revision == r.set.revision && len(at) == 1 {
			delete(r.rules, at[0])
		}
	}
	look := in != nil && len(r.rules) > 0 && r.another(in, withheld, reasons)
	r.mu.Unlock()
	if !look {
		return
	}
	w := ruleWatch{}
	if _, err := r.engine.evaluate(ctx, r.set, inputTerm(in), w); err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Looked++
	for at := range w {
		delete(r.rules, at)
	}
}

// another reports whether a request is worth a look. The caller holds mu.
func (r *Reach) another(in *policy.Input, withheld, reasons []string) bool {
	if slices.ContainsFunc(withheld, func(f string) bool { return r.fields.has(strings.Split(f, ".")) }) {
		r.report.Unfit++
		return false
	}
	path := in.Request.Path[:min(2, len(in.Request.Path))]
	at := time.Unix(0, in.Request.TimeNS).UTC()
	key := fmt.Sprintf("%q %q %q %q %q %q %d %d %s", in.Subject.Account, in.Resource.Cluster, in.Resource.Route, in.Request.Method, path, reasons, at.Weekday(), at.Hour(), in.Facts.Hash())
	if r.alike[key]++; r.alike[key] > maxReachAlike {
		return false
	}
	if r.report.Looked >= maxLooked {
		r.report.Cut = true
		return false
	}
	return true
}

// Report says what was not reached so far.
func (r *Reach) Report() UnreachedReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.report
	byPlace := func(a, b policy.Diagnostic) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	}
	out.Rules = slices.SortedFunc(maps.Values(r.rules), func(a, b UnreachedRule) int { return byPlace(a.Diagnostic, b.Diagnostic) })
	out.Reasons = slices.SortedFunc(maps.Values(r.reasons), func(a, b UnreachedReason) int { return byPlace(a.Diagnostic, b.Diagnostic) })
	if out.Rules == nil {
		out.Rules = []UnreachedRule{}
	}
	if out.Reasons == nil {
		out.Reasons = []UnreachedReason{}
	}
	return out
}

// A ruleWatch is a tracer that keeps which rules of administrators held.
type ruleWatch map[ruleAt]bool

func (ruleWatch) Enabled() bool { return true }

func (ruleWatch) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

func (w ruleWatch) TraceEvent(e topdown.Event) {
	if r, ok := e.Node.(*ast.Rule); ok && e.Op == topdown.ExitOp && !strings.HasPrefix(r.Location.File, stockPrefix) {
		w[ruleAt{r.Location.File, r.Location.Row}] = true
	}
}
