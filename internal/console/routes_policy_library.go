package console

func (c *Console) libraryRoutes() []route {
	return []route{
		{pattern: "GET /console/policies/library", need: mayLook, handle: c.libraryList},
		{pattern: "GET /console/policies/library/{module}", need: mayLook, handle: c.libraryModule},
		{pattern: "GET /console/policies/library/{module}/add", need: mayManage, handle: c.libraryForm},
		{pattern: "POST /console/policies/library/{module}/add", need: mayManage, handle: c.libraryAdd},
		{pattern: "GET /console/policies/library/{module}/parameters", need: mayManage, handle: c.parametersForm},
		{pattern: "POST /console/policies/library/{module}/parameters", need: mayManage, handle: c.changeParameters},
	}
}
