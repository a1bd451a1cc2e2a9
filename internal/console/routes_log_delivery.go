package console

const deliveryPath = "/console/delivery"

// deliveryRoutes is the table of the page about where entries go.
func (c *Console) deliveryRoutes() []route {
	return []route{
		{pattern: "GET " + deliveryPath, need: mayReview, handle: c.showDeliveries},
		{pattern: "GET " + fleetPath, need: mayReview, handle: c.fleet},
		{pattern: "GET " + fleetPath + "/entry", need: mayReview, handle: c.fleetEntry},
		{pattern: "POST " + deliveryPath + "/{name}/retry", need: mayManage, handle: c.retryDelivery, fresh: true, act: "Send refused entries again"},
		{pattern: "POST " + deliveryPath + "/{name}/skip", need: mayManage, handle: c.skipDelivery, fresh: true, act: "Leave refused entries out"},
		{pattern: "POST " + deliveryPath + "/{name}/reset", need: mayManage, handle: c.resetDelivery, fresh: true, act: "Begin a delivery anew"},
	}
}
