package console

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/ui"
)

// draftPage is the review of a draft: what it changes, what that does, what
// was said about it, and what has to happen next.
type draftPage struct {
	Base
	Faults   []ui.Text
	Origin   originView
	Label    string
	Reason   string
	State    ui.Badge
	Next     nextStep
	Glance   []knownFact // what speaks for and against it, at a glance
	Authors  []personAt
	BaseURL  string // of the revision that it was begun from; empty: none
	BaseID   int64
	Behind   bool
	BackTo   int64
	BackURL  string
	Hash     ui.Hash
	Created  time.Time
	Changed  time.Time
	Shadow   bool
	Changes  []moduleChange
	Summary  ui.Text
	Checks   checksView
	Figures  figuresView
	Notes    []noteRow
	NoteForm *ui.Field // nil: the visitor writes none
	URL      string
	Links    draftLinks
	Acts     []act
}

// A nextStep is what has to happen to a draft now, and by whom.
type nextStep struct {
	Kind        string // good: it waits for the visitor; warn: something stands in the way; empty otherwise
	Title       ui.Text
	Text        ui.Text
	Who         ui.Text // who could be the second person
	Submit      string  // the version that a form hands to review; empty: it is not offered
	Approve     string  // the seal of what a form approves
	Return      string  // the version that a form sends back
	ReturnField ui.Field
	Rebase      string // the version that a form puts upon the newest revision
	More        []act  // pages that help with it
}

// draftLinks lead to the pages of other parts of the studio about the draft;
// empty where there is none for the visitor.
type draftLinks struct{ Edit, Replay, Matrix, Try, Shadow, Gaps, Library string }

// noteRow is something that somebody said about a draft.
type noteRow struct {
	Who      personAt
	Text     string
	Returned bool
}

// noteLimit is how long a note may be, in characters.
const noteLimit = 2000

func (c *Console) reviewDraft(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := numberOf(r.PathValue("id"))
	if err != nil {
		return err
	}
	return c.showDraft(w, r, v, id, newForm(nil), http.StatusOK)
}

// showDraft shows the review of a draft; f holds what was typed into its forms
// and what is wrong with it.
func (c *Console) showDraft(w http.ResponseWriter, r *http.Request, v *visit, id int64, f *form, status int) error {
	d, err := c.Changes.Draft(r.Context(), id)
	if err != nil {
		return c.changeError(r, v, 0, err, "reading a draft")
	}
	revisions, err := c.Changes.Revisions(r.Context())
	if err != nil {
		return c.changeError(r, v, 0, err, "listing revisions")
	}
	var base map[string]string
	if d.Base != 0 {
		have, err := c.Changes.Revision(r.Context(), d.Base)
		if err != nil {
			return c.changeError(r, v, 0, err, "reading the revision of a draft")
		}
		base = have.Modules
	}
	page := draftPage{Base: v.page(ui.Verbatim(d.Title)), Faults: f.Notes, Origin: c.originView(), Label: d.Title, Reason: d.Reason, State: stateBadge(d.State),
		Authors: v.everybodyOf(d.Authors), BaseID: d.Base, BackTo: d.BackTo, Hash: ui.Hash{Value: d.Hash, Short: 16}, Created: d.Created, Changed: d.Changed, Shadow: d.Shadow,
		Changes: moduleChanges(base, d.Modules), Figures: showFigures(&d.Figures, d.Hash), URL: policyDraftURL(id), Links: v.draftLinks(&d)}
	for i := range page.Changes {
		if m := &page.Changes[i]; m.Cut > 0 && m.Kind.Kind != ui.Bad {
			m.URL = page.URL + "/text?" + url.Values{"file": {m.Name}}.Encode()
		}
	}
	page.Summary = changesWords(page.Changes)
	page.Checks = c.checks(r.Context(), d.Hash, d.Modules)
	if d.Base != 0 {
		page.BaseURL = policyRevisionURL(d.Base)
	}
	if d.BackTo != 0 {
		page.BackURL = policyRevisionURL(d.BackTo)
	}
	alive := d.State == change.Open || d.State == change.InReview
	page.Behind = alive && d.Base != newestOf(revisions)
	if page.Next, err = c.next(r, v, &d, &page, revisions, f); err != nil {
		return err
	}
	page.Glance = page.glance(&d)
	for _, n := range d.Notes {
		page.Notes = append(page.Notes, noteRow{Who: v.who(n.Person), Text: n.Text, Returned: n.Returned})
	}
	if alive && mayTakePart.met(v.Session) && !page.Origin.ReadOnly {
		field := with(f.area("note", "Say something about it", 3), func(u *ui.Field) { u.Required, u.MaxLength = true, noteLimit })
		page.NoteForm = &field
	}
	if alive && mayManage.met(v.Session) && !page.Origin.ReadOnly {
		page.Acts = append(v.link("Edit", "/console/policies/drafts/{id}/edit", page.Links.Edit), act{Label: "Withdraw", URL: page.URL + "/withdraw", Danger: true})
	}
	return c.show(w, r, status, "console-policy-draft", page)
}

