package console

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// gapsPage shows what is missing in a policy set or its tests: denials that
// vanish with a field, changes that nothing notices, and what nobody reaches.
type gapsPage struct {
	Base
	About     namedSet
	Fault     ui.Text
	Faults    []ui.Text
	Knockout  gapPart
	Mutants   gapPart
	Unreached gapPart

	Holes     []holeRow
	Denials   *studio.KnockoutReport
	Survivors []mutantRow
	Changed   *studio.MutantReport
	Rules     []placeRow
	Reasons   []placeRow
	Reached   *studio.UnreachedResult
}

// gapPart is one of the jobs of the page.
type gapPart struct {
	Kind  string
	About trialSet
	Trial trialState
	Fault ui.Text
	Stale bool // the rules have changed since
	Days  ui.Field
	Since time.Time // what was asked; zero: recorded requests played no part
}

// A placeRow is a place in a module.
type placeRow struct {
	File string
	Line int
	What string
}

type holeRow struct {
	placeRow
	Field, Repair string
	Condition     bool   // Repair is a condition to add, not a rule
	Entry         string // index of the entry that shows it; empty: a unit test does
	EntryURL      string // empty: not for this visitor
}

type mutantRow struct {
	placeRow
	Kind     ui.Text
	Was, Now string
}

// gapAsked is what was asked of a job.
type gapAsked struct {
	Since time.Time
	Rules string // hash of the modules
}

// gapKinds are the jobs of the page.
var gapKinds = []string{"knockout", "mutants", "unreached"}

func (c *Console) gaps(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := r.URL.Query()
	about, err := setOf(q.Get("draft"), q.Get("revision"))
	if err != nil {
		return err
	}
	return c.showGaps(w, r, v, about, newForm(q), http.StatusOK)
}

func (c *Console) showGaps(w http.ResponseWriter, r *http.Request, v *visit, about trialSet, f *form, status int) error {
	if about != (trialSet{}) && c.Changes == nil {
		return ui.NotFound()
	}
	set, err := c.set(r.Context(), about)
	if err != nil {
		return err
	}
	page := gapsPage{Base: v.page("Gaps"), About: set, Faults: f.Notes}
	running := false
	for kind, part := range map[string]*gapPart{"knockout": &page.Knockout, "mutants": &page.Mutants, "unreached": &page.Unreached} {
		*part = gapPart{Kind: kind, About: about, Trial: c.desk.trials.newest(kind, about).state()}
		asked, _ := part.Trial.detail().(gapAsked)
		part.Since, part.Stale = asked.Since, part.Trial.trial != nil && asked.Rules != set.rules()
		if part.Trial.Err != nil && !part.Trial.Stopped() {
			part.Fault = trialWords(part.Trial.Err)
		}
		part.Days = gapDays(kind)
		running = running || part.Trial.Running
	}
	if running {
		refreshing(w)
	}
	page.fill(v)
	return c.show(w, r, status, "console-policy-gaps", page)
}

// rules names what the jobs look at: rules and tests.
func (s namedSet) rules() string { return policy.Revision(s.Modules) }

// gapDays is the choice of how much of the log a job looks at.
func gapDays(kind string) ui.Field {
	u := ui.Field{Name: "days_" + kind, Label: "Recorded requests of", Options: []ui.Option{
		{Value: "7", Label: "the last 7 days"}, {Value: "30", Label: "the last 30 days", Selected: true}, {Value: "90", Label: "the last 90 days"}}}
	if kind != "unreached" {
		u.Options = append(u.Options, ui.Option{Value: "0", Label: "no day: the unit tests alone"})
	}
	return u
}

