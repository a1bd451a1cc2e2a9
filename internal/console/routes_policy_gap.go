package console

const gapsPath = "/console/policies/gaps"

// gapRoutes is the table of the page that says what is missing in a policy set
// or its tests. It is empty where nothing can try policies. Nothing here
// changes anything.
func (c *Console) gapRoutes() []route {
	if c.Studio == nil || c.Changes == nil {
		return nil
	}
	return []route{
		{pattern: "GET " + gapsPath, need: mayLook, handle: c.gaps},
		{pattern: "POST " + gapsPath, need: mayLook, handle: c.beginGap},
		{pattern: "POST " + gapsPath + "/stop", need: mayLook, handle: c.stopGap},
	}
}
