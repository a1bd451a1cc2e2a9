package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/alarm"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

const alarmsPath = "/console/alarms"

// Alarms is what pages read and change of alarms.
type Alarms interface {
	alarm.Desk
	// Try must ask a rule about the recorded past and raise nothing.
	Try(ctx context.Context, r alarm.Rule, since time.Time, progress func(done, total uint64)) (alarm.Trial, error)
	// TryReceiver must send a to one receiver at once.
	TryReceiver(ctx context.Context, id string, a alarm.Alarm) error
}

// alarmsPage lists alarms.
type alarmsPage struct {
	Base
	Rows     []alarmRow
	Open     int
	All      bool // acknowledged ones too
	Older    string
	Empty    ui.Empty
	RulesURL string
	Scope    ui.Text // what is left out for the visitor
	ToURL    string  // of the receivers; empty: not for this visitor
}

// alarmRow is one alarm in a list.
type alarmRow struct {
	URL      string
	Title    ui.Text
	Text     ui.Text
	Severity ui.Badge
	At       time.Time
	Who      ui.Link
	Vendor   ui.Link
	Cluster  ui.Link
	Done     string // who acknowledged it
	DoneAt   time.Time
}

const alarmsAPage = 50

func newAlarmRow(d *directory.Directory, a *alarm.Alarm) alarmRow {
	row := alarmRow{URL: AlarmPath(a.ID), Title: alarmTitle(a.Title, a.Kind), Text: alarmText(d, a), Severity: severityBadge(a.Severity), At: a.At, Vendor: vendorLink(d, a.Vendor)}
	if a.Cluster != "" {
		row.Cluster = clusterLink(d, a.Cluster)
	}
	if x := find(d.Accounts, accountWithID(a.Account)); x != nil {
		row.Who = ui.Link{Label: ui.Verbatim(nameOf(x)), URL: personURL(x.ID)}
	}
	if !a.Open() {
		row.Done, row.DoneAt = orElse(a.Acknowledged.Email, a.Acknowledged.Account), a.Acknowledged.At
	}
	return row
}

// alarmRow is newAlarmRow without figures that count other clusters than the
// visitor reads of.
func (v *visit) alarmRow(d *directory.Directory, a *alarm.Alarm) alarmRow {
	row := newAlarmRow(d, a)
	if v.mayRead() != nil && a.Kind != alarm.NewCluster && a.Kind != alarm.Egress {
		row.Text = ui.Say("{1} Its figures count all clusters and are not shown to you.", alarmKinds[a.Kind].help)
	}
	return row
}

// maySeeAlarm reports whether the visitor may see an alarm: what it is about is
// judged as an entry of the log is.
func (v *visit) maySeeAlarm(a *alarm.Alarm) bool {
	if v.mayRead() == nil {
		return true
	}
	e := &accesslog.Entry{Record: policy.Record{Type: policy.RecordLog, Action: "alarm.raise", Time: a.At, Account: a.Account, Vendor: a.Vendor, Cluster: a.Cluster}}
	return v.maySee(e)
}

func (c *Console) alarms(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := r.URL.Query()
	f := alarm.Filter{Open: q.Get("show") != "all", Account: q.Get("account"), Clusters: v.filterScope(), Limit: alarmsAPage + 1}
	if s := q.Get("before"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return ui.NotFound()
		}
		f.Before = time.Unix(0, n)
	}
	detail := map[string]string{}
	for _, name := range []string{"show", "account", "before"} {
		if s := q.Get(name); s != "" {
			detail[name] = clip(s, 300)
		}
	}
	if err := c.recordRead(r, v, "log.alarms", "alarms", detail); err != nil {
		return err
	}
	all, err := c.Alarms.Alarms(r.Context(), f)
	if err != nil {
		return err
	}
	page := alarmsPage{Base: v.page("Alarms"), All: !f.Open, RulesURL: alarmRulesPath, Scope: v.logScopeWords()}
	if v.mayChange() {
		page.ToURL = receiversPath
	}
	if len(all) > alarmsAPage {
		all = all[:alarmsAPage]
		page.Older = alarmsPath + "?" + url.Values{"show": {q.Get("show")}, "account": {f.Account}, "before": {strconv.FormatInt(all[len(all)-1].Raised.UnixNano(), 10)}}.Encode()
	}
	d := v.Snapshot.Directory()
	for i := range all {
		if v.maySeeAlarm(&all[i]) {
			page.Rows = append(page.Rows, v.alarmRow(d, &all[i]))
		}
	}
	page.Empty = ui.Empty{Title: "No alarm is open", Text: "Rules look at each entry of the access log as it comes. What they find stands here until somebody has looked at it."}
	if page.All {
		page.Empty.Title = "There was no alarm yet"
	}
	return c.show(w, r, http.StatusOK, "console-alarms", page)
}

