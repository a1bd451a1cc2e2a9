package rego

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestLint plants each kind of finding beside what looks like it and is well.
func TestLint(t *testing.T) {
	const head = "package ringfence.all\n\nimport rego.v2\n\n"
	reason := `{"code": "x", "message": "This is not allowed.", "help": "Ask somebody."}`
	for _, c := range []struct {
		name, text string
		want       string // the code of the one finding; empty: none
		words      string
	}{
		{"good", `deny contains ` + reason + ` if input.request.method == "DELETE"`, "", ""},
		{"allow with a condition", `allow if input.request.method == "GET"`, "", ""},
		{"allow as a constant", `allow := true`, LintAllow, "every request"},
		{"allow by default", "default allow := true\n", LintAllow, "every request"},
		{"denied by default", "default allow := false\n\nallow if input.request.method == \"GET\"", "", ""},
		{"no message", `deny contains {"code": "x", "help": "Ask."} if input.request.method == "PUT"`, LintReason, "no message"},
		{"no sentence", `deny contains {"code": "x", "message": "nope", "help": "Ask."} if input.request.method == "PUT"`, LintReason, "no sentence"},
		{"no help", `deny contains {"code": "x", "message": "This is not allowed."} if input.request.method == "PUT"`, LintReason, "no help"},
		{"changing words", `deny contains {"code": "x", "message": sprintf("no %s for you today.", [input.request.method]), "help": "Ask."} if input.request.method == "PUT"`, LintReason, "constant"},
		{"misspelt", `denny contains ` + reason + ` if input.request.method == "PUT"`, LintUnreachable, "was deny meant"},
		{"unused helper", `helper if input.request.method == "PUT"`, LintUnreachable, "no decision looks at helper"},
		{"used helper", "deny contains " + reason + " if helper\n\nhelper if other(input.request.method)\n\nother(m) if m == \"PUT\"", "", ""},
		{"helpers of each other", "one if two\n\ntwo if input.request.method == \"PUT\"", LintUnreachable, "looks at"},
		{"never holds", `deny contains ` + reason + ` if { false; input.request.method == "PUT" }`, LintUnreachable, "never holds"},
		{"two methods", "deny contains " + reason + " if {\n\tinput.request.method == \"PUT\"\n\tinput.request.method == \"POST\"\n}", LintUnreachable, "at once"},
		{"lower case", `deny contains ` + reason + ` if input.request.method == "put"`, LintUnreachable, "upper case"},
		{"a slash in a segment", `deny contains ` + reason + ` if input.request.path[0] == "/export"`, LintUnreachable, "segments"},
		{"a person", `deny contains ` + reason + ` if input.subject.email == "kim@northwind.example"`, LintPerson, "kim@northwind.example"},
		{"a domain", `deny contains ` + reason + ` if not endswith(input.subject.email, "@northwind.example")`, "", ""},
		{"raw path", `deny contains ` + reason + ` if regex.match("^/export", input.request.raw_path)`, LintPath, "another spelling"},
		{"joined path", `deny contains ` + reason + ` if startswith(concat("/", input.request.path), "export")`, LintPath, "another spelling"},
		{"joined path in a variable", "deny contains " + reason + " if {\n\tp := concat(\"/\", input.request.path)\n\tstartswith(p, \"export\")\n}", LintPath, "another spelling"},
		{"a mask of fields", `obligations contains {"mask": ["iban", params_of["a.b"]]} if input.version == 1

params_of := {"a.b": "x"}`, "", ""},
		{"a mask of a place", `obligations contains {"mask": ["iban", "owner.email"]} if input.version == 1`, LintMask, "owner.email"},
		{"a segment", `deny contains ` + reason + ` if regex.match("^CL-[0-9]+$", input.request.path[1])`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, err := Lint(Source{"all/it.rego": head + c.text + "\n"})
			if err != nil {
				t.Fatal(err)
			}
			codes := map[string]bool{}
			var all strings.Builder
			for _, d := range found {
				codes[d.Code] = true
				all.WriteString(d.String() + "\n")
				if d.Line < 5 || d.Column < 1 {
					t.Errorf("%s has no place", d)
				}
			}
			if got := strings.Join(slices.Sorted(maps.Keys(codes)), " "); got != c.want || !strings.Contains(all.String(), c.words) {
				t.Errorf("found %q, want %q with %q:\n%s", got, c.want, c.words, all.String())
			}
		})
	}
}

func TestLint_Scopes(t *testing.T) {
	found, err := Lint(Source{
		"all/dates.rego": "package ringfence.all.dates\n\nimport rego.v2\n\nfrozen if input.request.method == \"PUT\"\n\nunused if input.request.method == \"PUT\"\n",
		"clusters/claims/a.rego": "package ringfence.clusters[\"claims\"]\n\nimport rego.v2\n\nimport data.ringfence.all.dates\n\n" +
			"deny contains {\"code\": \"x\", \"message\": \"This is not allowed.\", \"help\": \"Ask.\"} if {\n\tdates.frozen\n\tinput.resource.cluster == \"billing\"\n}\n",
		"clusters/claims/a_test.rego": "package ringfence.clusters[\"claims\"]\n\nimport rego.v2\n\ntest_it if deny with input as {\"subject\": {\"email\": \"kim@northwind.example\"}}\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 || !strings.Contains(found[0].Message, "unused") || !strings.Contains(found[1].Message, "governs cluster claims") {
		t.Errorf("found %v", found)
	}
	if _, err := Lint(Source{"all/it.rego": "package"}); err == nil {
		t.Error("a broken module was linted")
	}
}

func TestFormat(t *testing.T) {
	ugly := Source{"all/it.rego": "package   ringfence.all\nimport rego.v2\nallow   if {input.request.method==\"GET\"}\n"}
	once, err := Format(ugly)
	if err != nil {
		t.Fatal(err)
	}
	twice, err := Format(once)
	if err != nil || once["all/it.rego"] == ugly["all/it.rego"] || !maps.Equal(once, twice) || !strings.Contains(once["all/it.rego"], "import rego.v2") {
		t.Errorf("%v\n%s\n%s", err, once["all/it.rego"], twice["all/it.rego"])
	}
	var broken *CompileError
	if _, err := Format(Source{"all/it.rego": "package ringfence.all\nallow if {"}); !errors.As(err, &broken) {
		t.Errorf("a broken module: %v", err)
	}
}

func TestCover(t *testing.T) {
	src := Source{
		"all/it.rego":      "package ringfence.all\n\nimport rego.v2\n\nallow if input.request.method == \"GET\"\n\nallow if {\n\tinput.request.method == \"PUT\"\n\tinput.subject.email != \"\"\n}\n",
		"all/it_test.rego": "package ringfence.all_test\n\nimport rego.v2\n\nimport data.ringfence.all\n\ntest_get if all.allow with input as {\"request\": {\"method\": \"GET\"}}\n",
	}
	c, r, err := Cover(context.Background(), src)
	if err != nil || r.Tests != 1 || len(c.Files) != 1 || c.Files[0].File != "all/it.rego" {
		t.Fatalf("%+v %+v %v", c, r, err)
	}
	if !slices.Contains(c.Files[0].Uncovered, 9) || slices.Contains(c.Files[0].Uncovered, 5) || c.Percent >= 100 || c.Percent <= 0 {
		t.Errorf("%+v", c)
	}
	delete(src, "all/it_test.rego")
	if c, _, err = Cover(context.Background(), src); err != nil || c.Percent != 0 {
		t.Errorf("without tests: %+v %v", c, err)
	}
}
