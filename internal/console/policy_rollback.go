package console

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/ui"
)

// reasonLimit is how long the reason of a change may be, in characters.
const reasonLimit = 500

// earlierRevision reads the revision that the address names and that can be
// rolled back to, with the one that is newest.
func (c *Console) earlierRevision(r *http.Request, v *visit) (to, newest change.Revision, err error) {
	id, err := numberOf(r.PathValue("id"))
	if err != nil {
		return to, newest, err
	}
	if c.Changes.Origin().ReadOnly() {
		return to, newest, &ui.Error{Status: http.StatusConflict, Code: "read_only", Title: "Policies are changed elsewhere", Detail: c.readOnlyWords()}
	}
	if to, err = c.Changes.Revision(r.Context(), id); err != nil {
		return to, newest, c.changeError(r, v, 0, err, "reading a revision")
	}
	all, err := c.Changes.Revisions(r.Context())
	if err != nil {
		return to, newest, c.changeError(r, v, 0, err, "listing revisions")
	}
	if all[0].ID == id {
		return to, newest, &ui.Error{Status: http.StatusConflict, Code: "in_force", Title: "That is the newest revision", Detail: "There is nothing to roll back to: this revision is the newest one."}
	}
	return to, all[0], nil
}

func (c *Console) askRollBack(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.showRollBack(w, r, v, newForm(nil))
}

func (c *Console) showRollBack(w http.ResponseWriter, r *http.Request, v *visit, f *form) error {
	to, newest, err := c.earlierRevision(r, v)
	if err != nil {
		return err
	}
	id := strconv.FormatInt(to.ID, 10)
	return c.show(w, r, f.status(), "ask", askPage{
		Base: v.page(ui.Say("Roll back to revision {1}", id)), Question: ui.Say("Roll back to revision {1}?", id), About: ui.Link{Label: ui.Say("Revision {1}", id), URL: policyRevisionURL(to.ID)},
		Effects: []ui.Text{
			ui.Say("It becomes a draft with exactly the policies of revision {1}, “{2}”, published on {3}, and is in review at once.", id, clip(to.Title, 80), clock(to.Published)),
			ui.Say("Revision {1}, “{2}”, stays in force until a second person approves the draft.", strconv.FormatInt(newest.ID, 10), clip(newest.Title, 80)),
			"You are its author, so you cannot be the one who approves it.",
		},
		Fields: []ui.Field{rollBackReason(f)}, Faults: f.Notes, Action: "Propose the roll back", URL: policyRevisionURL(to.ID) + "/rollback", Back: policyRevisionURL(to.ID),
	})
}

func rollBackReason(f *form) ui.Field {
	return with(f.text("reason", "Reason"), func(u *ui.Field) {
		u.Required, u.MaxLength, u.Autofocus, u.Hint = true, reasonLimit, true, "It is kept in the access log and with the revision."
	})
}

func (c *Console) rollBack(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := posted(r)
	reason := f.line("reason", "a reason", reasonLimit, true)
	to, _, err := c.earlierRevision(r, v)
	if err != nil {
		return err
	}
	if f.OK() {
		var d change.Draft
		if d, err = c.Changes.RollBack(r.Context(), v.Actor(), to.ID, reason); err == nil {
			return c.seeOther(w, r, v, policyDraftURL(d.ID), ui.Join([]ui.Text{"The roll back is in review.", c.whoCould(r, v, d.ID).Words}, " "))
		}
		if words, ok := c.changeWords(r, v, 0, err); ok {
			f.note(words)
		} else {
			return c.changeError(r, v, 0, err, "proposing a roll back")
		}
	}
	return c.showRollBack(w, r, v, f)
}

func (c *Console) askRollBackAlone(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.showRollBackAlone(w, r, v, newForm(nil))
}

func (c *Console) showRollBackAlone(w http.ResponseWriter, r *http.Request, v *visit, f *form) error {
	to, newest, err := c.earlierRevision(r, v)
	if err != nil {
		return err
	}
	id := strconv.FormatInt(to.ID, 10)
	return c.show(w, r, f.status(), "ask", askPage{
		Base: v.page(ui.Say("Roll back to revision {1} alone", id)), Question: ui.Say("Roll back to revision {1} at once, without a second person?", id), About: ui.Link{Label: ui.Say("Revision {1}", id), URL: policyRevisionURL(to.ID)},
		Effects: []ui.Text{
			ui.Say("The policies of revision {1}, “{2}”, published on {3}, are in force everywhere within a second.", id, clip(to.Title, 80), clock(to.Published)),
			ui.Say("What revision {1}, “{2}”, and those since then changed is undone at once. Every open connection is decided again, and what is no longer allowed is cut.", strconv.FormatInt(newest.ID, 10), clip(newest.Title, 80)),
			"It is recorded and shown that you did this alone, with your reason.",
			"Every administrator and approver is told at once, on their pages and by mail, and whoever answers for a vendor hears of it. Somebody has to look at it afterwards.",
		},
		Fields: []ui.Field{rollBackReason(f)}, Faults: f.Notes, Action: "Roll back at once", URL: policyRevisionURL(to.ID) + "/rollback-alone", Back: policyRevisionURL(to.ID), Danger: true,
	})
}

func (c *Console) rollBackAlone(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := posted(r)
	reason := f.line("reason", "a reason", reasonLimit, true)
	to, _, err := c.earlierRevision(r, v)
	if err != nil {
		return err
	}
	if f.OK() {
		have, err := c.Changes.RollBackAlone(r.Context(), v.Actor(), to.ID, reason)
		if err == nil {
			return c.seeOther(w, r, v, policyRevisionURL(have.ID), ui.Say("Revision {1} is in force, with the policies of revision {2}. Every administrator and approver is told.", strconv.FormatInt(have.ID, 10), strconv.FormatInt(to.ID, 10)))
		}
		if have.ID != 0 {
			return notInForceYet(have.ID, err)
		}
		words, ok := c.changeWords(r, v, 0, err)
		if !ok || errors.Is(err, change.ErrNotFound) {
			return c.changeError(r, v, 0, err, "rolling back alone")
		}
		f.note(words)
	}
	return c.showRollBackAlone(w, r, v, f)
}
