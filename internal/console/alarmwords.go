package console

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/ringfence/ringfence/internal/alarm"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// alarmKinds word the kinds of rules: a title, and what they look for.
var alarmKinds = map[alarm.Kind]struct{ title, help ui.Text }{
	alarm.Denials:     {"Many denied requests", "So many requests of one account, or of one address where nobody is signed in, are denied within this time."},
	alarm.WrongCodes:  {"Wrong codes behind a right password", "So many codes or keys fail within this time, after the right password was given: somebody else may know it."},
	alarm.NewCluster:  {"First use of a cluster", "An account is let through to a cluster that it never used before."},
	alarm.UnusualHour: {"At work at an unusual hour", "An account works at an hour at which, in the weeks before, it never did. Working days and weekends are apart."},
	alarm.Volume:      {"Much more than usual", "An account makes or is sent many times as much in a day as on its usual day. Days count in UTC."},
	alarm.Egress:      {"Egress budget nearly used", "An account was sent so much of what a policy lets it be sent from a cluster in a day."},
	alarm.PolicyAlone: {"Policies changed by one person alone", "Policies were rolled back in an emergency or published on the machine, without a second person."},
	alarm.LogTrouble:  {"Trouble with the access log", "The log cannot be written, was late, is nearly out of room, was repaired or was begun anew, or the clock jumped."},
	alarm.Unanchored:  {"Checkpoints that nobody vouches for", "For so long no witness has cosigned the newest checkpoint, or one contradicts it."},
	alarm.Matches:     {"Entries that a query selects", "So many entries about one account are selected by a query within this time."},
}

var severityWords = map[string]ui.Text{alarm.High: "grave", alarm.Medium: "medium", alarm.Low: "slight"}

func severityBadge(s string) ui.Badge {
	kind := ui.Neutral
	switch s {
	case alarm.High:
		kind = ui.Bad
	case alarm.Medium:
		kind = ui.Warn
	}
	return ui.Badge{Kind: kind, Text: severityWords[s]}
}

// alarmTitle is the headline of an alarm, or of a rule with its title and kind.
func alarmTitle(title string, k alarm.Kind) ui.Text {
	return cmp.Or(ui.Verbatim(title), alarmKinds[k].title)
}

// whomOf names whom an alarm is about; empty for nobody.
func whomOf(d *directory.Directory, a *alarm.Alarm) ui.Text {
	if x := find(d.Accounts, accountWithID(a.Account)); x != nil {
		return ui.Verbatim(nameOf(x))
	}
	if a.Account != "" {
		return ui.Verbatim(a.Account)
	}
	if a.About == alarm.ManyAddresses {
		return "many addresses"
	}
	return ui.Verbatim(a.About)
}

// alarmText says in a sentence what an alarm found.
func alarmText(d *directory.Directory, a *alarm.Alarm) ui.Text {
	who, n := whomOf(d, a), func(key string) int { n, _ := strconv.Atoi(a.Facts[key]); return n }
	size := func(key string) ui.Text { b, _ := strconv.ParseInt(a.Facts[key], 10, 64); return amount(b) }
	since := func() ui.Text { t, _ := time.Parse(time.RFC3339, a.Facts["since"]); return clock(t) }
	switch a.Kind {
	case alarm.Denials:
		return ui.Count(n("count"), "{1} request of {2} was denied since {3}.", "{1} requests of {2} were denied since {3}.", who, since())
	case alarm.WrongCodes:
		return ui.Count(n("count"), "{1} wrong code was given for {2} after the right password, since {3}.", "{1} wrong codes were given for {2} after the right password, since {3}.", who, since())
	case alarm.NewCluster:
		return ui.Say("{1} uses {2} for the first time.", who, clusterLink(d, a.Cluster).Label)
	case alarm.UnusualHour:
		return ui.Say("{1} is at work in the hour from {2}:00 UTC, which is new in its last {3} days of work.", who, a.Facts["hour"], a.Facts["days"])
	case alarm.Volume:
		if a.Facts["what"] == "bytes" {
			return ui.Say("{1} was sent {2} today; on a usual day it is {3}.", who, size("bytes"), size("usual_bytes"))
		}
		return ui.Say("{1} made {2} requests today; on a usual day it is {3}.", who, a.Facts["requests"], a.Facts["usual_requests"])
	case alarm.Egress:
		return ui.Say("{1} was sent {2} from {3} today, {4} % of the budget of {5}.", who, size("bytes"), clusterLink(d, a.Cluster).Label, a.Facts["percent"], size("budget"))
	case alarm.Matches:
		return ui.Count(n("count"), "{1} entry about {2} is selected since {3}.", "{1} entries about {2} are selected since {3}.", who, since())
	}
	return troubleText(a)
}

