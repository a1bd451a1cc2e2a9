package console

func (c *Console) tryRoutes() []route {
	return []route{
		{pattern: "GET " + tryPath, need: mayLook, handle: c.tryForm},
		{pattern: "POST " + tryPath, need: mayLook, handle: c.try, maxBody: bodyOfForm},
	}
}
