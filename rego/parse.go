package rego

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/ringfence/ringfence/policy"
)

// Codes of the diagnostics that this package gives; others are the compiler's.
const (
	codeParse   = "rego_parse_error"
	codePlace   = "ringfence_place"   // a file in a place that means nothing
	codePackage = "ringfence_package" // a package that its file may not have
	codeImport  = "ringfence_import"  // import rego.v2 is missing
	codeRule    = "ringfence_rule"    // a rule that would not be read as meant
	codeData    = "ringfence_data"    // a reference to data outside of the scope
	codeTrial   = "ringfence_trial"   // it did not finish in time
)

// contributed are the rules that are read from administrators' packages.
var contributed = []string{"deny", "challenge", "obligations", "allow"}

// A module is one parsed file with the scope that its name gives it.
type module struct {
	*ast.Module
	scope  scope
	params bool // it is made of a file of parameters
}

// parse reads every module of s and refuses what stands outside of the
// contract, with all faults at once.
func parse(s Source, caps *ast.Capabilities) (map[string]module, []policy.Diagnostic) {
	modules, faults := make(map[string]module, len(s)), []policy.Diagnostic(nil)
	for _, name := range slices.Sorted(maps.Keys(s)) {
		sc, err := scopeOf(name)
		if err != nil {
			faults = append(faults, policy.Diagnostic{File: name, Code: codePlace, Message: err.Error()})
			continue
		}
		if isParams(name) {
			m, ds := parseParams(name, s[name], sc)
			if faults = append(faults, ds...); m != nil {
				modules[name] = module{Module: m, scope: sc, params: true}
			}
			continue
		}
		m, ds := parseModule(name, s[name], caps)
		if faults = append(faults, ds...); m == nil {
			continue
		}
		checked := module{Module: m, scope: sc}
		faults = append(faults, checked.check(name)...)
		modules[name] = checked
	}
	if len(faults) == 0 {
		faults = checkParams(s, modules)
	}
	return modules, faults
}

func parseModule(name, text string, caps *ast.Capabilities) (*ast.Module, []policy.Diagnostic) {
	if len(text) > maxModule {
		return nil, []policy.Diagnostic{{File: name, Code: codeParse, Message: fmt.Sprintf("the file is larger than %d bytes", maxModule)}}
	}
	opts := ast.ParserOptions{Capabilities: caps, RegoVersion: ast.RegoV1}
	m, err := ast.ParseModuleWithOpts(name, text, opts)
	if err != nil {
		return nil, diagnose(name, err)
	}
	if m == nil {
		return nil, []policy.Diagnostic{{File: name, Line: 1, Column: 1, Code: codeParse, Message: "the file holds no package"}}
	}
	placeElse(m, opts)
	return m, nil
}

// check refuses a module that reaches out of its scope or would not be read
// as its author means it.
func (m module) check(file string) []policy.Diagnostic {
	var faults []policy.Diagnostic
	fault := func(at *ast.Location, code, format string, args ...any) {
		d := policy.Diagnostic{File: file, Code: code, Message: fmt.Sprintf(format, args...)}
		if at != nil {
			d.Line, d.Column = at.Row, at.Col
		}
		faults = append(faults, d)
	}
	if !m.inScope() {
		fault(m.Package.Location, codePackage, "the package is %s; a file in this place holds package %s", dotted(m.Package.Path), m.scope)
	}
	if !slices.ContainsFunc(m.Imports, func(i *ast.Import) bool { return ast.RegoV2CompatibleRef.Equal(i.Path.Value) }) {
		fault(m.Package.Location, codeImport, "import rego.v2 is missing: without it a negated condition with a missing field is silent")
	}
	if !m.scope.test {
		m.checkRules(fault)
		m.checkData(fault)
	}
	return faults
}

// inScope reports whether the module's package is the one of its place, or below.
func (m module) inScope() bool {
	want, have := m.scope.path(), segments(m.Package.Path)
	if len(have) < len(want) {
		return false
	}
	last := len(want) - 1
	if !slices.Equal(have[:last], want[:last]) {
		return false
	}
	if have[last] == want[last] {
		return len(have) == len(want) || !slices.Contains(contributed, have[len(want)])
	}
	return m.scope.test && len(have) == len(want) && have[last] == want[last]+"_test"
}

