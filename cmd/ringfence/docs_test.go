package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestDocs_CommandsExist parses every ringfence command line in the documents
// and in the commands' own examples against the real command tree.
func TestDocs_CommandsExist(t *testing.T) {
	lines := map[string][]string{}
	for _, file := range []string{"../../README.md", "../../deploy/README.md", "../../ARCHITECTURE.md"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines[filepath.Base(filepath.Dir(file))+"/"+filepath.Base(file)] = commandLines(string(b))
	}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.HasParent() && !c.Hidden && !c.HasSubCommands() && c.Example == "" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		lines[c.CommandPath()+" --help"] = commandLines("```\n" + c.Example + "\n```")
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot())
	seen := 0
	for where, cmds := range lines {
		for _, line := range cmds {
			seen++
			if err := parses(line); err != nil {
				t.Errorf("%s: %q: %v", where, line, err)
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d commands found", seen)
	}
}

// commandLines returns the ringfence command lines of a document's code blocks.
func commandLines(text string) (out []string) {
	inside := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "```") {
			inside = !inside
			continue
		}
		line = strings.TrimPrefix(strings.TrimPrefix(line, "$ "), "sudo ")
		if _, rest, ok := strings.Cut(line, "-u ringfence "); ok {
			line = rest
		}
		for _, part := range strings.Split(line, " | ") {
			part = strings.TrimSpace(part)
			if inside && strings.HasPrefix(part, "ringfence ") {
				part, _, _ = strings.Cut(part, " > ")
				part, _, _ = strings.Cut(part, " < ")
				part, _, _ = strings.Cut(part, " #")
				out = append(out, strings.TrimSuffix(part, " \\"))
			}
		}
	}
	return out
}

// parses finds the command of a line and reads its flags, running nothing.
func parses(line string) error {
	cmd, rest, err := newRoot().Find(words(line)[1:])
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if cmd.HasSubCommands() && len(cmd.Flags().Args()) > 0 {
		return &unknownCommandError{name: cmd.Flags().Arg(0), parent: cmd.CommandPath()}
	}
	return nil
}

// words splits a line at blanks, keeping what single or double quotes hold together.
func words(line string) (out []string) {
	var b strings.Builder
	quote := rune(0)
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote = r
		case quote == 0 && r == ' ':
			if b.Len() > 0 {
				out = append(out, b.String())
				b.Reset()
			}
		default:
			b.WriteRune(r)
		}
	}
	if b.Len() > 0 {
		out = append(out, b.String())
	}
	return out
}

// TestDocs_InvariantsNameTheirTests: a promise in ARCHITECTURE.md names a test
// that exists, and a file that it points to is there.
func TestDocs_InvariantsNameTheirTests(t *testing.T) {
	b, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz)[A-Za-z0-9_]+)`").FindAllStringSubmatch(string(b), -1)
	if len(named) < 20 {
		t.Fatalf("only %d tests are named", len(named))
	}
	for _, m := range named {
		files, err := filepath.Glob("../../" + m[1] + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range files {
			src, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(src), "func "+m[2]+"(")
		}
		if !found {
			t.Errorf("%s has no %s", m[1], m[2])
		}
	}
	for _, m := range regexp.MustCompile("`((?:proxy|auth|rego|policy|internal|cmd|deploy)/[a-z_/]+\\.(?:go|yaml|rego))`").FindAllStringSubmatch(string(b), -1) {
		if _, err := os.Stat("../../" + m[1]); err != nil {
			t.Errorf("ARCHITECTURE.md names a file that is not there: %v", err)
		}
	}
}
