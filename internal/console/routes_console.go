package console

import "github.com/ringfence/ringfence/policy"

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
		{pattern: "POST /console/people/{id}/enable", need: mayManage, handle: c.enable},
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

		{pattern: "GET /console/log", need: mayReview, handle: c.log},
		{pattern: "GET /console/log/{index}", need: mayReview, handle: c.entry},
	}
	// Each of these is a page that asks and the post that does it.
	for _, p := range []struct {
		path      string
		ask, done handler
	}{
		{"/console/people/invite", c.newPersonForm, c.newPerson},
		{"/console/people/{id}/edit", c.editPersonForm, c.editPerson},
		{"/console/people/{id}/invite", c.askReinvite, c.reinvite},
		{"/console/people/{id}/disable", dangerous(c.askDisable), dangerous(c.disable)},
		{"/console/people/{id}/reset", dangerous(c.askReset), dangerous(c.reset)},
		{"/console/vendors/new", c.newVendorForm, c.newVendor},
		{"/console/vendors/{name}/edit", c.editVendorForm, c.editVendor},
		{"/console/vendors/{name}/suspend", dangerous(c.askSuspend), dangerous(c.suspend)},
		{"/console/vendors/{name}/resume", dangerous(c.askResume), dangerous(c.resume)},
		{"/console/engagements/new", c.newEngagementForm, c.newEngagement},
		{"/console/engagements/{name}/edit", c.editEngagementForm, c.editEngagement},
		{"/console/engagements/{name}/close", dangerous(c.askClose), dangerous(c.closeEngagement)},
		{"/console/clusters/new", c.newClusterForm, c.newCluster},
		{"/console/clusters/{name}/edit", c.editClusterForm, c.editCluster},
		{"/console/assignments/new", c.newAssignmentForm, c.newAssignment},
		{"/console/assignments/{id}/{cluster}/edit", c.editAssignmentForm, c.editAssignment},
		{"/console/assignments/{id}/{cluster}/end", c.askEnd, c.endAssignment},
	} {
		routes = append(routes,
			route{pattern: "GET " + p.path, need: mayManage, handle: p.ask},
			route{pattern: "POST " + p.path, need: mayManage, handle: p.done, maxBody: bodyOfForm})
	}
	routes = append(append(routes, c.providerRoutes()...), c.agreementRoutes()...)
	return append(routes, c.apiRoutes()...)
}
