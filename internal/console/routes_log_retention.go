package console

// retentionRoutes is the table of how long entries are kept, and what is erased.
func (c *Console) retentionRoutes() []route {
	return []route{
		{pattern: "GET " + retentionPath, need: mayReview, handle: c.retention},
		{pattern: "GET " + retentionPath + "/prune", need: mayManage, handle: c.askPrune, fresh: true},
		{pattern: "POST " + retentionPath + "/rules", need: mayManage, handle: c.setRetention, fresh: true, act: "Change how long entries are kept"},
		{pattern: "GET " + retentionPath + "/rules/{id}/approve", need: mayManage, handle: c.askApproveRetention, fresh: true},
		{pattern: "POST " + retentionPath + "/rules/{id}/approve", need: mayManage, handle: c.approveRetention, fresh: true, act: "Approve that entries are kept for less time"},
		{pattern: "GET " + retentionPath + "/rules/{id}/refuse", need: mayManage, handle: c.askRefuseRetention, fresh: true},
		{pattern: "POST " + retentionPath + "/rules/{id}/refuse", need: mayManage, handle: c.refuseRetention, fresh: true, act: "Refuse a rule of retention"},
		{pattern: "POST " + retentionPath + "/prune", need: mayManage, handle: c.prune, fresh: true, act: "Remove what is over"},
		{pattern: "GET " + holdsPath, need: mayReview, handle: c.holds},
		{pattern: "POST " + holdsPath, need: mayManage, handle: c.placeHold, fresh: true, act: "Place the hold"},
		{pattern: "GET " + holdsPath + "/{id}/lift", need: mayManage, handle: c.askLiftHold, fresh: true},
		{pattern: "POST " + holdsPath + "/{id}/lift", need: mayManage, handle: c.liftHold, fresh: true, act: "Lift the hold"},
		{pattern: "GET /console/people/{id}/erase", need: mayManage, handle: c.askErase, fresh: true},
		{pattern: "POST /console/people/{id}/erase", need: mayManage, handle: c.erase, fresh: true, act: "Erase the personal data"},
	}
}
