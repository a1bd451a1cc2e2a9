package console

// consoleRoutes is the table of the pages for administrators, approvers and
// reviewers, and of the API.
func (c *Console) consoleRoutes() []route { return nil }
