package rego

import (
	"maps"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/rego/library"
)

// libraryPlaces are the ways in which a module can be added.
var libraryPlaces = []library.Place{{}, {Cluster: "claims"}, {Cluster: "eu-claims", Name: "second_one"}}

// TestLibrary holds every module of the library to what is demanded of one, for
// every cluster, for one, and under another name.
func TestLibrary(t *testing.T) {
	if testing.Short() {
		t.Skip("decides one after the other, many times")
	}
	for _, m := range library.All() {
		for _, p := range libraryPlaces {
			t.Run(m.Name+"/"+p.Cluster+p.Name, func(t *testing.T) {
				for name, params := range map[string][]byte{"sample": m.Sample()} {
					files, err := m.Files(p, params)
					if err != nil {
						t.Fatal(name, err)
					}
					wellMade(t, Source(files))
				}
			})
		}
	}
}

// wellMade demands canonical, lint-free modules whose tests reach every line
// and that no missing field silences.
func wellMade(t *testing.T, src Source) {
	t.Helper()
	formatted, err := Format(src)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range formatted {
		if text != src[name] {
			t.Errorf("%s is not in the layout of the formatter", name)
		}
	}
	if found, err := Lint(src); err != nil || len(found) > 0 {
		t.Errorf("lint: %v %v", found, err)
	}
	if _, err := Check(t.Context(), src); err != nil {
		t.Fatal(describe(err))
	}
	cover, _, err := Cover(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range cover.Files {
		if len(f.Uncovered) > 0 {
			t.Errorf("%s: the tests do not reach lines %v", f.File, f.Uncovered)
		}
	}
	report, err := Knockout(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range report.Holes {
		t.Errorf("hole: %s", h)
	}
	t.Logf("%d denials, %d fields", report.Denials, report.Fields)
}

func describe(err error) string {
	switch e := err.(type) {
	case *CompileError:
		var lines []string
		for _, d := range e.Diagnostics {
			lines = append(lines, d.String())
		}
		return strings.Join(lines, "\n")
	case *TestError:
		var lines []string
		for _, f := range e.Failures {
			lines = append(lines, f.String())
		}
		return strings.Join(lines, "\n")
	}
	return err.Error()
}

// TestLibrary_Together adds all modules to every cluster and to one at once:
// none stands in the way of another.
func TestLibrary_Together(t *testing.T) {
	if testing.Short() {
		t.Skip("decides one after the other, many times")
	}
	src := Source{}
	for _, m := range library.All() {
		for _, p := range libraryPlaces {
			if p.Name != "" {
				p.Name = m.Name + "_too"
			}
			files, err := m.Files(p, m.Sample())
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(src, files)
		}
	}
	if _, err := Check(t.Context(), src); err != nil {
		t.Fatal(describe(err))
	}
}
