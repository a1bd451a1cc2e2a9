package console

func (c *Console) gapRoutes() []route { return nil }
