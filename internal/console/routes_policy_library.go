package console

func (c *Console) libraryRoutes() []route { return nil }
