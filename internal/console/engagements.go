package console

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// endingSoon is how long before its end an engagement needs attention.
const endingSoon = 30 * 24 * time.Hour

// engagementsPage lists engagements.
type engagementsPage struct {
	Base
	Rows      []engagementRow
	Pager     ui.Pager
	Empty     ui.Empty
	MayChange bool
	Faults    []ui.Text
}

type engagementRow struct {
	URL, Name, Title string
	Vendor           ui.Link
	State            ui.Badge
	Starts, Ends     ui.Text
	Left             ui.Text
	Clusters, People int
	ends             time.Time
	over             bool
}

func engagementURL(name string) string { return "/console/engagements/" + url.PathEscape(name) }

// engagementState says how an engagement stands at now.
func engagementState(e *directory.Engagement, now time.Time) ui.Badge {
	switch {
	case e.Closed:
		return ui.Badge{Kind: ui.Neutral, Text: policy.StatusClosed}
	case !e.Ends.IsZero() && !now.Before(e.Ends):
		return ui.Badge{Kind: ui.Neutral, Text: "ended"}
	case now.Before(e.Starts):
		return ui.Badge{Kind: ui.Neutral, Text: "not started"}
	case !e.Ends.IsZero() && e.Ends.Sub(now) <= endingSoon:
		return ui.Badge{Kind: ui.Warn, Text: "ends soon"}
	default:
		return ui.Badge{Kind: ui.Good, Text: policy.StatusActive}
	}
}

func newEngagementRow(d *directory.Directory, e *directory.Engagement, v *visit) engagementRow {
	now := v.Now
	row := engagementRow{Name: e.Name, Title: cmp.Or(e.Title, e.Name), Vendor: vendorLink(d, e.Vendor),
		State: engagementState(e, now), Starts: day(e.Starts), Ends: lastDay(e.Ends), Clusters: len(e.Clusters), ends: e.Ends}
	if v.mayReview() {
		row.URL = engagementURL(e.Name)
	}
	row.over = e.Closed || !e.Ends.IsZero() && !now.Before(e.Ends)
	if !row.over && !now.Before(e.Starts) {
		row.Left = daysLeft(now, e.Ends)
	}
	people := map[string]bool{}
	for _, a := range d.Assignments {
		if a.Engagement == e.Name && inForce(a.Starts, a.Ends, now) {
			people[a.Account] = true
		}
	}
	row.People = len(people)
	return row
}

// sortEngagements puts those that end first before the others, and those that
// are over last.
func sortEngagements(rows []engagementRow) []engagementRow {
	slices.SortStableFunc(rows, func(a, b engagementRow) int {
		if a.over != b.over {
			if a.over {
				return 1
			}
			return -1
		}
		return cmp.Or(a.ends.Compare(b.ends), strings.Compare(a.Name, b.Name))
	})
	return rows
}

func (c *Console) engagements(w http.ResponseWriter, r *http.Request, v *visit) error {
	d := v.Snapshot.Directory()
	f := newForm(r.URL.Query())
	f.known("page")
	number := f.pageNumber("page")
	page := engagementsPage{Base: v.page("Engagements"), MayChange: v.mayChange(), Faults: f.all()}
	var rows []engagementRow
	for _, e := range d.Engagements {
		rows = append(rows, newEngagementRow(d, &e, v))
	}
	page.Rows, page.Pager = paged(sortEngagements(rows), number, "/console/engagements", nil, "engagement")
	if len(rows) == 0 {
		action, to := ui.Text("Add the first engagement"), "/console/engagements/new"
		if len(d.Vendors) == 0 {
			action, to = "Add a vendor first", "/console/vendors/new"
		}
		page.Empty = v.nothingYet("No engagements yet", "An engagement is a contract with a vendor: from when to when, for which clusters, under which agreements. Access derives from it and ends with it.", action, to)
	}
	return c.show(w, r, f.status(), "engagements", page)
}

// engagementPage shows one engagement: what it covers, what it demands and who
// works under it.
type engagementPage struct {
	Base
	Name, Label   string
	Vendor        ui.Link
	State         ui.Badge
	Starts, Ends  ui.Text
	Left          ui.Text
	SessionIdle   ui.Text // empty: as everywhere
	SessionEnd    ui.Text
	Clusters      []ui.Link
	Agreements    []agreementLine
	KeyDemanded   bool // codes do not count
	Assignments   []assignmentRow
	TrustsFactor  bool // a second factor at the vendor's own sign-in counts
	Acts          []act
	VendorSuspend bool
	AccessTokens  bool
	GiveAccess    string // address of the form, empty when it may not be used
}

