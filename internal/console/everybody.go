package console

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
)

// everybodyPage lists the sessions of all accounts.
type everybodyPage struct {
	Base
	Search    []ui.Field
	Faults    []ui.Text
	Table     sessionTable
	Pager     ui.Pager
	Empty     ui.Empty
	MayChange bool
	Active    int // how many there are, whatever was searched for
	Paused    int
}

// What sessions can be listed by.
const (
	sessionsActive = "in use"
	sessionsIdle   = "paused"
	sessionsNew    = "new device or network"
)

// allSessions shows the sessions of all accounts, filtered and in pages.
func (c *Console) allSessions(w http.ResponseWriter, r *http.Request, v *visit) error {
	d := v.Snapshot.Directory()
	q := r.URL.Query()
	f := newForm(q)
	f.known("text", "vendor", "state", "page")
	text := strings.ToLower(f.line("text", "a text", 200, false))
	vendor := f.oneOf("vendor", "a vendor", append(names(d.Vendors, vendorName), "", ownPeople))
	state := f.oneOf("state", "a state", []string{"", sessionsActive, sessionsIdle, sessionsNew})
	number := f.pageNumber("page")
	all, err := c.Auth.AllSessions(r.Context())
	if err != nil {
		return authError(err, "listing sessions")
	}
	page := &everybodyPage{Base: v.page("Sessions"), MayChange: v.mayChange(), Faults: f.all(), Table: sessionTable{People: true, MayEnd: v.mayChange()}}
	page.Active = active(all)
	page.Paused = len(all) - page.Active
	page.Search = []ui.Field{
		f.search("text", "Name, e-mail, address or program"),
		f.choice("vendor", "Vendor", "All vendors", vendorOptions(d, ui.Option{Value: ownPeople, Label: "Your own people"})),
		f.choice("state", "State", "Any state", options([]string{sessionsActive, sessionsIdle, sessionsNew})),
	}
	if f.OK() {
		found := slices.DeleteFunc(all, func(s auth.Session) bool { return !sessionFits(&s, text, vendor, state) })
		found, page.Pager = paged(found, number, "/console/sessions", q, "session")
		for i := range found {
			page.Table.Rows = append(page.Table.Rows, v.namedSessionRow(&found[i]))
		}
	}
	if len(page.Table.Rows) == 0 && f.OK() {
		page.Empty = ui.Empty{Title: "No session matches", Text: "No session fits what you searched for.", ActionURL: "/console/sessions", Action: "Show all sessions"}
	}
	return c.show(w, r, f.status(), "everybody", page)
}

func sessionFits(s *auth.Session, text, vendor, state string) bool {
	if text != "" && !strings.Contains(strings.ToLower(s.Name+" "+s.Email+" "+s.IP+" "+clientWords(s.UserAgent).String()), text) {
		return false
	}
	if vendor == ownPeople && s.Vendor != "" || vendor != "" && vendor != ownPeople && s.Vendor != vendor {
		return false
	}
	switch state {
	case sessionsActive:
		return !s.Idle
	case sessionsIdle:
		return s.Idle
	case sessionsNew:
		return s.NewDevice || s.NewNetwork
	}
	return true
}

// namedSessionRow is newSessionRow with whose session it is.
func (v *visit) namedSessionRow(s *auth.Session) sessionRow {
	row := v.newSessionRow(s, endSessionURL(s.ID))
	row.Person = ui.Link{Label: ui.Verbatim(cmp.Or(s.Name, s.Email)), URL: personURL(s.Account)}
	return row
}

// endAnySession ends one session of any account, from the list of all.
func (c *Console) endAnySession(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := r.PathValue("session")
	all, err := c.Auth.AllSessions(r.Context())
	if err != nil {
		return authError(err, "listing sessions")
	}
	i := slices.IndexFunc(all, func(s auth.Session) bool { return s.ID == id })
	if i < 0 {
		return c.seeOther(w, r, v, "/console/sessions", "That session had already ended.")
	}
	if err := c.Auth.EndSession(r.Context(), v.AuthActor(), id); err != nil {
		return authError(err, "ending a session")
	}
	if id == v.Session.ID {
		c.kept.drop(id)
		dropCookie(w, auth.SessionCookie)
		http.Redirect(w, r, "/login?note=out", http.StatusSeeOther)
		return nil
	}
	return c.seeOther(w, r, v, "/console/sessions", ui.Say("The session of {1} ended.", all[i].Email))
}

// Words that have to be typed before everybody is signed out.
const everybodyWord = "everybody"

func (c *Console) askEndEverybody(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.showEndEverybody(w, r, v, newForm(nil))
}

