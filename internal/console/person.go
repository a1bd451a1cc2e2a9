package console

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// personPage shows one account: who it is, how it stands, where it may go,
// where it is signed in and what it did last.
type personPage struct {
	Base
	Name, Email string
	URL         string
	Standing    ui.Badge
	Explained   ui.Text // what the standing means
	Vendor      ui.Link
	Roles       []roleLine
	Created     ui.Text
	Ends        ui.Text
	TimeZone    string
	LastLogin   ui.Text
	Account     ui.Hash
	Assignments []assignmentRow
	GiveAccess  string // address of the form, empty when it may not be used
	Factors     []personFactor
	Sessions    sessionTable
	Keys        personKeys
	Grants      []grantRow // machines and tokens
	Recent      []entryRow
	RecentURL   string // empty when the log may not be read
	Acts        []act
	Self        bool
	MayChange   bool
	MayReadLog  bool
	Contractor  bool
	Company     ui.Text // who the account is at its company, and since when; empty: nobody
	CompanyURL  string  // where that is forgotten, empty when it may not be
}

type roleLine struct{ Name, Text ui.Text }

// An act is something that can be done to an object: a link to a page that
// asks first, or a button that does it.
type act struct {
	Label  ui.Text
	URL    string
	Post   bool // a button that posts at once
	Danger bool
}

// recentEntries is how many entries a page about one object shows.
const recentEntries = 10

func (c *Console) person(w http.ResponseWriter, r *http.Request, v *visit) error {
	d := v.Snapshot.Directory()
	a := find(d.Accounts, accountWithID(r.PathValue("id")))
	if a == nil {
		return ui.NotFound()
	}
	page := personPage{
		Base: v.page(ui.Verbatim(cmp.Or(a.Name, a.Email))),
		Name: cmp.Or(a.Name, a.Email), Email: a.Email, URL: personURL(a.ID), Account: ui.Hash{Value: a.ID},
		Standing: standing(d, a, v.Now), Vendor: vendorLink(d, a.Vendor),
		Created: clock(a.Created), Ends: lastDay(a.Ends), TimeZone: a.TimeZone,
		Self: a.ID == v.Session.Account, MayChange: v.mayChange(), MayReadLog: v.mayReview(),
		Contractor: slices.Contains(a.Roles, policy.Contractor),
	}
	page.Explained = standingWords[page.Standing.Text]
	sessions, err := c.Auth.SessionsOf(r.Context(), a.ID)
	if err != nil {
		return authError(err, "listing sessions")
	}
	for _, role := range policy.Roles {
		if slices.Contains(a.Roles, role) {
			page.Roles = append(page.Roles, roleLine{ui.Known(string(role)), roleWords[role]})
		}
	}
	for _, as := range d.Assignments {
		if as.Account == a.Email {
			page.Assignments = append(page.Assignments, newAssignmentRow(d, &as, v))
		}
	}
	if page.MayChange && page.Contractor && !page.Self {
		page.GiveAccess = "/console/assignments/new?account=" + url.QueryEscape(a.Email)
	}
	if page.Factors, err = c.personFactors(r.Context(), a.ID, v.Now); err != nil {
		return err
	}
	page.LastLogin = ago(v.Now, lastLogin(a, sessions))
	page.Sessions.MayEnd = v.mayChange()
	for i := range sessions {
		page.Sessions.Rows = append(page.Sessions.Rows, v.newSessionRow(&sessions[i], personURL(a.ID)+"/sessions/"+url.PathEscape(sessions[i].ID)+"/end"))
	}
	if page.Company, err = c.pinnedSince(r, a.ID); err != nil {
		return err
	}
	if page.Company != "" && page.MayChange && !page.Self {
		page.CompanyURL = page.URL + "/unpin"
	}
	if page.Keys, err = c.keysOfPerson(r, v, a); err != nil {
		return err
	}
	if v.mayReview() {
		if page.Grants, err = c.grants(r, v, a.ID, personURL(a.ID)); err != nil {
			return err
		}
	}
	if page.MayChange {
		page.Acts = personActs(a, page.Standing.Text, page.Self, len(sessions))
	}
	if page.MayReadLog {
		page.RecentURL = timelineURL("account", a.ID)
		if page.Recent, err = c.readRecent(r, v, is(query.Account, a.ID), recentEntries); err != nil {
			return err
		}
	}
	return c.show(w, r, http.StatusOK, "person", page)
}

