package console

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// clock writes a moment for people, in UTC.
func clock(t time.Time) ui.Text { return ui.Moment(t) }

// day writes a date for people.
func day(t time.Time) ui.Text { return ui.Day(t) }

// lastDay writes the last day on which something that ends at t still holds.
func lastDay(t time.Time) ui.Text {
	if t.IsZero() {
		return ""
	}
	return day(t.Add(-time.Nanosecond))
}

// lastDayValue is lastDay as a date field shows it.
func lastDayValue(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return dateValue(t.Add(-time.Nanosecond))
}

// daysLeft says how long there is until t.
func daysLeft(now, t time.Time) ui.Text {
	d := t.Sub(now)
	switch days := int(d / (24 * time.Hour)); {
	case d <= 0:
		return "ended"
	case d < time.Hour:
		return "ends within the hour"
	case days < 1:
		return "ends today"
	default:
		return ui.Count(days, "{1} day left", "{1} days left")
	}
}

// ago says how long it is since t.
func ago(now, t time.Time) ui.Text {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return "never"
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return ui.Count(int(d/time.Minute), "{1} minute ago", "{1} minutes ago")
	case d < 48*time.Hour:
		return ui.Count(int(d/time.Hour), "{1} hour ago", "{1} hours ago")
	default:
		return ui.Count(int(d/(24*time.Hour)), "{1} day ago", "{1} days ago")
	}
}

// cut says how many sessions an act ends; none is the sentence for when there
// are none.
func cut(sessions int, none ui.Text) ui.Text {
	if sessions == 0 {
		return none
	}
	return ui.Count(sessions, "{1} session will end at once, with every open connection.", "{1} sessions will end at once, with every open connection.")
}

// count writes a number with its noun.
func count(n int, noun string) ui.Text {
	if words, ok := nouns[noun]; ok {
		return words(n)
	}
	return ui.Verbatim(strconv.Itoa(n) + " " + noun)
}

var nouns = map[string]func(n int) ui.Text{
	"acceptance": func(n int) ui.Text { return ui.Count(n, "{1} acceptance", "{1} acceptances") },
	"account":    func(n int) ui.Text { return ui.Count(n, "{1} account", "{1} accounts") },
	"assignment": func(n int) ui.Text { return ui.Count(n, "{1} assignment", "{1} assignments") },
	"byte":       func(n int) ui.Text { return ui.Count(n, "{1} byte", "{1} bytes") },
	"cluster":    func(n int) ui.Text { return ui.Count(n, "{1} cluster", "{1} clusters") },
	"engagement": func(n int) ui.Text { return ui.Count(n, "{1} engagement", "{1} engagements") },
	"group":      func(n int) ui.Text { return ui.Count(n, "{1} group", "{1} groups") },
	"row":        func(n int) ui.Text { return ui.Count(n, "{1} row", "{1} rows") },
	"entry":      func(n int) ui.Text { return ui.Count(n, "{1} entry", "{1} entries") },
	"mail":       func(n int) ui.Text { return ui.Count(n, "{1} mail", "{1} mails") },
	"person":     func(n int) ui.Text { return ui.Count(n, "{1} person", "{1} people") },
	"revision":   func(n int) ui.Text { return ui.Count(n, "{1} revision", "{1} revisions") },
	"session":    func(n int) ui.Text { return ui.Count(n, "{1} session", "{1} sessions") },
	"token":      func(n int) ui.Text { return ui.Count(n, "{1} machine or token", "{1} machines and tokens") },
	"vendor":     func(n int) ui.Text { return ui.Count(n, "{1} vendor", "{1} vendors") },
}

// size writes a number of bytes for people.
func size(n int64) ui.Text {
	const unit = 1024
	if n < unit {
		return count(int(n), "byte")
	}
	f, i := float64(n), -1
	for f >= unit && i < 4 {
		f, i = f/unit, i+1
	}
	return ui.Verbatim(fmt.Sprintf("%.1f %s", f, [...]string{"KiB", "MiB", "GiB", "TiB", "PiB"}[i]))
}

// span writes a duration without the parts that are zero: 1h, not 1h0m0s.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// millis writes a number of milliseconds for people.
func millis(n int64) ui.Text {
	if n < 10_000 {
		return ui.Verbatim(fmt.Sprintf("%d ms", n))
	}
	return ui.Verbatim(time.Duration(n * int64(time.Millisecond)).Round(100 * time.Millisecond).String())
}

