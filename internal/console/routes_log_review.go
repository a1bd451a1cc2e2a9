package console

// reviewRoutes is the table of saved searches, what was reviewed, and exports.
func (c *Console) reviewRoutes() []route {
	return []route{
		{pattern: "GET " + searchesPath, need: mayReview, handle: c.searches},
		{pattern: "GET " + searchesPath + "/new", need: mayReview, handle: c.newSearchForm},
		{pattern: "POST " + searchesPath + "/new", need: mayReview, handle: c.newSearch},
		{pattern: "GET " + searchesPath + "/{id}/edit", need: mayReview, handle: c.editSearchForm},
		{pattern: "POST " + searchesPath + "/{id}/edit", need: mayReview, handle: c.editSearch},

		{pattern: "GET " + queuePath, need: mayReview, handle: c.queue},
		{pattern: "GET " + reviewsPath, need: mayReview, handle: c.reviews},
		{pattern: "GET " + reviewsPath + "/new", need: mayReview, handle: c.newReviewForm},
		{pattern: "POST " + reviewsPath, need: mayReview, handle: c.signOff},

		{pattern: "GET " + exportsPath + "/new", need: mayReview, handle: c.newExportForm},
		{pattern: "POST " + exportsPath, need: mayReview, handle: c.newExport, fresh: true, act: "Export entries of the access log"},
		{pattern: "GET " + exportsPath + "/{id}", need: mayReview, handle: c.showExport},
		{pattern: "POST " + exportsPath + "/{id}/file", need: mayReview, handle: c.fetchExport},
		{pattern: "POST " + exportsPath + "/{id}/stop", need: mayReview, handle: c.stopExport},

		// What is recorded about oneself is for everybody who is signed in.
		{pattern: "GET " + recordedPath, need: signedIn, handle: c.recorded},
		{pattern: "GET " + readersPath, need: signedIn, handle: c.readers},
	}
}