// fill shows what the jobs have found.
func (p *gapsPage) fill(v *visit) {
	if res, ok := p.Knockout.Trial.Result.(studio.KnockoutReport); ok {
		p.Denials = &res
		for _, h := range res.Holes {
			row := holeRow{placeRow: placeRow{h.File, h.Line, h.Rule}, Field: "input." + h.Field, Repair: h.Repair, Condition: h.Rule == "allow"}
			if h.Entry != nil {
				row.Entry = strconv.FormatUint(*h.Entry, 10)
				if mayReview.met(v.Session) {
					row.EntryURL = "/console/log/" + row.Entry
				}
			}
			p.Holes = append(p.Holes, row)
		}
	}
	if res, ok := p.Mutants.Trial.Result.(studio.MutantReport); ok {
		p.Changed = &res
		for _, m := range res.Survivors {
			p.Survivors = append(p.Survivors, mutantRow{placeRow{m.File, m.Line, m.Rule}, mutantWords(m.Code), m.Was, m.Now})
		}
	}
	if res, ok := p.Unreached.Trial.Result.(studio.UnreachedResult); ok {
		p.Reached = &res
		for _, u := range res.Rules {
			p.Rules = append(p.Rules, placeRow{u.File, u.Line, u.Rule})
		}
		for _, u := range res.Reasons {
			p.Reasons = append(p.Reasons, placeRow{u.File, u.Line, u.Reason})
		}
	}
}

func mutantWords(code string) ui.Text {
	switch code {
	case studio.MutantDropped:
		return "the rule is not there"
	case studio.MutantComparison:
		return "another comparison"
	case studio.MutantNegation:
		return "without the not"
	case studio.MutantConstant:
		return "another constant"
	default:
		return "one member less"
	}
}

// beginGap starts a job. Reading the access log for it is recorded first.
func (c *Console) beginGap(w http.ResponseWriter, r *http.Request, v *visit) error {
	about, err := setOf(r.PostForm.Get("draft"), r.PostForm.Get("revision"))
	if err != nil {
		return err
	}
	kind := r.PostForm.Get("kind")
	days := r.PostForm.Get("days_" + kind)
	if !slices.Contains(gapKinds, kind) || !slices.Contains([]string{"0", "7", "30", "90"}, days) || kind == "unreached" && days == "0" || about != (trialSet{}) && c.Changes == nil {
		return ui.NotFound()
	}
	set, err := c.set(r.Context(), about)
	if err != nil {
		return err
	}
	ask := studio.GapRequest{Modules: set.Modules}
	asked := gapAsked{Rules: set.rules()}
	if n, _ := strconv.Atoi(days); n > 0 {
		if err := v.mayReadAll(); err != nil {
			return err
		}
		asked.Since = v.Now.AddDate(0, 0, -n)
		ask.Log, ask.Since, ask.Before = c.LogFolder, asked.Since, c.Log.Size()
		if err := c.recordRead(r, v, "log.query", "log", map[string]string{"for": "policy " + kind, "since": asked.Since.Format(time.RFC3339)}); err != nil {
			return err
		}
	}
	c.desk.trials.begin(r.Context(), &trial{Kind: kind, About: about, By: v.Session.Email, Detail: asked}, c.Now, func(ctx context.Context, tell func(studio.Progress)) (any, error) {
		res, err := c.runGap(ctx, kind, ask, tell)
		if err != nil && ctx.Err() == nil {
			c.Logger.Warn("looking for gaps in policies", "job", kind, "err", err)
		}
		return res, err
	})
	http.Redirect(w, r, gapsPath+about.query()+"#"+kind, http.StatusSeeOther)
	return nil
}

func (c *Console) runGap(ctx context.Context, kind string, ask studio.GapRequest, tell func(studio.Progress)) (any, error) {
	switch kind {
	case "knockout":
		return c.Studio.Knockout(ctx, ask, tell)
	case "mutants":
		return c.Studio.Mutants(ctx, ask, tell)
	}
	return c.Studio.Unreached(ctx, ask, tell)
}

// stopGap stops a job, whoever began it.
func (c *Console) stopGap(w http.ResponseWriter, r *http.Request, _ *visit) error {
	about, err := setOf(r.PostForm.Get("draft"), r.PostForm.Get("revision"))
	if err != nil {
		return err
	}
	kind := r.PostForm.Get("kind")
	if !slices.Contains(gapKinds, kind) {
		return ui.NotFound()
	}
	c.desk.trials.newest(kind, about).stop()
	http.Redirect(w, r, gapsPath+about.query()+"#"+kind, http.StatusSeeOther)
	return nil
}
