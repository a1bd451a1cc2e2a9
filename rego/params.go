package rego

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego/library"
)

// codeParams is the code of faults in parameters, and in how modules read them.
const codeParams = "ringfence_params"

// Bounds on one file of parameters. They are data for people to write, not a
// database: a rule holds them as one value.
const (
	maxParams      = 256 << 10
	maxParamsDepth = 8
)

// paramsRule is the rule that parameters are read by.
const paramsRule = "params"

var paramsName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// isParams reports whether a file holds parameters.
func isParams(name string) bool { return path.Ext(name) == ".json" }

// parseParams makes the module of a file of parameters: one constant rule,
// params.NAME, in the package of its scope.
func parseParams(name, text string, sc scope) (*ast.Module, []policy.Diagnostic) {
	fault := func(line int, format string, args ...any) (*ast.Module, []policy.Diagnostic) {
		return nil, []policy.Diagnostic{{File: name, Line: line, Column: 1, Code: codeParams, Message: fmt.Sprintf(format, args...)}}
	}
	short := strings.TrimSuffix(path.Base(name), ".json")
	if !paramsName.MatchString(short) {
		return fault(1, "%q is no name of parameters: small letters, digits and underscores, so that modules can read params.NAME", short)
	}
	if len(text) > maxParams {
		return fault(1, "the file is larger than %d bytes", maxParams)
	}
	if line, err := checkJSON([]byte(text)); err != nil {
		return fault(line, "%v", err)
	}
	value, err := jsonTerm([]byte(text))
	if err != nil {
		return fault(1, "%v", err)
	}
	if weights(nil).of(value) > maxWeight {
		return fault(1, "the file holds more than %d values", maxWeight)
	}
	m := ast.MustParseModuleWithOpts(fmt.Sprintf("package %s\n\nimport rego.v2\n\n%s.%s := 1\n", sc, paramsRule, short), ast.ParserOptions{RegoVersion: ast.RegoV1})
	value.Location = ast.NewLocation([]byte(text), name, 1, 1)
	m.Rules[0].Head.Value = value
	at := ast.NewLocation([]byte(text), name, 1, 1)
	m.Package.Location, m.Rules[0].Location, m.Rules[0].Head.Location = at, at, at
	return m, nil
}

// checkJSON refuses what is not one object whose every key stands once, and
// says in which line.
func checkJSON(b []byte) (line int, err error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	at := func() int { return 1 + bytes.Count(b[:min(int(dec.InputOffset()), len(b))], []byte("\n")) }
	if err := checkValue(dec, 0); err != nil {
		if e, ok := errors.AsType[*json.SyntaxError](err); ok {
			return 1 + bytes.Count(b[:min(int(e.Offset), len(b))], []byte("\n")), fmt.Errorf("this is not JSON: %w", err)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("this is not JSON: it ends too early")
		}
		return at(), err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return at(), errors.New("there is more after the object")
	}
	return 0, nil
}

func checkValue(dec *json.Decoder, depth int) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	d, isDelim := t.(json.Delim)
	switch {
	case depth == 0 && d != '{':
		return errors.New("parameters are one object: { … }")
	case !isDelim:
		if n, ok := t.(json.Number); ok && !number(string(n)) {
			return fmt.Errorf("the number %.20s… is too large", n)
		}
		return nil
	case depth > maxParamsDepth:
		return fmt.Errorf("values nest more than %d deep", maxParamsDepth)
	}
	seen := map[string]bool{}
	for dec.More() {
		if d == '{' {
			key, err := dec.Token()
			if err != nil {
				return err
			}
			if s := key.(string); seen[s] {
				return fmt.Errorf("%q is there twice", s)
			} else {
				seen[s] = true
			}
		}
		if err := checkValue(dec, depth+1); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

// checkParams finds references to parameters that no file holds, rules that
// would stand in their way, and parameters that their library module does not take.
func checkParams(s Source, modules map[string]module) []policy.Diagnostic {
	known := map[scope][]string{}
	for name, m := range modules {
		if m.params {
			known[m.scope] = append(known[m.scope], strings.TrimSuffix(path.Base(name), ".json"))
		}
	}
	var faults []policy.Diagnostic
	for name, m := range modules {
		if m.params {
			faults = append(faults, libraryFaults(s, name)...)
			continue
		}
		if m.scope.test {
			continue
		}
		faults = append(faults, m.checkParams(name, known[scope{cluster: m.scope.cluster}])...)
	}
	return faults
}

func (m module) checkParams(file string, known []string) []policy.Diagnostic {
	var faults []policy.Diagnostic
	fault := func(at *ast.Location, format string, args ...any) {
		d := policy.Diagnostic{File: file, Code: codeParams, Message: fmt.Sprintf(format, args...)}
		if at != nil {
			d.Line, d.Column = at.Row, at.Col
		}
		faults = append(faults, d)
	}
	own := false
	for _, r := range m.Rules {
		if ruleName(r) == paramsRule {
			own = true
			if len(known) > 0 {
				fault(r.Location, "%s is made of the JSON files beside this one: give the rule another name", paramsRule)
			}
		}
	}
	if own || slices.ContainsFunc(m.Imports, func(i *ast.Import) bool { return i.Name().Equal(ast.Var(paramsRule)) }) {
		return faults
	}
	ast.WalkTerms(m.Module, func(t *ast.Term) bool {
		r, ok := t.Value.(ast.Ref)
		if !ok || len(r) < 2 || r[0].Value.Compare(ast.Var(paramsRule)) != 0 {
			return false
		}
		if name, ok := r[1].Value.(ast.String); ok && !slices.Contains(known, string(name)) {
			fault(t.Location, "there are no parameters %q: a file %s.json beside this one holds them", string(name), name)
		}
		return false
	})
	return faults
}

// libraryFaults checks parameters of a module of the library against what it takes.
func libraryFaults(s Source, name string) []policy.Diagnostic {
	text, ok := s[strings.TrimSuffix(name, ".json")+".rego"]
	if !ok {
		return nil
	}
	m := library.Of(text)
	if m == nil {
		return nil
	}
	var faults []policy.Diagnostic
	for _, f := range m.Check([]byte(s[name])) {
		faults = append(faults, policy.Diagnostic{File: name, Line: f.Line, Column: 1, Code: codeParams, Message: f.String()})
	}
	return faults
}
