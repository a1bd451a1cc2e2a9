package console

// searchRoutes is the table of the pages that search and follow the access log.
func (c *Console) searchRoutes() []route {
	return []route{
		{pattern: "GET /console/log/live", need: mayReview, handle: c.live},
		{pattern: "GET /console/log/live/events", need: mayReview, handle: c.liveEvents},
		{pattern: "GET /console/log/session/{id}", need: mayReview, handle: c.sessionTimeline},
		{pattern: "GET /console/log/account/{id}", need: mayReview, handle: c.accountTimeline},
	}
}
