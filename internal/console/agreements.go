package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
)

// agreementsPage is the data of the page "agreements".
type agreementsPage struct {
	Base
	Action   string
	Headed   string
	Due      *dueAgreement // nil: nothing waits for the visitor
	Number   int           // of Due among all that wait, from 1
	Count    int
	Accepted []acceptedAgreement
	Next     ui.Link // where to go when nothing waits
}

type dueAgreement struct {
	Name, Title, Text string
	Version, Before   int // Before: the version accepted earlier, 0: none
	TypedName         ui.Field
	Fault             ui.Text // of the box
}

type acceptedAgreement struct {
	Name, Title string
	Version     int
	At          time.Time
}

// outstanding returns what the account has to accept now.
func outstanding(s *directory.Snapshot, account string, now time.Time) []directory.AgreementState {
	var due []directory.AgreementState
	for _, a := range s.DemandedAt(account, now) {
		if a.Outstanding() {
			due = append(due, a)
		}
	}
	return due
}

func (c *Console) agreementsForm(v *visit, back returning) *agreementsPage {
	p := &agreementsPage{Base: v.Titled("Agreements"), Action: back.to("/agreements"), Headed: back.host(c)}
	due := outstanding(v.Snapshot, v.Session.Account, v.Now)
	for _, a := range v.Snapshot.Demanded(v.Session.Account) {
		if a.AcceptedVersion > 0 {
			p.Accepted = append(p.Accepted, acceptedAgreement{Name: a.Agreement.Name, Title: a.Agreement.Title, Version: a.AcceptedVersion, At: a.AcceptedAt})
		}
	}
	if len(due) == 0 {
		p.Next = ui.Link{Label: "To my clusters", URL: "/"}
		if back.id != "" {
			p.Next = ui.Link{Label: "Go on", URL: back.to("/login")}
		}
		return p
	}
	p.Narrow, p.Nav = true, nil
	p.Count, p.Number = len(due), 1
	first := due[0]
	p.Due = &dueAgreement{Name: first.Agreement.Name, Title: first.Agreement.Title, Text: first.Agreement.Text,
		Version: first.Agreement.Version, Before: first.AcceptedVersion,
		TypedName: ui.Field{Name: "name", Label: "Type your full name", Autocomplete: "name", Required: true, MaxLength: 200}}
	if v.Session.Name != "" {
		p.Due.TypedName.Hint = ui.Say("As it stands in your account: {1}", v.Session.Name)
	}
	back.aim(c, &p.Base)
	return p
}

func (c *Console) showAgreements(w http.ResponseWriter, r *http.Request, v *visit) error {
	c.UI.Page(w, r, http.StatusOK, "agreements", c.agreementsForm(v, c.returning(r)))
	return nil
}

func (c *Console) acceptAgreement(w http.ResponseWriter, r *http.Request, v *visit) error {
	back := c.returning(r)
	page := c.agreementsForm(v, back)
	if page.Due == nil {
		return c.proceed(w, r, v, v.Session, back)
	}
	form := r.PostForm
	typed := strings.TrimSpace(form.Get("name"))
	switch {
	case form.Get("agreement") != page.Due.Name || form.Get("version") != itoa(page.Due.Version):
		// The text changed while it was read: nobody accepts what was not shown.
		page.Flash = &ui.Flash{Kind: ui.Warn, Text: "The agreement has changed in the meantime. Please read this version."}
	case form.Get("accept") == "":
		page.Due.Fault = "Tick the box to accept. Without it you cannot open the clusters that demand this agreement."
	case typed == "":
		page.Due.TypedName.Error = "Type your name, as you would sign."
	case !sameName(typed, v.Session.Name):
		page.Due.TypedName.Error = "That is not the name of your account. If the account's name is wrong, ask your administrator to correct it."
	default:
		err := c.Directory.Accept(r.Context(), v.Actor(), directory.Acceptance{Account: v.Session.Account, Agreement: page.Due.Name,
			Version: page.Due.Version, At: v.Now, IP: addrWords(v.Origin.IP), TypedName: typed, Hash: directory.TextHash(page.Due.Text)})
		if errors.Is(err, directory.ErrNotAllowed) {
			return &ui.Error{Status: http.StatusForbidden, Code: "not_allowed", Title: "Your account is not in force", Err: fmt.Errorf("accepting an agreement: %w", err),
				Detail: "Nothing was accepted, because your account was disabled or has ended in the meantime. Ask your administrator."}
		}
		if err != nil {
			return authError(err, "accepting an agreement")
		}
		v.Snapshot = c.Directory.Snapshot()
		return c.proceed(w, r, v, v.Session, back)
	}
	page.Due.TypedName.Value = typed
	c.UI.Page(w, r, http.StatusUnprocessableEntity, "agreements", page)
	return nil
}

// agreementPage is the data of the page "agreement": one text to read.
type agreementPage struct {
	Base
	Agreement directory.Agreement
	Accepted  acceptedAgreement // zero: not accepted
}

// showAgreement shows a text that is demanded from the visitor.
func (c *Console) showAgreement(w http.ResponseWriter, r *http.Request, v *visit) error {
	for _, a := range v.Snapshot.Demanded(v.Session.Account) {
		if a.Agreement.Name == r.PathValue("name") {
			page := agreementPage{Base: v.Titled(ui.Verbatim(a.Agreement.Title)), Agreement: *a.Agreement}
			if a.AcceptedVersion > 0 {
				page.Accepted = acceptedAgreement{Version: a.AcceptedVersion, At: a.AcceptedAt}
			}
			c.UI.Page(w, r, http.StatusOK, "agreement", page)
			return nil
		}
	}
	return ui.NotFound()
}

// sameName compares a typed name with that of the account as a person would:
// case, spaces and the way that accents are encoded do not matter.
func sameName(typed, name string) bool {
	fold := func(s string) string {
		return strings.ToLower(strings.Join(strings.Fields(norm.NFKC.String(s)), " "))
	}
	return name == "" || fold(typed) == fold(name)
}

// addrWords writes an address, nothing for an unknown one.
func addrWords(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().String()
}
