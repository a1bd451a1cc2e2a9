package ui

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEditor_BundleIsItsSource builds the editor from its sources, with the
// libraries that package-lock.json names, and compares it with what is embedded.
func TestEditor_BundleIsItsSource(t *testing.T) {
	if testing.Short() {
		t.Skip("npm takes its time")
	}
	required := os.Getenv("RINGFENCE_TEST_REQUIRE") == "all"
	npm, err := exec.LookPath("npm")
	if err != nil {
		if required {
			t.Fatal("npm is not installed: apt-get install npm")
		}
		t.Skip("npm is not installed: apt-get install npm")
	}
	dir := t.TempDir()
	err = filepath.WalkDir("editor", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == "node_modules" {
			if d != nil && d.IsDir() && d.Name() == "node_modules" {
				return fs.SkipDir
			}
			return err
		}
		to := filepath.Join(dir, strings.TrimPrefix(path, "editor"))
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	install := exec.Command(npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		if required {
			t.Fatalf("npm ci: %v\n%s", err, out)
		}
		t.Skipf("the editor's libraries cannot be installed (npm ci in internal/ui/editor): %v", err)
	}
	build := exec.Command("node", "build.mjs", "editor.js")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	got, err := os.ReadFile(filepath.Join(dir, "editor.js"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("static/editor.js")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("static/editor.js is not what its sources make: run npm ci and npm run build in internal/ui/editor")
	}
}

// Scripts have no words of their own, and each that they ask for is on the page.
func TestEditor_WordsAreOnThePage(t *testing.T) {
	page, err := os.ReadFile("pages/console-policy-edit/edit.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("editor/src/*.js")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	asked := map[string]bool{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`say\((?:[^()"]*\? )?"([a-z]+)"(?: : "([a-z]+)")?`).FindAllStringSubmatch(string(b), -1) {
			for _, name := range m[1:] {
				if name != "" {
					asked[name] = true
				}
			}
		}
	}
	for name := range asked {
		if !bytes.Contains(page, []byte(" data-say-"+name+`="`)) {
			t.Errorf("a script says %q, which the page has no words for", name)
		}
	}
	for _, m := range regexp.MustCompile(` data-say-([a-z]+)="`).FindAllSubmatch(page, -1) {
		if !asked[string(m[1])] {
			t.Errorf("no script says %q", m[1])
		}
	}
	if len(asked) < 30 {
		t.Errorf("only %d words were found", len(asked))
	}
}
