package console

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
)

// agreementsListPage lists agreements for administrators.
type agreementsListPage struct {
	Base
	Rows      []agreementRow
	Empty     ui.Empty
	MayChange bool
}

type agreementRow struct {
	URL, Name, Title      string
	Version               int
	Demanded              []ui.Link // engagements
	Accepted, Outstanding int
}

func agreementURL(name string) string { return "/console/agreements/" + url.PathEscape(name) }

func agreementNamed(name string) func(*directory.Agreement) bool {
	return func(a *directory.Agreement) bool { return a.Name == name }
}

// demandedBy links the engagements that demand an agreement.
func demandedBy(d *directory.Directory, name string) []ui.Link {
	var out []ui.Link
	for _, e := range d.Engagements {
		if slices.Contains(e.Agreements, name) {
			out = append(out, ui.Link{Label: ui.Verbatim(cmp.Or(e.Title, e.Name)), URL: engagementURL(e.Name)})
		}
	}
	slices.SortFunc(out, byTitle(func(l *ui.Link) string { return l.Label.String() }))
	return out
}

func (c *Console) agreementsList(w http.ResponseWriter, r *http.Request, v *visit) error {
	d := v.Snapshot.Directory()
	page := agreementsListPage{Base: v.page("Agreements"), MayChange: v.mayChange()}
	tallies := v.Snapshot.AgreementTallies(v.Now)
	for _, a := range d.Agreements {
		page.Rows = append(page.Rows, agreementRow{URL: agreementURL(a.Name), Name: a.Name, Title: cmp.Or(a.Title, a.Name), Version: a.Version,
			Demanded: demandedBy(d, a.Name), Accepted: tallies[a.Name].Accepted, Outstanding: tallies[a.Name].Outstanding})
	}
	slices.SortFunc(page.Rows, byTitle(func(row *agreementRow) string { return row.Title }))
	if len(page.Rows) == 0 {
		page.Empty = v.nothingYet("No agreements yet", "An agreement is a text, such as a non-disclosure agreement, that people accept by typing their name before they reach the clusters of an engagement that demands it.",
			"Write the first agreement", "/console/agreements/new")
	}
	return c.show(w, r, http.StatusOK, "console-agreements", page)
}

// agreementRecordPage shows one agreement: its text, its versions and who accepted them.
type agreementRecordPage struct {
	Base
	Name, Label, Text, Hash string
	Version                 int
	Removed                 bool // no longer in the directory
	Demanded                []ui.Link
	Accepted, Outstanding   int
	Missing                 []ui.Link // people who are still to accept, at most some
	MissingMore             int
	Versions                []versionRow
	Acceptances             []acceptanceRow
	Pager                   ui.Pager
	StatementURL            string // of all acceptances; empty when there are none
	Acts                    []act
	Faults                  []ui.Text
}

type versionRow struct {
	URL      string
	Version  int
	Created  time.Time
	Author   ui.Text
	Accepted int
	InForce  bool
}

type acceptanceRow struct {
	Name, Email, TypedName, IP, Statement string
	PersonURL, VersionURL                 string
	Version                               int
	At                                    time.Time
}

// missingShown is how many people who are still to accept a page names.
const missingShown = 12

func (c *Console) agreementRecord(w http.ResponseWriter, r *http.Request, v *visit) error {
	name := r.PathValue("name")
	f := newForm(r.URL.Query())
	f.known("page")
	number := f.pageNumber("page")
	versions, err := c.Agreements.Versions(r.Context(), name)
	if err != nil {
		return fmt.Errorf("reading an agreement: %w", err)
	}
	if len(versions) == 0 {
		return ui.NotFound()
	}
	d := v.Snapshot.Directory()
	page := agreementRecordPage{Name: name, Label: cmp.Or(versions[0].Title, name), Text: versions[0].Text, Version: versions[0].Version, Hash: versions[0].Hash, Removed: true,
		Demanded: demandedBy(d, name), Faults: f.all()}
	if a := find(d.Agreements, agreementNamed(name)); a != nil {
		page.Removed, page.Label, page.Text, page.Version, page.Hash = false, cmp.Or(a.Title, name), a.Text, a.Version, directory.TextHash(a.Text)
	}
	page.Base = v.page(ui.Verbatim(page.Label))
	tally := v.Snapshot.AgreementTallies(v.Now)[name]
	page.Accepted, page.Outstanding = tally.Accepted, tally.Outstanding
	page.missing(v)
	kept, err := c.Agreements.Acceptances(r.Context(), name, "")
	if err != nil {
		return fmt.Errorf("reading acceptances: %w", err)
	}
	page.fill(v, versions, kept, number)
	if v.mayChange() && !page.Removed {
		page.Acts = []act{{Label: "Edit", URL: agreementURL(name) + "/edit"}, {Label: "Remove", URL: agreementURL(name) + "/remove", Danger: true}}
	}
	return c.show(w, r, f.status(), "console-agreement", page)
}

