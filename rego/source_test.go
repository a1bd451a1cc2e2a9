package rego

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

// TestLoad_Refuses lists modules that must not come into force, with the
// place and the words that their author is told.
func TestLoad_Refuses(t *testing.T) {
	head := "package ringfence.all\n\nimport rego.v2\n\n"
	claims := "package ringfence.clusters.claims\n\nimport rego.v2\n\n"
	reason := ` := {"code": "a", "message": "b"} `
	for _, c := range []struct {
		name, file, text string
		line             int
		words            string
	}{
		{"no import", "all/a.rego", "package ringfence.all\n\nallow if input.version == 1\n", 1, "import rego.v2 is missing"},
		{"older import", "all/a.rego", "package ringfence.all\n\nimport rego.v1\n\nallow if input.version == 1\n", 1, "import rego.v2 is missing"},
		{"main", "all/a.rego", "package ringfence.main\n\nimport rego.v2\n", 1, "holds package ringfence.all"},
		{"guardrails", "all/a.rego", "package ringfence.guardrails\n\nimport rego.v2\n", 1, "holds package ringfence.all"},
		{"demands", "all/a.rego", "package ringfence.demands\n\nimport rego.v2\n", 1, "holds package ringfence.all"},
		{"root", "all/a.rego", "package ringfence\n\nimport rego.v2\n\nmain.decision := 1\n", 1, "holds package ringfence.all"},
		{"elsewhere", "all/a.rego", "package system.authz\n\nimport rego.v2\n", 1, "holds package ringfence.all"},
		{"all clusters at once", "clusters/claims/a.rego", "package ringfence.clusters\n\nimport rego.v2\n", 1, `ringfence.clusters["claims"]`},
		{"another cluster", "clusters/claims/a.rego", "package ringfence.clusters.payroll\n\nimport rego.v2\n", 1, `ringfence.clusters["claims"]`},
		{"cluster in all", "all/a.rego", claims, 1, "holds package ringfence.all"},
		{"all in cluster", "clusters/claims/a.rego", head, 1, `ringfence.clusters["claims"]`},
		{"package as a rule's name", "all/a.rego", "package ringfence.all.deny\n\nimport rego.v2\n", 1, "holds package ringfence.all"},
		{"place", "a.rego", head, 0, "a policy is a file"},
		{"stock place", "stock/guardrails.rego", head, 0, "a policy is a file"},
		{"place below", "all/b/a.rego", head, 0, "a policy is a file"},
		{"cluster's name", "clusters/Claims_1/a.rego", head, 0, "no name of a cluster"},
		{"path", "all/../a.rego", head, 0, "a policy is a file"},
		{"syntax", "all/a.rego", head + "allow if {\n", 6, "rego_parse_error"},
		{"empty", "all/a.rego", "", 0, "empty module"},
		{"misspelt field", "all/a.rego", head + "allow if input.request.metod == \"GET\"\n", 5, "method"},
		{"misspelt fact", "all/a.rego", head + "allow if input.facts.asignment.access == \"read\"\n", 5, "assignment"},
		{"header that is not there", "all/a.rego", head + "allow if input.request.headers.cookie == \"x\"\n", 5, "x-ticket"},
		{"wrong type", "all/a.rego", head + "allow if input.request.time_ns == \"noon\"\n", 5, "match error"},
		{"unused variable", "all/a.rego", head + "allow if x := input.request.method\n", 5, "unused"},
		{"withheld function", "all/a.rego", head + "allow if http.send({})\n", 5, "http.send is withheld"},
		{"unknown function", "all/a.rego", head + "allow if http.post({})\n", 5, "undefined function http.post"},
		{"deny as a value", "all/a.rego", head + "deny" + reason + "if input.version == 1\n", 5, "deny must be a set"},
		{"deny as an object", "all/a.rego", head + "deny[\"x\"]" + reason + "if input.version == 1\n", 5, "deny must be a set"},
		{"deny as a function", "all/a.rego", head + "deny(_)" + reason + "if input.version == 1\n", 5, "deny must be a set"},
		{"allow as a set", "all/a.rego", head + "allow contains 1 if input.version == 1\n", 5, "allow must be one value"},
		{"deny below", "all/a.rego", "package ringfence.all.dates\n\nimport rego.v2\n\ndeny contains 1 if input.version == 1\n", 5, "is read from package ringfence.all alone"},
		{"data that is not there", "all/a.rego", head + "allow if data.settings.open\n", 5, "data.settings.open is not within reach"},
		{"reading guardrails", "all/a.rego", head + "allow if data.ringfence.guardrails.permitted\n", 5, "not within reach"},
		{"reading another cluster", "clusters/claims/a.rego", claims + "allow if data.ringfence.clusters.payroll.x\n", 5, "not within reach"},
		{"reading a cluster by variable", "clusters/claims/a.rego", claims + "allow if data.ringfence.clusters[input.resource.route].x\n", 5, "not within reach"},
		{"reading everything", "all/a.rego", head + "allow if count(data) == 0\n", 5, "not within reach"},
		{"replacing guardrails", "all/a.rego", head + "allow if ok with data.ringfence.guardrails.permitted as true\n\nok if input.version == 1\n", 5, "not within reach"},
		{"importing data", "all/a.rego", "package ringfence.all\n\nimport rego.v2\n\nimport data.ringfence.main\n\nallow if main.granted\n", 5, "not within reach"},
		{"recursion", "all/a.rego", head + "allow if ok\n\nok if allow\n", 5, "recursive"},
		{"large", "all/a.rego", head + strings.Repeat("# words\n", 200_000), 0, "larger than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEngine(t, quiet)
			before := e.Revision()
			_, err := e.Load(context.Background(), Source{c.file: c.text, "all/good.rego": head + "allow if true\n"})
			refused, ok := errors.AsType[*CompileError](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			d := refused.Diagnostics[0]
			if d.File != c.file || d.Line != c.line || !strings.Contains(d.Code+": "+d.Message, c.words) {
				t.Errorf("got %q %v", d.Code, d)
			}
			if e.Revision() != before || e.Decide(context.Background(), trialInput("claims", noon)).Effect != policy.Allow {
				t.Error("a refused set changed something")
			}
		})
	}
}

