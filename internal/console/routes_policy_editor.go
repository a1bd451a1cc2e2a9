package console

// bodyOfModule bounds a posted file, which a form writes in up to three bytes a byte.
const bodyOfModule = 3*maxModule + 64<<10

// editorRoutes is the table of the pages on which drafts of policies are
// written. None needs a fresh code: what they change is in force nowhere
// before somebody else has approved it, which does.
func (c *Console) editorRoutes() []route {
	routes := []route{
		{pattern: "POST /console/policies/drafts/{id}/check", need: mayManage, handle: c.checkDraft, json: true, maxBody: bodyOfModule},
		{pattern: "GET /console/policies/contract", need: mayLook, handle: c.showContract},
		{pattern: "GET /console/policies/forbidden", need: mayLook, handle: c.showForbidden},
	}
	for _, p := range []struct {
		path      string
		ask, done handler
	}{
		{"/console/policies/new", c.newDraftForm, c.newDraft},
		{"/console/policies/drafts/{id}/edit", c.showEditor, c.postEditor},
		{"/console/policies/drafts/{id}/edit/about", c.aboutDraftForm, c.aboutDraft},
		{"/console/policies/drafts/{id}/edit/add", c.addFileForm, c.addFile},
		{"/console/policies/drafts/{id}/edit/rename", c.renameFileForm, c.renameFile},
		{"/console/policies/drafts/{id}/edit/delete", c.askDeleteFile, c.deleteFile},
	} {
		routes = append(routes,
			route{pattern: "GET " + p.path, need: mayManage, handle: p.ask},
			route{pattern: "POST " + p.path, need: mayManage, handle: p.done, maxBody: bodyOfModule})
	}
	return routes
}
