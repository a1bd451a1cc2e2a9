package console

// retentionRoutes is the table of how long entries are kept, and what is erased.
func (c *Console) retentionRoutes() []route {
	return nil
}