// alarmPage shows one alarm.
type alarmPage struct {
	Base
	alarmRow
	Faults   []ui.Text
	Rule     ui.Link
	Help     ui.Text
	Raised   time.Time
	EntryURL string
	Entry    uint64
	LogURL   string // what the account did around it
	Sends    []sendRow
	Note     ui.Field
	NoteText string // of who acknowledged it
	Open     bool
	Barred   ui.Text // why the visitor does not acknowledge it; empty: they may
	Others   ui.Text // who can instead
	PostURL  string
}

type sendRow struct {
	To    ui.Text
	State ui.Badge
	At    time.Time // when it was sent, given up, or is tried again
	Fault string
	Tries int
}

func (c *Console) showAlarm(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.alarmPage(w, r, v, newForm(nil), http.StatusOK)
}

func (c *Console) alarmPage(w http.ResponseWriter, r *http.Request, v *visit, f *form, status int) error {
	a, err := c.alarmOf(r, v)
	if err != nil {
		return err
	}
	if err := c.recordRead(r, v, "log.alarm", "alarm:"+a.ID, nil); err != nil {
		return err
	}
	d := v.Snapshot.Directory()
	page := alarmPage{Base: v.page(alarmTitle(a.Title, a.Kind)), alarmRow: v.alarmRow(d, &a), Faults: f.Notes, Help: alarmKinds[a.Kind].help, Raised: a.Raised,
		Rule: ui.Link{Label: alarmTitle(a.Title, a.Kind)}, Open: a.Open(), NoteText: a.Acknowledged.Note, PostURL: AlarmPath(a.ID),
		Note: with(f.area("note", "What did you find?", 3), func(u *ui.Field) {
			u.Required, u.MaxLength, u.Hint = true, MaxAlarmNote, "It is kept with the alarm and in the access log."
		})}
	if page.Open && a.Involves(v.Session.Account) {
		page.Barred, page.Others = barredText(&a, v.Session.Account), acknowledgers(d, &a, v.Now)
	}
	if v.mayChange() {
		page.Rule.URL = ruleURL(a.Rule)
	}
	if a.Entry != nil {
		page.Entry, page.EntryURL = *a.Entry, "/console/log/"+strconv.FormatUint(*a.Entry, 10)
	}
	if a.Account != "" {
		page.LogURL = "/console/log?" + url.Values{searchAccount: {a.Account}, searchSince: {a.At.Add(-time.Hour).UTC().Format(time.RFC3339)}}.Encode()
	}
	receivers, err := c.Alarms.Receivers(r.Context())
	if err != nil {
		return err
	}
	for i := range a.Sends {
		page.Sends = append(page.Sends, newSendRow(d, &a, &a.Sends[i], receivers))
	}
	return c.show(w, r, status, "console-alarm", page)
}

func newSendRow(d *directory.Directory, a *alarm.Alarm, s *alarm.Send, receivers []alarm.Receiver) sendRow {
	row := sendRow{To: ui.Verbatim(s.Receiver), Fault: s.Fault, Tries: s.Tries}
	if s.Receiver == alarm.OwnerReceiver {
		row.To = ui.Say("the owner of {1}", vendorLink(d, a.Vendor).Label)
	}
	if i := slices.IndexFunc(receivers, func(x alarm.Receiver) bool { return x.ID == s.Receiver }); i >= 0 {
		row.To = ui.Verbatim(receivers[i].Title)
	}
	if s.Acknowledged {
		row.To = ui.Say("{1}, that it was acknowledged", row.To)
	}
	switch {
	case !s.Sent.IsZero():
		row.State, row.At = ui.Badge{Kind: ui.Good, Text: "sent"}, s.Sent
	case !s.GivenUp.IsZero():
		row.State, row.At = ui.Badge{Kind: ui.Bad, Text: "given up"}, s.GivenUp
	default:
		row.State, row.At = ui.Badge{Kind: ui.Warn, Text: "waits"}, s.Next
	}
	return row
}

