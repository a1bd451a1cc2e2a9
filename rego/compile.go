package rego

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/ringfence/ringfence/policy"
)

//go:embed lib/*.rego
var lib embed.FS

// stockPrefix stands before the names of the stock modules, in diagnostics and
// in the revision.
const stockPrefix = "stock/"

// stock returns the text of the stock modules, tests included, by name.
func stock() map[string]string {
	out := map[string]string{}
	files, err := fs.Glob(lib, "lib/*.rego")
	if err != nil {
		panic(err) // the pattern is constant
	}
	for _, f := range files {
		b, err := lib.ReadFile(f)
		if err != nil {
			panic(err) // it is embedded
		}
		out[stockPrefix+path.Base(f)] = string(b)
	}
	return out
}

// isTest reports whether a file holds tests.
func isTest(name string) bool { return strings.HasSuffix(name, "_test.rego") }

const (
	question  = "data.ringfence.main.decision"
	answerVar = ast.Var("answer")
)

// A set is one compiled policy set. It is safe for concurrent use, and
// nothing in it changes what it decides.
type set struct {
	revision string
	compiler *ast.Compiler
	query    ast.QueryCompiler
	body     ast.Body
	answer   ast.Var // where the body leaves the decision
	clusters []string
	reads    reads

	resources resources // safe for concurrent use
}

// compileLimit is how long a set may take to compile. A thousand clusters take
// a second or two; the compiler cannot be stopped.
const compileLimit = time.Minute

// compileWithin compiles s and gives up on it with ctx or at the limit.
func compileWithin(ctx context.Context, s Source) (*set, error) {
	s = maps.Clone(s) // the caller may go on to change it when we give up
	return within(ctx, func() (*set, error) { return compile(s) })
}

// within returns what work returns, unless ctx or the limit ends before it.
func within[T any](ctx context.Context, work func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := work()
		done <- result{v, err}
	}()
	ctx, cancel := context.WithTimeout(ctx, compileLimit)
	defer cancel()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("compiling policies: %w", ctx.Err())
	}
}

// compile makes a set of the stock modules and s. Every fault is in the error,
// a *CompileError.
func compile(s Source) (*set, error) { return compileUpon(s, stock()) }

// compileUpon is compile with base in the place of the stock modules.
func compileUpon(s Source, base map[string]string) (*set, error) {
	caps := capabilities()
	modules, faults := parse(s, caps)
	all := make(map[string]*ast.Module, len(s)+8)
	texts := map[string]string{}
	for name, m := range modules {
		if !m.scope.test {
			all[name], texts[name] = m.Module, s[name]
		}
	}
	for name, text := range base {
		if isTest(name) {
			continue
		}
		m, ds := parseModule(name, text, caps)
		faults = append(faults, ds...)
		all[name], texts[name] = m, text
	}
	if len(faults) > 0 {
		return nil, &CompileError{Diagnostics: sortDiagnostics(faults)}
	}
	all[demandsName] = demands(modules)
	prune(all[mainName], defines(modules))
	c := newCompiler(caps)
	if c.Compile(all); c.Failed() {
		return nil, &CompileError{Diagnostics: sortDiagnostics(diagnose("", c.Errors))}
	}
	out := &set{revision: policy.Revision(texts), compiler: c, query: c.QueryCompiler(), clusters: clustersOf(modules), reads: readsOf(c)}
	if err := out.prepare(); err != nil {
		return nil, &CompileError{Diagnostics: diagnose("", err)}
	}
	return out, nil
}

// RevisionOf returns what an engine of this version calls a set, without
// compiling it.
func RevisionOf(s Source) string { return policy.Revision(Texts(s)) }

// Texts returns every file that the name of a set covers: s and the rules of
// this version beside it, without tests.
func Texts(s Source) map[string]string {
	texts := map[string]string{}
	for _, from := range []map[string]string{s, stock()} {
		for name, text := range from {
			if !isTest(name) {
				texts[name] = text
			}
		}
	}
	return texts
}

func newCompiler(caps *ast.Capabilities) *ast.Compiler {
	// The compiler itself must hold the capabilities: those that are given
	// beside one are not applied to its modules.
	return ast.NewCompiler().WithCapabilities(caps).WithStrict(true).WithSchemas(inputSchema()).
		WithEnablePrintStatements(false).SetErrorLimit(0).
		WithStageAfterID(ast.StageRewriteLocalVars, ast.CompilerStageDefinition{
			Name: "RingfenceOverweight", MetricName: "ringfence_overweight", Stage: overweight,
		})
}

// prepare compiles the one question that is asked of every set.
func (s *set) prepare() error {
	body, err := s.query.Compile(ast.MustParseBody(fmt.Sprintf("%s = %s", question, answerVar)))
	if err != nil {
		return err
	}
	s.body, s.answer = body, answerVar
	for rewritten, v := range s.query.RewrittenVars() {
		if v == answerVar {
			s.answer = rewritten
		}
	}
	return nil
}

func clustersOf(modules map[string]module) []string {
	names := map[string]bool{}
	for _, m := range modules {
		if m.scope.cluster != "" && !m.scope.test {
			names[m.scope.cluster] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
