package alarm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
)

// An Alarm is one thing that a rule found. It names accounts by id alone, so
// that erasing a person's data needs nothing of it.
type Alarm struct {
	ID       string
	Rule     string
	Revision int64 // of the rule
	Kind     Kind
	Severity string
	Title    string // the rule's own; may be empty
	// At is when it happened: the time of the entry.
	At time.Time
	// Entry is the index of the entry that raised it; nil: none did, such as
	// when the log itself cannot record.
	Entry   *uint64
	Account string
	Vendor  string
	Cluster string
	// Actor is who did it, where the entry says so: an account's id, or
	// [directory.Operator].
	Actor string
	// About is what the rule counts by: the account, an address, or the name of
	// a condition.
	About string
	// Facts are plain figures for the words about it.
	Facts map[string]string

	Raised       time.Time // when it was stored
	Acknowledged Acknowledgement
	Sends        []Send // to whom, and how that went; of one alarm alone
}

// An Acknowledgement says who has looked at an alarm, and what they found.
type Acknowledgement struct {
	Account, Email, Note string
	At                   time.Time // zero: nobody has
}

// Open reports whether nobody has acknowledged the alarm.
func (a *Alarm) Open() bool { return a.Acknowledged.At.IsZero() }

// Involves reports whether the alarm is about an account or about what it did:
// such a one does not acknowledge it.
func (a *Alarm) Involves(account string) bool {
	return account != "" && (account == a.Account || account == a.Actor)
}

// ID names an alarm by what raised it, so that the same is never raised twice.
// what is the hash of the entry, or the beginning of a condition.
func ID(rule, about, what string) string {
	h := sha256.New()
	for _, s := range []string{rule, about, what} {
		h.Write([]byte(strconv.Itoa(len(s)) + ":" + s))
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// Kinds of receivers.
const (
	Webhook = "webhook" // JSON by POST, signed as Standard Webhooks say
	Mail    = "mail"
	Syslog  = "syslog" // RFC 5424 over TLS
)

// ReceiverKinds are all kinds of receivers.
var ReceiverKinds = []string{Webhook, Mail, Syslog}

// OwnerReceiver stands for the owner of the vendor whose account an alarm is
// about, in place of a receiver's id.
const OwnerReceiver = "owner"

// A Receiver is somebody or something that is told of alarms.
type Receiver struct {
	ID      string
	Kind    string
	Title   string
	Address string // a URL (https), an e-mail address, or host:port
	CA      string // PEM certificates that are trusted for it; empty: the system's
	Sealed  []byte // secret of a webhook, sealed for alarm_receiver.secret of ID
	Off     bool
	Changed time.Time
}

// A Send is the telling of one receiver about one alarm.
type Send struct {
	Alarm    string
	Receiver string // id, or [OwnerReceiver]
	// Acknowledged says that it tells of the acknowledgement, and not of the
	// alarm: those who were told of that are told of this.
	Acknowledged bool
	Tries        int // failed ones
	Next         time.Time
	Fault        string // of the last try
	Sent         time.Time
	GivenUp      time.Time
}

// A Filter selects alarms. The zero Filter selects the newest of all.
type Filter struct {
	Open     bool
	Account  string
	Rule     string
	Clusters []string  // of one of these; nil: of any and of none
	Before   time.Time // raised before; zero: all
	Limit    int       // 0: 100
}

// Keeper keeps rules, alarms and what is to be sent, for all processes.
type Keeper interface {
	// AlarmRules must return the newest revision of every rule, those that come
	// with the product included, in the order of [Kinds], then by id.
	AlarmRules(ctx context.Context) ([]Rule, error)
	// AlarmRule must return one revision of a rule, or [ErrNotFound].
	AlarmRule(ctx context.Context, id string, revision int64) (Rule, error)
	// AlarmState must return what [Keeper.SaveAlarmState] saved last; nil: nothing.
	AlarmState(ctx context.Context) ([]byte, error)
	// SaveAlarmState must replace it.
	SaveAlarmState(ctx context.Context, state []byte) error
	// Raise must store those of the alarms that are not there yet, with their
	// record for the access log and what is to be sent, and, unless it is nil,
	// state: all of it or nothing.
	Raise(ctx context.Context, alarms []Raised, state []byte) (int, error)
}

// A Raised is an alarm with whom to tell.
type Raised struct {
	Alarm
	To []string // ids of receivers, or [OwnerReceiver]
}

// Outbox keeps what is to be sent.
type Outbox interface {
	// ClaimSends must set Next of at most limit sends that are due at now to
	// until and return them as they were, the oldest first: of several processes
	// each goes to one.
	ClaimSends(ctx context.Context, now, until time.Time, limit int) ([]Send, error)
	// NoteSend must store Tries, Next, Fault, Sent and GivenUp of s.
	NoteSend(ctx context.Context, s Send) error
	Alarm(ctx context.Context, id string) (Alarm, error)
	// Receiver must return one receiver, or [ErrNotFound].
	Receiver(ctx context.Context, id string) (Receiver, error)
}

// A Desk is what people do with alarms, rules and receivers. Changes are
// recorded in the access log.
type Desk interface {
	Alarms(ctx context.Context, f Filter) ([]Alarm, error)
	// OpenAlarms must return how many are open, and the newest of them.
	OpenAlarms(ctx context.Context, limit int) (int, []Alarm, error)
	// Alarm must return one alarm with its sends, or [ErrNotFound].
	Alarm(ctx context.Context, id string) (Alarm, error)
	// Acknowledge must be done once: [ErrDone] afterwards. It must be
	// [ErrInvolved] for whom the alarm involves.
	Acknowledge(ctx context.Context, actor directory.Actor, id, note string) error
	AlarmRules(ctx context.Context) ([]Rule, error)
	// SaveRule must store r as the next revision of its rule, unless r.Revision
	// is not the newest: [ErrChanged].
	SaveRule(ctx context.Context, actor directory.Actor, r Rule) (Rule, error)
	Receivers(ctx context.Context) ([]Receiver, error)
	// SaveReceiver must store c. A nil secret leaves the one that is there.
	SaveReceiver(ctx context.Context, actor directory.Actor, c Receiver, secret []byte) error
	RemoveReceiver(ctx context.Context, actor directory.Actor, id string) error
}

// A Trial is what a rule would have raised in a part of the past.
type Trial struct {
	From, Until time.Time
	Entries     uint64
	Total       int
	Alarms      []Alarm // the newest of them, newest first
	Blind       bool    // the rule looks at more than entries, which was not tried
}
