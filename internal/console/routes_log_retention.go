package console

// retentionRoutes is the table of how long entries are kept, and what is erased.
func (c *Console) retentionRoutes() []route {
	return []route{
		{pattern: "GET " + retentionPath, need: mayReview, handle: c.retention},
		{pattern: "GET " + retentionPath + "/prune", need: mayManage, handle: c.askPrune, fresh: true},
		{pattern: "POST " + retentionPath + "/prune", need: mayManage, handle: c.prune, fresh: true, act: "Remove what is over"},
		{pattern: "GET " + holdsPath, need: mayReview, handle: c.holds},
		{pattern: "POST " + holdsPath, need: mayManage, handle: c.placeHold, fresh: true, act: "Place the hold"},
		{pattern: "GET " + holdsPath + "/{id}/lift", need: mayManage, handle: c.askLiftHold, fresh: true},
		{pattern: "POST " + holdsPath + "/{id}/lift", need: mayManage, handle: c.liftHold, fresh: true, act: "Lift the hold"},
		{pattern: "GET /console/people/{id}/erase", need: mayManage, handle: c.askErase, fresh: true},
		{pattern: "POST /console/people/{id}/erase", need: mayManage, handle: c.erase, fresh: true, act: "Erase the personal data"},
	}
}
