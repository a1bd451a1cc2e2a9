package console

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
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
	Version, Before   int    // Before: the version accepted earlier, 0: none
	Hash              string // of Text: what is accepted is what was shown
	TypedName         ui.Field
	Fault             ui.Text // of the box
}

type acceptedAgreement struct {
	Name, Title string
	Version     int
	At          time.Time
	Newer       int // the version in force, where that is a newer one
}

// URL is the page of the text that was accepted.
func (a acceptedAgreement) URL() string {
	return "/agreements/" + url.PathEscape(a.Name) + "/" + itoa(a.Version)
}

// Statement is where the signed statement of the acceptance is downloaded.
func (a acceptedAgreement) Statement() string { return a.URL() + "/statement.txt" }

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

// agreementsForm makes the page for the agreement that is due: the one called
// name where that is due, else the first.
func (c *Console) agreementsForm(v *visit, back returning, name string) *agreementsPage {
	p := &agreementsPage{Base: v.page("Agreements"), Action: back.to("/agreements"), Headed: back.host(c)}
	due := outstanding(v.Snapshot, v.Session.Account, v.Now)
	p.Accepted = acceptedBy(v)
	if len(due) == 0 {
		p.Next = ui.Link{Label: "To my clusters", URL: "/"}
		if back.id != "" {
			p.Next = ui.Link{Label: "Go on", URL: back.to("/login")}
		}
		return p
	}
	p.Narrow, p.Nav = true, nil
	p.Count, p.Number = len(due), 1
	shown := due[0]
	for i, a := range due {
		if a.Agreement.Name == name {
			shown, p.Number = a, i+1
		}
	}
	p.Due = &dueAgreement{Name: shown.Agreement.Name, Title: shown.Agreement.Title, Text: shown.Agreement.Text, Hash: directory.TextHash(shown.Agreement.Text),
		Version: shown.Agreement.Version, Before: shown.AcceptedVersion,
		TypedName: ui.Field{Name: "name", Label: "Type your full name", Autocomplete: "name", Required: true, MaxLength: 200}}
	if v.Session.Name != "" {
		p.Due.TypedName.Hint = ui.Say("As it stands in your account: {1}", v.Session.Name)
	}
	back.aim(c, &p.Base)
	return p
}

// acceptedBy lists everything that the visitor ever accepted, the newest first.
func acceptedBy(v *visit) []acceptedAgreement {
	var all []acceptedAgreement
	for _, a := range v.Snapshot.AcceptancesOf(v.Session.Account) {
		row := acceptedAgreement{Name: a.Agreement, Title: a.Agreement, Version: a.Version, At: a.At}
		if g, ok := v.Snapshot.Agreement(a.Agreement); ok {
			row.Title = g.Title
			if g.Version > a.Version {
				row.Newer = g.Version
			}
		}
		all = append(all, row)
	}
	slices.SortStableFunc(all, func(a, b acceptedAgreement) int { return b.At.Compare(a.At) })
	return all
}

// showAgreements asks for a fresh code before it shows what is due, so that
// nobody reads a long text only to be sent away at its end.
func (c *Console) showAgreements(w http.ResponseWriter, r *http.Request, v *visit) error {
	back := c.returning(r)
	page := c.agreementsForm(v, back, "")
	if page.Due != nil {
		if err := v.fresh(page.Action); err != nil {
			return err
		}
	}
	c.UI.Page(w, r, http.StatusOK, "agreements", page)
	return nil
}

func (c *Console) acceptAgreement(w http.ResponseWriter, r *http.Request, v *visit) error {
	back, form := c.returning(r), r.PostForm
	page := c.agreementsForm(v, back, form.Get("agreement"))
	if page.Due == nil {
		return c.proceed(w, r, v, v.Session, back)
	}
	if err := v.fresh(page.Action); err != nil {
		return err
	}
	typed := strings.TrimSpace(form.Get("name"))
	switch {
	case form.Get("agreement") != page.Due.Name || form.Get("version") != itoa(page.Due.Version) || form.Get("hash") != page.Due.Hash:
		// The text changed while it was read: nobody accepts what was not shown.
		return c.showChanged(w, r, page, typed)
	case form.Get("accept") == "":
		page.Due.Fault = "Tick the box to accept. Without it you cannot open the clusters that demand this agreement."
	case typed == "":
		page.Due.TypedName.Error = "Type your name, as you would sign."
	case !directory.SameName(typed, v.Session.Name):
		page.Due.TypedName.Error = "That is not the name of your account. If the account's name is wrong, ask your administrator to correct it."
	default:
		err := c.Directory.Accept(r.Context(), v.Actor(), evidence(v, page.Due, typed))
		switch {
		case err == nil:
			v.Snapshot = c.Directory.Snapshot()
			return c.proceed(w, r, v, v.Session, back)
		case errors.Is(err, directory.ErrNotInForce):
			v.Snapshot = c.Directory.Snapshot()
			if page = c.agreementsForm(v, back, page.Due.Name); page.Due == nil {
				return c.proceed(w, r, v, v.Session, back)
			}
			return c.showChanged(w, r, page, typed)
		case errors.Is(err, directory.ErrTypedName):
			page.Due.TypedName.Error = "This name cannot be taken. Type your full name, as it stands in your account, in at most 200 letters."
		case errors.Is(err, directory.ErrNotAllowed):
			return &ui.Error{Status: http.StatusForbidden, Code: "not_allowed", Title: "Your account is not in force", Err: fmt.Errorf("accepting an agreement: %w", err),
				Detail: "Nothing was accepted, because your account was disabled or has ended in the meantime. Ask your administrator."}
		default:
			return authError(err, "accepting an agreement")
		}
	}
	page.Due.TypedName.Value = typed
	c.UI.Page(w, r, http.StatusUnprocessableEntity, "agreements", page)
	return nil
}