// draftText gives out one file of a draft as it stands there, to the last line:
// nobody approves what they cannot read.
func (c *Console) draftText(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := numberOf(r.PathValue("id"))
	if err != nil {
		return err
	}
	d, err := c.Changes.Draft(r.Context(), id)
	if err != nil {
		return c.changeError(r, v, 0, err, "reading a draft")
	}
	text, ok := d.Modules[r.URL.Query().Get("file")]
	if !ok {
		return ui.NotFound()
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, text) // the client may be gone; there is nobody to tell
	return nil
}

// draftLinks finds the pages about a draft that the visitor may open.
func (v *visit) draftLinks(d *change.Draft) draftLinks {
	id := strconv.FormatInt(d.ID, 10)
	where := func(pattern, url string) string {
		if !v.opens(pattern) {
			return ""
		}
		return url
	}
	const drafts = "/console/policies/drafts/"
	return draftLinks{
		Edit:    where(drafts+"{id}/edit", drafts+id+"/edit"),
		Replay:  where(drafts+"{id}/replay", drafts+id+"/replay"),
		Matrix:  where("/console/policies/matrix", "/console/policies/matrix?draft="+id),
		Try:     where("/console/policies/try", "/console/policies/try?draft="+id),
		Shadow:  where(shadowPath, shadowPath+"?draft="+id),
		Gaps:    where("/console/policies/gaps", "/console/policies/gaps?draft="+id),
		Library: where(libraryURL, libraryURL+"?draft="+id),
	}
}

// next says what has to happen to a draft now.
func (c *Console) next(r *http.Request, v *visit, d *change.Draft, page *draftPage, revisions []change.Revision, f *form) (nextStep, error) {
	version := strconv.Itoa(d.Version)
	switch {
	case d.State == change.Published:
		i := slices.IndexFunc(revisions, func(o change.Revision) bool { return o.Draft == d.ID })
		if i < 0 {
			return nextStep{Title: "Published", Text: "It became a revision."}, nil
		}
		id := strconv.FormatInt(revisions[i].ID, 10)
		return nextStep{Title: "Published", Text: ui.Say("It became revision {1} on {2}.", id, clock(revisions[i].Published)), More: []act{{Label: ui.Say("Open revision {1}", id), URL: policyRevisionURL(revisions[i].ID)}}}, nil
	case d.State == change.Withdrawn:
		return nextStep{Title: "Withdrawn", Text: "It was given up. Nothing of it is in force, and it is kept as it was."}, nil
	case page.Origin.ReadOnly:
		return nextStep{Kind: ui.Warn, Title: "Policies are changed elsewhere", Text: c.readOnlyWords()}, nil
	case page.Behind:
		return v.nextBehind(d, version, newestOf(revisions)), nil
	case d.State == change.Open:
		return c.nextOpen(r, v, d, page, version), nil
	}
	return c.nextInReview(r, v, d, version, f)
}

// nextBehind is for a draft over whose base another revision was published.
func (v *visit) nextBehind(d *change.Draft, version string, newest int64) nextStep {
	n := nextStep{Kind: ui.Warn, Title: "Another revision was published meanwhile",
		Text: ui.Say("This draft was begun from revision {1}, and revision {2} is the newest now. As it stands, it would undo what came between, so it cannot be published. Put upon the newest revision, it keeps its own changes and takes on the others.", strconv.FormatInt(d.Base, 10), strconv.FormatInt(newest, 10))}
	if d.Base == 0 {
		n.Text = ui.Say("This draft was begun before anything was published, and revision {1} is the newest now. As it stands, it would undo that, so it cannot be published. Put upon the newest revision, it keeps its own changes and takes on the others.", strconv.FormatInt(newest, 10))
	}
	if newest != 0 {
		n.More = []act{{Label: "See what came between", URL: compareURL(newest, d.Base)}}
	}
	if mayManage.met(v.Session) {
		n.Rebase = version
	} else {
		n.Who = "An administrator has to do that."
	}
	return n
}

