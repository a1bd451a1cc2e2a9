package query

import (
	"slices"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// A Field is a field of an entry that can be asked for.
type Field uint8

// The fields. Account is of several: see the package's text.
const (
	None Field = iota
	Account
	AccountID
	Email
	Vendor
	Cluster
	Effect
	Path
	Reasons
	Status
	Type
	Action
	Result
	Method
	Host
	Route
	Classification
	Mode
	Protocol
	SourceIP
	UserAgent
	Session
	RequestID
	Engagement
	Credential
	QueryNames
	Agreements
	Revision
	Facts
	Upstream
	Ended
	Actor
	Object
	Detail
	NodeName
	Index
	BytesIn
	BytesOut
	FirstByte
	Duration
	CodeAge
	Since
	Until
	fieldEnd
)

// A Kind says what a field's values are.
type Kind uint8

// The kinds.
const (
	Text     Kind = iota + 1
	List          // of texts
	Who           // several texts, of which one must match
	Address       // a text that may be asked for by network
	Number        // a count
	Bytes         // a count of bytes
	Millis        // a count of milliseconds
	Seconds       // a count of seconds
	Position      // the entry's index
	Moment        // bounds the entry's time
)

type fieldInfo struct {
	name    string
	aliases []string
	kind    Kind
	text    func(*accesslog.Entry) string
	list    func(*accesslog.Entry) []string
	number  func(*accesslog.Entry) (int64, bool)
}

type entry = accesslog.Entry

func countOf(n *int64) (int64, bool) {
	if n == nil {
		return 0, false
	}
	return *n, true
}

// fields is in the order in which names are offered.
var fields = [fieldEnd]fieldInfo{
	Account:        {name: "account", aliases: []string{"who"}, kind: Who},
	AccountID:      {name: "account_id", kind: Text, text: func(e *entry) string { return e.Account }},
	Email:          {name: "email", kind: Text, text: func(e *entry) string { return e.Email }},
	Vendor:         {name: "vendor", kind: Text, text: func(e *entry) string { return e.Vendor }},
	Cluster:        {name: "cluster", kind: Text, text: func(e *entry) string { return e.Cluster }},
	Effect:         {name: "effect", kind: Text, text: func(e *entry) string { return e.Effect }},
	Path:           {name: "path", kind: Text, text: func(e *entry) string { return e.Path }},
	Reasons:        {name: "reasons", aliases: []string{"reason"}, kind: List, list: func(e *entry) []string { return e.Reasons }},
	Status:         {name: "status", kind: Number, number: func(e *entry) (int64, bool) { return int64(e.Status), e.Status != 0 }},
	Type:           {name: "type", kind: Text, text: func(e *entry) string { return string(e.Type) }},
	Action:         {name: "action", kind: Text, text: func(e *entry) string { return e.Action }},
	Result:         {name: "result", kind: Text, text: func(e *entry) string { return e.Result }},
	Method:         {name: "method", kind: Text, text: func(e *entry) string { return e.Method }},
	Host:           {name: "host", kind: Text, text: func(e *entry) string { return e.Host }},
	Route:          {name: "route", kind: Text, text: func(e *entry) string { return e.Route }},
	Classification: {name: "classification", kind: Text, text: func(e *entry) string { return e.Classification }},
	Mode:           {name: "mode", kind: Text, text: func(e *entry) string { return e.Mode }},
	Protocol:       {name: "protocol", kind: Text, text: func(e *entry) string { return e.Protocol }},
	SourceIP:       {name: "source_ip", aliases: []string{"ip", "address"}, kind: Address, text: func(e *entry) string { return e.SourceIP }},
	UserAgent:      {name: "user_agent", aliases: []string{"agent"}, kind: Text, text: func(e *entry) string { return e.UserAgent }},
	Session:        {name: "session", kind: Text, text: func(e *entry) string { return e.Session }},
	RequestID:      {name: "request_id", aliases: []string{"request"}, kind: Text, text: func(e *entry) string { return e.RequestID }},
	Engagement:     {name: "engagement", kind: Text, text: func(e *entry) string { return e.Engagement }},
	Credential:     {name: "credential", kind: Text, text: func(e *entry) string { return e.Credential }},
	QueryNames:     {name: "query_names", kind: List, list: func(e *entry) []string { return e.QueryNames }},
	Agreements:     {name: "agreements", aliases: []string{"agreement"}, kind: List, list: func(e *entry) []string { return e.Agreements }},
	Revision:       {name: "revision", kind: Text, text: func(e *entry) string { return e.Revision }},
	Facts:          {name: "facts", kind: Text, text: func(e *entry) string { return e.Facts }},
	Upstream:       {name: "upstream", kind: Text, text: func(e *entry) string { return e.Upstream }},
	Ended:          {name: "ended", kind: Text, text: func(e *entry) string { return e.Ended }},
	Actor:          {name: "actor", kind: Text, text: func(e *entry) string { return e.Actor }},
	Object:         {name: "object", kind: Text, text: func(e *entry) string { return e.Object }},
	Detail:         {name: "detail", kind: List}, // elements are name=value
	NodeName:       {name: "node", kind: Text, text: func(e *entry) string { return e.Node }},
	Index:          {name: "index", kind: Position, number: func(e *entry) (int64, bool) { return int64(e.Index), true }},
	BytesIn:        {name: "bytes_in", kind: Bytes, number: func(e *entry) (int64, bool) { return countOf(e.BytesIn) }},
	BytesOut:       {name: "bytes_out", kind: Bytes, number: func(e *entry) (int64, bool) { return countOf(e.BytesOut) }},
	FirstByte:      {name: "first_byte", aliases: []string{"first_byte_ms"}, kind: Millis, number: func(e *entry) (int64, bool) { return countOf(e.FirstByte) }},
	Duration:       {name: "duration", aliases: []string{"duration_ms"}, kind: Millis, number: func(e *entry) (int64, bool) { return countOf(e.Duration) }},
	CodeAge:        {name: "code_age", aliases: []string{"code_age_s"}, kind: Seconds, number: func(e *entry) (int64, bool) { return countOf(e.CodeAge) }},
	Since:          {name: "since", aliases: []string{"from"}, kind: Moment},
	Until:          {name: "until", aliases: []string{"to"}, kind: Moment},
}

var byName = func() map[string]Field {
	m := map[string]Field{}
	for f := Account; f < fieldEnd; f++ {
		m[fields[f].name] = f
		for _, a := range fields[f].aliases {
			m[a] = f
		}
	}
	return m
}()

// Fields returns all fields in the order in which they are offered.
func Fields() []Field {
	var out []Field
	for f := Account; f < fieldEnd; f++ {
		out = append(out, f)
	}
	return out
}

// Lookup finds a field by its name or another name that it goes by.
func Lookup(name string) (Field, bool) {
	f, ok := byName[name]
	return f, ok
}

// String returns the field's name.
func (f Field) String() string {
	if f < fieldEnd {
		return fields[f].name
	}
	return ""
}

// Kind says what the field's values are.
func (f Field) Kind() Kind {
	if f < fieldEnd {
		return fields[f].kind
	}
	return 0
}

// TextOf returns e's value of a field of kind [Text] or [Address].
func (f Field) TextOf(e *accesslog.Entry) string { return fields[f].text(e) }

// ListOf returns e's values of a field of kind [List], those of [Detail] as
// name=value and sorted.
func (f Field) ListOf(e *accesslog.Entry) []string {
	if f != Detail {
		return fields[f].list(e)
	}
	var out []string
	for k, v := range e.Detail {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}

// NumberOf returns e's value of a field that counts, and whether it has one.
func (f Field) NumberOf(e *accesslog.Entry) (int64, bool) { return fields[f].number(e) }

// nearest returns the field name that is the fewest changes of a letter away, or "".
func nearest(name string) string {
	best, least := "", 1+len(name)/2
	for f := Account; f < fieldEnd; f++ {
		for _, n := range append([]string{fields[f].name}, fields[f].aliases...) {
			if d := distance(name, n); d < least {
				best, least = n, d
			}
		}
	}
	return best
}

func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// Key returns the field's name as an exported entry, and every column, has it.
func (f Field) Key() string {
	switch f {
	case AccountID:
		return "account"
	case FirstByte:
		return "first_byte_ms"
	case Duration:
		return "duration_ms"
	case CodeAge:
		return "code_age_s"
	}
	return f.String()
}