// missing names people of whom the agreement is demanded and who have not accepted it.
func (p *agreementRecordPage) missing(v *visit) {
	accounts := slices.Clone(v.Snapshot.Directory().Accounts)
	slices.SortFunc(accounts, byName)
	for i := range accounts {
		a := &accounts[i]
		if !a.InForce(v.Now) || !slices.ContainsFunc(outstanding(v.Snapshot, a.ID, v.Now), func(s directory.AgreementState) bool { return s.Agreement.Name == p.Name }) {
			continue
		}
		if len(p.Missing) == missingShown {
			p.MissingMore++
			continue
		}
		p.Missing = append(p.Missing, ui.Link{Label: ui.Verbatim(cmp.Or(a.Name, a.Email)), URL: personURL(a.ID)})
	}
}

// fill adds the versions, and one page of the acceptances.
func (p *agreementRecordPage) fill(v *visit, versions []directory.AgreementVersion, kept []directory.Evidence, number int) {
	accepted := map[int]int{}
	rows := make([]acceptanceRow, 0, len(kept))
	for _, k := range kept {
		accepted[k.Version]++
		row := acceptanceRow{Name: cmp.Or(k.Name, k.TypedName), Email: k.Email, TypedName: k.TypedName, IP: k.IP, Version: k.Version, At: k.At,
			VersionURL: versionURL(p.Name, k.Version), Statement: agreementURL(p.Name) + "/statement.txt?" + url.Values{"account": {k.Account}, "version": {itoa(k.Version)}}.Encode()}
		if _, ok := v.Snapshot.Account(k.Account); ok {
			row.PersonURL = personURL(k.Account)
		}
		rows = append(rows, row)
	}
	for _, x := range versions {
		p.Versions = append(p.Versions, versionRow{URL: versionURL(p.Name, x.Version), Version: x.Version, Created: x.Created,
			Author: authorWords(v, x.Author), Accepted: accepted[x.Version], InForce: !p.Removed && x.Version == p.Version})
	}
	if len(rows) > 0 {
		p.StatementURL = agreementURL(p.Name) + "/statement.txt"
	}
	p.Acceptances, p.Pager = paged(rows, number, agreementURL(p.Name), nil, "acceptance")
}

func versionURL(name string, version int) string {
	return agreementURL(name) + "/versions/" + itoa(version)
}

// authorWords names who wrote a version.
func authorWords(v *visit, id string) ui.Text {
	if id == directory.Operator {
		return "the operator"
	}
	if a, ok := v.Snapshot.Account(id); ok {
		return ui.Verbatim(cmp.Or(a.Name, a.Email))
	}
	return ui.Verbatim(id)
}

// agreementVersionPage shows one version, with how it differs from the one before.
type agreementVersionPage struct {
	Base
	Name, Label, Text, Hash string
	Author                  ui.Text
	Version, Before         int // Before: the version that Changes compares with, 0: none
	Created                 time.Time
	InForce                 bool
	Changes                 []changeLine
}

func (c *Console) agreementVersion(w http.ResponseWriter, r *http.Request, v *visit) error {
	versions, err := c.Agreements.Versions(r.Context(), r.PathValue("name"))
	if err != nil {
		return fmt.Errorf("reading an agreement: %w", err)
	}
	at := slices.IndexFunc(versions, func(x directory.AgreementVersion) bool { return itoa(x.Version) == r.PathValue("version") })
	if at < 0 {
		return ui.NotFound()
	}
	x := versions[at]
	page := agreementVersionPage{Name: x.Agreement, Label: cmp.Or(x.Title, x.Agreement), Text: x.Text, Hash: x.Hash, Author: authorWords(v, x.Author), Version: x.Version, Created: x.Created}
	page.Base = v.page(ui.Say("{1}, version {2}", page.Label, x.Version))
	if a, ok := v.Snapshot.Agreement(x.Agreement); ok {
		page.InForce = a.Version == x.Version
	}
	if at+1 < len(versions) {
		page.Before, page.Changes = versions[at+1].Version, changesBetween(versions[at+1].Text, x.Text)
	}
	return c.show(w, r, http.StatusOK, "console-agreement-version", page)
}

// agreementStatement gives out the signed statement of an agreement's
// acceptances: all of them, or those of one account or version.
func (c *Console) agreementStatement(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := newForm(r.URL.Query())
	f.known("account", "version")
	about := Stated{Agreement: r.PathValue("name"), Account: f.Value("account")}
	if s := f.Value("version"); s != "" {
		if _, err := fmt.Sscan(s, &about.Version); err != nil || about.Version < 1 || itoa(about.Version) != s {
			f.note("There is no version “{1}”.", clip(s, 20))
		}
	}
	if err := f.asError(); err != nil {
		return err
	}
	return c.sendStatement(w, r, v, about)
}
