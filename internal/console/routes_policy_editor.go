package console

func (c *Console) editorRoutes() []route { return nil }
