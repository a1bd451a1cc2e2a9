package console

import (
	"errors"
	"net/http"
	"strings"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
)

// askErase asks before an account's personal data is erased, and says what
// that reaches and what not.
func (c *Console) askErase(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.showErase(w, r, v, newForm(nil))
}

func (c *Console) showErase(w http.ResponseWriter, r *http.Request, v *visit, f *form) error {
	if c.Privacy == nil {
		return ui.NotFound()
	}
	a, err := c.otherPerson(v.Snapshot.Directory(), r, v, "You cannot erase your own account. Ask another administrator.")
	if err != nil {
		return err
	}
	return c.show(w, r, f.status(), "ask", askPage{
		Base: v.page(ui.Say("Erase {1}", a.Email)), Question: ui.Say("Erase all personal data of {1}?", nameOf(a)),
		About: ui.Link{Label: ui.Verbatim(a.Email), URL: personURL(a.ID)},
		Effects: []ui.Text{
			"The account is disabled, and its name, address, devices, sessions and notices are removed, and its address wherever people wrote it: sign-offs, drafts, searches, alarms.",
			"The key of its personal fields in the access log is destroyed: its address, IP addresses, browsers and names can never be read there again, by anybody.",
			"The entries themselves stay, with an id that says nothing, and every proof of them still holds.",
			"What the person accepted stays, as the proof of a contract, and so does who signed policies that were in force. Paths, and other words that somebody typed as a reason or a search, stay in the access log as well.",
			"Shared tables that entries were delivered to forget it as soon as they can be reached; Delivery shows what waits.",
			"Backups and other systems that entries were delivered to are not reached: see to them yourself.",
			"This cannot be undone.",
		},
		Fields: []ui.Field{whyField(f)}, Faults: f.Notes, Action: "Erase for good", URL: personURL(a.ID) + "/erase", Back: personURL(a.ID), Danger: true,
	})
}

func (c *Console) erase(w http.ResponseWriter, r *http.Request, v *visit) error {
	if c.Privacy == nil {
		return ui.NotFound()
	}
	a, err := c.otherPerson(v.Snapshot.Directory(), r, v, "You cannot erase your own account. Ask another administrator.")
	if err != nil {
		return err
	}
	f := posted(r)
	reason := f.line("reason", "a reason", 300, true)
	if !f.OK() {
		return c.showErase(w, r, v, f)
	}
	err = c.Privacy.AskErasure(r.Context(), v.Actor(), a.ID, reason)
	held, isHeld := errors.AsType[*directory.HeldError](err)
	stands, isStanding := errors.AsType[*directory.StandsError](err)
	switch {
	case isStanding:
		f.note("Messages go to this address as that of {1}. Name somebody else there first.", strings.Join(stands.Places, ", "))
		return c.showErase(w, r, v, f)
	case isHeld:
		f.note("A legal hold stands on it since {1}, because: {2}", clock(held.Hold.Placed), held.Hold.Reason)
		return c.showErase(w, r, v, f)
	case errors.Is(err, directory.ErrErasedTwice):
		f.note("It was erased already.")
		return c.showErase(w, r, v, f)
	case errors.Is(err, directory.ErrNoSubject):
		return ui.NotFound()
	case err != nil:
		return privacyError(err)
	}
	return c.seeOther(w, r, v, holdsPath, "The erasure is recorded and done within seconds.")
}