var standingWords = map[ui.Text]ui.Text{
	policy.StatusActive:   "Can sign in.",
	policy.StatusInvited:  "Has not finished enrolment: the invitation waits to be accepted, or has run out.",
	policy.StatusDisabled: "Cannot sign in, and every session has ended.",
	standingEnded:         "The account's last day is over: nobody can sign in with it.",
	standingSuspended:     "The vendor is suspended, so nobody of it can sign in.",
}

// lastLogin returns when an account signed in last. The directory hears of it
// some seconds later than the sessions begin.
func lastLogin(a *directory.Account, sessions []auth.Session) time.Time {
	last := a.LastLogin
	for _, s := range sessions {
		if s.Created.After(last) {
			last = s.Created
		}
	}
	return last
}

// personActs are what an administrator may do to an account as it stands. One's
// own account is left to another administrator.
func personActs(a *directory.Account, standing ui.Text, self bool, sessions int) []act {
	at := personURL(a.ID)
	acts := []act{{Label: "Edit", URL: at + "/edit"}}
	if self || a.Erased() {
		return acts
	}
	if !a.Disabled {
		if a.Status == policy.StatusInvited {
			acts = append(acts, act{Label: "New invitation link", URL: at + "/invite"})
		} else {
			acts = append(acts, act{Label: "Reset sign-in", URL: at + "/reset", Danger: true})
		}
	}
	if sessions > 0 {
		acts = append(acts, act{Label: "End all sessions", URL: at + "/sessions/end", Post: true})
	}
	acts = append(acts, act{Label: "Erase", URL: at + "/erase", Danger: true})
	if a.Disabled {
		return append(acts, act{Label: "Enable", URL: at + "/enable", Post: true})
	}
	return append(acts, act{Label: "Disable", URL: at + "/disable", Danger: true})
}

// askPage asks before something is done, and says what it will do.
type askPage struct {
	Base
	Question ui.Text
	About    ui.Link
	Effects  []ui.Text // what will happen, a sentence each
	Fields   []ui.Field
	Faults   []ui.Text
	Action   ui.Text // the button
	URL      string  // where the button posts
	Back     string
	Danger   bool
	Boxes    *choices // to be ticked; nil: none
	Seen     string   // which state of the object the page was made from
}

// otherPerson returns the account that an administrator is about to change;
// one's own is refused in words.
func (c *Console) otherPerson(d *directory.Directory, r *http.Request, v *visit, refusal ui.Text) (*directory.Account, error) {
	a := find(d.Accounts, accountWithID(r.PathValue("id")))
	if a == nil {
		return nil, ui.NotFound()
	}
	if a.ID == v.Session.Account {
		return nil, &ui.Error{Status: http.StatusForbidden, Code: "own_account", Title: "Not for yourself",
			Detail: refusal}
	}
	return a, nil
}

// askDisable asks before an account is disabled.
func (c *Console) askDisable(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, err := c.otherPerson(v.Snapshot.Directory(), r, v, "You cannot disable your own account. Ask another administrator.")
	if err != nil {
		return err
	}
	sessions, err := c.Auth.SessionsOf(r.Context(), a.ID)
	if err != nil {
		return authError(err, "listing sessions")
	}
	assigned := 0
	for _, as := range v.Snapshot.Directory().Assignments {
		if as.Account == a.Email && inForce(as.Starts, as.Ends, v.Now) {
			assigned++
		}
	}
	return c.show(w, r, http.StatusOK, "ask", askPage{
		Base: v.page(ui.Say("Disable {1}", a.Email)), Question: ui.Say("Disable {1}?", cmp.Or(a.Name, a.Email)),
		About: ui.Link{Label: ui.Verbatim(a.Email), URL: personURL(a.ID)},
		Effects: []ui.Text{
			cut(len(sessions), ui.Say("{1} is not signed in anywhere at the moment.", nameOf(a))),
			ui.Count(assigned, "Access to {1} cluster stops until somebody enables the account again.", "Access to {1} clusters stops until somebody enables the account again."),
			"Nothing is deleted: assignments and entries in the access log stay.",
		},
		Action: "Disable", URL: personURL(a.ID) + "/disable", Back: personURL(a.ID), Danger: true,
	})
}