type faulter func(at *ast.Location, code, format string, args ...any)

// checkRules refuses rules with a contributed name that nothing would read.
func (m module) checkRules(fault faulter) {
	below := len(m.Package.Path)-1 > len(m.scope.path())
	for _, r := range m.Rules {
		name := string(r.Head.Ref()[0].Value.(ast.Var))
		if !slices.Contains(contributed, name) {
			continue
		}
		plain := len(r.Head.Ref()) == 1 && len(r.Head.Args) == 0
		switch {
		case below:
			fault(r.Location, codeRule, "%s is read from package %s alone, not from one below it", name, m.scope)
		case name == "allow" && (!plain || r.Head.RuleKind() != ast.SingleValue):
			fault(r.Location, codeRule, "allow must be one value: write allow if …")
		case name != "allow" && (!plain || r.Head.RuleKind() != ast.MultiValue):
			fault(r.Location, codeRule, "%s must be a set: write %s contains {…} if …", name, name)
		}
	}
}

// checkData refuses references to data that is not the module's own: there is
// no other, and a misspelt reference would be undefined in silence.
func (m module) checkData(fault faulter) {
	var walk func(x any)
	walk = func(x any) {
		ast.NewGenericVisitor(func(x any) bool {
			if _, ok := x.(*ast.Package); ok {
				return true
			}
			t, ok := x.(*ast.Term)
			if !ok {
				return false
			}
			r, isRef := t.Value.(ast.Ref)
			if !isRef {
				r = ast.Ref{t}
			}
			if len(r) == 0 || !r[0].Equal(ast.DefaultRootDocument) {
				return false
			}
			if !m.reaches(r) {
				fault(t.Location, codeData, "%s is not within reach: a policy reads input and %s", r, m.scope.reach())
			}
			for _, operand := range r[1:] {
				walk(operand)
			}
			return true
		}).Walk(x)
	}
	walk(m.Module)
}

// reaches reports whether a reference stays within what the module may read.
func (m module) reaches(r ast.Ref) bool {
	have := segments(r.GroundPrefix())
	for _, may := range [][]string{scope{}.path(), m.scope.path()} {
		if len(have) >= len(may) && slices.Equal(have[:len(may)], may) {
			return true
		}
	}
	return false
}

// segments returns the constant parts of a reference into data, without data itself.
func segments(r ast.Ref) []string {
	out := make([]string, 0, len(r))
	for i, t := range r {
		if i == 0 {
			continue
		}
		s, ok := t.Value.(ast.String)
		if !ok {
			break
		}
		out = append(out, string(s))
	}
	return out
}

// dotted writes a package's path as a module does.
func dotted(r ast.Ref) string { return strings.TrimPrefix(r.String(), "data.") }

// diagnose turns what parser and compiler return into diagnostics.
func diagnose(file string, err error) []policy.Diagnostic {
	var many ast.Errors
	if !errors.As(err, &many) {
		if one, ok := errors.AsType[*ast.Error](err); ok {
			many = ast.Errors{one}
		} else {
			return []policy.Diagnostic{{File: file, Code: codeParse, Message: err.Error()}}
		}
	}
	var out []policy.Diagnostic
	for _, e := range many {
		d := policy.Diagnostic{File: file, Code: e.Code, Message: withheldWords(e.Message)}
		if e.Details != nil {
			if name, ok := e.Details.(*ast.RefErrInvalidDetail); ok && len(name.OneOf) > 0 {
				d.Message = noSuchField(name)
			} else if more := e.Details.Lines(); len(more) > 0 && e.Code == ast.TypeErr {
				d.Message += ": " + strings.Join(more, " ")
			}
		}
		if e.Location != nil {
			d.Line, d.Column = e.Location.Row, e.Location.Col
			if e.Location.File != "" {
				d.File = e.Location.File
			}
		}
		out = append(out, d)
	}
	return out
}

func sortDiagnostics(ds []policy.Diagnostic) []policy.Diagnostic {
	slices.SortFunc(ds, func(a, b policy.Diagnostic) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Code, b.Code), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(ds)
}
