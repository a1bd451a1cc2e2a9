package console

// alarmRoutes is the table of the pages about alarms. It is empty where
// nothing watches the log.
func (c *Console) alarmRoutes() []route {
	if c.Alarms == nil {
		return nil
	}
	return []route{
		{pattern: "GET " + alarmsPath, need: mayReview, handle: c.alarms},
		{pattern: "GET " + alarmsPath + "/{id}", need: mayReview, handle: c.showAlarm},
		{pattern: "POST " + alarmsPath + "/{id}", need: mayReview, handle: c.acknowledgeAlarm},

		{pattern: "GET " + alarmRulesPath, need: mayReview, handle: c.alarmRules},
		{pattern: "GET " + alarmRulesPath + "/new", need: mayManage, handle: c.newAlarmRule},
		{pattern: "GET " + alarmRulesPath + "/{rule}", need: mayManage, handle: c.editAlarmRule},
		{pattern: "POST " + alarmRulesPath + "/{rule}", need: mayManage, handle: c.saveAlarmRule, fresh: true, act: "Change the rule of alarms"},
		{pattern: "POST " + alarmRulesPath + "/{rule}/try", need: mayManage, handle: c.tryAlarmRule},
		{pattern: "POST " + alarmRulesPath + "/{rule}/stop", need: mayManage, handle: c.stopAlarmTrial},

		{pattern: "GET " + receiversPath, need: mayManage, handle: c.receivers},
		{pattern: "GET " + receiversPath + "/new", need: mayManage, handle: c.newReceiver},
		{pattern: "POST " + receiversPath + "/new", need: mayManage, handle: c.addReceiver, fresh: true, secret: true, maxBody: bodyOfForm, act: "Add the receiver of alarms"},
		{pattern: "GET " + receiversPath + "/{receiver}", need: mayManage, handle: c.editReceiver},
		{pattern: "POST " + receiversPath + "/{receiver}", need: mayManage, handle: c.changeReceiver, fresh: true, secret: true, maxBody: bodyOfForm, act: "Change the receiver of alarms"},
		{pattern: "POST " + receiversPath + "/{receiver}/try", need: mayManage, handle: c.tryReceiver, fresh: true, act: "Send a test to the receiver of alarms"},
		{pattern: "POST " + receiversPath + "/{receiver}/remove", need: mayManage, handle: c.removeReceiver, fresh: true, act: "Remove the receiver of alarms"},
	}
}
