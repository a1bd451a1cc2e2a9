package console

import (
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// Who may use which part of the console.
var (
	mayLook    = only(policy.Administrator, policy.Approver, policy.Reviewer)
	mayReview  = only(policy.Administrator, policy.Reviewer)
	mayManage  = only(policy.Administrator)
	bodyOfForm = int64(256 << 10) // a cluster's form may hold certificates
)

// consoleRoutes is the table of the pages for administrators, approvers and
// reviewers, and of the API.
func (c *Console) consoleRoutes() []route {
	routes := []route{
		{pattern: "GET /console/{$}", need: mayLook, handle: c.overview},

		{pattern: "POST /console/warnings/{id}/pass", need: mayManage, handle: c.passWarning},

		{pattern: "GET /console/people", need: mayLook, handle: c.people},
		{pattern: "GET /console/people/{id}", need: mayLook, handle: c.person},
		{pattern: "POST /console/people/{id}/enable", need: mayManage, handle: c.enable, fresh: true, act: "Enable the account"},
		{pattern: "GET /console/people/{id}/invitation", need: mayManage, handle: c.invitation},
		{pattern: "POST /console/people/{id}/sessions/end", need: mayManage, handle: c.endPersonSessions},
		{pattern: "POST /console/people/{id}/sessions/{session}/end", need: mayManage, handle: c.endPersonSession},

		{pattern: "GET /console/vendors", need: mayLook, handle: c.vendors},
		{pattern: "GET /console/vendors/{name}", need: mayLook, handle: c.vendor},
		{pattern: "GET /console/engagements", need: mayReview, handle: c.engagements},
		{pattern: "GET /console/engagements/{name}", need: mayReview, handle: c.engagement},
		{pattern: "GET /console/clusters", need: mayLook, handle: c.clusters},
		{pattern: "GET /console/clusters/{name}", need: mayLook, handle: c.cluster},
		{pattern: "GET /console/assignments", need: mayReview, handle: c.assignments},
		{pattern: "GET /console/assignments/{id}/{cluster}", need: mayReview, handle: c.assignment},

		{pattern: "GET /console/sessions", need: mayReview, handle: c.allSessions},
		{pattern: "POST /console/sessions/{session}/end", need: mayManage, handle: c.endAnySession},

		{pattern: "GET /console/tokens", need: mayReview, handle: c.everyToken},
		{pattern: "POST /console/tokens/revoke", need: mayManage, handle: c.revokeAny},

		{pattern: "GET /console/log", need: mayReview, handle: c.log},
		{pattern: "GET /console/log/{index}", need: mayReview, handle: c.entry},
	}
	// Each of these is a page that asks and the post that does it. Whatever
	// changes the directory, or ends what many people have open, is not for
	// somebody who sits down at a screen that was left: the post needs a fresh
	// code, and where there is nothing to fill in, so does the page.
	for _, p := range []struct {
		path      string
		ask, done handler
		act       ui.Text
		freshAsk  bool
	}{
		{"/console/people/invite", c.newPersonForm, c.newPerson, "Invite somebody", false},
		{"/console/people/{id}/edit", c.editPersonForm, c.editPerson, "Change the account", false},
		{"/console/people/{id}/invite", c.askReinvite, c.reinvite, "Make a new invitation link", false},
		{"/console/people/{id}/disable", c.askDisable, c.disable, "Disable the account", true},
		{"/console/people/{id}/reset", c.askReset, c.reset, "Reset the sign-in", true},
		{"/console/people/{id}/allow-key", c.askAllowKey, c.allowKey, "Allow a first key", true},
		{"/console/people/{id}/keys/{key}/remove", c.askRemovePersonKey, c.removePersonKey, "Remove the key", true},
		{"/console/vendors/new", c.newVendorForm, c.newVendor, "Add the vendor", false},
		{"/console/vendors/{name}/edit", c.editVendorForm, c.editVendor, "Change the vendor", false},
		{"/console/vendors/{name}/suspend", c.askSuspend, c.suspend, "Suspend the vendor", true},
		{"/console/vendors/{name}/resume", c.askResume, c.resume, "Resume the vendor", true},
		{"/console/vendors/{name}/sessions/end", c.askEndVendor, c.endVendor, "End all sessions of the vendor", true},
		{"/console/sessions/end", c.askEndEverybody, c.endEverybody, "End everybody's sessions", true},
		{"/console/engagements/new", c.newEngagementForm, c.newEngagement, "Add the engagement", false},
		{"/console/engagements/{name}/edit", c.editEngagementForm, c.editEngagement, "Change the engagement", false},
		{"/console/engagements/{name}/close", c.askClose, c.closeEngagement, "Close the engagement", true},
		{"/console/clusters/new", c.newClusterForm, c.newCluster, "Add the cluster", false},
		{"/console/clusters/{name}/edit", c.editClusterForm, c.editCluster, "Change the cluster", false},
		{"/console/assignments/new", c.newAssignmentForm, c.newAssignment, "Give access", false},
		{"/console/assignments/{id}/{cluster}/edit", c.editAssignmentForm, c.editAssignment, "Change the access", false},
		{"/console/assignments/{id}/{cluster}/end", c.askEnd, c.endAssignment, "End the access", false},
	} {
		routes = append(routes,
			route{pattern: "GET " + p.path, need: mayManage, handle: p.ask, fresh: p.freshAsk},
			route{pattern: "POST " + p.path, need: mayManage, handle: p.done, maxBody: bodyOfForm, fresh: true, act: p.act})
	}
	for _, more := range [][]route{
		c.providerRoutes(),
		c.agreementRoutes(),
		c.changeRoutes(),
		c.editorRoutes(),
		c.tryRoutes(),
		c.replayRoutes(),
		c.libraryRoutes(),
		c.gapRoutes(),
		c.searchRoutes(),
		c.reviewRoutes(),
		c.alarmRoutes(),
		c.deliveryRoutes(),
		c.evidenceRoutes(),
		c.retentionRoutes(),
	} {
		routes = append(routes, more...)
	}
	return append(routes, c.apiRoutes()...)
}
