package console

import (
	"net/http"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/ui"
)

// policiesPage shows what is in force, where it comes from, and what waits.
type policiesPage struct {
	Base
	Origin   originView
	Revision ui.Hash // of the set in force
	InForce  *revisionRow
	Effect   effectView
	Figures  figuresView
	Empty    ui.Empty // in place of InForce, where nothing was ever published
	Drafts   []draftRow
	Closed   []draftRow // withdrawn ones
	NoDrafts ui.Empty
	Earlier  []revisionRow
	More     int // earlier revisions that are not listed
	Alone    []revisionRow
	Acts     []act
	Tools    []tool
	Shadow   *shadowView // that decides beside InForce; nil: none
}

// ClosedWords says how many drafts were given up.
func (p policiesPage) ClosedWords() ui.Text {
	return ui.Count(len(p.Closed), "{1} draft was withdrawn", "{1} drafts were withdrawn")
}

// A tool is a page that helps with policies.
type tool struct {
	ui.Link
	Text ui.Text
}

// draftRow is one draft in a list.
type draftRow struct {
	URL, Title, Reason string
	State              ui.Badge
	Authors            ui.Text
	Base               int64
	Behind             bool // another revision was published since it was begun
	BackTo             int64
	Changed            time.Time
	Figures            figuresView
	Shadow             bool
	Yours              bool // it waits for the visitor
}

// earlierShown is how many earlier revisions the overview lists.
const earlierShown = 5

// tools are the pages of the studio beside change control; each is drawn where
// there is one for the visitor.
var tools = []tool{
	{ui.Link{Label: "Try a request", URL: "/console/policies/try"}, "See what is decided about a request, and why."},
	{ui.Link{Label: "Who can reach what", URL: "/console/policies/matrix"}, "Every account, cluster and route in one table."},
	{ui.Link{Label: "Library", URL: "/console/policies/library"}, "Ready modules with a form: working hours, networks, change freezes and more."},
	{ui.Link{Label: "Gaps", URL: "/console/policies/gaps"}, "What no test notices and no request reaches."},
}

func (c *Console) policiesOverview(w http.ResponseWriter, r *http.Request, v *visit) error {
	drafts, err := c.Changes.Drafts(r.Context())
	if err != nil {
		return c.changeError(r, v, 0, err, "listing drafts")
	}
	revisions, err := c.Changes.Revisions(r.Context())
	if err != nil {
		return c.changeError(r, v, 0, err, "listing revisions")
	}
	page := policiesPage{Base: v.page("Policies"), Origin: c.originView()}
	if c.Policies != nil {
		page.Revision = ui.Hash{Value: c.Policies.Revision(), Short: 16}
	}
	mayWrite := !page.Origin.ReadOnly && v.opens("/console/policies/new")
	if mayWrite {
		page.Acts = []act{{Label: "Begin a change", URL: "/console/policies/new"}}
	}
	for _, t := range tools {
		if v.opens(t.URL) {
			page.Tools = append(page.Tools, t)
		}
	}
	page.fillRevisions(c, v, revisions)
	if err := page.fillShadow(c, r, v); err != nil {
		return err
	}
	if err := page.fillDrafts(c, r, v, drafts, newestOf(revisions)); err != nil {
		return err
	}
	if page.InForce == nil && !page.Origin.ReadOnly {
		page.Empty = ui.Empty{Title: "No policies of your own yet", Text: "Every cluster is governed by its assignments: who is assigned, under which engagement, for which methods and paths. A policy narrows that further, such as to working hours or to a network."}
		if mayWrite {
			page.Empty.Action, page.Empty.ActionURL = "Begin the first change", "/console/policies/new"
		}
	}
	if len(page.Drafts) == 0 {
		page.NoDrafts = ui.Empty{Title: "No draft waits", Text: "A change begins as a draft. It is tried, reviewed and approved by a second person before it is in force."}
	}
	return c.show(w, r, http.StatusOK, "console-policy-overview", page)
}

// newestOf returns the id of the newest revision, 0 when there is none.
func newestOf(revisions []change.Revision) int64 {
	if len(revisions) == 0 {
		return 0
	}
	return revisions[0].ID
}

