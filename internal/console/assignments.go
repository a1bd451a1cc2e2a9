package console

import (
	"cmp"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// assignmentsPage lists who was given which cluster.
type assignmentsPage struct {
	Base
	Search    []ui.Field
	Faults    []ui.Text
	Rows      []assignmentRow
	Pager     ui.Pager
	Empty     ui.Empty
	MayChange bool
}

type assignmentRow struct {
	URL                 string
	Person              ui.Link
	Email               string
	Cluster             ui.Link
	Engagement          ui.Link
	State               ui.Badge
	Starts, Ends, Scope ui.Text
	sortPerson, sortKey string
	over                bool
}

// States that assignments may be listed by.
const (
	assignmentActive  = "active"
	assignmentPending = "not started"
	assignmentEnded   = "ended"
	assignmentHeld    = "held up"
)

var assignmentStates = []string{assignmentActive, assignmentPending, assignmentEnded, assignmentHeld}

func assignmentURL(account, cluster string) string {
	return "/console/assignments/" + url.PathEscape(account) + "/" + url.PathEscape(cluster)
}

// assignmentState says how an assignment stands at now. It is held up when its
// own dates hold but its account, vendor or engagement is not in force.
func assignmentState(d *directory.Directory, a *directory.Assignment, now time.Time) ui.Badge {
	e := find(d.Engagements, engagementNamed(a.Engagement))
	account := find(d.Accounts, accountWithEmail(a.Account))
	switch {
	case !a.Ends.IsZero() && !now.Before(a.Ends):
		return ui.Badge{Kind: ui.Neutral, Text: assignmentEnded}
	case now.Before(a.Starts):
		return ui.Badge{Kind: ui.Neutral, Text: assignmentPending}
	case e == nil || e.Closed || !inForce(e.Starts, e.Ends, now) || !slices.Contains(e.Clusters, a.Cluster),
		account == nil || standing(d, account, now).Kind != ui.Good:
		return ui.Badge{Kind: ui.Warn, Text: assignmentHeld}
	default:
		return ui.Badge{Kind: ui.Good, Text: assignmentActive}
	}
}

func newAssignmentRow(d *directory.Directory, a *directory.Assignment, v *visit) assignmentRow {
	row := assignmentRow{Person: ui.Link{Label: ui.Verbatim(a.Account)}, Email: a.Account, Cluster: clusterLink(d, a.Cluster), Engagement: ui.Link{Label: ui.Verbatim(a.Engagement)},
		State: assignmentState(d, a, v.Now), Starts: day(a.Starts), Ends: lastDay(a.Ends), Scope: accessInWords(a.Access, a.Methods, a.Paths), sortKey: a.Cluster}
	if account := find(d.Accounts, accountWithEmail(a.Account)); account != nil {
		row.Person = ui.Link{Label: ui.Verbatim(nameOf(account)), URL: personURL(account.ID)}
		if v.mayReview() {
			row.URL = assignmentURL(account.ID, a.Cluster)
		}
	}
	if v.mayReview() {
		row.Engagement.URL = engagementURL(a.Engagement)
	}
	if e := find(d.Engagements, engagementNamed(a.Engagement)); e != nil {
		row.Engagement.Label = ui.Verbatim(cmp.Or(e.Title, e.Name))
	}
	row.sortPerson, row.over = strings.ToLower(row.Person.Label.String()), row.State.Text == assignmentEnded
	return row
}

// sortAssignments puts those that are over last, and the others by person and cluster.
func sortAssignments(rows []assignmentRow) {
	slices.SortStableFunc(rows, func(a, b assignmentRow) int {
		if a.over != b.over {
			if a.over {
				return 1
			}
			return -1
		}
		return cmp.Or(strings.Compare(a.sortPerson, b.sortPerson), strings.Compare(a.Email, b.Email), strings.Compare(a.sortKey, b.sortKey))
	})
}

func (c *Console) assignments(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, q := v.Snapshot.Directory(), r.URL.Query()
	f := newForm(q)
	f.known("text", "cluster", "vendor", "state", "page")
	text := strings.ToLower(f.line("text", "a text", 200, false))
	cluster := f.oneOf("cluster", "a cluster", append(names(d.Clusters, clusterName), ""))
	vendor := f.oneOf("vendor", "a vendor", append(names(d.Vendors, vendorName), ""))
	state := f.oneOf("state", "a state", append([]string{""}, assignmentStates...))
	number := f.pageNumber("page")
	page := assignmentsPage{Base: v.page("Assignments"), MayChange: v.mayChange(), Faults: f.Notes}
	page.Search = []ui.Field{
		f.search("text", "Name or e-mail"),
		f.choice("cluster", "Cluster", "All clusters", clusterOptions(d)),
		f.choice("vendor", "Vendor", "All vendors", vendorOptions(d)),
		f.choice("state", "State", "Any state", options(assignmentStates)),
	}
	if f.OK() {
		page.Rows, page.Pager = paged(c.searchAssignments(d, v, text, cluster, vendor, state), number, "/console/assignments", q, "assignment")
		switch {
		case len(d.Assignments) == 0:
			action, to := ui.Text("Give the first access"), "/console/assignments/new"
			if len(d.Engagements) == 0 {
				action, to = "Add an engagement first", "/console/engagements/new"
			}
			page.Empty = v.nothingYet("No assignments yet", "An assignment gives one person one cluster, under one engagement, from a date to a date. Without one, nobody reaches anything.", action, to)
		case len(page.Rows) == 0:
			page.Empty = ui.Empty{Title: "Nothing matches", Text: "No assignment fits what you searched for.", ActionURL: "/console/assignments", Action: "Show all"}
		}
	}
	return c.show(w, r, f.status(), "assignments", page)
}

func (c *Console) searchAssignments(d *directory.Directory, v *visit, text, cluster, vendor, state string) []assignmentRow {
	var rows []assignmentRow
	for _, a := range d.Assignments {
		account := find(d.Accounts, accountWithEmail(a.Account))
		if cluster != "" && a.Cluster != cluster || vendor != "" && (account == nil || account.Vendor != vendor) {
			continue
		}
		row := newAssignmentRow(d, &a, v)
		if state != "" && row.State.Text.String() != state || text != "" && !strings.Contains(row.sortPerson+" "+a.Account, text) {
			continue
		}
		rows = append(rows, row)
	}
	sortAssignments(rows)
	return rows
}

// assignmentPage shows one assignment and what it means today.
type assignmentPage struct {
	Base
	Who, Cluster, Engagement ui.Link
	Email                    string
	State                    ui.Badge
	Starts, Ends             ui.Text
	Methods, Paths           ui.Text
	Reason, GivenBy          string
	Known                    []knownFact
	Acts                     []act
	Own                      bool
	LogURL                   string
}

// locate returns the assignment that an address names, with its account.
func locate(d *directory.Directory, r *http.Request) (*directory.Account, *directory.Assignment, error) {
	account := find(d.Accounts, accountWithID(r.PathValue("id")))
	if account == nil {
		return nil, nil, ui.NotFound()
	}
	a := find(d.Assignments, assignmentOf(account.Email, r.PathValue("cluster")))
	if a == nil {
		return nil, nil, ui.NotFound()
	}
	return account, a, nil
}

func (c *Console) assignment(w http.ResponseWriter, r *http.Request, v *visit) error {
	d := v.Snapshot.Directory()
	account, a, err := locate(d, r)
	if err != nil {
		return err
	}
	row := newAssignmentRow(d, a, v)
	page := assignmentPage{Base: v.page(ui.Say("{1} on {2}", row.Person.Label, row.Cluster.Label)), Who: row.Person, Email: a.Account, Cluster: row.Cluster, Engagement: row.Engagement,
		State: row.State, Starts: row.Starts, Ends: row.Ends, Methods: methodsInWords(a.Access, a.Methods), Paths: pathsInWords(a.Paths), Reason: a.Reason, GivenBy: a.GivenBy,
		Own: account.ID == v.Session.Account}
	if doc := v.Snapshot.Facts(account.ID, a.Cluster, netip.Addr{}); doc != nil {
		page.Known = factsInWords(doc.Facts(), a.Cluster, v.Now)
	}
	if v.mayChange() && !page.Own {
		page.Acts = []act{{Label: "Edit", URL: row.URL + "/edit"}}
		if !row.over {
			page.Acts = append(page.Acts, act{Label: "End now", URL: row.URL + "/end", Danger: true})
		}
	}
	if v.mayReview() {
		page.LogURL = logURL(query.All(is(query.Account, account.ID), is(query.Cluster, a.Cluster)))
	}
	return c.show(w, r, http.StatusOK, "assignment", page)
}

// askEnd asks before an assignment ends.
func (c *Console) askEnd(w http.ResponseWriter, r *http.Request, v *visit) error {
	d := v.Snapshot.Directory()
	_, a, err := locate(d, r)
	if err != nil {
		return err
	}
	row := newAssignmentRow(d, a, v)
	return c.show(w, r, http.StatusOK, "ask", askPage{
		Base: v.page("End access"), Question: ui.Say("End the access of {1} to {2}?", row.Person.Label, row.Cluster.Label), About: ui.Link{Label: ui.Verbatim(a.Account), URL: row.URL},
		Effects: []ui.Text{
			"Requests are denied from now on, and open connections to this cluster are cut.",
			"The assignment stays in the list as ended, with its reason.",
		},
		Action: "End now", URL: row.URL + "/end", Back: row.URL, Danger: true,
	})
}

func (c *Console) endAssignment(w http.ResponseWriter, r *http.Request, v *visit) error {
	account, a, err := locate(v.Snapshot.Directory(), r)
	if err != nil {
		return err
	}
	err = c.edit(r, v, func(d *directory.Directory) error {
		have := find(d.Assignments, assignmentOf(a.Account, a.Cluster))
		switch {
		case have == nil:
			return errGone
		case !v.Now.After(have.Starts): // it never was in force: there is nothing to keep
			d.Assignments = slices.DeleteFunc(d.Assignments, func(x directory.Assignment) bool { return x.Account == a.Account && x.Cluster == a.Cluster })
		case v.Now.Before(have.Ends):
			have.Ends = v.Now
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.seeOther(w, r, v, personURL(account.ID), ui.Say("The access of {1} to {2} has ended.", nameOf(account), a.Cluster))
}

// A knownFact is one thing that Ringfence knows about an account on a cluster, in
// words, and whether it stands in the way of access.
type knownFact struct {
	OK   bool
	Text ui.Text
}

// factsInWords explains facts as they are at now. Everything must be OK for a
// request to be allowed; policies may still narrow it.
func factsInWords(f *policy.Facts, cluster string, now time.Time) []knownFact {
	if f == nil {
		return nil
	}
	var out []knownFact
	add := func(ok bool, text ui.Text) { out = append(out, knownFact{ok, text}) }
	at := func(ns int64) time.Time { return time.Unix(0, ns).UTC() }
	switch a := f.Account; {
	case a == nil:
		add(false, "Nothing is known about the account.")
	case a.Status != policy.StatusActive:
		add(false, ui.Say("The account {1} is {2}.", a.Email, ui.Known(a.Status)))
	case a.EndsNS != 0 && !now.Before(at(a.EndsNS)):
		add(false, ui.Say("The account {1} ended after {2}.", a.Email, lastDay(at(a.EndsNS))))
	case a.EndsNS != 0:
		add(true, ui.Say("The account {1} is active until {2}.", a.Email, lastDay(at(a.EndsNS))))
	default:
		add(true, ui.Say("The account {1} is active.", a.Email))
	}
	if vendor := f.Vendor; vendor == nil {
		add(f.Account != nil && !slices.Contains(f.Account.Roles, policy.Contractor), "The account belongs to no vendor.")
	} else {
		add(vendor.Status == policy.StatusActive, ui.Say("The vendor {1} is {2}.", cmp.Or(vendor.Title, vendor.Name), ui.Known(vendor.Status)))
	}
	out = append(out, engagementFacts(f.Engagement, cluster, now)...)
	out = append(out, assignmentFacts(f.Assignment, now)...)
	for _, a := range f.Agreements {
		switch {
		case a.AcceptedVersion == a.Version:
			add(true, ui.Say("The agreement {1} is accepted in its version in force.", a.Name))
		case a.AcceptedVersion == 0:
			add(false, ui.Say("The agreement {1} is not accepted yet.", a.Name))
		default:
			add(false, ui.Say("The agreement {1} is accepted in an older version only.", a.Name))
		}
	}
	if f.Zone != "" {
		add(true, ui.Say("The address lies in the zone {1}.", f.Zone))
	}
	return out
}

func engagementFacts(e *policy.EngagementFacts, cluster string, now time.Time) []knownFact {
	if e == nil {
		return []knownFact{{false, "No engagement is known."}}
	}
	starts, ends := time.Unix(0, e.StartsNS).UTC(), time.Unix(0, e.EndsNS).UTC()
	first := knownFact{true, ui.Say("The engagement {1} is in force until {2}.", e.Name, lastDay(ends))}
	switch {
	case e.Status != policy.StatusActive:
		first = knownFact{false, ui.Say("The engagement {1} is {2}.", e.Name, ui.Known(e.Status))}
	case now.Before(starts):
		first = knownFact{false, ui.Say("The engagement {1} begins on {2}.", e.Name, day(starts))}
	case !now.Before(ends):
		first = knownFact{false, ui.Say("The engagement {1} ended after {2}.", e.Name, lastDay(ends))}
	}
	if cluster == "" { // a facts document by itself is about no cluster
		return []knownFact{first}
	}
	covers := knownFact{true, ui.Say("It covers {1}.", cluster)}
	if !slices.Contains(e.Clusters, cluster) {
		covers = knownFact{false, ui.Say("It does not cover {1}.", cluster)}
	}
	return []knownFact{first, covers}
}

func assignmentFacts(a *policy.AssignmentFacts, now time.Time) []knownFact {
	if a == nil {
		return []knownFact{{false, "The cluster is not assigned to the account."}}
	}
	starts, ends := time.Unix(0, a.StartsNS).UTC(), time.Unix(0, a.EndsNS).UTC()
	first := knownFact{true, ui.Say("The assignment is in force until {1}.", lastDay(ends))}
	switch {
	case now.Before(starts):
		first = knownFact{false, ui.Say("The assignment begins on {1}.", day(starts))}
	case !now.Before(ends):
		first = knownFact{false, ui.Say("The assignment ended on {1}.", clock(ends))}
	}
	var paths []string
	for _, p := range a.Paths {
		paths = append(paths, "/"+strings.Join(p, "/"))
	}
	return []knownFact{first, {true, accessInWords(a.Access, a.Methods, paths)}}
}
