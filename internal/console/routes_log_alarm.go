package console

// alarmRoutes is the table of the pages about alarms.
func (c *Console) alarmRoutes() []route {
	return nil
}
