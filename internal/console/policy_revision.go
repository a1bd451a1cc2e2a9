package console

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/ui"
)

// revisionRow is one revision in a list.
type revisionRow struct {
	URL, Title, Reason string
	ID                 int64
	Published          time.Time
	Authors            ui.Text
	Approver           ui.Text // empty: nobody
	Alone, InForce     bool
	BackTo             int64
	Fault              bool // it is not as it was signed
	Figures            figuresView
	Effect             effectView
}

func (v *visit) revisionRow(r *change.Revision, inForce bool) revisionRow {
	row := revisionRow{URL: policyRevisionURL(r.ID), ID: r.ID, Title: r.Title, Reason: r.Reason, Published: r.Published, Authors: namesOf(v.everybodyOf(r.Authors)),
		Alone: r.Alone, InForce: inForce, BackTo: r.BackTo, Fault: r.Fault != "", Figures: showFigures(&r.Figures, r.Hash), Effect: showEffect(r.Effect)}
	if r.Approver.Account != "" {
		row.Approver = v.who(r.Approver).Name
	}
	return row
}

// revisionsPage lists every revision, the newest first.
type revisionsPage struct {
	Base
	Origin originView
	Rows   []revisionRow
	Pager  ui.Pager
	Empty  ui.Empty
	Faults []ui.Text
}

func (c *Console) revisionsList(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := newForm(r.URL.Query())
	f.known("page")
	number := f.pageNumber("page")
	all, err := c.Changes.Revisions(r.Context())
	if err != nil {
		return c.changeError(r, v, 0, err, "listing revisions")
	}
	page := revisionsPage{Base: v.page("Revisions"), Origin: c.originView(), Faults: f.all()}
	force := inForceOf(all, page.Origin)
	cut, pager := paged(all, number, "/console/policies/revisions", nil, "revision")
	page.Pager = pager
	for i := range cut {
		page.Rows = append(page.Rows, v.revisionRow(&cut[i], cut[i].ID == force))
	}
	if len(all) == 0 {
		page.Empty = ui.Empty{Title: "Nothing was published yet", Text: "Each set of policies that is put in force becomes a revision: signed, never changed, with who wrote and who approved it.", Action: "To the policies", ActionURL: "/console/policies"}
	}
	return c.show(w, r, f.status(), "console-policy-revisions", page)
}

// revisionPage shows one revision and how it differs from another.
type revisionPage struct {
	Base
	Origin    originView
	Row       revisionRow
	Hash      ui.Hash
	Authors   []personAt
	Approver  *personAt
	By        *personAt // who published alone
	DraftURL  string
	Against   int64 // the revision that Changes compares with; 0: the empty set
	Others    []ui.Option
	Changes   []moduleChange
	Summary   ui.Text
	Modules   []moduleText
	Signature signatureView
	Acts      []act
	Older     string
	Newer     string
}

// signatureView says whether a revision's statement holds.
type signatureView struct {
	Badge ui.Badge
	Text  ui.Text
	URL   string // of the statement; empty: there is none
}

func (c *Console) revisionRecord(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := numberOf(r.PathValue("id"))
	if err != nil {
		return err
	}
	have, err := c.Changes.Revision(r.Context(), id)
	if err != nil {
		return c.changeError(r, v, 0, err, "reading a revision")
	}
	all, err := c.Changes.Revisions(r.Context())
	if err != nil {
		return c.changeError(r, v, 0, err, "listing revisions")
	}
	at := slices.IndexFunc(all, func(o change.Revision) bool { return o.ID == id })
	if at < 0 {
		return ui.NotFound()
	}
	have.Effect = all[at].Effect
	page := revisionPage{Origin: c.originView(), Row: v.revisionRow(&have, false), Hash: ui.Hash{Value: have.Hash, Short: 16}, Authors: v.everybodyOf(have.Authors), Modules: moduleTexts(have.Modules)}
	page.Row.InForce = id == inForceOf(all, page.Origin)
	page.Base = v.page(ui.Say("Revision {1}", strconv.FormatInt(id, 10)))
	if have.Approver.Account != "" {
		p := v.who(have.Approver)
		page.Approver = &p
	}
	if have.Draft != 0 {
		page.DraftURL = policyDraftURL(have.Draft)
	}
	if at > 0 {
		page.Newer = policyRevisionURL(all[at-1].ID)
	}
	if at+1 < len(all) {
		page.Older = policyRevisionURL(all[at+1].ID)
	}
	page.Signature = signature(&have)
	if err := page.compare(c, r, v, &have, all); err != nil {
		return err
	}
	page.Acts = v.rollBackActs(id, page.Origin.ReadOnly || at == 0 || have.Fault != "")
	return c.show(w, r, http.StatusOK, "console-policy-revision", page)
}