// troubleText words what is wrong with the log or with policies.
func troubleText(a *alarm.Alarm) ui.Text {
	what := a.Facts["what"]
	switch a.Kind {
	case alarm.PolicyAlone:
		if what == "rollback" {
			return "Policies were rolled back in an emergency by one person alone. The entry says who, and why."
		}
		return "Policies were published on the machine itself, without a second person. The entry says who, and why."
	case alarm.Unanchored:
		if what == "gap" {
			return ui.Say("No witness has cosigned the newest checkpoint for {1}. Entries since then could be cut off unseen by whoever holds the machine and the key.", a.Facts["gap"])
		}
		return ui.Say("The log says of a witness: {1}.", what)
	}
	switch what {
	case "unwritable":
		return "The access log cannot be written. Nothing is served until it can; the operational log says why."
	case "conflict":
		return "A witness holds another history of this log than this machine does: it was rolled back, forked or replaced. Nothing is served until a person has looked."
	case "unsigned":
		return "Entries wait for a signed checkpoint for longer than they should."
	case "deadline":
		return "An entry was not durable in time, so its request was refused. The disk is slow or in trouble."
	case "recovered":
		return "A start dropped an unfinished write from the end of the log."
	case "clock":
		return "The clock of the gateway jumped."
	case "disk":
		return "The disk of the access log is running out of room."
	case "log.abandon":
		return "The access log was given up and another begun."
	}
	return ui.Say("The access log says: {1}.", what)
}

// amount writes a number of bytes for people.
func amount(b int64) ui.Text {
	switch {
	case b < 10_000:
		return ui.Count(int(b), "{1} byte", "{1} bytes")
	case b < 10_000_000:
		return ui.Say("{1} kB", b/1000)
	case b < 10_000_000_000:
		return ui.Say("{1} MB", b/1_000_000)
	}
	return ui.Say("{1} GB", b/1_000_000_000)
}

// Alarm words an alarm for receivers: a headline, a sentence, and a mail.
func (h Letterhead) Alarm(d *directory.Directory, a *alarm.Alarm) (title, text string, mail MailText) {
	title, text = plainLine(alarmTitle(a.Title, a.Kind).String()), plainSentence(alarmText(d, a).String())
	facts := "When: " + clock(a.At).String()
	if a.Vendor != "" {
		facts += "\nVendor: " + plainLine(vendorLink(d, a.Vendor).Label.String())
	}
	if a.Cluster != "" {
		facts += "\nCluster: " + plainLine(clusterLink(d, a.Cluster).Label.String())
	}
	if a.Entry != nil {
		facts += "\nEntry of the access log: " + strconv.FormatUint(*a.Entry, 10)
	}
	if !a.Open() {
		return h.acknowledged(d, a, title, text, facts)
	}
	return title, text, h.letter("Alarm: "+title, "Good day,", text, facts,
		"Who may read the access log sees more, and acknowledges it: "+h.Gate+AlarmPath(a.ID))
}

// acknowledged words that an alarm was acknowledged. What was found stays with
// the alarm: it may say of people what no mail should.
func (h Letterhead) acknowledged(d *directory.Directory, a *alarm.Alarm, title, text, facts string) (string, string, MailText) {
	who := a.Acknowledged.Account
	if x := find(d.Accounts, accountWithID(who)); x != nil {
		who = nameOf(x)
	}
	title = "Acknowledged: " + title
	done := plainSentence(ui.Say("{1} acknowledged it on {2}.", who, clock(a.Acknowledged.At)).String())
	return title, text + " " + done, h.letter(title, "Good day,", text, facts, done,
		"What was found stands with the alarm, for whoever may read the access log: "+h.Gate+AlarmPath(a.ID))
}

// AlarmRuleWords returns the title of a rule and when it raises an alarm, in
// English and on a line each.
func AlarmRuleWords(r *alarm.Rule) (title, when string) {
	return plainLine(alarmTitle(r.Title, r.Kind).String()), plainSentence(thresholdWords(r).String())
}

// AlarmSeverityWord returns how grave an alarm is, in English, as pages say it.
func AlarmSeverityWord(severity string) string { return severityWords[severity].String() }

// barredText says why an account does not acknowledge an alarm.
func barredText(a *alarm.Alarm, account string) ui.Text {
	if a.Actor == account {
		return "This alarm is about what you did yourself. Somebody else acknowledges it."
	}
	return "This alarm is about your own account. Somebody else acknowledges it."
}

// acknowledgers says who can acknowledge an alarm.
func acknowledgers(d *directory.Directory, a *alarm.Alarm, now time.Time) ui.Text {
	const few = 5
	var who []ui.Text
	for i := range d.Accounts {
		x := &d.Accounts[i]
		if !x.InForce(now) || a.Involves(x.ID) || !x.Has(policy.Reviewer) && !x.Has(policy.Administrator) ||
			len(x.LogClusters) > 0 && !slices.Contains(x.LogClusters, a.Cluster) {
			continue
		}
		who = append(who, ui.Verbatim(nameOf(x)))
	}
	switch n := len(who); {
	case n == 0:
		return "Nobody else can at this moment: another account with the role of a reviewer is needed."
	case n > few:
		return ui.Count(n-few, "Can do so: {2} and {1} more.", "Can do so: {2} and {1} more.", ui.Join(who[:few], ", "))
	}
	return ui.Say("Can do so: {1}.", andTexts(who))
}

// AlarmPath is the path of the page about an alarm.
func AlarmPath(id string) string { return alarmsPath + "/" + id }

// plainSentence is text without what could break a line of a message.
func plainSentence(s string) string {
	return clip(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == 0x2028 || r == 0x2029 }), " "), 600)
}
