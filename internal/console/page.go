package console

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// Base is what every page struct embeds: the frame around the page, filled
// for one visit by [visit.Titled].
type Base struct{ ui.Frame }

// A visit is one request at the gate with what is known about it. Handlers
// read its fields and change none of them.
type visit struct {
	Session   *auth.Session // nil: nobody is signed in
	Origin    auth.Origin
	Snapshot  *directory.Snapshot // of the moment the request came
	Now       time.Time           // UTC
	RequestID string

	c  *Console
	r  *http.Request
	rt route
}

// Titled returns the frame for a page of the given title, with the
// navigation that the visitor's roles allow.
func (v *visit) Titled(title ui.Text) Base {
	b := Base{ui.Frame{Title: title, Organisation: v.c.Organisation, Here: v.here()}}
	if v.Session != nil {
		b.Person = &ui.Person{Name: v.Session.Name, Email: v.Session.Email, Role: v.roleWords()}
		b.Nav = v.c.navigation(v)
		b.Notice = v.banner()
	}
	return b
}

// Alone returns the frame for a page with one task and no navigation.
func (v *visit) Alone(title ui.Text) Base {
	b := v.Titled(title)
	b.Narrow, b.Nav, b.Notice = true, nil, nil
	return b
}

// Has reports whether the visitor holds one of roles.
func (v *visit) Has(roles ...policy.Role) bool { return only(roles...).met(v.Session) }

// Actor names the visitor to the directory.
func (v *visit) Actor() directory.Actor {
	a := v.AuthActor()
	return directory.Actor{Account: a.Account, Email: a.Email, RequestID: a.RequestID, IP: a.IP}
}

// AuthActor names the visitor to package auth.
func (v *visit) AuthActor() auth.Actor {
	a := auth.Actor{RequestID: v.RequestID, IP: v.Origin.IP.String()}
	if v.Session != nil {
		a.Account, a.Email = v.Session.Account, v.Session.Email
	}
	return a
}

var roleNames = map[policy.Role]ui.Text{
	policy.Contractor: "Contractor", policy.Administrator: "Administrator", policy.Approver: "Approver", policy.Reviewer: "Reviewer",
}

// roleWords says what the visitor is, in words.
func (v *visit) roleWords() ui.Text {
	var words []ui.Text
	for _, r := range policy.Roles {
		if slices.Contains(v.Session.Roles, r) {
			words = append(words, roleNames[r])
		}
	}
	return ui.Join(words, ", ")
}

// menu is the whole navigation. An item is drawn for whoever meets the need of
// its route, so the menu and the table of routes cannot disagree.
var menu = []ui.NavGroup{
	{Title: "My access", Items: []ui.NavItem{
		{Label: "My clusters", URL: "/"}, {Label: "My tokens", URL: "/tokens"}, {Label: "Agreements", URL: "/agreements"},
	}},
	{Title: "Console", Items: []ui.NavItem{
		{Label: "Overview", URL: "/console/"}, {Label: "People", URL: "/console/people"}, {Label: "Vendors", URL: "/console/vendors"},
		{Label: "Engagements", URL: "/console/engagements"}, {Label: "Clusters", URL: "/console/clusters"},
		{Label: "Assignments", URL: "/console/assignments"}, {Label: "Agreements", URL: "/console/agreements"},
	}},
	{Title: "Policies", Items: []ui.NavItem{
		{Label: "Policies", URL: "/console/policies"}, {Label: "Revisions", URL: "/console/policies/revisions"},
		{Label: "Policy library", URL: "/console/policies/library"}, {Label: "Try a request", URL: tryPath},
		{Label: "Who reaches what", URL: matrixPath}, {Label: "Gaps", URL: "/console/policies/gaps"}, {Label: "Shadow", URL: shadowPath},
	}},
	{Title: "What happens", Items: []ui.NavItem{
		{Label: "Alarms", URL: alarmsPath}, {Label: "Sessions", URL: "/console/sessions"}, {Label: "Machines and tokens", URL: "/console/tokens"},
	}},
	{Title: "Access log", Items: []ui.NavItem{
		{Label: "Access log", URL: "/console/log"}, {Label: "Live", URL: livePath}, {Label: "To review", URL: queuePath},
		{Label: "Saved searches", URL: searchesPath}, {Label: "What was reviewed", URL: reviewsPath},
		{Label: "Every gateway", URL: fleetPath}, {Label: "Delivery", URL: deliveryPath}, {Label: "Witnesses", URL: witnessesPath}, {Label: "Retention", URL: retentionPath}, {Label: "Holds and erasure", URL: holdsPath},
	}},
	{Title: "My account", Items: []ui.NavItem{
		{Label: "My sessions", URL: "/sessions"}, {Label: "My factors", URL: "/factors"}, {Label: "My password", URL: "/password"}, {Label: "My notices", URL: "/notices"},
		{Label: "What is recorded", URL: recordedPath},
	}},
}

// contractorsOnly are the pages that are empty for everybody else: only a
// vendor's people have clusters.
var contractorsOnly = []string{"/", "/tokens", "/agreements"}

// navigation returns the part of the menu that v may see: one's work first,
// one's own account last.
func (c *Console) navigation(v *visit) []ui.NavGroup {
	var groups []ui.NavGroup
	contractor := v.Has(policy.Contractor)
	here := menuItemOf(v.r.URL.Path)
	for _, g := range menu {
		var items []ui.NavItem
		for _, it := range g.Items {
			if !contractor && slices.Contains(contractorsOnly, it.URL) {
				continue
			}
			if n, ok := c.needOf(it.URL); ok && n.met(v.Session) {
				it.Current = it.URL == here
				items = append(items, it)
			}
		}
		if items != nil {
			groups = append(groups, ui.NavGroup{Title: g.Title, Items: items})
		}
	}
	return groups
}

// needOf finds the need of the page at url.
func (c *Console) needOf(url string) (need, bool) {
	if strings.HasSuffix(url, "/") {
		if n, ok := c.needs["GET "+url+"{$}"]; ok {
			return n, true
		}
	}
	n, ok := c.needs["GET "+url]
	return n, ok
}

// menuItemOf returns the address of the menu's item that the page at path
// belongs to: the one that names it most closely.
func menuItemOf(path string) (url string) {
	for _, g := range menu {
		for _, it := range g.Items {
			if current(it.URL, path) && len(it.URL) > len(url) {
				url = it.URL
			}
		}
	}
	return url
}

// current reports whether the page at path belongs to the item at url.
func current(url, path string) bool {
	return path == url || !strings.HasSuffix(url, "/") && strings.HasPrefix(path, url+"/")
}
