package console

import "github.com/ringfence/ringfence/policy"

var (
	mayApprove = only(policy.Approver)
	// mayTakePart is who writes, reviews and rolls back; reviewers only read.
	mayTakePart = only(policy.Administrator, policy.Approver)
)

// changeRoutes is the table of the pages of change control over policies. It
// is empty where nothing keeps drafts and revisions. What is handed on, put in
// force or rolled back needs a fresh code; what only hinders a draft does not.
func (c *Console) changeRoutes() []route {
	if c.Changes == nil {
		return nil
	}
	const draft, revision = "/console/policies/drafts/{id}", "/console/policies/revisions/{id}"
	return []route{
		{pattern: "GET /console/policies", need: mayLook, handle: c.policiesOverview},
		{pattern: "GET /console/policies/revisions", need: mayLook, handle: c.revisionsList},
		{pattern: "GET " + revision, need: mayLook, handle: c.revisionRecord},
		{pattern: "GET " + revision + "/statement.txt", need: mayLook, handle: c.revisionStatement},
		{pattern: "GET " + revision + "/rollback", need: mayTakePart, handle: c.askRollBack, fresh: true},
		{pattern: "POST " + revision + "/rollback", need: mayTakePart, handle: c.rollBack, fresh: true, act: "Propose the roll back"},
		{pattern: "GET " + revision + "/rollback-alone", need: mayTakePart, handle: c.askRollBackAlone, fresh: true},
		{pattern: "POST " + revision + "/rollback-alone", need: mayTakePart, handle: c.rollBackAlone, fresh: true, act: "Roll back alone, at once"},

		{pattern: "GET " + draft, need: mayLook, handle: c.reviewDraft},
		{pattern: "GET " + draft + "/text", need: mayLook, handle: c.draftText},
		{pattern: "POST " + draft + "/submit", need: mayManage, handle: c.submitDraft, fresh: true, act: "Hand the draft to review"},
		{pattern: "POST " + draft + "/approve", need: mayApprove, handle: c.approveDraft, fresh: true, act: "Approve and publish the draft"},
		{pattern: "POST " + draft + "/return", need: mayApprove, handle: c.returnDraft},
		{pattern: "POST " + draft + "/note", need: mayTakePart, handle: c.noteDraft},
		{pattern: "POST " + draft + "/rebase", need: mayManage, handle: c.rebaseDraft},
		{pattern: "GET " + draft + "/withdraw", need: mayManage, handle: c.askWithdraw},
		{pattern: "POST " + draft + "/withdraw", need: mayManage, handle: c.withdrawDraft},
	}
}