// methodsInWords says which methods an assignment allows.
func methodsInWords(access string, methods []string) ui.Text {
	switch {
	case access == policy.AccessRead && len(methods) > 0:
		return ui.Say("Reading only, and of it only {1}", andWords(methods))
	case access == policy.AccessRead:
		return "Reading only: GET, HEAD and OPTIONS"
	case len(methods) > 0:
		return ui.Say("Only {1}", andWords(methods))
	}
	return "Any method"
}

// pathsInWords says which paths an assignment covers.
func pathsInWords(paths []string) ui.Text {
	if len(paths) == 0 || slices.Contains(paths, "/") {
		return "Every path."
	}
	return ui.Say("Paths at and below {1}.", andWords(paths))
}

// accessInWords says in one sentence what an assignment allows.
func accessInWords(access string, methods, paths []string) ui.Text {
	if len(paths) == 0 || slices.Contains(paths, "/") {
		return ui.Say("{1}, on every path.", methodsInWords(access, methods))
	}
	return ui.Say("{1}, on paths at and below {2}.", methodsInWords(access, methods), andWords(paths))
}

// roleWords says what each role may do.
var roleWords = map[policy.Role]ui.Text{
	policy.Contractor:    "works on the clusters that are assigned",
	policy.Administrator: "changes people, vendors, clusters and assignments",
	policy.Approver:      "is the second pair of eyes for changes",
	policy.Reviewer:      "reads everything, the access log included, and changes nothing",
}

// actionNames says what the commonest actions are to people. The others are
// readable as they are.
var actionNames = map[string]ui.Text{
	"log.reconcile":    "compared an upstream’s log with the access log",
	"log.restore":      "fetched entries back from the archive",
	"log.publish":      "read the log as tiles",
	"log.abandon":      "gave up an earlier log",
	"witness.lost":     "a witness does not cosign",
	"witness.back":     "a witness cosigns again",
	"witness.conflict": "a witness remembers another log",
	"witness.stopped":  "clusters not served for want of cosignatures",
	"witness.resumed":  "clusters served again, with cosignatures",

	"session.start":      "signed in",
	"session.confirm":    "confirmed with a fresh factor",
	"session.end":        "session ended",
	"session.expire":     "session ran out",
	"session.idle":       "session paused, unused",
	"session.resume":     "session resumed with the password",
	"clock.back":         "the clock was set back",
	"password.set":       "set a password",
	"password.failed":    "wrong password",
	"password.throttled": "too many wrong passwords",
	"totp.add":           "connected an authenticator",
	"totp.confirm":       "confirmed the authenticator",
	"totp.failed":        "wrong code",
	"totp.reused":        "code used a second time",
	"totp.throttled":     "too many wrong codes",
	"recovery.used":      "used a recovery code",
	"recovery.failed":    "wrong recovery code",
	"recovery.replace":   "made new recovery codes",
	"password.change":    "changed the password",
	"invite.failed":      "wrong number for the invitation",
	"notice.pass_on":     "passed a warning on",
	"webauthn.add":       "added a passkey or security key",
	"webauthn.remove":    "passkey or security key removed",
	"webauthn.rename":    "renamed a passkey or security key",
	"webauthn.used":      "used a passkey or security key",
	"webauthn.failed":    "passkey or security key refused",
	"webauthn.cloned":    "passkey or security key refused as a copy",
	"webauthn.allow":     "may add a passkey or security key",
	"invite.create":      "was invited",
	"invite.accept":      "accepted the invitation",
	"factor.reset":       "sign-in was reset",
	"token.create":       "made a token",
	"device.ask":         "asked to sign a program in",
	"device.failed":      "typed a program's code that is not right",
	"device.approve":     "approved a program's sign-in",
	"device.deny":        "refused a program's sign-in",
	"device.start":       "signed a program in",
	"device.end":         "signed a program out",
	"token.revoke":       "token revoked",
	"agreement.accept":   "accepted an agreement",
	"log.query":          "searched the access log",
	"log.entry":          "read an entry of the access log",
	"log.export":         "exported the access log",
	"log.replay":         "had recorded requests decided again",
	"log.replayed":       "read what a replay of recorded requests found",
	"log.shadow":         "read what policies in shadow would have decided",
	"log.alarms":         "read the list of alarms",
	"log.alarm":          "read an alarm",
	"log.tail":           "followed the access log",
	"alarm.raise":        "an alarm was raised",
	"alarm.acknowledge":  "acknowledged an alarm",
	"alarm.rule":         "changed a rule of alarms",
	"alarm.receiver":     "changed a receiver of alarms",
	"log.own":            "read what is recorded about them",
	"log.count":          "counted entries of the access log",
	"log.exported":       "an export of the access log ended",
	"log.review":         "marked entries as reviewed",
	"log.search_save":    "saved a search of the access log",
	"log.search_change":  "changed a saved search",
	"log.search_remove":  "removed a saved search",
	"start":              "the gateway opened the log",
	"recovered":          "an unfinished write was dropped",
	"clock":              "the clock went back",
	"facts":              "what was known to decisions",
}

