package console

func (c *Console) changeRoutes() []route { return nil }
