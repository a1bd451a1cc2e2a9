package console

// reviewRoutes is the table of saved searches, what was reviewed, and exports.
func (c *Console) reviewRoutes() []route {
	return nil
}
