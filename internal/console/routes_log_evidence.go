package console

const witnessesPath = "/console/log/witnesses"

// evidenceRoutes is the table of what proves the log: its tiles and its witnesses.
func (c *Console) evidenceRoutes() []route {
	return []route{
		{pattern: "GET " + witnessesPath, need: mayReview, handle: c.showWitnesses},
		// Programs read these: who is not signed in is told so, and not sent to a page.
		{pattern: "GET /log/checkpoint", need: mayReview, handle: c.checkpoint, json: true},
		{pattern: "GET /log/tile/{path...}", need: mayReview, handle: c.tile, json: true},
	}
}