type agreementLine struct {
	Name, Title string
	Version     int
	Text        string
}

func (c *Console) engagement(w http.ResponseWriter, r *http.Request, v *visit) error {
	d := v.Snapshot.Directory()
	e := find(d.Engagements, engagementNamed(r.PathValue("name")))
	if e == nil {
		return ui.NotFound()
	}
	row := newEngagementRow(d, e, v)
	page := engagementPage{Base: v.page(ui.Verbatim(row.Title)), Name: e.Name, Label: row.Title, Vendor: row.Vendor, State: row.State, Starts: row.Starts, Ends: row.Ends, Left: row.Left, TrustsFactor: e.TrustProviderFactor, KeyDemanded: e.PhishingResistant, AccessTokens: e.AccessTokens,
		SessionIdle: ui.Verbatim(spanValue(e.Session.Idle)), SessionEnd: ui.Verbatim(spanValue(e.Session.Absolute))}
	if vendor := find(d.Vendors, vendorNamed(e.Vendor)); vendor != nil {
		page.VendorSuspend = vendor.Suspended
	}
	for _, name := range e.Clusters {
		page.Clusters = append(page.Clusters, clusterLink(d, name))
	}
	for _, name := range e.Agreements {
		line := agreementLine{Name: name, Title: name}
		if a := find(d.Agreements, func(a *directory.Agreement) bool { return a.Name == name }); a != nil {
			line = agreementLine{Name: name, Title: cmp.Or(a.Title, name), Version: a.Version, Text: a.Text}
		}
		page.Agreements = append(page.Agreements, line)
	}
	for _, a := range d.Assignments {
		if a.Engagement == e.Name {
			page.Assignments = append(page.Assignments, newAssignmentRow(d, &a, v))
		}
	}
	sortAssignments(page.Assignments)
	if v.mayChange() {
		page.Acts = []act{{Label: "Edit", URL: engagementURL(e.Name) + "/edit"}}
		if !row.over {
			page.GiveAccess = "/console/assignments/new?engagement=" + url.QueryEscape(e.Name)
			page.Acts = append(page.Acts, act{Label: "Close", URL: engagementURL(e.Name) + "/close", Danger: true})
		}
	}
	return c.show(w, r, http.StatusOK, "engagement", page)
}

// engagementFields are the form's fields for those of an engagement.
var engagementFields = fieldMap(map[string]string{"name": "name", "vendor": "vendor", "title": "title", "starts": "starts", "ends": "ends", "clusters": "clusters", "agreements": "agreements", "trust_provider_factor": "trust", "phishing_resistant": "factor", "access_tokens": "access_tokens", "session.idle": "session_idle", "session.absolute": "session_absolute"})

func engagementGroups(d *directory.Directory, f *form, isNew bool) []group {
	what := controls(with(f.text("title", "Title"), func(u *ui.Field) { u.Required, u.MaxLength = true, 120 }))
	if isNew {
		what = append(controls(with(f.choice("vendor", "Vendor", "Choose a vendor", vendorOptions(d)), func(u *ui.Field) { u.Required = true })), what...)
		what = append(what, controls(nameField(f, "acme-2026"))...)
	}
	var clusters, agreements []choice
	for _, cl := range d.Clusters {
		clusters = append(clusters, choice{Value: cl.Name, Label: ui.Verbatim(cmp.Or(cl.Title, cl.Name)), Hint: classBadge(cl.Classification).Text})
	}
	for _, a := range d.Agreements {
		agreements = append(agreements, choice{Value: a.Name, Label: ui.Verbatim(cmp.Or(a.Title, a.Name)), Hint: ui.Say("version {1}", a.Version)})
	}
	return []group{
		{Title: "The contract", Controls: what},
		{Title: "Time", Hint: "Whole days, UTC. Access under the engagement ends with its last day.", Controls: append(controls(
			with(f.day("starts", "First day"), func(u *ui.Field) { u.Required = true }),
			with(f.day("ends", "Last day"), func(u *ui.Field) { u.Required = true }),
		), shortening(f, isNew)...)},
		{Title: "Scope", Controls: controls(
			f.boxes("clusters", "Clusters covered", clusters),
			f.boxes("agreements", "Agreements to accept before any access", agreements),
		)},
		{Title: "Second factor", Hint: "A code can be typed into a site that only looks like yours. A passkey or security key answers the true one alone.", Controls: append(controls(
			f.boxes("factor", "What counts", []choice{
				{Value: "key", Label: "Only a passkey or security key", Hint: "Codes and recovery codes open nothing under this engagement. Whoever has no key yet adds one while enrolling; for people who have enrolled, allow it on their page."},
			}),
		), trusting(d, f, f.Value("vendor"))...)},
		sessionLimitGroup(f),
		{Title: "Machines", Controls: controls(f.boxes("access_tokens", "Programs that nobody signs in", []choice{
			{Value: "yes", Label: "Admit personal access tokens", Hint: "They last up to 90 days, within a scope and from named networks, and nobody gives a code when they are used."},
		}))},
	}
}

