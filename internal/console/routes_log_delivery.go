package console

// deliveryRoutes is the table of the page about where entries go.
func (c *Console) deliveryRoutes() []route {
	return nil
}