func TestLoad_AllFaultsAtOnce(t *testing.T) {
	_, err := newEngine(t, quiet).Load(context.Background(), Source{
		"all/b.rego": "package ringfence.all\n\nimport rego.v2\n\nallow if input.requests\n\ndeny contains 1 if input.subjects\n",
		"a.rego":     "", "clusters/x/a.rego": "package x\n",
	})
	refused, ok := errors.AsType[*CompileError](err)
	if !ok || len(refused.Diagnostics) != 3 || !strings.Contains(err.Error(), "and 2 more") {
		t.Fatalf("got %v", err)
	}
}

func TestReadFolder(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"all/a.rego": "A", "clusters/claims/b.rego": "B", "clusters/claims/b_test.rego": "C", "README.md": "", "stray.rego": "D",
		".git/x.rego": "E", "..data/all/a.rego": "F", "all/.hidden.rego": "G",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	s, err := ReadFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(s) != 4 || s["all/a.rego"] != "A" || s["clusters/claims/b.rego"] != "B" || s["clusters/claims/b_test.rego"] != "C" || s["stray.rego"] != "D" {
		t.Errorf("got %v", s)
	}
	if _, err := ReadFolder(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// What is behind a link must be read or refused: left out without a word, its
// denials would be missing.
func TestReadFolder_PoliciesBehindLinks(t *testing.T) {
	real, dir := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(real, "all"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(real, "all", "a.rego"), []byte("package ringfence.all\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	s, err := ReadFolder(link)
	if err != nil || s["all/a.rego"] == "" {
		t.Errorf("a link to the folder: %v, %v", s, err)
	}
	if s, err := ReadFolder(dir); err != nil || s["link/all/a.rego"] == "" {
		t.Errorf("a link to a folder below the folder was passed over: %v, %v", s, err)
	}
	if s, err := ReadFolder(filepath.Join(real, "all", "a.rego")); err == nil {
		t.Errorf("a file was read as a folder: %v", s)
	}
}
