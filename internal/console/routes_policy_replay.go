package console

// replayRoutes is the table of the pages that say what a policy set would do:
// the access matrix, the shadow and the replay. It is empty where nothing keeps
// drafts or nothing can try them. Nothing here changes what is in force.
func (c *Console) replayRoutes() []route {
	if c.Changes == nil || c.Studio == nil || c.Shadows == nil {
		return nil
	}
	const replay = "/console/policies/drafts/{id}/replay"
	return []route{
		{pattern: "GET " + replay, need: mayLook, handle: c.replay},
		{pattern: "POST " + replay, need: mayLook, handle: c.beginReplay},
		{pattern: "POST " + replay + "/test", need: mayManage, handle: c.addRecordedTest},
		{pattern: "POST " + replay + "/stop", need: mayLook, handle: c.stopReplay},
		{pattern: "GET " + matrixPath, need: mayLook, handle: c.matrix},
		{pattern: "POST " + matrixPath, need: mayLook, handle: c.beginMatrix},
		{pattern: "POST " + matrixPath + "/stop", need: mayLook, handle: c.stopMatrix},
		{pattern: "GET " + shadowPath, need: mayLook, handle: c.shadow},
		{pattern: "POST " + shadowPath, need: mayManage, handle: c.startShadow},
		{pattern: "POST " + shadowPath + "/stop", need: mayManage, handle: c.stopShadow},
	}
}
