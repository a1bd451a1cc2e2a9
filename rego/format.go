package rego

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
)

// Format returns every module of src in the one layout that OPA's formatter
// gives, tests included, and parameters indented by two; formatting twice changes nothing more. Modules that
// cannot be parsed are a *[CompileError] that names each fault, and nothing is
// returned.
func Format(src Source) (Source, error) {
	caps := capabilities()
	if _, faults := parse(src, caps); len(faults) > 0 {
		return nil, &CompileError{Diagnostics: sortDiagnostics(faults)}
	}
	out := make(Source, len(src))
	for name, text := range src {
		if isParams(name) {
			var b bytes.Buffer
			if err := json.Indent(&b, []byte(strings.TrimSpace(text)), "", "  "); err != nil {
				return nil, fmt.Errorf("formatting %s: %w", name, err)
			}
			out[name] = b.String() + "\n"
			continue
		}
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
