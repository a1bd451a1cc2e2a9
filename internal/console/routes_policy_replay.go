package console

func (c *Console) replayRoutes() []route { return nil }
