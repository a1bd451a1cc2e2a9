package rego

import (
	"cmp"
	"context"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
)

// A Coverage says which lines of a policy set its tests reach.
type Coverage struct {
	Percent float64        `json:"percent"` // of the lines that hold a rule or a condition; 100 when there are none
	Files   []FileCoverage `json:"files"`   // sorted by name; tests are not among them
}

// A FileCoverage is one module's part of a [Coverage].
type FileCoverage struct {
	File      string  `json:"file"`
	Percent   float64 `json:"percent"`
	Covered   []int   `json:"covered"`   // lines, in order
	Uncovered []int   `json:"uncovered"` // lines that no test reaches, in order
}

// Cover runs the tests in src and says what they reach of it. The report is
// filled when tests fail as well; the error then is a *[TestError]. A set that
// does not compile is a *[CompileError].
func Cover(ctx context.Context, src Source) (Coverage, Report, error) {
	if _, err := compileWithin(ctx, src); err != nil {
		return Coverage{}, Report{}, err
	}
	modules, _ := parse(src, capabilities()) // without faults: it has been compiled
	watched := map[string]*ast.Module{}
	for name, m := range modules {
		if !m.scope.test && !m.params {
			watched[name] = m.Module
		}
	}
	c := cover.New()
	r, err := runTests(ctx, src, false, c)
	report := c.Report(watched)
	var out Coverage
	covered, all := 0, 0
	for name := range watched {
		f := FileCoverage{File: name, Percent: 100}
		if have := report.Files[name]; have != nil {
			f.Covered, f.Uncovered = lines(have.Covered), lines(have.NotCovered)
		}
		// A line of which a part was never reached is not covered.
		f.Covered = slices.DeleteFunc(f.Covered, func(n int) bool { return slices.Contains(f.Uncovered, n) })
		if n := len(f.Covered) + len(f.Uncovered); n > 0 {
			f.Percent = percent(len(f.Covered), n)
		}
		covered, all = covered+len(f.Covered), all+len(f.Covered)+len(f.Uncovered)
		out.Files = append(out.Files, f)
	}
	slices.SortFunc(out.Files, func(a, b FileCoverage) int { return cmp.Compare(a.File, b.File) })
	if out.Percent = 100; all > 0 {
		out.Percent = percent(covered, all)
	}
	return out, r, err
}

func percent(n, of int) float64 { return float64(int(1000*float64(n)/float64(of))) / 10 }

func lines(ranges []cover.Range) []int {
	out := []int{}
	for _, r := range ranges {
		for n := r.Start.Row; n <= max(r.End.Row, r.Start.Row); n++ {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
