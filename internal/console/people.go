package console

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// rowsAPage is how many rows a list shows at once.
const rowsAPage = 50

// peoplePage lists accounts.
type peoplePage struct {
	Base
	Search    []ui.Field
	Faults    []ui.Text
	Rows      []personRow
	Pager     ui.Pager
	Empty     ui.Empty
	MayChange bool
}

type personRow struct {
	URL, Name, Email string
	Vendor           ui.Link
	Roles            ui.Text
	Standing         ui.Badge
	Ends             ui.Text
	Clusters         int
	LastLogin        ui.Text
}

// Words for how an account stands, which people may be listed by.
const (
	standingEnded     = "ended"
	standingSuspended = "vendor suspended"
)

var standings = []string{policy.StatusActive, policy.StatusInvited, policy.StatusDisabled, standingEnded, standingSuspended}

// standing says in a word whether an account can be used at now, and if not, why.
func standing(d *directory.Directory, a *directory.Account, now time.Time) ui.Badge {
	switch v := find(d.Vendors, vendorNamed(a.Vendor)); {
	case a.Disabled || a.Status == policy.StatusDisabled:
		return ui.Badge{Kind: ui.Bad, Text: policy.StatusDisabled}
	case v != nil && v.Suspended:
		return ui.Badge{Kind: ui.Bad, Text: standingSuspended}
	case !a.Ends.IsZero() && !now.Before(a.Ends):
		return ui.Badge{Kind: ui.Neutral, Text: standingEnded}
	case a.Status == policy.StatusInvited:
		return ui.Badge{Kind: ui.Warn, Text: policy.StatusInvited}
	default:
		return ui.Badge{Kind: ui.Good, Text: policy.StatusActive}
	}
}

// people shows the list of accounts, filtered and in pages.
func (c *Console) people(w http.ResponseWriter, r *http.Request, v *visit) error {
	d := v.Snapshot.Directory()
	q := r.URL.Query()
	f := newForm(q)
	f.known("text", "vendor", "role", "status", "page")
	text := strings.ToLower(f.line("text", "a text", 200, false))
	vendor := f.oneOf("vendor", "a vendor", append(names(d.Vendors, vendorName), "", ownPeople))
	role := f.oneOf("role", "a role", append(everyRole(), ""))
	status := f.oneOf("status", "a status", append([]string{""}, standings...))
	number := f.pageNumber("page")

	page := peoplePage{Base: v.page("People"), MayChange: v.mayChange(), Faults: f.all()}
	page.Search = []ui.Field{
		f.search("text", "Name or e-mail"),
		f.choice("vendor", "Vendor", "All vendors", vendorOptions(d, ui.Option{Value: ownPeople, Label: "Your own people"})),
		f.choice("role", "Role", "All roles", options(everyRole())),
		f.choice("status", "Status", "Any status", options(standings)),
	}
	if f.OK() {
		var found []directory.Account
		for _, a := range slices.SortedFunc(slices.Values(d.Accounts), byName) {
			if text != "" && !strings.Contains(strings.ToLower(a.Name+" "+a.Email), text) ||
				vendor == ownPeople && a.Vendor != "" || vendor != "" && vendor != ownPeople && a.Vendor != vendor ||
				role != "" && !slices.Contains(a.Roles, policy.Role(role)) ||
				status != "" && standing(d, &a, v.Now).Text.String() != status {
				continue
			}
			found = append(found, a)
		}
		found, page.Pager = paged(found, number, "/console/people", q, "account")
		for _, a := range found {
			row, err := c.newPersonRow(r.Context(), d, &a, v.Now)
			if err != nil {
				return err
			}
			page.Rows = append(page.Rows, row)
		}
	}
	if len(page.Rows) == 0 && f.OK() {
		page.Empty = ui.Empty{Title: "Nobody matches", Text: "No account fits what you searched for.", ActionURL: "/console/people", Action: "Show everybody"}
	}
	return c.show(w, r, f.status(), "people", page)
}

// ownPeople stands for the customer's own people where a vendor is chosen.
const ownPeople = "-"

func byName(a, b directory.Account) int {
	return cmp.Or(strings.Compare(strings.ToLower(cmp.Or(a.Name, a.Email)), strings.ToLower(cmp.Or(b.Name, b.Email))), strings.Compare(a.Email, b.Email))
}

func (c *Console) newPersonRow(ctx context.Context, d *directory.Directory, a *directory.Account, now time.Time) (personRow, error) {
	sessions, err := c.Auth.SessionsOf(ctx, a.ID)
	if err != nil {
		return personRow{}, authError(err, "listing sessions")
	}
	row := personRow{
		URL: personURL(a.ID), Name: cmp.Or(a.Name, a.Email), Email: a.Email, Roles: rolesInWords(a.Roles),
		Standing: standing(d, a, now), Ends: lastDay(a.Ends), LastLogin: ago(now, lastLogin(a, sessions)),
		Vendor: vendorLink(d, a.Vendor),
	}
	for _, as := range d.Assignments {
		if as.Account == a.Email && inForce(as.Starts, as.Ends, now) {
			row.Clusters++
		}
	}
	return row, nil
}

func personURL(id string) string { return "/console/people/" + url.PathEscape(id) }

// vendorLink names a vendor by its title; empty for the customer's own people.
func vendorLink(d *directory.Directory, name string) ui.Link {
	if name == "" {
		return ui.Link{}
	}
	l := ui.Link{Label: ui.Verbatim(name), URL: "/console/vendors/" + url.PathEscape(name)}
	if v := find(d.Vendors, vendorNamed(name)); v != nil {
		l.Label = ui.Verbatim(cmp.Or(v.Title, v.Name))
	}
	return l
}

func rolesInWords(roles []policy.Role) ui.Text {
	var s []ui.Text
	for _, r := range policy.Roles { // always in the same order
		if slices.Contains(roles, r) {
			s = append(s, ui.Known(string(r)))
		}
	}
	return andTexts(s)
}

// inForce reports whether now lies between two dates; a zero date is no limit.
func inForce(starts, ends, now time.Time) bool {
	return (starts.IsZero() || !now.Before(starts)) && (ends.IsZero() || now.Before(ends))
}
