package console

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/alarm"
	"github.com/ringfence/ringfence/internal/alarm/watch"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
)

const alarmRulesPath = alarmsPath + "/rules"

func ruleURL(id string) string { return alarmRulesPath + "/" + url.PathEscape(id) }

// alarmRulesPage lists the rules.
type alarmRulesPage struct {
	Base
	Rows      []ruleRow
	MayChange bool
	ToURL     string
}

type ruleRow struct {
	URL      string // empty: not for this visitor
	Title    ui.Text
	Help     ui.Text
	On       bool
	Severity ui.Badge
	When     ui.Text // its thresholds
	Scope    ui.Text
	Tells    []ui.Text
}

func (c *Console) alarmRules(w http.ResponseWriter, r *http.Request, v *visit) error {
	rules, err := c.Alarms.AlarmRules(r.Context())
	if err != nil {
		return err
	}
	receivers, err := c.Alarms.Receivers(r.Context())
	if err != nil {
		return err
	}
	page := alarmRulesPage{Base: v.page("Rules of alarms"), MayChange: v.mayChange()}
	if page.MayChange {
		page.ToURL = receiversPath
	}
	for i := range rules {
		page.Rows = append(page.Rows, newRuleRow(v, &rules[i], receivers))
	}
	return c.show(w, r, http.StatusOK, "console-alarm-rules", page)
}

func newRuleRow(v *visit, r *alarm.Rule, receivers []alarm.Receiver) ruleRow {
	row := ruleRow{Title: alarmTitle(r.Title, r.Kind), Help: alarmKinds[r.Kind].help, On: r.On, Severity: severityBadge(r.Severity), When: thresholdWords(r)}
	if v.mayChange() {
		row.URL = ruleURL(r.ID)
	}
	var scope []ui.Text
	d := v.Snapshot.Directory()
	for _, n := range r.Clusters {
		scope = append(scope, clusterLink(d, n).Label)
	}
	for _, n := range r.Vendors {
		scope = append(scope, vendorLink(d, n).Label)
	}
	if len(r.Accounts) > 0 {
		scope = append(scope, ui.Count(len(r.Accounts), "{1} account", "{1} accounts"))
	}
	row.Scope = ui.Join(scope, ", ")
	if r.Owner {
		row.Tells = append(row.Tells, "the vendor's owner")
	}
	for _, id := range r.To {
		if i := slices.IndexFunc(receivers, func(x alarm.Receiver) bool { return x.ID == id }); i >= 0 {
			row.Tells = append(row.Tells, ui.Verbatim(receivers[i].Title))
		}
	}
	return row
}

// thresholdWords say when the rule raises an alarm.
func thresholdWords(r *alarm.Rule) ui.Text {
	switch r.Kind {
	case alarm.Denials, alarm.WrongCodes, alarm.Matches:
		return ui.Say("{1} within {2}", r.Count, span(r.Within))
	case alarm.UnusualHour:
		return ui.Say("after {1} days of work", r.Days)
	case alarm.Volume:
		return ui.Say("{1} times a usual day, and more than {2} requests or {3} MB", r.Times, r.Floor, r.FloorMB)
	case alarm.Egress:
		return ui.Say("{1} % of the budget", r.Percent)
	case alarm.Unanchored:
		return ui.Say("for {1}", span(r.Within))
	}
	return "each time"
}

// alarmRulePage is the form of a rule with how a try of it went.
type alarmRulePage struct {
	editPage
	Trial  trialState
	Result *alarm.Trial
	Rows   []alarmRow
	Fault  ui.Text
	Found  ui.Text // how many it would have raised
	Days   ui.Field
	TryURL string
	Stop   string
}

// triedRule is what a trial was asked.
type triedRule struct {
	Rule alarm.Rule
	Days int
}

func trialOfRule(id string) string { return "alarm:" + id }

// newAlarmRule shows the form of a rule of one's own.
func (c *Console) newAlarmRule(w http.ResponseWriter, r *http.Request, v *visit) error {
	x := alarm.Rule{ID: "own-" + strings.ToLower(rand.Text()[:10]), Kind: alarm.Matches, Severity: alarm.Medium, On: true, Count: 1, Within: 10 * time.Minute, Again: time.Hour}
	return c.showRule(w, r, v, ruleForm(v, &x), x)
}