// shortening is the box that lets assignments end with what they stand under;
// without it, an end that would cut them short is refused.
func shortening(f *form, isNew bool) []control {
	if isNew {
		return nil
	}
	return controls(f.boxes("shorten", "When the last day moves forward", []choice{
		{Value: "yes", Label: "Shorten assignments that would outlast it", Hint: "Otherwise the change is refused while there are any."},
	}))
}

// shorten ends the assignments that match at the latest at ends. One that
// would not have begun by then is taken away.
func shorten(d *directory.Directory, ends time.Time, match func(*directory.Assignment) bool) {
	d.Assignments = slices.DeleteFunc(d.Assignments, func(a directory.Assignment) bool {
		return match(&a) && !a.Starts.Before(ends)
	})
	for i := range d.Assignments {
		if a := &d.Assignments[i]; match(a) && a.Ends.After(ends) {
			a.Ends = ends
		}
	}
}

// engagementFrom reads what can be edited of an engagement. Dates that were
// not changed stay as they are, to the second.
func engagementFrom(d *directory.Directory, f *form, want *directory.Engagement) {
	want.Title = f.line("title", "a title", 120, true)
	if f.Value("starts") != dateValue(want.Starts) || want.Starts.IsZero() {
		want.Starts = f.starts("starts", true)
	}
	if f.Value("ends") != lastDayValue(want.Ends) || want.Ends.IsZero() {
		want.Ends = f.ends("ends", true)
	}
	if !want.Starts.IsZero() && !want.Ends.IsZero() && !want.Starts.Before(want.Ends) {
		f.fault("ends", "The last day is before the first.")
	}
	want.TrustProviderFactor = f.Checked("trust", "yes")
	want.Clusters = f.someOf("clusters", names(d.Clusters, clusterName))
	want.Agreements = f.someOf("agreements", names(d.Agreements, agreementName))
	want.PhishingResistant = len(f.someOf("factor", []string{"key"})) > 0
	want.Session = sessionLimitsFrom(f)
	want.AccessTokens = f.Checked("access_tokens", "yes")
}

func (c *Console) newEngagementForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := newForm(url.Values{})
	if name := r.URL.Query().Get("vendor"); find(v.Snapshot.Directory().Vendors, vendorNamed(name)) != nil {
		f.values.Set("vendor", name)
	}
	return c.showNewEngagement(w, r, v, f)
}

func (c *Console) showNewEngagement(w http.ResponseWriter, r *http.Request, v *visit, f *form) error {
	return c.showEdit(w, r, f, editPage{Base: v.page("Add an engagement"), Groups: engagementGroups(v.Snapshot.Directory(), f, true),
		Submit: "Add engagement", URL: "/console/engagements/new", Back: "/console/engagements"})
}

func (c *Console) newEngagement(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, f := v.Snapshot.Directory(), posted(r)
	want := directory.Engagement{Name: f.slug("name"), Vendor: f.oneOf("vendor", "a vendor", names(d.Vendors, vendorName))}
	engagementFrom(d, f, &want)
	return c.save(w, r, v, f, saving{
		object: "engagement " + want.Name, field: engagementFields,
		change: func(d *directory.Directory) error { return add(&d.Engagements, engagementNamed(want.Name), want) },
		again:  func() error { return c.showNewEngagement(w, r, v, f) },
		to:     engagementURL(want.Name), said: ui.Say("{1} is added.", want.Title),
	})
}

