package console

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
)

// What can be ticked about how an invitation gets to its person.
const (
	passOnField = "pass_on"
	passOnPhone = "phone"
	passOnMail  = "mail"
)

func (c *Console) passOnChoices(f *form) *choices {
	items := []choice{{Value: passOnPhone, Label: "Ask for a number too, which I tell by telephone",
		Hint: "For accounts that reach what must not hang on one link. Once asked for, it is asked for after every reset."}}
	if c.Mail != nil {
		items = append(items, choice{Value: passOnMail, Label: "Send the link by mail", Hint: "Otherwise it is shown to you once, to pass on by any channel."})
	}
	b := f.boxes(passOnField, "How the link gets there", items)
	return &b
}

func (c *Console) passOnGroup(f *form) group {
	return group{Title: "Invitation", Controls: []control{{Choices: c.passOnChoices(f)}}}
}

// passedOn reads what was ticked.
func passedOn(r *http.Request) auth.InviteOptions {
	return auth.InviteOptions{PhoneCode: slices.Contains(r.PostForm[passOnField], passOnPhone)}
}

func (c *Console) inviteAndReveal(w http.ResponseWriter, r *http.Request, v *visit, a *directory.Account) error {
	i, err := c.Auth.InviteWith(r.Context(), v.AuthActor(), a.ID, passedOn(r))
	if err != nil {
		return authError(err, "making an invitation")
	}
	return c.reveal(w, r, v, a, i)
}

// invitationPage shows an invitation once.
type invitationPage struct {
	Base
	Email     string
	Made      bool   // false: it was shown before
	Link      string // empty when it was sent by mail
	PhoneCode string
	Expires   ui.Text
	Back      string
}

// revealed is an invitation from when it is made until the page that shows it
// is opened: once, by the same session. In a redirect or a cookie it would be
// stored on its way.
type revealed struct {
	auth.Invited
	made bool
}

// reveal sends the invitation by mail, when that was ticked, and leads to the
// page that shows what is to be passed on by hand.
func (c *Console) reveal(w http.ResponseWriter, r *http.Request, v *visit, a *directory.Account, i auth.Invited) error {
	if c.Mail != nil && slices.Contains(r.PostForm[passOnField], passOnMail) {
		if err := c.Mail.Invite(r.Context(), a, i); err != nil {
			// The link is there all the same: it is shown instead.
			c.Logger.ErrorContext(r.Context(), "queueing an invitation", "account", a.ID, "err", err)
		} else {
			i.Link = ""
		}
	}
	c.desk.reveals.put(v.Session.ID+"/"+a.ID, revealed{i, true}, v.Now)
	return c.seeOther(w, r, v, personURL(a.ID)+"/invitation", "")
}

// invitation shows the invitation that was just made, once.
func (c *Console) invitation(w http.ResponseWriter, r *http.Request, v *visit) error {
	a := find(v.Snapshot.Directory().Accounts, accountWithID(r.PathValue("id")))
	if a == nil {
		return ui.NotFound()
	}
	i := c.desk.reveals.take(v.Session.ID+"/"+a.ID, v.Now)
	return c.show(w, r, http.StatusOK, "invitation", invitationPage{
		Base: v.page(ui.Say("Invitation for {1}", cmp.Or(a.Name, a.Email))), Email: a.Email, Made: i.made, Link: i.Link, PhoneCode: i.PhoneCode, Expires: clock(i.Expires), Back: personURL(a.ID),
	})
}