// alarmOf reads the alarm of the address, for whoever may see it.
func (c *Console) alarmOf(r *http.Request, v *visit) (alarm.Alarm, error) {
	a, err := c.Alarms.Alarm(r.Context(), r.PathValue("id"))
	if errors.Is(err, alarm.ErrNotFound) || err == nil && !v.maySeeAlarm(&a) {
		return a, ui.NotFound()
	}
	return a, err
}

// MaxAlarmNote is how many characters say what was found at an alarm.
const MaxAlarmNote = 1000

func (c *Console) acknowledgeAlarm(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, err := c.alarmOf(r, v)
	if err != nil {
		return err
	}
	f := posted(r)
	if a.Open() && a.Involves(v.Session.Account) {
		return c.alarmPage(w, r, v, f, http.StatusForbidden)
	}
	note := strings.TrimSpace(strings.ReplaceAll(f.Value("note"), "\r\n", "\n"))
	switch {
	case note == "":
		f.fault("note", "Say what you found, also where it was nothing.")
	case utf8.RuneCountInString(note) > MaxAlarmNote:
		f.fault("note", "At most {1} characters.", MaxAlarmNote)
	case !utf8.ValidString(note) || strings.ContainsFunc(note, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' }):
		f.fault("note", "This holds characters that cannot be shown.")
	}
	if !f.OK() {
		return c.alarmPage(w, r, v, f, http.StatusUnprocessableEntity)
	}
	err = c.Alarms.Acknowledge(r.Context(), v.Actor(), a.ID, note)
	if errors.Is(err, alarm.ErrDone) {
		f.note("Somebody else acknowledged it in the meantime.")
		return c.alarmPage(w, r, v, f, http.StatusConflict)
	}
	if errors.Is(err, alarm.ErrInvolved) {
		return c.alarmPage(w, r, v, f, http.StatusForbidden)
	}
	if err != nil {
		return alarmError(err)
	}
	return c.seeOther(w, r, v, alarmsPath, "The alarm is acknowledged.")
}

// alarmError is the answer to a change that was refused.
func alarmError(err error) error {
	switch {
	case errors.Is(err, alarm.ErrNotFound):
		return ui.NotFound()
	case errors.Is(err, directory.ErrNotAllowed):
		return &ui.Error{Status: http.StatusForbidden, Code: "not_allowed", Title: "No longer yours to change", Err: err,
			Detail: "Your account may not do this at this moment. Nothing was changed."}
	}
	return err
}

// openAlarms returns how many alarms are open that the visitor may see, and the
// newest of them.
func (c *Console) openAlarms(ctx context.Context, v *visit) (int, []alarm.Alarm, error) {
	const few, most = 50, 1000
	clusters := v.filterScope()
	if clusters == nil {
		return c.Alarms.OpenAlarms(ctx, few)
	}
	all, err := c.Alarms.Alarms(ctx, alarm.Filter{Open: true, Clusters: clusters, Limit: most})
	return len(all), all[:min(len(all), few)], err
}

// alarmAttentions says which alarms are open, for the overview.
func (c *Console) alarmAttentions(ctx context.Context, v *visit) []attention {
	const few = 5
	if c.Alarms == nil || !v.mayReview() {
		return nil
	}
	n, all, err := c.openAlarms(ctx, v)
	if err != nil {
		c.Logger.ErrorContext(ctx, "reading alarms", "err", err)
		return []attention{{ui.Badge{Kind: ui.Bad, Text: "alarms"}, ui.Link{}, "Alarms cannot be read. The operational log says why."}}
	}
	var out []attention
	seen := 0
	for i := range all {
		if !v.maySeeAlarm(&all[i]) {
			continue
		}
		if seen++; seen <= few {
			row := v.alarmRow(v.Snapshot.Directory(), &all[i])
			out = append(out, attention{ui.Badge{Kind: row.Severity.Kind, Text: "alarm"}, ui.Link{Label: row.Title, URL: row.URL}, row.Text})
		}
	}
	if more := n - min(n, few); more > 0 {
		out = append(out, attention{ui.Badge{Kind: ui.Warn, Text: "alarms"}, ui.Link{Label: ui.Count(more, "{1} more alarm", "{1} more alarms"), URL: alarmsPath}, "to be looked at."})
	}
	return out
}
