package console

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// vendorsPage lists vendors.
type vendorsPage struct {
	Base
	Rows      []vendorRow
	Empty     ui.Empty
	MayChange bool
}

type vendorRow struct {
	URL, Name, Title   string
	Owner              policy.Person
	State              ui.Badge
	People, Engagement int
}

func vendorState(v *directory.Vendor) ui.Badge {
	if v.Suspended {
		return ui.Badge{Kind: ui.Bad, Text: policy.StatusSuspended}
	}
	return ui.Badge{Kind: ui.Good, Text: policy.StatusActive}
}

func vendorURL(name string) string { return "/console/vendors/" + url.PathEscape(name) }

func (c *Console) vendors(w http.ResponseWriter, r *http.Request, v *visit) error {
	d := v.Snapshot.Directory()
	page := vendorsPage{Base: v.page("Vendors"), MayChange: v.mayChange()}
	people, engagements := map[string]int{}, map[string]int{}
	for _, a := range d.Accounts {
		people[a.Vendor]++
	}
	for _, e := range d.Engagements {
		if !e.Closed && inForce(e.Starts, e.Ends, v.Now) {
			engagements[e.Vendor]++
		}
	}
	for _, have := range d.Vendors {
		page.Rows = append(page.Rows, vendorRow{URL: vendorURL(have.Name), Name: have.Name, Title: cmp.Or(have.Title, have.Name), Owner: have.Owner,
			State: vendorState(&have), People: people[have.Name], Engagement: engagements[have.Name]})
	}
	slices.SortFunc(page.Rows, byTitle(func(row *vendorRow) string { return row.Title }))
	if len(page.Rows) == 0 {
		page.Empty = v.nothingYet("No vendors yet", "A vendor is a company whose people work on your clusters. Each has one owner inside your organisation.",
			"Add the first vendor", "/console/vendors/new")
	}
	return c.show(w, r, http.StatusOK, "vendors", page)
}

// vendorPage shows one vendor with its engagements and people.
type vendorPage struct {
	Base
	Name, Label string
	Owner       policy.Person
	State       ui.Badge
	Reason      string // why it is suspended
	Engagements []engagementRow
	People      []personRow
	PeopleURL   string
	PeopleText  ui.Text
	Acts        []act
	MayChange   bool
	InviteURL   string
	EngageURL   string
	Provider    *providerView // nil: none is set up
	ProviderURL string        // where one is set up, empty when that may not be
	Sessions    sessionTable  // those used last
	SessionsURL string        // all of them; empty when they may not be seen
	SessionText ui.Text
	EndSessions string // the page that asks whether to end them
}

func (c *Console) vendor(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.showVendor(w, r, v, nil)
}

// showVendor shows a vendor, and how a try of its provider went when there was one.
func (c *Console) showVendor(w http.ResponseWriter, r *http.Request, v *visit, trial *trialView) error {
	d := v.Snapshot.Directory()
	have := find(d.Vendors, vendorNamed(r.PathValue("name")))
	if have == nil {
		return ui.NotFound()
	}
	page := vendorPage{
		Base: v.page(ui.Verbatim(cmp.Or(have.Title, have.Name))), Name: have.Name, Label: cmp.Or(have.Title, have.Name), Owner: have.Owner,
		State: vendorState(have), Reason: have.SuspendedReason, MayChange: v.mayChange(), PeopleURL: "/console/people?vendor=" + url.QueryEscape(have.Name),
	}
	if page.Provider = c.providerView(v, have); page.Provider != nil {
		page.Provider.Trial = trial
	}
	for _, e := range d.Engagements {
		if e.Vendor == have.Name {
			page.Engagements = append(page.Engagements, newEngagementRow(d, &e, v))
		}
	}
	page.Engagements = sortEngagements(page.Engagements)
	var people []directory.Account
	for _, a := range d.Accounts {
		if a.Vendor == have.Name {
			people = append(people, a)
		}
	}
	slices.SortFunc(people, byName)
	if err := c.vendorSessions(r, v, &page); err != nil {
		return err
	}
	page.PeopleText = ui.Count(len(people), "{1} account of this vendor", "{1} accounts of this vendor")
	for _, a := range people[:min(len(people), rowsAPage)] {
		row, err := c.newPersonRow(r.Context(), d, &a, v.Now)
		if err != nil {
			return err
		}
		page.People = append(page.People, row)
	}
	if page.MayChange {
		at := vendorURL(have.Name)
		page.InviteURL = "/console/people/invite?vendor=" + url.QueryEscape(have.Name)
		page.EngageURL = "/console/engagements/new?vendor=" + url.QueryEscape(have.Name)
		page.ProviderURL = providerURL(have.Name)
		page.Acts = []act{{Label: "Edit", URL: at + "/edit"}}
		if have.Suspended {
			page.Acts = append(page.Acts, act{Label: "Resume", URL: at + "/resume"})
		} else {
			page.Acts = append(page.Acts, act{Label: "Suspend", URL: at + "/suspend", Danger: true})
		}
	}
	return c.show(w, r, http.StatusOK, "vendor", page)
}