// editAlarmRule shows the form of a rule, as it is kept or as it was tried.
func (c *Console) editAlarmRule(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := r.PathValue("rule")
	tried, asked := c.desk.trials.newest(trialOfRule(id), trialSet{}).state().detail().(triedRule)
	if r.URL.Query().Get("tried") != "" && asked {
		return c.showRule(w, r, v, ruleForm(v, &tried.Rule), tried.Rule)
	}
	x, err := c.ruleNamed(r, id)
	if err != nil {
		return err
	}
	return c.showRule(w, r, v, ruleForm(v, &x), x)
}

func (c *Console) ruleNamed(r *http.Request, id string) (alarm.Rule, error) {
	rules, err := c.Alarms.AlarmRules(r.Context())
	if err != nil {
		return alarm.Rule{}, err
	}
	i := slices.IndexFunc(rules, func(x alarm.Rule) bool { return x.ID == id })
	if i < 0 {
		return alarm.Rule{}, ui.NotFound()
	}
	return rules[i], nil
}

func (c *Console) showRule(w http.ResponseWriter, r *http.Request, v *visit, f *form, x alarm.Rule) error {
	receivers, err := c.Alarms.Receivers(r.Context())
	if err != nil {
		return err
	}
	page := alarmRulePage{TryURL: ruleURL(x.ID) + "/try", Stop: ruleURL(x.ID) + "/stop", Trial: c.desk.trials.newest(trialOfRule(x.ID), trialSet{}).state(),
		Days: f.choice("try_days", "Try it against the last", "", []ui.Option{{Value: "7", Label: "7 days"}, {Value: "30", Label: "30 days"}, {Value: "90", Label: "90 days"}})}
	page.editPage = editPage{Base: v.page(alarmTitle(x.Title, x.Kind)), Lede: alarmKinds[x.Kind].help, About: ui.Link{Label: "Rules of alarms", URL: alarmRulesPath},
		Submit: "Save", URL: ruleURL(x.ID), Back: alarmRulesPath, Seen: strconv.FormatInt(x.Revision, 10), Groups: ruleGroups(v, f, &x, receivers)}
	if x.Kind == alarm.Matches && x.Title == "" {
		page.editPage.Base = v.page("A rule of your own")
	}
	page.Faulty, page.Faults = f.Faulty(), f.Notes
	if t, ok := page.Trial.Result.(alarm.Trial); ok && page.Trial.Err == nil && !page.Trial.Running {
		page.Result = &t
		asked, _ := page.Trial.detail().(triedRule)
		if page.Found = ui.Count(t.Total, "In the last {2} days it would have raised {1} alarm.", "In the last {2} days it would have raised {1} alarms.", asked.Days); t.Total == 0 {
			page.Found = ui.Say("In the last {1} days it would have raised nothing.", asked.Days)
		}
		for i := range t.Alarms {
			row := newAlarmRow(v.Snapshot.Directory(), &t.Alarms[i])
			row.URL = ""
			if e := t.Alarms[i].Entry; e != nil {
				row.URL = "/console/log/" + strconv.FormatUint(*e, 10)
			}
			page.Rows = append(page.Rows, row)
		}
	}
	if page.Trial.trial != nil && page.Trial.Err != nil && !page.Trial.Stopped() {
		page.Fault = "It could not be tried. The gateway's operational log says why."
	}
	if page.Trial.Running {
		refreshing(w)
	}
	return c.show(w, r, f.status(), "console-alarm-rule", page)
}

// ruleForm fills a form with a rule.
func ruleForm(v *visit, r *alarm.Rule) *form {
	n := func(i int64) string { return strconv.FormatInt(i, 10) }
	on := "off"
	if r.On {
		on = "on"
	}
	val := url.Values{"on": {on}, "severity": {r.Severity}, "title": {r.Title}, "count": {n(int64(r.Count))}, "within": {spanValue(r.Within)}, "times": {n(int64(r.Times))},
		"percent": {n(int64(r.Percent))}, "days": {n(int64(r.Days))}, "floor": {n(r.Floor)}, "floor_mb": {n(r.FloorMB)}, "query": {r.Query}, "again": {spanValue(r.Again)},
		"vendors": r.Vendors, "clusters": r.Clusters, "tell": slices.Clone(r.To), "try_days": {"30"}}
	if r.Owner {
		val.Add("tell", alarm.OwnerReceiver)
	}
	var people []string
	for _, id := range r.Accounts {
		if a := find(v.Snapshot.Directory().Accounts, accountWithID(id)); a != nil {
			id = a.Email
		}
		people = append(people, id)
	}
	val.Set("accounts", strings.Join(people, "\n"))
	return newForm(val)
}