// factorNames says what a factor is to people.
var factorNames = map[string]ui.Text{
	policy.FactorPassword: "password",
	policy.FactorTOTP:     "authenticator code",
	policy.FactorRecovery: "recovery code",
	policy.FactorExternal: "company account",
	policy.FactorProvider: "second factor at the company",
	policy.FactorWebAuthn: "passkey or security key",
}

// typeWords names the types of entries.
var typeWords = map[policy.RecordType]ui.Text{
	policy.RecordRequest: "Request",
	policy.RecordOutcome: "Outcome",
	policy.RecordLogin:   "Sign-in",
	policy.RecordAdmin:   "Change",
	policy.RecordPolicy:  "Policy",
	policy.RecordLog:     "Log",
}

// reasonWords says what the reasons mean that Ringfence itself gives, to
// whoever reads the log. Administrators' policies add codes that are not here.
var reasonWords = map[string]ui.Text{
	policy.ReasonSignIn:             "Nobody was signed in.",
	policy.ReasonCodeStale:          "The last code was too old for this cluster.",
	policy.ReasonAgreementMissing:   "An agreement that the engagement demands was not accepted.",
	policy.ReasonSecondFactor:       "The session had no second factor.",
	policy.ReasonPhishingResistant:  "The engagement demands a passkey or security key, and the session had none or had used it too long ago.",
	policy.ReasonAccountNotActive:   "The account was not active.",
	policy.ReasonAccountEnded:       "The account had ended.",
	policy.ReasonVendorNotActive:    "The vendor was suspended.",
	policy.ReasonNoAssignment:       "The cluster was not assigned to this account.",
	policy.ReasonAssignmentPending:  "The assignment had not begun.",
	policy.ReasonAssignmentEnded:    "The assignment had ended.",
	policy.ReasonEngagementInactive: "The engagement was closed.",
	policy.ReasonEngagementPending:  "The engagement had not begun.",
	policy.ReasonEngagementEnded:    "The engagement had ended.",
	policy.ReasonClusterNotCovered:  "The engagement did not cover the cluster.",
	policy.ReasonMethodOutOfScope:   "The assignment did not allow the method.",
	policy.ReasonPathOutOfScope:     "The assignment did not cover the path.",
	policy.ReasonTokenOtherCluster:  "The token was made for another cluster.",
	policy.ReasonFactsMissing:       "Something that must be known was not.",
	policy.ReasonPolicyNotAllowed:   "A policy of the administrators did not allow it.",
	policy.ReasonPolicyUndefined:    "The policies gave no answer.",
	policy.ReasonPolicyError:        "The policies could not be evaluated.",
	policy.ReasonPolicyTimeout:      "The policies took too long.",
	policy.ReasonRequestAmbiguous:   "The request could be read in more than one way.",
	policy.ReasonRequestTooLarge:    "The request was too large.",
	policy.ReasonCrossOrigin:        "Another site sent the request.",
	policy.ReasonUnknownHost:        "No cluster has that host.",
	policy.ReasonUnknownRoute:       "The cluster has no route for that path.",
	policy.ReasonLogUnavailable:     "The access log could not be written.",
	policy.ReasonUpstreamDown:       "No upstream could be reached.",
	policy.ReasonResponseTooLarge:   "The response was larger than the policies allow.",
	policy.ReasonRateLimited:        "Too many requests.",
}