func (c *Console) disable(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.setDisabled(w, r, v, true, "You cannot disable your own account. Ask another administrator.", "{1} is disabled.")
}

func (c *Console) enable(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.setDisabled(w, r, v, false, "You cannot enable your own account. Ask another administrator.", "{1} is enabled.")
}

func (c *Console) setDisabled(w http.ResponseWriter, r *http.Request, v *visit, disabled bool, refusal, said ui.Text) error {
	a, err := c.otherPerson(v.Snapshot.Directory(), r, v, refusal)
	if err != nil {
		return err
	}
	if err := c.edit(r, v, func(d *directory.Directory) error {
		have := find(d.Accounts, accountWithID(a.ID))
		if have == nil {
			return errGone
		}
		have.Disabled = disabled
		return nil
	}); err != nil {
		return err
	}
	return c.seeOther(w, r, v, personURL(a.ID), ui.Say(said, a.Email))
}

// askReset asks before a second factor and password are made void.
func (c *Console) askReset(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, err := c.otherPerson(v.Snapshot.Directory(), r, v, "You cannot reset the sign-in of your own account. Ask another administrator.")
	if err != nil {
		return err
	}
	return c.show(w, r, http.StatusOK, "ask", askPage{
		Base: v.page(ui.Say("Reset sign-in of {1}", a.Email)), Question: ui.Say("Reset the sign-in of {1}?", cmp.Or(a.Name, a.Email)),
		About: ui.Link{Label: ui.Verbatim(a.Email), URL: personURL(a.ID)},
		Effects: []ui.Text{
			"Password, authenticator, keys and recovery codes become void, and all sessions end.",
			"You get a new invitation link, shown once, to hand over. Whoever opens it can enrol: make sure that it reaches the right person.",
			"Assignments stay as they are.",
		},
		Boxes: c.passOnChoices(nil), Action: "Reset and make a link", URL: personURL(a.ID) + "/reset", Back: personURL(a.ID), Danger: true,
	})
}

func (c *Console) reset(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, err := c.otherPerson(v.Snapshot.Directory(), r, v, "You cannot reset the sign-in of your own account. Ask another administrator.")
	if err != nil {
		return err
	}
	i, err := c.Auth.ResetFactorWith(r.Context(), v.AuthActor(), a.ID, passedOn(r))
	if err != nil {
		return authError(err, "resetting a sign-in")
	}
	return c.reveal(w, r, v, a, i)
}

// endPersonSessions ends all sessions of an account.
func (c *Console) endPersonSessions(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, err := c.otherPerson(v.Snapshot.Directory(), r, v, "You cannot end all sessions of your own account. Ask another administrator.")
	if err != nil {
		return err
	}
	n, err := c.Auth.EndSessions(r.Context(), v.AuthActor(), a.ID)
	if err != nil {
		return authError(err, "ending sessions")
	}
	return c.seeOther(w, r, v, personURL(a.ID), ui.Count(n, "{1} session of {2} ended.", "{1} sessions of {2} ended.", a.Email))
}

// endPersonSession ends one session of an account.
func (c *Console) endPersonSession(w http.ResponseWriter, r *http.Request, v *visit) error {
	a := find(v.Snapshot.Directory().Accounts, accountWithID(r.PathValue("id")))
	if a == nil {
		return ui.NotFound()
	}
	sessions, err := c.Auth.SessionsOf(r.Context(), a.ID)
	if err != nil {
		return authError(err, "listing sessions")
	}
	// The session must belong to the account in the address, so that the
	// page one acts from is the one that is changed.
	id := r.PathValue("session")
	if !slices.ContainsFunc(sessions, func(s auth.Session) bool { return s.ID == id }) {
		return c.seeOther(w, r, v, personURL(a.ID), "That session had already ended.")
	}
	if err := c.Auth.EndSession(r.Context(), v.AuthActor(), id); err != nil {
		return authError(err, "ending a session")
	}
	return c.seeOther(w, r, v, personURL(a.ID), "The session ended.")
}

// nameOf is how a person is called in a sentence.
func nameOf(a *directory.Account) string { return cmp.Or(strings.TrimSpace(a.Name), a.Email) }