// vendorFields are the form's fields for those of a vendor.
var vendorFields = fieldMap(map[string]string{"name": "name", "title": "title", "owner.name": "owner_name", "owner.email": "owner_email", "owner": "owner_email", "suspended_reason": "reason"})

func vendorForm(have *directory.Vendor) *form {
	return newForm(url.Values{"title": {have.Title}, "owner_name": {have.Owner.Name}, "owner_email": {have.Owner.Email}, "seen": {fingerprint(have)}})
}

// vendorGroups are the controls of a vendor's form; the name can be chosen
// only when the vendor is new.
func vendorGroups(f *form, isNew bool) []group {
	what := controls(with(f.text("title", "Title"), func(u *ui.Field) {
		u.Required, u.MaxLength, u.Hint = true, 120, "The company as people call it."
	}))
	if isNew {
		what = append(what, controls(nameField(f, "acme-analytics"))...)
	}
	return []group{{Title: "The company", Controls: what}, ownerGroup(f, "Who is accountable for the vendor inside your organisation. Contractors are told whom to ask.")}
}

// nameField is the field for the name of a new object.
func nameField(f *form, example string) ui.Field {
	return with(f.text("name", "Name"), func(u *ui.Field) {
		u.Required, u.MaxLength, u.Mono, u.Placeholder = true, 63, true, ui.Verbatim(example)
		u.Hint = "How policies, addresses and the access log name it. It cannot be changed later."
	})
}

// ownerGroup are the fields for who is accountable inside the organisation.
func ownerGroup(f *form, hint ui.Text) group {
	return group{Title: "Owner", Hint: hint, Controls: controls(
		with(f.text("owner_name", "Name of the owner"), func(u *ui.Field) { u.Required, u.MaxLength = true, 120 }),
		with(f.text("owner_email", "E-mail of the owner"), func(u *ui.Field) { u.Required, u.MaxLength, u.Type = true, 254, "email" }),
	)}
}

func ownerFrom(f *form) policy.Person {
	return policy.Person{Name: f.line("owner_name", "the owner's name", 120, true), Email: f.address("owner_email")}
}

func (c *Console) newVendorForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.showNewVendor(w, r, v, newForm(nil))
}

func (c *Console) showNewVendor(w http.ResponseWriter, r *http.Request, v *visit, f *form) error {
	return c.showEdit(w, r, f, editPage{Base: v.page("Add a vendor"), Lede: "After this, give the vendor an engagement, then invite its people.",
		Groups: vendorGroups(f, true), Submit: "Add vendor", URL: "/console/vendors/new", Back: "/console/vendors"})
}

func (c *Console) newVendor(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := posted(r)
	want := directory.Vendor{Name: f.slug("name"), Title: f.line("title", "a title", 120, true), Owner: ownerFrom(f)}
	return c.save(w, r, v, f, saving{
		object: "vendor " + want.Name, field: vendorFields,
		change: func(d *directory.Directory) error { return add(&d.Vendors, vendorNamed(want.Name), want) },
		again:  func() error { return c.showNewVendor(w, r, v, f) },
		to:     vendorURL(want.Name), said: ui.Say("{1} is added.", want.Title),
	})
}

func (c *Console) editVendorForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	have := find(v.Snapshot.Directory().Vendors, vendorNamed(r.PathValue("name")))
	if have == nil {
		return ui.NotFound()
	}
	return c.showEditVendor(w, r, v, have, vendorForm(have))
}

func (c *Console) showEditVendor(w http.ResponseWriter, r *http.Request, v *visit, have *directory.Vendor, f *form) error {
	return c.showEdit(w, r, f, editPage{Base: v.page(ui.Say("Edit {1}", cmp.Or(have.Title, have.Name))), About: ui.Link{Label: ui.Verbatim(have.Name), URL: vendorURL(have.Name)},
		Groups: vendorGroups(f, false), Seen: f.Value("seen"), Submit: "Save", URL: vendorURL(have.Name) + "/edit", Back: vendorURL(have.Name)})
}

func (c *Console) editVendor(w http.ResponseWriter, r *http.Request, v *visit) error {
	have := find(v.Snapshot.Directory().Vendors, vendorNamed(r.PathValue("name")))
	if have == nil {
		return ui.NotFound()
	}
	f := posted(r)
	want := *have
	want.Title, want.Owner = f.line("title", "a title", 120, true), ownerFrom(f)
	return c.save(w, r, v, f, saving{
		object: "vendor " + have.Name, field: vendorFields,
		change: func(d *directory.Directory) error {
			return replace(find(d.Vendors, vendorNamed(have.Name)), f.Value("seen"), want)
		},
		again: func() error { return c.showEditVendor(w, r, v, have, f) },
		to:    vendorURL(have.Name), said: ui.Say("{1} is saved.", want.Title),
	})
}
