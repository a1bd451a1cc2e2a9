package console

func (c *Console) tryRoutes() []route { return nil }
