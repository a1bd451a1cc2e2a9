package console

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
)

// maxAgreement is how long a text may be here, in bytes; a posted form is
// bounded at little more.
const maxAgreement = 300 << 10

// agreementFormPage is the form of a new agreement, or of a new version.
type agreementFormPage struct {
	Base
	About   ui.Link // the agreement; empty for a new one
	Faulty  int
	Faults  []ui.Text
	Name    *ui.Field // only for a new one
	Heading ui.Field
	Text    ui.Field
	Seen    string
	Next    int // the version that saving makes; 0 while the text is as it was
	Before  int // the version in force, 0 for a new one
	Asked   int // people who will be asked before their next request
	Preview string
	Shown   bool // the preview was asked for
	Changes []changeLine
	URL     string
	Back    string
}

// agreementFields are the form's fields for those of an agreement.
var agreementFields = fieldMap(map[string]string{"name": "name", "title": "title", "text": "text", "version": "text"})

// body returns the text of an agreement as it is kept. Characters that nobody
// sees are refused, so that what is read is what is accepted.
func (f *form) body(name string) string {
	s := settled(f.Value(name))
	hidden := func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r) || r == unicode.ReplacementChar
	}
	switch {
	case strings.TrimSpace(s) == "":
		f.fault(name, "Write the text that is to be accepted.")
	case len(s) > maxAgreement:
		f.fault(name, "The text is longer than {1} KiB.", maxAgreement>>10)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, hidden):
		f.fault(name, "The text holds characters that cannot be seen. Type those places again.")
	}
	return s
}

// settled returns a text as it is kept: lines end with a line feed, also the
// last, and no empty ones stand around it.
func settled(text string) string {
	text = strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), " \t\n")
	return strings.TrimLeft(text, "\n") + "\n"
}

func (c *Console) newAgreementForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.showAgreementForm(w, r, v, newForm(nil), nil)
}

func (c *Console) editAgreementForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	have := find(v.Snapshot.Directory().Agreements, agreementNamed(r.PathValue("name")))
	if have == nil {
		return ui.NotFound()
	}
	return c.showAgreementForm(w, r, v, newForm(url.Values{"title": {have.Title}, "text": {have.Text}, "seen": {fingerprint(have)}}), have)
}

// showAgreementForm shows the form; have is nil for a new agreement.
func (c *Console) showAgreementForm(w http.ResponseWriter, r *http.Request, v *visit, f *form, have *directory.Agreement) error {
	page := agreementFormPage{Faulty: f.Faulty(), Faults: f.Notes, Shown: f.Value("preview") != "",
		Heading: with(f.text("title", "Title"), func(u *ui.Field) { u.Required, u.MaxLength = true, 120 }),
		Text: with(f.area("text", "Text", 20), func(u *ui.Field) {
			u.Required, u.Hint = true, "In Markdown: # for headings, - for lists, ** around what is to be bold. HTML is left out."
		})}
	text := settled(f.Value("text"))
	if page.Shown {
		page.Preview = text
	}
	if have == nil {
		name := nameField(f, "nda")
		page.Base, page.Name, page.Next = v.page("Write an agreement"), &name, 1
		page.URL, page.Back = "/console/agreements/new", "/console/agreements"
		return c.show(w, r, f.status(), "console-agreement-edit", page)
	}
	page.Base, page.About = v.page(ui.Say("Edit {1}", cmp.Or(have.Title, have.Name))), ui.Link{Label: ui.Verbatim(have.Name), URL: agreementURL(have.Name)}
	page.Seen, page.Before, page.URL, page.Back = f.Value("seen"), have.Version, agreementURL(have.Name)+"/edit", agreementURL(have.Name)
	if settled(text) != settled(have.Text) {
		page.Next = have.Version + 1
		tally := v.Snapshot.AgreementTallies(v.Now)[have.Name]
		page.Asked = tally.Accepted + tally.Outstanding
		if page.Shown {
			page.Changes = changesBetween(have.Text, text)
		}
	}
	return c.show(w, r, f.status(), "console-agreement-edit", page)
}