func (c *Console) editEngagementForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	e := find(v.Snapshot.Directory().Engagements, engagementNamed(r.PathValue("name")))
	if e == nil {
		return ui.NotFound()
	}
	f := newForm(url.Values{"title": {e.Title}, "starts": {dateValue(e.Starts)}, "ends": {lastDayValue(e.Ends)},
		"clusters": e.Clusters, "agreements": e.Agreements, "factor": factorBoxes(e), "session_idle": {spanValue(e.Session.Idle)}, "session_absolute": {spanValue(e.Session.Absolute)}, "seen": {fingerprint(e)}})
	if e.TrustProviderFactor {
		f.values.Set("trust", "yes")
	}
	if e.AccessTokens {
		f.values.Set("access_tokens", "yes")
	}
	return c.showEditEngagement(w, r, v, e, f)
}

// factorBoxes ticks what the engagement demands.
func factorBoxes(e *directory.Engagement) []string {
	if e.PhishingResistant {
		return []string{"key"}
	}
	return nil
}

func (c *Console) showEditEngagement(w http.ResponseWriter, r *http.Request, v *visit, e *directory.Engagement, f *form) error {
	f.values.Set("vendor", e.Vendor) // it does not change, and what can be chosen depends on it
	page := editPage{Base: v.page(ui.Say("Edit {1}", cmp.Or(e.Title, e.Name))), About: ui.Link{Label: ui.Verbatim(e.Name), URL: engagementURL(e.Name)},
		Groups: engagementGroups(v.Snapshot.Directory(), f, false), Seen: f.Value("seen"), Submit: "Save", URL: engagementURL(e.Name) + "/edit", Back: engagementURL(e.Name)}
	if e.Closed {
		page.Lede = "This engagement is closed. Saving does not open it again."
	}
	return c.showEdit(w, r, f, page)
}

func (c *Console) editEngagement(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, f := v.Snapshot.Directory(), posted(r)
	e := find(d.Engagements, engagementNamed(r.PathValue("name")))
	if e == nil {
		return ui.NotFound()
	}
	want := *e
	engagementFrom(d, f, &want)
	return c.save(w, r, v, f, saving{
		object: "engagement " + e.Name, field: engagementFields,
		change: func(d *directory.Directory) error {
			if err := replace(find(d.Engagements, engagementNamed(e.Name)), f.Value("seen"), want); err != nil {
				return err
			}
			if f.Checked("shorten", "yes") {
				shorten(d, want.Ends, func(a *directory.Assignment) bool { return a.Engagement == want.Name })
			}
			return nil
		},
		again: func() error { return c.showEditEngagement(w, r, v, e, f) },
		to:    engagementURL(e.Name), said: ui.Say("{1} is saved.", want.Title),
	})
}

// askClose asks before an engagement is closed for good.
func (c *Console) askClose(w http.ResponseWriter, r *http.Request, v *visit) error {
	d := v.Snapshot.Directory()
	e := find(d.Engagements, engagementNamed(r.PathValue("name")))
	if e == nil {
		return ui.NotFound()
	}
	row := newEngagementRow(d, e, v)
	return c.show(w, r, http.StatusOK, "ask", askPage{
		Base: v.page(ui.Say("Close {1}", row.Title)), Question: ui.Say("Close {1}?", row.Title), About: ui.Link{Label: ui.Verbatim(e.Name), URL: engagementURL(e.Name)},
		Effects: []ui.Text{
			ui.Count(row.People, "{1} person working under it will lose access to {2} at once, unless another engagement gives it.", "{1} people working under it will lose access to {2} at once, unless another engagement gives it.", count(row.Clusters, "cluster")),
			"A closed engagement cannot be opened again here; make a new one instead.",
		},
		Action: "Close engagement", URL: engagementURL(e.Name) + "/close", Back: engagementURL(e.Name), Danger: true,
	})
}

func (c *Console) closeEngagement(w http.ResponseWriter, r *http.Request, v *visit) error {
	name := r.PathValue("name")
	err := c.edit(r, v, func(d *directory.Directory) error {
		have := find(d.Engagements, engagementNamed(name))
		if have == nil {
			return errGone
		}
		have.Closed = true
		return nil
	})
	if err != nil {
		return err
	}
	return c.seeOther(w, r, v, engagementURL(name), "The engagement is closed.")
}
