package console

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/ui"
)

// versionSeen reads the version of a draft that a form was made from. One that
// is no version was made from none: 0 is never current, and never passes for
// "whichever it is".
func versionSeen(f *form) int {
	n, err := strconv.Atoi(f.Value("seen"))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// hiddenRune reports whether nobody would see r, or it would hide what stands around it.
func hiddenRune(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r) || r == unicode.ReplacementChar
}

// remark returns a text of several lines that is shown to others.
func (f *form) remark(name string, what ui.Text) string {
	s := strings.TrimSpace(strings.ReplaceAll(f.Value(name), "\r\n", "\n"))
	switch {
	case s == "":
		f.fault(name, "Give {1}.", what)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, hiddenRune):
		f.fault(name, "This holds characters that cannot be shown.")
	case utf8.RuneCountInString(s) > noteLimit:
		f.fault(name, "At most {1} characters.", noteLimit)
	}
	return s
}

// afterDraft goes on after an act on a draft: to its page with said, or, when
// change control refused, to the page as it is now with the refusal in words.
func (c *Console) afterDraft(w http.ResponseWriter, r *http.Request, v *visit, id int64, err error, doing string, said ui.Text) error {
	if err == nil {
		return c.seeOther(w, r, v, policyDraftURL(id), said)
	}
	words, known := c.changeWords(r, v, id, err)
	if !known {
		return c.changeError(r, v, id, err, doing)
	}
	f := newForm(nil)
	f.note(words)
	return c.showDraft(w, r, v, id, f, http.StatusConflict)
}

func (c *Console) submitDraft(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := numberOf(r.PathValue("id"))
	if err != nil {
		return err
	}
	_, err = c.Changes.Submit(r.Context(), v.Actor(), id, versionSeen(posted(r)))
	said := ui.Text("It is handed to review.")
	if err == nil {
		said = ui.Join([]ui.Text{said, c.whoCould(r, v, id).Words}, " ")
	}
	return c.afterDraft(w, r, v, id, err, "handing a draft to review", said)
}

func (c *Console) approveDraft(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := numberOf(r.PathValue("id"))
	if err != nil {
		return err
	}
	have, err := c.Changes.Approve(r.Context(), v.Actor(), id, posted(r).Value("seen"))
	switch {
	case err != nil && have.ID != 0:
		return notInForceYet(have.ID, err)
	case err != nil:
		return c.afterDraft(w, r, v, id, err, "approving a draft", "")
	}
	return c.seeOther(w, r, v, policyRevisionURL(have.ID), ui.Say("Revision {1} is published and in force.", strconv.FormatInt(have.ID, 10)))
}

// notInForceYet is the answer where a revision is published and recorded, and
// could not be put in force: to do it again would be another revision.
func notInForceYet(id int64, err error) error {
	return &ui.Error{Status: http.StatusServiceUnavailable, Code: "not_in_force", Title: "Published, and not in force yet", Err: fmt.Errorf("putting revision %d in force: %w", id, err),
		Detail: ui.Say("Revision {1} is published and recorded, but this gateway has not put it in force. What was in force before still is. Look at the policies again in a moment; the operational log says what is wrong.", strconv.FormatInt(id, 10))}
}

func (c *Console) returnDraft(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := numberOf(r.PathValue("id"))
	if err != nil {
		return err
	}
	f := posted(r)
	text := f.remark("text", "a reason")
	if !f.OK() {
		return c.showDraft(w, r, v, id, f, f.status())
	}
	_, err = c.Changes.Return(r.Context(), v.Actor(), id, versionSeen(f), text)
	return c.afterDraft(w, r, v, id, err, "sending a draft back", "It is sent back to its authors with what you wrote.")
}

func (c *Console) noteDraft(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := numberOf(r.PathValue("id"))
	if err != nil {
		return err
	}
	f := posted(r)
	text := f.remark("note", "a text")
	if !f.OK() {
		return c.showDraft(w, r, v, id, f, f.status())
	}
	err = c.Changes.Note(r.Context(), v.Actor(), id, text)
	return c.afterDraft(w, r, v, id, err, "noting something about a draft", "Your note is kept.")
}

func (c *Console) rebaseDraft(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := numberOf(r.PathValue("id"))
	if err != nil {
		return err
	}
	_, both, err := c.Changes.Rebase(r.Context(), v.Actor(), id, versionSeen(posted(r)))
	said := ui.Text("It stands upon the newest revision now. Look at what it changes before you hand it on.")
	if len(both) > 0 {
		said = ui.Say("It stands upon the newest revision now. In {1} both had changed: there the draft's own text stands, and what the newest revision changed in them is undone. Look at the difference and take it over by hand.", andWords(both))
	}
	return c.afterDraft(w, r, v, id, err, "putting a draft upon the newest revision", said)
}

// askWithdraw asks before a draft is given up.
func (c *Console) askWithdraw(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := numberOf(r.PathValue("id"))
	if err != nil {
		return err
	}
	d, err := c.Changes.Draft(r.Context(), id)
	if err != nil {
		return c.changeError(r, v, 0, err, "reading a draft")
	}
	if d.State != change.Open && d.State != change.InReview {
		return c.seeOther(w, r, v, policyDraftURL(id), "")
	}
	effects := []ui.Text{"Nothing that is in force changes.", "The draft can no longer be edited, handed to review or approved. Its text and notes are kept."}
	if d.Shadow {
		effects = append(effects, "It stops deciding in the shadow of the policies in force.")
	}
	return c.show(w, r, http.StatusOK, "ask", askPage{
		Base: v.page(ui.Say("Withdraw {1}", clip(d.Title, 80))), Question: ui.Say("Withdraw {1}?", clip(d.Title, 80)), About: ui.Link{Label: ui.Verbatim(clip(d.Title, 80)), URL: policyDraftURL(id)},
		Effects: effects, Seen: strconv.Itoa(d.Version), Action: "Withdraw", URL: policyDraftURL(id) + "/withdraw", Back: policyDraftURL(id), Danger: true,
	})
}

func (c *Console) withdrawDraft(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := numberOf(r.PathValue("id"))
	if err != nil {
		return err
	}
	err = c.Changes.Withdraw(r.Context(), v.Actor(), id, versionSeen(posted(r)))
	return c.afterDraft(w, r, v, id, err, "withdrawing a draft", "The draft is withdrawn.")
}