func (c *Console) newAgreement(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := posted(r)
	if f.Value("preview") != "" {
		return c.showAgreementForm(w, r, v, f, nil)
	}
	want := directory.Agreement{Name: f.slug("name"), Title: f.line("title", "a title", 120, true), Version: 1, Text: f.body("text")}
	// A name that was used before goes on counting: no version ever has two texts.
	if f.OK() {
		old, err := c.Agreements.Versions(r.Context(), want.Name)
		if err != nil {
			return authError(err, "reading an agreement")
		}
		if len(old) > 0 {
			want.Version = old[0].Version + 1
		}
	}
	return c.save(w, r, v, f, saving{
		object: "agreement " + want.Name, field: agreementFields,
		change: func(d *directory.Directory) error { return add(&d.Agreements, agreementNamed(want.Name), want) },
		again:  func() error { return c.showAgreementForm(w, r, v, f, nil) },
		to:     agreementURL(want.Name), said: ui.Say("{1} is written. Now choose it in the engagements that shall demand it.", want.Title),
	})
}

func (c *Console) editAgreement(w http.ResponseWriter, r *http.Request, v *visit) error {
	have := find(v.Snapshot.Directory().Agreements, agreementNamed(r.PathValue("name")))
	if have == nil {
		return ui.NotFound()
	}
	f := posted(r)
	if f.Value("preview") != "" {
		return c.showAgreementForm(w, r, v, f, have)
	}
	want := *have
	want.Title = f.line("title", "a title", 120, true)
	said := ui.Say("{1} is saved. The text is as it was, so nobody is asked again.", want.Title)
	if text := f.body("text"); text != settled(have.Text) {
		want.Text, want.Version = text, have.Version+1
		said = ui.Say("Version {1} of {2} is in force. Everybody of whom it is demanded is asked before their next request.", want.Version, want.Title)
	}
	return c.save(w, r, v, f, saving{
		object: "agreement " + have.Name, field: agreementFields,
		change: func(d *directory.Directory) error {
			return replace(find(d.Agreements, agreementNamed(have.Name)), f.Value("seen"), want)
		},
		again: func() error { return c.showAgreementForm(w, r, v, f, have) },
		to:    agreementURL(have.Name), said: said,
	})
}

// askRemoveAgreement asks before an agreement is taken away. One that is
// demanded stays: whoever takes it out of the engagements does that knowingly.
func (c *Console) askRemoveAgreement(w http.ResponseWriter, r *http.Request, v *visit) error {
	d := v.Snapshot.Directory()
	have := find(d.Agreements, agreementNamed(r.PathValue("name")))
	if have == nil {
		return ui.NotFound()
	}
	if err := stillDemanded(d, have.Name); err != nil {
		return err
	}
	title := cmp.Or(have.Title, have.Name)
	return c.show(w, r, http.StatusOK, "ask", askPage{
		Base: v.page(ui.Say("Remove {1}", title)), Question: ui.Say("Remove {1}?", title), About: ui.Link{Label: ui.Verbatim(have.Name), URL: agreementURL(have.Name)},
		Effects: []ui.Text{
			"No engagement can demand it any more. None does now.",
			"Every version and every acceptance is kept, and statements of them can still be made.",
		},
		Action: "Remove", URL: agreementURL(have.Name) + "/remove", Back: agreementURL(have.Name), Danger: true,
	})
}

var errDemanded = errors.New("the agreement is demanded")

// stillDemanded refuses to remove an agreement that engagements demand, and
// names them.
func stillDemanded(d *directory.Directory, name string) error {
	var by []ui.Text
	for _, l := range demandedBy(d, name) {
		by = append(by, l.Label)
	}
	if by == nil {
		return nil
	}
	return &ui.Error{Status: http.StatusConflict, Code: "demanded", Title: "It is still demanded", Err: errDemanded,
		Detail: ui.Say("This agreement is demanded by {1}. Take it out of there first; then nobody is let in without it by accident.", andTexts(by))}
}

func (c *Console) removeAgreement(w http.ResponseWriter, r *http.Request, v *visit) error {
	name := r.PathValue("name")
	var refused error
	err := c.edit(r, v, func(d *directory.Directory) error {
		if refused = stillDemanded(d, name); refused != nil {
			return refused
		}
		for i := range d.Agreements {
			if d.Agreements[i].Name == name {
				d.Agreements = append(d.Agreements[:i], d.Agreements[i+1:]...)
				return nil
			}
		}
		return errGone
	})
	if refused != nil {
		return refused
	}
	if err != nil {
		return err
	}
	return c.seeOther(w, r, v, "/console/agreements", "The agreement is removed. Its versions and acceptances are kept.")
}
