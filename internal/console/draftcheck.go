package console

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// How grave a finding is: an error keeps a draft from being published.
const (
	severityError   = "error"
	severityWarning = "warning"
)

// A draftFinding is one thing that is wrong with a draft, at its place.
type draftFinding struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"` // in characters, from 1; 0: the whole line
	Severity string `json:"severity"`
	Code     string `json:"code"`
	Message  string `json:"message"` // of the compiler, in English
}

// Place says where it is.
func (f draftFinding) Place() string {
	if f.Line == 0 {
		return f.File
	}
	return f.File + ":" + strconv.Itoa(f.Line)
}

// Grave reports whether it is an error.
func (f draftFinding) Grave() bool { return f.Severity == severityError }

// A draftResult is what a check of a draft with one file changed has found.
type draftResult struct {
	Errors      int            `json:"errors"`
	Warnings    int            `json:"warnings"`
	Diagnostics []draftFinding `json:"diagnostics"` // sorted by place
	Tests       int            `json:"tests"`       // that ran; 0 where none were asked for
	Failed      int            `json:"failed"`
	Coverage    *draftCoverage `json:"coverage,omitempty"` // nil where no test ran
}

// A draftCoverage is what the tests reach: of the file, or of all where the
// file itself holds tests.
type draftCoverage struct {
	Percent   float64 `json:"percent"`
	Covered   []int   `json:"covered"` // lines
	Uncovered []int   `json:"uncovered"`
}

// Missed writes the lines that no test reaches.
func (c *draftCoverage) Missed() string { return lineRanges(c.Uncovered) }

// lineRanges writes lines that follow one another as a range.
func lineRanges(lines []int) string {
	var out []string
	for i := 0; i < len(lines); {
		j := i
		for j+1 < len(lines) && lines[j+1] == lines[j]+1 {
			j++
		}
		if j == i {
			out = append(out, strconv.Itoa(lines[i]))
		} else {
			out = append(out, fmt.Sprintf("%d–%d", lines[i], lines[j]))
		}
		i = j + 1
	}
	return strings.Join(out, ", ")
}

func findings(severity string, ds []policy.Diagnostic) []draftFinding {
	out := make([]draftFinding, 0, len(ds))
	for _, d := range ds {
		out = append(out, draftFinding{File: d.File, Line: d.Line, Column: d.Column, Severity: severity, Code: d.Code, Message: d.Message})
	}
	return out
}

// resultOf counts what was found, the file's own first.
func resultOf(file string, errs, warnings []draftFinding) *draftResult {
	r := &draftResult{Errors: len(errs), Warnings: len(warnings), Diagnostics: append(append([]draftFinding{}, errs...), warnings...)} // never null in JSON
	elsewhere := func(f draftFinding) int {
		if f.File == file {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(r.Diagnostics, func(a, b draftFinding) int {
		return cmp.Or(elsewhere(a)-elsewhere(b), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return r
}

// checkFile compiles the draft with the file as it is typed and, when asked
// to, runs its tests.
func (c *Console) checkFile(r *http.Request, d *change.Draft, file, text string, tests bool) (*draftResult, error) {
	if c.Studio == nil {
		return nil, &ui.Error{Status: http.StatusServiceUnavailable}
	}
	modules := maps.Clone(d.Modules)
	if modules == nil {
		modules = map[string]string{}
	}
	modules[file] = text
	if !tests {
		res, err := c.Studio.Check(r.Context(), studio.CheckRequest{Modules: modules, Quick: true})
		if err != nil {
			return nil, studioFault(err)
		}
		return resultOf(file, findings(severityError, res.Diagnostics), findings(severityWarning, res.Findings)), nil
	}
	res, err := c.Studio.Reach(r.Context(), studio.ReachRequest{Modules: modules})
	if err != nil {
		return nil, studioFault(err)
	}
	errs := findings(severityError, res.Diagnostics)
	for _, f := range res.Failures {
		errs = append(errs, draftFinding{File: f.File, Line: f.Line, Severity: severityError, Code: "test_failed", Message: f.Name + " " + f.Message})
	}
	out := resultOf(file, errs, findings(severityWarning, res.Findings))
	out.Tests, out.Failed = res.Tests, len(res.Failures)
	if res.Tests > 0 {
		out.Coverage = coverageOf(file, &res)
	}
	return out, nil
}

func coverageOf(file string, res *studio.ReachResult) *draftCoverage {
	for _, f := range res.Coverage.Files {
		if f.File == file {
			return &draftCoverage{Percent: f.Percent, Covered: f.Covered, Uncovered: f.Uncovered}
		}
	}
	return &draftCoverage{Percent: res.Coverage.Percent, Covered: []int{}, Uncovered: []int{}}
}

// studioFault words what keeps a draft from being tried.
func studioFault(err error) error {
	if _, ok := errors.AsType[*studio.LimitError](err); ok {
		return &ui.Error{Status: http.StatusUnprocessableEntity, Code: "limit", Title: "Stopped", Err: err,
			Detail: "The policies need more time, memory or depth than a trial may have, so it was stopped. What you typed is not saved; go back to it and look for loops and for values that grow."}
	}
	if errors.Is(err, studio.ErrBusy) {
		return tooManyTrials(err)
	}
	return &ui.Error{Status: http.StatusServiceUnavailable, Code: "not_tried", Title: "Not tried", Err: fmt.Errorf("trying a draft: %w", err),
		Detail: "The draft could not be tried just now. What you typed is not saved; go back to it and try again."}
}

// tooManyTrials is for whoever has more trials waiting than one person may have.
func tooManyTrials(err error) error {
	return &ui.Error{Status: http.StatusTooManyRequests, Code: "busy", Title: "Too many trials at once", Err: err, RetryAfter: 10 * time.Second,
		Detail: "Several trials that you asked for wait already. Please try again when they are done."}
}

// checkDraft answers for whoever types: what is wrong with the draft when this
// file is as it stands in the editor.
func (c *Console) checkDraft(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, err := c.draft(r)
	if err != nil {
		return err
	}
	var typed struct {
		File, Text string
		Tests      bool
	}
	if err := json.NewDecoder(r.Body).Decode(&typed); err != nil {
		if _, tooBig := errors.AsType[*http.MaxBytesError](err); tooBig {
			return err
		}
		return &ui.Error{Status: http.StatusBadRequest, Err: err}
	}
	if _, there := d.Modules[typed.File]; len(typed.Text) > maxModule || !there && !moduleName.MatchString(typed.File) {
		return ui.BadRequest("Give the name of a file, and a text of at most 1 MiB.")
	}
	res, err := c.checkFile(r, &d, typed.File, typed.Text, typed.Tests)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, res)
}
