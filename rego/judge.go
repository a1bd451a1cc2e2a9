package rego

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/ringfence/ringfence/policy"
)

// judgeDeadline is how long one decision of a judge may take. It is far above an
// engine's own: a judge works at the lowest priority, and a decision that
// waited for its turn would otherwise count as one that differs.
const judgeDeadline = 5 * time.Second

// A Judge decides by one policy set that is not in force: for replays and
// comparisons. It is safe for concurrent use.
type Judge struct {
	engine *Engine
	set    *set
	clear  *set                 // the same modules upon guardrails that always let through
	every  readPaths            // of the stock policies and those for all clusters
	own    map[string]readPaths // of one cluster's, by its name
}

// NewJudge compiles src together with the stock policies. It runs no tests. A
// set that does not compile is a *[CompileError].
func NewJudge(ctx context.Context, src Source) (*Judge, error) {
	e, err := NewEngine(Config{Deadline: judgeDeadline, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	s, err := compileWithin(ctx, src)
	if err != nil {
		return nil, err
	}
	src = maps.Clone(src)
	clear, err := within(ctx, func() (*set, error) { return compileUpon(src, clearStock()) })
	if err != nil {
		return nil, err
	}
	j := &Judge{engine: e, set: s, clear: clear, own: map[string]readPaths{}}
	for name, m := range s.compiler.Modules {
		cluster := clusterOfFile(name)
		if cluster == "" {
			j.every.add(m)
			continue
		}
		own := j.own[cluster]
		own.add(m)
		j.own[cluster] = own
	}
	return j, nil
}

// Revision names the set, as [Engine.Revision] would.
func (j *Judge) Revision() string { return j.set.revision }

// Decide returns what the set decides on in. It never fails, as [Engine.Decide]
// never does. The caller must not change in meanwhile.
func (j *Judge) Decide(ctx context.Context, in *policy.Input) policy.Decision {
	d, err := j.engine.decide(ctx, j.set, in, nil)
	if err != nil {
		d = j.engine.faulted(ctx, j.set, in, err)
	}
	d.Revision = j.set.revision
	return d
}

// DecideAllowed is [Judge.Decide] for an input that some set of this build has
// allowed, in a fraction of the time. The guardrails let it through then,
// whatever administrators add: they read nothing of theirs, and nobody allows
// what they do not. So only what this set adds is left to decide. On any other
// input the decision is wrong.
func (j *Judge) DecideAllowed(ctx context.Context, in *policy.Input) policy.Decision {
	d, err := j.engine.decide(ctx, j.clear, in, nil)
	if err != nil {
		d = j.engine.faulted(ctx, j.set, in, err)
	}
	d.Revision = j.set.revision
	return d
}

// clearStock returns the stock modules with guardrails and assignment as they
// are for a request that both let through.
func clearStock() map[string]string {
	base := stock()
	base[stockPrefix+"guardrails.rego"] = "package ringfence.guardrails\n\nimport rego.v2\n\n" +
		"signed_in := true\n\npermitted := true\n\ncleared := true\n\nsign_in := set()\n\ndeny := set()\n\nchallenge := set()\n"
	base[stockPrefix+"assignment.rego"] = "package ringfence.assignment\n\nimport rego.v2\n\nin_scope := true\n\ndeny := set()\n"
	return base
}

// CanRead reports whether some rule that governs cluster can read the input at
// path, such as "request.query.q", or something below or above it.
func (j *Judge) CanRead(cluster, path string) bool {
	at := strings.SplitN(path, ".", 3)
	return j.every.has(at) || j.own[cluster].has(at)
}

// SameFor reports whether old and new decide alike on cluster because no module
// that governs it differs.
func SameFor(old, new Source, cluster string) bool {
	governs := func(name string) bool {
		c := clusterOfFile(name)
		return !isTest(name) && (c == "" || c == cluster)
	}
	for name, text := range old {
		if other, ok := new[name]; governs(name) && (!ok || other != text) {
			return false
		}
	}
	for name := range new {
		if _, ok := old[name]; governs(name) && !ok {
			return false
		}
	}
	return true
}

// clusterOfFile returns the cluster that a file governs; empty for all of them.
func clusterOfFile(name string) string {
	rest, ok := strings.CutPrefix(name, "clusters/")
	if !ok {
		return ""
	}
	cluster, _, _ := strings.Cut(rest, "/")
	return cluster
}

// readPaths are the constant beginnings of everything that modules read of the
// input. What is named by a variable counts as all that is there.
type readPaths [][]string

func (p *readPaths) add(m *ast.Module) {
	for _, r := range m.Rules {
		p.walk(r)
	}
}

func (p *readPaths) walk(x any) {
	ast.NewGenericVisitor(func(x any) bool {
		t, ok := x.(*ast.Term)
		if !ok {
			return false
		}
		switch v := t.Value.(type) {
		case ast.Ref:
			if len(v) == 0 || !v[0].Equal(ast.InputRootDocument) {
				return false
			}
			for _, operand := range v[1:] { // which may read on its own
				p.walk(operand)
			}
			*p = append(*p, constantHead(v[1:]))
			return true
		case ast.Var:
			if v.Equal(ast.InputRootDocument.Value) {
				*p = append(*p, nil)
			}
		}
		return false
	}).Walk(x)
}

func constantHead(r ast.Ref) (head []string) {
	for _, t := range r {
		s, ok := t.Value.(ast.String)
		if !ok {
			return head
		}
		head = append(head, string(s))
	}
	return head
}

// has reports whether one of p leads to at, or at leads to one of them.
func (p readPaths) has(at []string) bool {
	for _, read := range p {
		n := min(len(read), len(at))
		same := true
		for i := 0; i < n && same; i++ {
			same = read[i] == at[i]
		}
		if same {
			return true
		}
	}
	return false
}
