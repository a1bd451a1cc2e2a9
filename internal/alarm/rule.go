package alarm

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A Kind says what a rule looks for.
type Kind string

// The kinds. Those that speak of an account's past need some days of it before
// they say anything.
const (
	Denials     Kind = "denials"        // Count denied requests of one account, or one address, within Within
	NewCluster  Kind = "new_cluster"    // the first request of an account that a cluster lets through
	UnusualHour Kind = "unusual_hour"   // at work at an hour at which the account never was in its past
	Volume      Kind = "unusual_volume" // Times as much in a day as on a usual day of the account
	WrongCodes  Kind = "wrong_codes"    // Count wrong codes behind a right password within Within
	Egress      Kind = "egress"         // Percent of the day's egress budget on a cluster are used
	LogTrouble  Kind = "log_trouble"    // the log cannot record, was late, or was repaired
	Unanchored  Kind = "not_anchored"   // no witness vouches for the newest entries, or none is signed, for Within
	PolicyAlone Kind = "policy_alone"   // policies were rolled back or published by one person
	Matches     Kind = "matches"        // Count entries that Query selects, by one account, within Within
)

// ManyAddresses is whom an alarm is about where more addresses than can be named did the same.
const ManyAddresses = "many addresses"

// Kinds are all kinds, in the order in which pages list them.
var Kinds = []Kind{Denials, WrongCodes, NewCluster, UnusualHour, Volume, Egress, PolicyAlone, LogTrouble, Unanchored, Matches}

// A Part is a setting that rules of some kinds have.
type Part int

// The parts.
const (
	PartCount Part = iota
	PartWithin
	PartTimes
	PartPercent
	PartDays
	PartFloor
	PartQuery
	PartScope
)

var parts = map[Kind][]Part{
	Denials: {PartCount, PartWithin, PartScope}, NewCluster: {PartScope}, UnusualHour: {PartDays, PartScope},
	Volume: {PartTimes, PartDays, PartFloor, PartScope}, WrongCodes: {PartCount, PartWithin, PartScope},
	Egress: {PartPercent, PartScope}, LogTrouble: {}, Unanchored: {PartWithin}, PolicyAlone: {},
	Matches: {PartCount, PartWithin, PartQuery, PartScope},
}

// Has reports whether rules of the kind have the part.
func (k Kind) Has(p Part) bool { return slices.Contains(parts[k], p) }

// Severities of alarms.
const (
	Low    = "low"
	Medium = "medium"
	High   = "high"
)

// Severities are all of them, the gravest first.
var Severities = []string{High, Medium, Low}

// A Rule says when an alarm is raised and who is told.
type Rule struct {
	ID       string `json:"id"`       // small letters, digits and hyphens
	Revision int64  `json:"revision"` // 0: as it comes with the product
	Kind     Kind   `json:"kind"`
	Title    string `json:"title,omitempty"` // of an administrator's own; empty: that of the kind
	On       bool   `json:"on"`
	Severity string `json:"severity"`

	Count   int           `json:"count,omitempty"`
	Within  time.Duration `json:"within,omitempty"`
	Times   int           `json:"times,omitempty"`
	Percent int           `json:"percent,omitempty"`
	Days    int           `json:"days,omitempty"`     // of past that an account needs
	Floor   int64         `json:"floor,omitempty"`    // requests in a day that are never unusual
	FloorMB int64         `json:"floor_mb,omitempty"` // the same in megabytes (1,000,000 bytes) sent
	Query   string        `json:"query,omitempty"`    // canonical, of package query

	// Accounts (ids), Vendors and Clusters narrow what counts. Empty: all.
	Accounts []string `json:"accounts,omitempty"`
	Vendors  []string `json:"vendors,omitempty"`
	Clusters []string `json:"clusters,omitempty"`

	// Again is how long the same about the same is not raised a second time.
	Again time.Duration `json:"again"`
	// Owner has the vendor's owner told by mail; To are ids of receivers.
	Owner bool     `json:"owner"`
	To    []string `json:"to,omitempty"`
}

