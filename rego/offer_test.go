package rego

import (
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// TestFields_CompileAndNoOthers: each name that authors are offered compiles,
// and the schema has no other.
func TestFields_CompileAndNoOthers(t *testing.T) {
	if testing.Short() {
		t.Skip("decides one after the other, many times")
	}
	fields := Fields()
	for _, f := range fields {
		text := "package ringfence.all\n\nimport rego.v2\n\nx contains y if some y, _ in [[" + strings.ReplaceAll(f.Path, "[]", "[_]") + ", 1]]\n"
		if ds, err := Diagnose(t.Context(), Source{"all/x.rego": text}); err != nil || len(ds) > 0 {
			t.Errorf("%s: %v %v", f.Path, ds, err)
		}
	}
	var walk func(path string, schema map[string]any)
	walk = func(path string, schema map[string]any) {
		properties, _ := schema["properties"].(map[string]any)
		for name, s := range properties {
			p := path + "." + name
			if strings.Contains(name, "-") || path == "input.request.headers" {
				p = path + `["` + name + `"]`
			}
			if !slices.ContainsFunc(fields, func(f Field) bool { return f.Path == p }) {
				t.Errorf("%s is in the contract and not offered", p)
			}
			walk(p, s.(map[string]any))
		}
	}
	walk("input", inputSchema().Get(ast.SchemaRootRef).(map[string]any))
	if len(fields) < 60 {
		t.Errorf("only %d fields", len(fields))
	}
}

// TestForbidden_SaysWhy: what the language has is offered or forbidden, what is
// forbidden does not compile and is told why, and every reason has words.
func TestForbidden_SaysWhy(t *testing.T) {
	known := map[string]bool{}
	for _, b := range Builtins() {
		known[b.Name] = true
	}
	whys := map[string]Why{}
	for _, p := range Forbidden() {
		if known[p.Name] {
			t.Errorf("%s is offered and forbidden", p.Name)
		}
		if p.Why.Sentence() == "" {
			t.Errorf("%s: no words for %q", p.Name, p.Why)
		}
		known[p.Name], whys[p.Name] = true, p.Why
	}
	for _, b := range ast.CapabilitiesForThisVersion().Builtins {
		if !known[b.Name] && b.Infix == "" && !strings.HasPrefix(b.Name, "internal.") {
			t.Errorf("%s is neither offered nor forbidden", b.Name)
		}
	}
	for name, want := range map[string]Why{"http.send": WhyNetwork, "time.now_ns": WhyClock, "rand.intn": WhyChance, "uuid.rfc4122": WhyChance, "opa.runtime": WhySurvey,
		"graph.reachable_paths": WhyUnbounded, "io.jwt.encode_sign": WhySecrets, "re_match": WhyDeprecated, "graphql.parse": WhyNeedless} {
		if whys[name] != want {
			t.Errorf("%s is forbidden for %q, want %q", name, whys[name], want)
		}
	}
	ds, err := Diagnose(t.Context(), Source{"all/x.rego": "package ringfence.all\n\nimport rego.v2\n\nallow if http.send({\"url\": \"http://x\", \"method\": \"GET\"}).status_code == 200\n"})
	if err != nil || len(ds) != 1 || ds[0].Line != 5 || !strings.Contains(ds[0].Message, "http.send is withheld from policies: it would reach other machines") {
		t.Errorf("%v %v", ds, err)
	}
}

// TestDiagnose_NamesTheField: a slip of the pen is told what was most likely meant.
func TestDiagnose_NamesTheField(t *testing.T) {
	for text, want := range map[string]string{
		"input.subjct.account == \"a\"":         "undefined: input has no subjct (was subject meant?); it has facts, request, resource, subject, version",
		"input.request.tls.ciphre == \"a\"":     "undefined: input.request.tls has no ciphre (was cipher meant?); it has cipher, version",
		"input.request.headers.cookie == \"a\"": "undefined: input.request.headers has no cookie; it has accept, content-length,",
	} {
		ds, err := Diagnose(t.Context(), Source{"all/x.rego": "package ringfence.all\n\nimport rego.v2\n\nallow if " + text + "\n"})
		if err != nil || len(ds) != 1 || !strings.HasPrefix(ds[0].Message, want) || ds[0].Line != 5 || ds[0].Column != 10 {
			t.Errorf("%s: %v %v", text, ds, err)
		}
	}
}
