package console

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// checksView is what the tests, their coverage and the knock-out test say
// about a draft, as its review page shows it.
type checksView struct {
	State   string // "done", "running" or "unknown"
	Fault   ui.Text
	Verdict ui.Badge
	// Diagnostics are why it does not compile, Findings what is likely not meant.
	Diagnostics, Findings []policy.Diagnostic
	Tests                 int
	Failures              []failedTest
	Percent               string // of the lines that tests reach
	Files                 []coveredFile
	Denials, Fields       int // of the knock-out test
	Unjudged              int
	Holes                 []hole
}

// FailWords says how many tests fail.
func (v checksView) FailWords() ui.Text {
	return ui.Count(len(v.Failures), "{1} of {2} tests fails:", "{1} of {2} tests fail:", v.Tests)
}

// FindingWords says how many findings there are.
func (v checksView) FindingWords() ui.Text {
	return ui.Count(len(v.Findings), "One thing is most likely not meant:", "{1} things are most likely not meant:")
}

// HoleWords says how many holes there are.
func (v checksView) HoleWords() ui.Text {
	return ui.Count(len(v.Holes), "{1} hole: a denial turns to allow when a field is missing.", "{1} holes: a denial turns to allow when a field is missing.")
}

type failedTest struct {
	Place, Name, Message string
}

type coveredFile struct {
	Name, Percent string
	Uncovered     ui.Text // the lines; empty: all are reached
}

type hole struct {
	Place, Rule, Field, Message string
}

// checked are the results of the newest checks, by what they are about: the
// hash of the modules names them wholly, so a result is never out of date.
type checked struct {
	mu    sync.Mutex
	runs  map[string]*checkRun
	order []string // oldest first
}

type checkRun struct {
	done chan struct{} // closed when result and err are there
	res  studio.CheckResult
	err  error
}

const (
	maxChecked = 32
	checkFor   = 2 * time.Minute // the runner's own limit is shorter
)

// checkWait is how long a page waits for checks before it is shown without them.
var checkWait = 4 * time.Second

// of returns the run over the modules with a hash, and begins it when there is
// none. It goes on when the visitor leaves: whoever comes next wants it too.
func (k *checked) of(ctx context.Context, s Studio, hash string, modules map[string]string) *checkRun {
	k.mu.Lock()
	defer k.mu.Unlock()
	if run, ok := k.runs[hash]; ok {
		return run
	}
	if k.runs == nil {
		k.runs = map[string]*checkRun{}
	}
	if len(k.order) >= maxChecked {
		delete(k.runs, k.order[0])
		k.order = k.order[1:]
	}
	run := &checkRun{done: make(chan struct{})}
	k.runs[hash], k.order = run, append(k.order, hash)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkFor)
	go func() {
		defer cancel()
		run.res, run.err = s.Check(ctx, studio.CheckRequest{Modules: modules})
		close(run.done)
		if run.err != nil {
			k.forget(hash, run) // the next visit tries again
		}
	}()
	return run
}

func (k *checked) forget(hash string, run *checkRun) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.runs[hash] != run {
		return
	}
	delete(k.runs, hash)
	for i, h := range k.order {
		if h == hash {
			k.order = append(k.order[:i:i], k.order[i+1:]...)
			return
		}
	}
}

// checks returns what is known about a set, waiting a little for it.
func (c *Console) checks(ctx context.Context, hash string, modules map[string]string) checksView {
	if c.Studio == nil {
		return checksView{State: "unknown"}
	}
	run := c.desk.checked.of(ctx, c.Studio, hash, modules)
	wait := time.NewTimer(checkWait)
	defer wait.Stop()
	select {
	case <-run.done:
	case <-wait.C:
		return checksView{State: "running"}
	case <-ctx.Done():
		return checksView{State: "running"}
	}
	if run.err != nil {
		return checksView{State: "unknown", Fault: c.trialFault(ctx, run.err)}
	}
	return showChecks(&run.res)
}

// trialFault says why policies could not be tried.
func (c *Console) trialFault(ctx context.Context, err error) ui.Text {
	if e, ok := errors.AsType[*studio.LimitError](err); ok {
		switch e.What {
		case "time":
			return "The policies take longer than a trial may. They cannot be published like this."
		case "memory":
			return "The policies need more memory than a trial may have. They cannot be published like this."
		}
		return "The policies need more than a trial may have. They cannot be published like this."
	}
	if errors.Is(err, studio.ErrBusy) {
		return "Several trials that you asked for wait already. Please try again when they are done."
	}
	c.Logger.ErrorContext(ctx, "checking policies for their review page", "err", err)
	return "The checks could not be run. Load the page again to try once more."
}

func showChecks(res *studio.CheckResult) checksView {
	v := checksView{State: "done", Diagnostics: res.Diagnostics, Findings: res.Findings, Tests: res.Tests,
		Denials: res.Knockout.Denials, Fields: res.Knockout.Fields, Unjudged: res.Knockout.Unjudged, Percent: percent(res.Coverage.Percent)}
	for _, f := range res.Failures {
		v.Failures = append(v.Failures, failedTest{Place: place(f.File, f.Line), Name: f.Name, Message: f.Message})
	}
	for _, f := range res.Coverage.Files {
		v.Files = append(v.Files, coveredFile{Name: f.File, Percent: percent(f.Percent), Uncovered: rangesOfLines(f.Uncovered)})
	}
	for _, h := range res.Knockout.Holes {
		v.Holes = append(v.Holes, hole{Place: place(h.File, h.Line), Rule: h.Rule, Field: h.Field, Message: h.Message})
	}
	if res.Publishable() {
		v.Verdict = ui.Badge{Kind: ui.Good, Text: "may be published"}
	} else {
		v.Verdict = ui.Badge{Kind: ui.Bad, Text: "cannot be published"}
	}
	return v
}

func place(file string, line int) string {
	if line == 0 {
		return file
	}
	return file + ":" + strconv.Itoa(line)
}

func percent(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) + " %" }

// rangesOfLines writes numbers of lines shortly: 3 to 5, 9.
func rangesOfLines(lines []int) ui.Text {
	var parts []string
	for i := 0; i < len(lines); {
		j := i
		for j+1 < len(lines) && lines[j+1] == lines[j]+1 {
			j++
		}
		part := strconv.Itoa(lines[i])
		if j > i {
			part += "–" + strconv.Itoa(lines[j])
		}
		parts, i = append(parts, part), j+1
	}
	if len(parts) == 0 {
		return ""
	}
	return ui.Count(len(lines), "line {2}", "lines {2}", strings.Join(parts, ", "))
}