// inForceOf returns the id of the revision in force, 0 where policies come from
// elsewhere or nothing was published. What is not as it was signed is never put
// in force: the one before it stays.
func inForceOf(revisions []change.Revision, o originView) int64 {
	for i := range revisions {
		if revisions[i].Fault == "" && !o.ReadOnly {
			return revisions[i].ID
		}
	}
	return 0
}

// fillRevisions adds the revision in force and those before it.
func (p *policiesPage) fillRevisions(c *Console, v *visit, revisions []change.Revision) {
	force := inForceOf(revisions, p.Origin)
	for i := range revisions {
		row := v.revisionRow(&revisions[i], revisions[i].ID == force)
		if row.Alone && v.Now.Sub(row.Published) < aloneShown {
			p.Alone = append(p.Alone, row)
		}
		switch {
		case row.InForce:
			p.InForce, p.Effect, p.Figures = &row, showEffect(revisions[i].Effect), showFigures(&revisions[i].Figures, revisions[i].Hash)
		case len(p.Earlier) < earlierShown:
			p.Earlier = append(p.Earlier, row)
		default:
			p.More++
		}
	}
}

// aloneShown is how long the overview points out what one person published.
const aloneShown = 30 * 24 * time.Hour

// fillDrafts adds the drafts that somebody still works on, those in review first.
func (p *policiesPage) fillDrafts(c *Console, r *http.Request, v *visit, drafts []change.Draft, newest int64) error {
	var open []draftRow
	for i := range drafts {
		d := &drafts[i]
		row := v.draftRow(d, newest)
		switch d.State {
		case change.InReview:
			if mayApprove.met(v.Session) {
				why, err := c.second(r, v, d.ID)
				row.Yours = why == nil && err == nil
			}
			p.Drafts = append(p.Drafts, row)
		case change.Open:
			open = append(open, row)
		case change.Withdrawn:
			if len(p.Closed) < rowsAPage {
				p.Closed = append(p.Closed, row)
			}
		}
	}
	p.Drafts = append(p.Drafts, open...)
	return nil
}

// fillShadow points at what decides in the shadow while something does: a draft
// or an earlier revision.
func (p *policiesPage) fillShadow(c *Console, r *http.Request, v *visit) error {
	if c.Shadows == nil || !v.opens(shadowPath) {
		return nil
	}
	all, err := c.Shadows.Shadows(r.Context())
	if err != nil {
		return err
	}
	if len(all) > 0 && all[0].Running() {
		view := newShadowView(all[0])
		p.Shadow = &view
	}
	return nil
}

func (v *visit) draftRow(d *change.Draft, newest int64) draftRow {
	return draftRow{URL: policyDraftURL(d.ID), Title: d.Title, Reason: d.Reason, State: stateBadge(d.State), Authors: namesOf(v.everybodyOf(d.Authors)),
		Base: d.Base, Behind: d.Base != newest && (d.State == change.Open || d.State == change.InReview), BackTo: d.BackTo, Changed: d.Changed,
		Figures: showFigures(&d.Figures, d.Hash), Shadow: d.Shadow}
}

// waitingDrafts says on everybody's start page which drafts wait for the
// visitor as the second person, and what is wrong with the policies in force.
func (c *Console) waitingDrafts(v *visit) []attention {
	if c.Changes == nil {
		return nil
	}
	var out []attention
	about := ui.Link{Label: "Policies", URL: "/console/policies"}
	if fault := c.Changes.Origin().Fault; fault != "" {
		out = append(out, attention{ui.Badge{Kind: ui.Bad, Text: "policies"}, about, "The newest policies are not in force: what was in force before still is."})
	}
	if !mayApprove.met(v.Session) {
		return out
	}
	drafts, err := c.Changes.Drafts(v.r.Context())
	if err != nil {
		c.Logger.WarnContext(v.r.Context(), "listing drafts for the overview", "err", err)
		return out
	}
	for i := range drafts {
		d := &drafts[i]
		if d.State != change.InReview {
			continue
		}
		if why, err := c.second(v.r, v, d.ID); why == nil && err == nil {
			out = append(out, attention{ui.Badge{Kind: ui.Warn, Text: "waits for you"}, ui.Link{Label: ui.Verbatim(clip(d.Title, 120)), URL: policyDraftURL(d.ID)}, ui.Say("A change of the policies by {1}, to be approved by a second person.", namesOf(v.everybodyOf(d.Authors)))})
		}
	}
	return out
}
