package rego

import (
	"slices"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// TestExplain_Forms: whatever form a rule is written in, the condition that
// failed is told in the words that it was written in, and its values by theirs.
func TestExplain_Forms(t *testing.T) {
	const reason = `deny contains {"code": "a", "message": "m"} if `
	for _, c := range []struct {
		name, body, condition string
		held                  bool
		values                []policy.ExplainedValue
	}{
		{"else, which held", reason + "level == 2\n\nlevel := 1 if input.request.method == \"PUT\"\nelse := 2 if input.request.method == \"GET\"\nelse := 3\n",
			`input.request.method == "GET"`, true, known("input.request.method", `"GET"`)},
		{"else without a value, which failed", "allow if input.request.method == \"PUT\"\nelse if\n\tinput.request.path[0] == \"x\"\nelse if input.request.host == \"y\"\n",
			`input.request.path[0] == "x"`, false, known("input.request.path[0]", `"a"`)},
		{"else with a wildcard", "allow if false\nelse if input.request.path[_] == \"x\"\n", `input.request.path[_] == "x"`, false,
			known("input.request.path[_]", `["a","b"]`)},
		{"every", "allow if every p in input.request.path { p == \"a\" }\n", `every p in input.request.path { p == "a" }`, false,
			known("p", `"a"`, "p", `"b"`, "input.request.path", `["a","b"]`)},
		{"some of a constant", "allow if {\n\tsome m in [\"PUT\"]\n\tinput.request.method == m\n}\n", `some m in ["PUT"]`, true, known("m", `"PUT"`)},
		{"default", reason + "not open\n\ndefault open := false\n\nopen if input.request.method == \"PUT\"\n", "not open", true, known("open", "false")},
		{"with", reason + "not quiet with input.request.method as \"PUT\"\n\nquiet if input.request.method == \"GET\"\n", `input.request.method == "GET"`, false,
			known("input.request.method", `"PUT"`)},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, err := Explain(t.Context(), Config{Deadline: time.Second}, Source{"all/a.rego": "package ringfence.all\n\nimport rego.v2\n\n" + c.body}, trialInput("claims", noon))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range x.Rules {
				for _, have := range r.Conditions {
					if have.Text == c.condition {
						if have.Held != c.held || !slices.Equal(have.Values, c.values) {
							t.Errorf("held %v with %v", have.Held, have.Values)
						}
						return
					}
				}
			}
			t.Errorf("%q is not told: %+v", c.condition, x.Rules)
		})
	}
}

func known(pairs ...string) (out []policy.ExplainedValue) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, policy.ExplainedValue{Name: pairs[i], Value: pairs[i+1], Known: true})
	}
	return out
}
