package studio

import (
	"testing"
)

// TestCheck_Inline: what is wrong with a set is in the result.
func TestCheck_Inline(t *testing.T) {
	r := New(Config{})
	const head = "package ringfence.all\n\nimport rego.v2\n\n"
	for name, c := range map[string]struct {
		text  string
		quick bool
		want  func(CheckResult) bool
	}{
		"good": {head + "deny contains {\"code\": \"x\", \"message\": \"This is not allowed.\", \"help\": \"Ask.\"} if input.request.method == \"DELETE\"\n", false, func(r CheckResult) bool { return r.Publishable() && r.Tests > 0 }},
		"misspelt": {head + "allow if input.subjct.account == \"a\"\n", false, func(r CheckResult) bool {
			return !r.Publishable() && len(r.Diagnostics) == 1 && r.Diagnostics[0].Line == 5
		}},
		"as typed":   {head + "allow if input.subjct.account == \"a\"\n", true, func(r CheckResult) bool { return len(r.Diagnostics) == 1 }},
		"suspicious": {head + "allow if true\n", true, func(r CheckResult) bool { return len(r.Diagnostics) == 0 && len(r.Findings) == 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := r.Check(t.Context(), CheckRequest{Modules: map[string]string{"all/x.rego": c.text}, Quick: c.quick})
			if err != nil {
				t.Fatal(err)
			}
			if !c.want(got) {
				t.Errorf("%+v", got)
			}
		})
	}
}
