package rego

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
)

// Format returns every module of src in the one layout that OPA's formatter
// gives, tests included; formatting twice changes nothing more. Modules that
// cannot be parsed are a *[CompileError] that names each fault, and nothing is
// returned.
func Format(src Source) (Source, error) {
	caps := capabilities()
	if _, faults := parse(src, caps); len(faults) > 0 {
		return nil, &CompileError{Diagnostics: sortDiagnostics(faults)}
	}
	out := make(Source, len(src))
	for name, text := range src {
		b, err := format.SourceWithOpts(name, []byte(text), format.Opts{
			RegoVersion:   ast.RegoV1,
			ParserOptions: &ast.ParserOptions{Capabilities: caps, RegoVersion: ast.RegoV1},
		})
		if err != nil {
			return nil, fmt.Errorf("formatting %s: %w", name, err)
		}
		out[name] = string(b)
	}
	return out, nil
}
