package console

// evidenceRoutes is the table of what proves the log: its tiles, its witnesses and bundles of evidence.
func (c *Console) evidenceRoutes() []route {
	return nil
}