// ruleGroups are the controls of a rule's form: those that its kind has.
func ruleGroups(v *visit, f *form, r *alarm.Rule, receivers []alarm.Receiver) []group {
	number := func(name string, label, hint ui.Text) ui.Field {
		return with(f.text(name, label), func(u *ui.Field) { u.Required, u.InputMode, u.MaxLength, u.Hint = true, "numeric", 10, hint })
	}
	state := f.boxes("on", "State", []choice{{Value: "on", Label: "On"}, {Value: "off", Label: "Off", Hint: "nothing is raised"}})
	state.One, state.Short = true, true
	var severities []ui.Option
	for _, s := range alarm.Severities {
		severities = append(severities, ui.Option{Value: s, Label: severityWords[s]})
	}
	when := []any{state, f.choice("severity", "How grave it is", "", severities)}
	if r.Kind == alarm.Matches {
		when = append(when, with(f.text("title", "Title"), func(u *ui.Field) { u.Required, u.MaxLength = true, 120 }),
			with(f.text("query", "Query"), func(u *ui.Field) {
				u.Required, u.Mono, u.MaxLength, u.Hint = true, true, query.MaxLength, "In the language of the access log's search, such as effect:deny path:/export*, without times."
			}))
	}
	for _, p := range []struct {
		part              alarm.Part
		name              string
		label, hint, more ui.Text
	}{
		{alarm.PartCount, "count", "How many", "", ""}, {alarm.PartTimes, "times", "How many times a usual day", "", ""},
		{alarm.PartPercent, "percent", "Percent of the budget", "", ""},
		{alarm.PartDays, "days", "Days of work that must be known", "Before, the account's past says nothing. At most 28 are remembered.", ""},
		{alarm.PartFloor, "floor", "Requests in a day that are never unusual", "", ""}, {alarm.PartFloor, "floor_mb", "Megabytes in a day that are never unusual", "", ""},
	} {
		if r.Kind.Has(p.part) {
			when = append(when, number(p.name, p.label, p.hint))
		}
	}
	if r.Kind.Has(alarm.PartWithin) {
		label := ui.Text("Within")
		if r.Kind == alarm.Unanchored {
			label = "For how long"
		}
		when = append(when, with(f.text("within", label), func(u *ui.Field) { u.Required, u.MaxLength, u.Hint = true, 20, "Such as 5m or 24h." }))
	}
	when = append(when, with(f.text("again", "The same again after"), func(u *ui.Field) {
		u.MaxLength, u.Hint = 20, "So long nothing more is raised by this rule about the same. Such as 1h; empty: each time."
	}))
	groups := []group{{Title: "When", Controls: controls(when...)}}
	if r.Kind.Has(alarm.PartScope) {
		groups = append(groups, scopeGroup(v, f))
	}
	tell := []choice{{Value: alarm.OwnerReceiver, Label: "The vendor's owner, by mail", Hint: "where the alarm is about somebody of a vendor"}}
	for _, x := range receivers {
		tell = append(tell, choice{Value: x.ID, Label: ui.Verbatim(x.Title), Hint: receiverKinds[x.Kind]})
	}
	return append(groups, group{Title: "Who is told", Hint: "Every alarm stands in the console as well.", Controls: controls(f.boxes("tell", "Receivers", tell))})
}

func scopeGroup(v *visit, f *form) group {
	d := v.Snapshot.Directory()
	var vendors, clusters []choice
	for _, x := range d.Vendors {
		vendors = append(vendors, choice{Value: x.Name, Label: vendorLink(d, x.Name).Label})
	}
	for _, x := range d.Clusters {
		clusters = append(clusters, choice{Value: x.Name, Label: clusterLink(d, x.Name).Label})
	}
	return group{Title: "About whom", Hint: "Nothing chosen: everybody, everywhere.", Controls: controls(f.boxes("vendors", "Vendors", vendors), f.boxes("clusters", "Clusters", clusters),
		with(f.area("accounts", "Accounts", 3), func(u *ui.Field) { u.Hint = "E-mail addresses, one a line." }))}
}

