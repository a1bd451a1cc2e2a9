package console

// searchRoutes is the table of the pages that search and follow the access log.
func (c *Console) searchRoutes() []route {
	return nil
}