// showChanged shows the text that is in force in place of the one that was
// read, and says so. Nothing was accepted.
func (c *Console) showChanged(w http.ResponseWriter, r *http.Request, page *agreementsPage, typed string) error {
	page.Flash = &ui.Flash{Kind: ui.Warn, Text: "The agreement has changed while you were reading, so nothing was accepted. Please read this version."}
	page.Due.TypedName.Value = typed
	c.UI.Page(w, r, http.StatusConflict, "agreements", page)
	return nil
}

// evidence is what is kept of the visitor's acceptance.
func evidence(v *visit, due *dueAgreement, typed string) directory.Evidence {
	e := directory.Evidence{UserAgent: v.Origin.UserAgent, Session: v.Session.ID,
		Acceptance: directory.Acceptance{Account: v.Session.Account, Agreement: due.Name, Version: due.Version, At: v.Now,
			IP: addrWords(v.Origin.IP), TypedName: typed, Hash: due.Hash}}
	for name, age := range v.Session.Subject(v.Now).Factors {
		at := v.Now.Add(-time.Duration(age) * time.Second)
		if name != policy.FactorPassword && at.After(e.CodeAt) {
			e.Factor, e.CodeAt = name, at
		}
	}
	return e
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
				page.Accepted = acceptedAgreement{Name: a.Agreement.Name, Version: a.AcceptedVersion, At: a.AcceptedAt}
			}
			c.UI.Page(w, r, http.StatusOK, "agreement", page)
			return nil
		}
	}
	return ui.NotFound()
}

// ownAcceptance finds what the visitor accepted under the request's name and version.
func ownAcceptance(r *http.Request, v *visit) (directory.Acceptance, error) {
	for _, a := range v.Snapshot.AcceptancesOf(v.Session.Account) {
		if a.Agreement == r.PathValue("name") && itoa(a.Version) == r.PathValue("version") {
			return a, nil
		}
	}
	return directory.Acceptance{}, ui.NotFound()
}

// showAccepted shows a text that the visitor accepted, as it was then.
func (c *Console) showAccepted(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, err := ownAcceptance(r, v)
	if err != nil {
		return err
	}
	versions, err := c.Agreements.Versions(r.Context(), a.Agreement)
	if err != nil {
		return fmt.Errorf("reading an agreement: %w", err)
	}
	for _, text := range versions {
		if text.Version == a.Version {
			page := agreementPage{Agreement: directory.Agreement{Name: text.Agreement, Title: cmp.Or(text.Title, text.Agreement), Version: text.Version, Text: text.Text},
				Accepted: acceptedAgreement{Name: a.Agreement, Version: a.Version, At: a.At}}
			page.Base = v.Titled(ui.Verbatim(page.Agreement.Title))
			c.UI.Page(w, r, http.StatusOK, "agreement", page)
			return nil
		}
	}
	return ui.NotFound()
}

// ownStatement gives the visitor the signed statement of what they accepted.
func (c *Console) ownStatement(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, err := ownAcceptance(r, v)
	if err != nil {
		return err
	}
	return c.sendStatement(w, r, v, Stated{Agreement: a.Agreement, Account: a.Account, Version: a.Version})
}

// addrWords writes an address, nothing for an unknown one.
func addrWords(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().String()
}

// beyondAgreements returns where b leads in the end, when it leads to the page
// of agreements itself: somebody who gave a fresh code for that page is still
// headed where they were before.
func (c *Console) beyondAgreements(r *http.Request, b returning) returning {
	if b.id == "" || b.target.Host != c.gateHost {
		return b
	}
	u, err := url.Parse(b.target.URI)
	if err != nil || u.Path != "/agreements" {
		return b
	}
	probe := r.Clone(r.Context())
	probe.URL = u
	return c.returning(probe)
}