// Defaults returns the rules that come with the product, all of them on. Each
// has its kind for its id, with hyphens.
func Defaults() []Rule {
	day := 24 * time.Hour
	rules := []Rule{
		{Kind: Denials, Severity: Medium, Count: 20, Within: 5 * time.Minute, Again: time.Hour, Owner: true},
		{Kind: WrongCodes, Severity: High, Count: 3, Within: 10 * time.Minute, Again: time.Hour, Owner: true},
		{Kind: NewCluster, Severity: Low, Again: day},
		{Kind: UnusualHour, Severity: Medium, Days: 10, Again: 12 * time.Hour, Owner: true},
		{Kind: Volume, Severity: High, Times: 5, Days: 7, Floor: 500, FloorMB: 50, Again: 12 * time.Hour, Owner: true},
		{Kind: Egress, Severity: Medium, Percent: 80, Again: day, Owner: true},
		{Kind: PolicyAlone, Severity: High, Again: 0},
		{Kind: LogTrouble, Severity: High, Again: 10 * time.Minute},
		{Kind: Unanchored, Severity: High, Within: 10 * time.Minute, Again: time.Hour},
	}
	for i := range rules {
		rules[i].ID, rules[i].On = DefaultID(rules[i].Kind), true
	}
	return rules
}

// DefaultID is the id of the rule of a kind that comes with the product.
func DefaultID(k Kind) string { return strings.ReplaceAll(string(k), "_", "-") }

// Default returns the rule of an id as it comes with the product.
func Default(id string) (Rule, bool) {
	for _, r := range Defaults() {
		if r.ID == id {
			return r, true
		}
	}
	return Rule{}, false
}

// Errors that callers match with errors.Is.
var (
	ErrNotFound = errors.New("there is no such thing")
	ErrChanged  = errors.New("somebody else changed it in the meantime")
	ErrDone     = errors.New("it was acknowledged already")
	ErrInvolved = errors.New("somebody else acknowledges what is about oneself")
	ErrTooMany  = errors.New("there are too many already")
)

// Bounds of rules.
const (
	MaxCount  = 10_000
	MaxWithin = 7 * 24 * time.Hour
	MaxDays   = 28 // days of the past that are remembered of an account
	MaxRules  = 100
	maxTitle  = 120
	maxScope  = 1000
)

// A Fault is what is wrong with one setting.
type Fault struct {
	Part string // "count", "within", …, as the JSON key
	What string
}

func (f *Fault) Error() string { return f.Part + " " + f.What }

var idForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// Check returns what is wrong with r: a [*Fault], or several joined. It knows
// nothing of the query language, of accounts or receivers.
func (r *Rule) Check() error {
	var errs []error
	bad := func(wrong bool, part, what string, args ...any) {
		if wrong {
			errs = append(errs, &Fault{part, fmt.Sprintf(what, args...)})
		}
	}
	bad(!idForm.MatchString(r.ID), "id", "is no name")
	bad(!slices.Contains(Kinds, r.Kind), "kind", "is none")
	bad(!slices.Contains(Severities, r.Severity), "severity", "is none")
	bad(r.Kind == Matches && r.Title == "", "title", "is needed")
	bad(utf8.RuneCountInString(r.Title) > maxTitle || !utf8.ValidString(r.Title) || strings.ContainsFunc(r.Title, unicode.IsControl), "title", "is at most %d plain characters", maxTitle)
	if r.Kind.Has(PartCount) {
		bad(r.Count < 1 || r.Count > MaxCount, "count", "is from 1 to %d", MaxCount)
	}
	if r.Kind.Has(PartWithin) {
		bad(r.Within < time.Second || r.Within > MaxWithin, "within", "is from a second to seven days")
	}
	if r.Kind.Has(PartTimes) {
		bad(r.Times < 2 || r.Times > 1000, "times", "is from 2 to 1000")
	}
	if r.Kind.Has(PartPercent) {
		bad(r.Percent < 1 || r.Percent > 100, "percent", "is from 1 to 100")
	}
	if r.Kind.Has(PartDays) {
		bad(r.Days < 1 || r.Days > MaxDays, "days", "is from 1 to %d", MaxDays)
	}
	if r.Kind.Has(PartFloor) {
		bad(r.Floor < 1 || r.Floor > 1e9, "floor", "is from 1 to 1000000000")
		bad(r.FloorMB < 1 || r.FloorMB > 1e9, "floor_mb", "is from 1 to 1000000000")
	}
	bad(r.Kind.Has(PartQuery) && r.Query == "", "query", "is needed")
	bad(len(r.Accounts)+len(r.Vendors)+len(r.Clusters) > maxScope, "accounts", "are too many")
	bad(r.Again < 0 || r.Again > 30*24*time.Hour, "again", "is from 0 to thirty days")
	return errors.Join(errs...)
}

// Concerns reports whether something of an account, vendor and cluster, each of
// which may be empty, is within the rule's scope.
func (r *Rule) Concerns(account, vendor, cluster string) bool {
	in := func(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }
	return in(r.Accounts, account) && in(r.Vendors, vendor) && in(r.Clusters, cluster)
}