func (c *Console) showEndEverybody(w http.ResponseWriter, r *http.Request, v *visit, f *form) error {
	all, err := c.Auth.AllSessions(r.Context())
	if err != nil {
		return authError(err, "listing sessions")
	}
	return c.show(w, r, f.status(), "ask", askPage{
		Base: v.page("End everybody's sessions"), Question: "End everybody's sessions?", About: ui.Link{Label: "Sessions", URL: "/console/sessions"},
		Effects: []ui.Text{
			cut(max(0, len(all)-1), "Nobody but you is signed in at the moment."),
			"Every token and every sign-in under way ends too. Whoever may sign in can do so again at once.",
			"This session of yours stays, unless you choose otherwise below.",
		},
		Fields: []ui.Field{
			with(f.text("word", "Type the word everybody to confirm"), func(u *ui.Field) { u.Required, u.Autofocus, u.MaxLength = true, true, 40 }),
			f.choice("mine", "This session of yours", "", []ui.Option{{Value: "keep", Label: "stays"}, {Value: "end", Label: "ends as well"}}),
		},
		Faults: f.Notes, Action: "End everybody's sessions", URL: "/console/sessions/end", Back: "/console/sessions", Danger: true,
	})
}

func (c *Console) endEverybody(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := posted(r)
	if strings.ToLower(strings.TrimSpace(f.Value("word"))) != everybodyWord {
		f.fault("word", "Type the word everybody, so that this does not happen by mistake.")
	}
	keep := v.Session.ID
	if mine := f.Value("mine"); mine == "end" {
		keep = ""
	} else if mine != "" && mine != "keep" {
		f.fault("mine", "Choose whether your own session stays.")
	}
	if !f.OK() {
		return c.showEndEverybody(w, r, v, f)
	}
	n, err := c.Auth.EndEverybody(r.Context(), v.AuthActor(), keep)
	if err != nil {
		return authError(err, "ending everybody's sessions")
	}
	if keep == "" {
		c.kept.drop(v.Session.ID)
		dropCookie(w, auth.SessionCookie)
		http.Redirect(w, r, "/login?note=out", http.StatusSeeOther)
		return nil
	}
	return c.seeOther(w, r, v, "/console/sessions", ui.Count(n, "{1} session ended.", "{1} sessions ended."))
}

// vendorSessionRows is how many sessions a vendor's page shows.
const vendorSessionRows = 10

// vendorSessions adds a vendor's sessions to its page, for those who may see
// more than the vendor.
func (c *Console) vendorSessions(r *http.Request, v *visit, page *vendorPage) error {
	if !v.mayReview() {
		return nil
	}
	list, err := c.Auth.SessionsOfVendor(r.Context(), page.Name)
	if err != nil {
		return authError(err, "listing sessions")
	}
	page.SessionsURL = "/console/sessions?vendor=" + url.QueryEscape(page.Name)
	page.SessionText = ui.Count(len(list), "{1} session of this vendor", "{1} sessions of this vendor")
	page.Sessions = sessionTable{People: true, MayEnd: v.mayChange()}
	for i := range list[:min(len(list), vendorSessionRows)] {
		page.Sessions.Rows = append(page.Sessions.Rows, v.namedSessionRow(&list[i]))
	}
	if v.mayChange() && len(list) > 0 {
		page.EndSessions = vendorURL(page.Name) + "/sessions/end"
	}
	return nil
}

// askEndVendor asks before all sessions of a vendor end.
func (c *Console) askEndVendor(w http.ResponseWriter, r *http.Request, v *visit) error {
	have, err := c.vendorOf(r, v)
	if err != nil {
		return err
	}
	list, err := c.Auth.SessionsOfVendor(r.Context(), have.Name)
	if err != nil {
		return authError(err, "listing sessions")
	}
	title := cmp.Or(have.Title, have.Name)
	return c.show(w, r, http.StatusOK, "ask", askPage{
		Base: v.page(ui.Say("End all sessions of {1}", title)), Question: ui.Say("End all sessions of {1}?", title), About: ui.Link{Label: ui.Verbatim(have.Name), URL: vendorURL(have.Name)},
		Effects: []ui.Text{
			cut(len(list), "Nobody of this vendor is signed in at the moment."),
			"Their tokens and sign-ins under way end too. They can sign in again at once: to keep them out, suspend the vendor.",
		},
		Action: "End all sessions", URL: vendorURL(have.Name) + "/sessions/end", Back: vendorURL(have.Name), Danger: true,
	})
}

func (c *Console) vendorOf(r *http.Request, v *visit) (*directory.Vendor, error) {
	have := find(v.Snapshot.Directory().Vendors, vendorNamed(r.PathValue("name")))
	if have == nil {
		return nil, ui.NotFound()
	}
	return have, nil
}

func (c *Console) endVendor(w http.ResponseWriter, r *http.Request, v *visit) error {
	have, err := c.vendorOf(r, v)
	if err != nil {
		return err
	}
	n, err := c.Auth.EndVendor(r.Context(), v.AuthActor(), have.Name)
	if err != nil {
		return authError(err, "ending a vendor's sessions")
	}
	return c.seeOther(w, r, v, vendorURL(have.Name), ui.Count(n, "{1} session ended.", "{1} sessions ended."))
}