// compare fills in how the revision differs from the one that the address
// names, or else from the one before it.
func (p *revisionPage) compare(c *Console, r *http.Request, v *visit, have *change.Revision, all []change.Revision) error {
	p.Against = have.Base
	if s := r.URL.Query().Get("with"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 || n != 0 && !slices.ContainsFunc(all, func(o change.Revision) bool { return o.ID == n }) {
			return ui.BadRequest("There is no such revision to compare with.")
		}
		p.Against = n
	}
	var before map[string]string
	if p.Against != 0 {
		other, err := c.Changes.Revision(r.Context(), p.Against)
		if err != nil {
			return c.changeError(r, v, 0, err, "reading a revision")
		}
		before = other.Modules
	}
	p.Changes = moduleChanges(before, have.Modules)
	p.Summary = changesWords(p.Changes)
	for _, o := range all {
		if o.ID != have.ID {
			p.Others = append(p.Others, ui.Option{Value: strconv.FormatInt(o.ID, 10), Label: ui.Say("{1}: {2}", strconv.FormatInt(o.ID, 10), clip(o.Title, 60)), Selected: o.ID == p.Against})
		}
	}
	p.Others = append(p.Others, ui.Option{Value: "0", Label: "nothing", Selected: p.Against == 0})
	return nil
}

// rollBackActs are the two ways back to a revision.
func (v *visit) rollBackActs(id int64, no bool) []act {
	const pattern = "/console/policies/revisions/{id}/rollback"
	if no || !v.opens(pattern) {
		return nil
	}
	return []act{{Label: "Roll back to this", URL: policyRevisionURL(id) + "/rollback"}, {Label: "In an emergency, alone", URL: policyRevisionURL(id) + "/rollback-alone", Danger: true}}
}

// signature says whether what is kept of a revision is what was signed. It was
// looked at just now, when the revision was read.
func signature(have *change.Revision) signatureView {
	s := signatureView{}
	if len(have.Statement) > 0 {
		s.URL = policyRevisionURL(have.ID) + "/statement.txt"
	}
	switch {
	case have.Fault != "":
		s.Badge, s.Text = ui.Badge{Kind: ui.Bad, Text: "does not hold"}, ui.Verbatim(have.Fault)
	case len(have.Statement) == 0:
		s.Badge, s.Text = ui.Badge{Kind: ui.Neutral, Text: "not signed"}, "It was published before revisions were signed."
	default:
		s.Badge, s.Text = ui.Badge{Kind: ui.Good, Text: "holds"}, "Checked just now: everything on this page is as it was signed."
	}
	return s
}

// revisionStatement gives out the signed note over a revision, which checks
// without this gateway.
func (c *Console) revisionStatement(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := numberOf(r.PathValue("id"))
	if err != nil {
		return err
	}
	have, err := c.Changes.Revision(r.Context(), id)
	if err != nil {
		return c.changeError(r, v, 0, err, "reading a revision")
	}
	if len(have.Statement) == 0 {
		return &ui.Error{Status: http.StatusNotFound, Title: "Nothing is signed", Detail: "This revision was published before revisions were signed."}
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="revision-%d.txt"`, id))
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(have.Statement) // the client may be gone; there is nobody to tell
	return nil
}

// compareURL is the address of a revision's page against another.
func compareURL(id, with int64) string {
	return policyRevisionURL(id) + "?" + url.Values{"with": {strconv.FormatInt(with, 10)}}.Encode()
}