// ruleFrom reads a rule out of its form.
func (c *Console) ruleFrom(v *visit, f *form, x alarm.Rule) alarm.Rule {
	number := func(name string) int64 {
		n, err := strconv.ParseInt(strings.TrimSpace(f.Value(name)), 10, 64)
		if err != nil {
			f.fault(name, "Give a whole number.")
		}
		return n
	}
	x.On = f.oneOf("on", "whether it is on", []string{"on", "off"}) == "on"
	x.Severity = f.oneOf("severity", "how grave it is", alarm.Severities)
	has := x.Kind.Has
	if has(alarm.PartCount) {
		x.Count = int(number("count"))
	}
	if has(alarm.PartTimes) {
		x.Times = int(number("times"))
	}
	if has(alarm.PartPercent) {
		x.Percent = int(number("percent"))
	}
	if has(alarm.PartDays) {
		x.Days = int(number("days"))
	}
	if has(alarm.PartFloor) {
		x.Floor, x.FloorMB = number("floor"), number("floor_mb")
	}
	if has(alarm.PartWithin) {
		x.Within = f.span("within")
	}
	if x.Kind == alarm.Matches {
		x.Title = f.line("title", "a title", 120, true)
		x.Query = ruleQuery(f)
	}
	x.Again = f.span("again")
	if has(alarm.PartScope) {
		c.scopeFrom(v, f, &x)
	}
	x.Owner, x.To = f.Checked("tell", alarm.OwnerReceiver), nil
	for _, id := range f.values["tell"] {
		if id != alarm.OwnerReceiver && !slices.Contains(x.To, id) {
			x.To = append(x.To, id)
		}
	}
	for _, err := range faultsOf(x.Check()) {
		f.fault(err.Part, ruleFaults[err.Part])
	}
	return x
}

// ruleFaults say what a setting may be.
var ruleFaults = map[string]ui.Text{
	"count": "From 1 to 10,000.", "within": "From a second to seven days, such as 5m or 24h.", "times": "From 2 to 1000.", "percent": "From 1 to 100.", "days": "From 1 to 28.",
	"floor": "From 1 to 1,000,000,000.", "floor_mb": "From 1 to 1,000,000,000.", "query": "Give a query.", "accounts": "These are too many.", "again": "At most 30 days, such as 720h.",
	"title": "Give a title of at most 120 characters.", "severity": "Choose how grave it is.",
}

// faultsOf takes joined faults apart.
func faultsOf(err error) (out []*alarm.Fault) {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range j.Unwrap() {
			if f, ok := errors.AsType[*alarm.Fault](e); ok {
				out = append(out, f)
			}
		}
	}
	return out
}

// ruleQuery reads the query of a rule in its canonical spelling.
func ruleQuery(f *form) string {
	text := strings.TrimSpace(f.Value("query"))
	n, err := watch.ParseQuery(text)
	if q, ok := errors.AsType[*query.Error](err); ok {
		f.fault("query", "At character {1}: {2}", q.Column, queryFaultWords(q))
		return ""
	}
	if err != nil {
		f.fault("query", "A rule's query names no times: it is asked of each entry as it comes.")
		return ""
	}
	if n == nil {
		return ""
	}
	return query.Print(n)
}

func (c *Console) scopeFrom(v *visit, f *form, x *alarm.Rule) {
	d := v.Snapshot.Directory()
	var vendors, clusters []string
	for _, n := range d.Vendors {
		vendors = append(vendors, n.Name)
	}
	for _, n := range d.Clusters {
		clusters = append(clusters, n.Name)
	}
	// What the rule names already may be gone from the directory.
	x.Vendors, x.Clusters = f.someOf("vendors", append(vendors, x.Vendors...)), f.someOf("clusters", append(clusters, x.Clusters...))
	was := x.Accounts
	x.Accounts = nil
	for _, l := range f.lines("accounts") {
		a := find(d.Accounts, func(a *directory.Account) bool { return strings.EqualFold(a.Email, l) || a.ID == l })
		switch {
		case a != nil && !slices.Contains(x.Accounts, a.ID):
			x.Accounts = append(x.Accounts, a.ID)
		case a == nil && slices.Contains(was, l):
			x.Accounts = append(x.Accounts, l)
		case a == nil:
			f.fault("accounts", "Nobody here has the address “{1}”.", clip(l, 80))
		}
	}
}
