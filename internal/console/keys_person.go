package console

import (
	"net/http"
	"net/url"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// personKeys is what a person's page shows of their keys.
type personKeys struct {
	Keys      []personKey
	Demanded  bool      // by an engagement of the person
	Until     time.Time // an administrator lets the person add a key; zero: none does
	MayChange bool
	AllowURL  string // empty: may not be allowed here
}

type personKey struct {
	Name                     string
	Bound, Created, LastUsed ui.Text
	Synced, Cloned           bool
	RemoveURL                string // empty: may not be removed here
}

// boundWords says what was proved when a key was added.
var boundWords = map[string]ui.Text{
	auth.BoundEnrolment:     "while enrolling",
	auth.BoundAdministrator: "with an administrator's permission",
	auth.BoundKey:           "with another key",
	auth.BoundCode:          "with a code",
}

func (c *Console) keysOfPerson(r *http.Request, v *visit, a *directory.Account) (personKeys, error) {
	list, err := c.Auth.SecurityKeys(r.Context(), a.ID)
	if err != nil {
		return personKeys{}, authError(err, "listing keys")
	}
	p := personKeys{Demanded: v.Snapshot.PhishingResistant(a.ID, v.Now), MayChange: v.mayChange() && a.ID != v.Session.Account}
	if p.Until, err = c.Auth.KeyAllowedUntil(r.Context(), a.ID); err != nil {
		return personKeys{}, authError(err, "reading permission for a key")
	}
	for _, k := range list {
		row := personKey{Name: k.Name, Bound: boundWords[k.Bound], Created: clock(k.Created), LastUsed: ago(v.Now, k.LastUsed), Synced: k.BackedUp, Cloned: !k.Cloned.IsZero()}
		if p.MayChange {
			row.RemoveURL = personURL(a.ID) + "/keys/" + url.PathEscape(k.ID) + "/remove"
		}
		p.Keys = append(p.Keys, row)
	}
	if p.MayChange && a.Status != policy.StatusInvited && !a.Disabled && c.Auth.KeysPossible() {
		p.AllowURL = personURL(a.ID) + "/allow-key"
	}
	return p, nil
}

// askAllowKey asks before a person may add a key where a code would not do.
func (c *Console) askAllowKey(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, err := c.otherPerson(v.Snapshot.Directory(), r, v, "You cannot allow yourself a key. Ask another administrator.")
	if err != nil {
		return err
	}
	return c.show(w, r, http.StatusOK, "ask", askPage{
		Base: v.page("Allow a key"), Question: ui.Say("Let {1} add a key?", nameOf(a)), About: ui.Link{Label: ui.Verbatim(a.Email), URL: personURL(a.ID)},
		Effects: []ui.Text{
			"For 24 hours a code is enough to add one passkey or security key.",
			"Make sure by another channel that the person asked for it: whoever was tricked out of a code could otherwise lose more.",
			"The person is told.",
		},
		Action: "Allow for 24 hours", URL: personURL(a.ID) + "/allow-key", Back: personURL(a.ID),
	})
}

func (c *Console) allowKey(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, err := c.otherPerson(v.Snapshot.Directory(), r, v, "You cannot allow yourself a key. Ask another administrator.")
	if err != nil {
		return err
	}
	until, err := c.Auth.AllowKey(r.Context(), v.AuthActor(), a.ID)
	if err != nil {
		return authError(err, "allowing a key")
	}
	return c.seeOther(w, r, v, personURL(a.ID), ui.Say("{1} may add a key until {2}.", a.Email, clock(until)))
}

// askRemovePersonKey asks before somebody else's key is removed.
func (c *Console) askRemovePersonKey(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, err := c.otherPerson(v.Snapshot.Directory(), r, v, "Your own keys are among your factors.")
	if err != nil {
		return err
	}
	k, err := c.ownKey(r, a.ID)
	if err != nil {
		return err
	}
	return c.show(w, r, http.StatusOK, "ask", askPage{
		Base: v.page("Remove a key"), Question: ui.Say("Remove “{1}” of {2}?", k.Name, nameOf(a)), About: ui.Link{Label: ui.Verbatim(a.Email), URL: personURL(a.ID)},
		Effects: []ui.Text{
			"Nobody can sign in with this key any more.",
			"Sessions and tokens of this person that were opened with a key end at once.",
			"The person is told.",
		},
		Action: "Remove", URL: personURL(a.ID) + "/keys/" + url.PathEscape(k.ID) + "/remove", Back: personURL(a.ID), Danger: true,
	})
}

func (c *Console) removePersonKey(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, err := c.otherPerson(v.Snapshot.Directory(), r, v, "Your own keys are among your factors.")
	if err != nil {
		return err
	}
	k, err := c.ownKey(r, a.ID)
	if err != nil {
		return err
	}
	if err := c.Auth.RemoveKeyOf(r.Context(), v.AuthActor(), a.ID, k.ID); err != nil {
		return keyRemovalError(err)
	}
	return c.seeOther(w, r, v, personURL(a.ID), ui.Say("“{1}” is removed.", k.Name))
}
