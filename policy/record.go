package policy

import "time"

// A RecordType says what kind of thing happened.
type RecordType string

// The record types.
const (
	RecordRequest RecordType = "request" // a decision, before forwarding
	RecordOutcome RecordType = "outcome" // what became of an allowed request
	RecordLogin   RecordType = "login"   // sign-in, sign-out, enrolment, factors, sessions, tokens
	RecordAdmin   RecordType = "admin"   // a change to the directory
	RecordPolicy  RecordType = "policy"  // a change to policies
	RecordLog     RecordType = "log"     // the log about itself: start, recovery, reads, exports
)

// A Record is one thing that happened, as the access log keeps it. Field
// names in JSON are those of an exported entry. A field that is not known is
// its zero value and is left out; counts that can be zero are pointers.
type Record struct {
	Type      RecordType `json:"type"`
	Time      time.Time  `json:"time"`
	Action    string     `json:"action,omitempty"` // login, admin, policy, log: what was done, such as "account.disable"
	Result    string     `json:"result,omitempty"` // "ok" or a stable code of what went wrong
	RequestID string     `json:"request_id,omitempty"`

	Account    string           `json:"account,omitempty"`
	Email      string           `json:"email,omitempty"`
	Vendor     string           `json:"vendor,omitempty"`
	Engagement string           `json:"engagement,omitempty"`
	Session    string           `json:"session,omitempty"`
	Credential string           `json:"credential,omitempty"`
	Factors    map[string]int64 `json:"factors,omitempty"`
	CodeAge    *int64           `json:"code_age_s,omitempty"`

	Cluster        string `json:"cluster,omitempty"`
	Classification string `json:"classification,omitempty"`
	// Mode is how long requests of the cluster wait for their entry, ModeStrict
	// or ModeRelaxed; empty in entries of no cluster and from before there were modes.
	Mode     string `json:"mode,omitempty"`
	Route    string `json:"route,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	Method   string `json:"method,omitempty"`
	Host     string `json:"host,omitempty"`
	Path     string `json:"path,omitempty"`
	// QueryNames are the names of the query's fields, sorted. Their values are
	// kept in Input alone, and there only of the fields that the configuration names.
	QueryNames []string `json:"query_names,omitempty"`
	SourceIP   string   `json:"source_ip,omitempty"`
	UserAgent  string   `json:"user_agent,omitempty"`

	Effect      string       `json:"effect,omitempty"`
	Reasons     []string     `json:"reasons,omitempty"` // codes
	Obligations *Obligations `json:"obligations,omitempty"`
	Revision    string       `json:"revision,omitempty"`
	Facts       string       `json:"facts,omitempty"` // hash of the facts document
	// Agreements are those that the engagement demands and the account has
	// accepted, each with the newest version accepted, such as "nda@3". Shared:
	// not to be changed.
	Agreements []string `json:"agreements,omitempty"`
	// Input completes what the policies read; nil where they decided nothing.
	Input *RecordedInput `json:"input,omitempty"`
	// Document is the facts document behind Facts. The log records each
	// distinct one once and never inside the entry itself.
	Document *Document `json:"-"`

	Status    int    `json:"status,omitempty"`
	BytesIn   *int64 `json:"bytes_in,omitempty"`
	BytesOut  *int64 `json:"bytes_out,omitempty"`
	FirstByte *int64 `json:"first_byte_ms,omitempty"`
	Duration  *int64 `json:"duration_ms,omitempty"`
	Upstream  string `json:"upstream,omitempty"`
	Ended     string `json:"ended,omitempty"` // outcome: why it was cut short, such as "session_ended"

	Actor  string            `json:"actor,omitempty"`  // admin, policy, log: account id, or "operator" on the machine itself
	Object string            `json:"object,omitempty"` // what was changed, such as "account:kim@example.com"
	Detail map[string]string `json:"detail,omitempty"` // further plain facts, never secrets
}

// Values of [Record.Mode].
const (
	ModeStrict  = "strict"  // nothing is forwarded before its entry is durable
	ModeRelaxed = "relaxed" // it is forwarded once the entry has its place in the log
)

// Int64 returns a pointer to n, for a Record's optional counts.
func Int64(n int64) *int64 { return &n }