// nextOpen is for a draft that is being written.
func (c *Console) nextOpen(r *http.Request, v *visit, d *change.Draft, page *draftPage, version string) nextStep {
	n := nextStep{Title: "Being written", Text: "When it is ready, it is handed to review. It is compiled and tested first, and the knock-out test is run: what fails is not handed on."}
	switch {
	case !mayManage.met(v.Session):
		n.Who = "An administrator writes it and hands it to review."
	case len(page.Changes) == 0:
		n.Kind, n.Title, n.Text = ui.Warn, "Nothing is changed yet", "The draft is the same as the revision that it was begun from. Edit it first."
	case page.Checks.State == "done" && page.Checks.Verdict.Kind == ui.Bad:
		n.Kind, n.Title, n.Text = ui.Warn, "It cannot be handed to review yet", "What stands in the way is listed under the checks below. Mend it in the editor."
	default:
		n.Submit, n.Who = version, c.whoCould(r, v, d.ID).Words
	}
	if page.Links.Edit != "" {
		n.More = []act{{Label: "Edit", URL: page.Links.Edit}}
		if page.Links.Library != "" {
			n.More = append(n.More, act{Label: "Add from the library", URL: page.Links.Library})
		}
	}
	return n
}

// nextInReview is for a draft that waits for a second person.
func (c *Console) nextInReview(r *http.Request, v *visit, d *change.Draft, version string, f *form) (nextStep, error) {
	n := nextStep{Title: "It waits for a second person", Text: "Somebody who wrote no part of it approves it. Then it is in force everywhere within a second."}
	if !mayApprove.met(v.Session) {
		n.Who = c.whoCould(r, v, d.ID).Words
		return n, nil
	}
	n.ReturnField = with(f.area("text", "What has to change?", 3), func(u *ui.Field) { u.Required, u.MaxLength = true, noteLimit })
	why, err := c.second(r, v, d.ID)
	if err != nil {
		if words, ok := c.changeWords(r, v, d.ID, err); ok {
			n.Kind, n.Text = ui.Warn, words
			return n, nil
		}
		return n, c.changeError(r, v, d.ID, err, "asking who could approve a draft")
	}
	if why == nil || why.Code != change.SecondAuthor { // an author edits it instead
		n.Return = version
	}
	if why != nil {
		n.Kind, n.Title, n.Text, n.Who = ui.Warn, "Another person has to approve it", v.secondWords(why), c.whoCould(r, v, d.ID).Words
		return n, nil
	}
	n.Kind, n.Title, n.Approve = ui.Good, "It waits for you", d.Seal()
	n.Text = "Read what it changes and what that does. When you approve it, exactly the text on this page is tested once more and put in force everywhere within a second, and every open connection is decided again."
	return n, nil
}

// glance lists what speaks for and against a draft.
func (p *draftPage) glance(d *change.Draft) []knownFact {
	if d.State == change.Published || d.State == change.Withdrawn {
		return nil
	}
	var out []knownFact
	add := func(ok bool, text ui.Text) { out = append(out, knownFact{OK: ok, Text: text}) }
	if slices.ContainsFunc(p.Changes, func(m moduleChange) bool { return m.Cut > 0 }) {
		add(false, "Not every line that changes stands on this page: read the files whole")
	}
	switch k := p.Checks; {
	case k.State != "done" && p.Figures.Tested:
		add(true, ui.Count(p.Figures.Tests, "{1} test passed when it was handed to review", "{1} tests passed when it was handed to review"))
	case k.State != "done":
		add(false, "The checks have not ended yet")
	case len(k.Diagnostics) > 0:
		add(false, "It does not compile")
	case len(k.Failures) > 0:
		add(false, ui.Count(len(k.Failures), "{1} test fails", "{1} tests fail"))
	default:
		add(true, ui.Count(k.Tests, "{1} test passes, and the tests reach {2} of the lines", "All {1} tests pass, and they reach {2} of the lines", k.Percent))
	}
	if k := p.Checks; k.State == "done" && len(k.Diagnostics) == 0 {
		if len(k.Holes) > 0 {
			add(false, ui.Count(len(k.Holes), "The knock-out test found {1} hole", "The knock-out test found {1} holes"))
		} else {
			add(true, "The knock-out test found no hole")
		}
	}
	if p.Figures.Replay && p.Figures.Replayed == 0 {
		add(false, "The replay found no recorded request that it could decide again")
	} else if p.Figures.Replay {
		add(p.Figures.Widened == 0, ui.Say("Of {1} recorded requests, {2} would be let in that were not, and {3} would no longer be", p.Figures.Replayed, p.Figures.Widened, p.Figures.Narrowed))
	} else if p.Links.Replay != "" {
		add(false, "No recorded request was replayed with this text")
	}
	if p.Figures.Matrix {
		add(true, ui.Say("{1} of {2} places in the access matrix change", p.Figures.CellsMoved, p.Figures.Cells))
	}
	return out
}
