package accesslog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/ringfence/ringfence/policy"
)

// An Entry is one record as the log keeps it.
type Entry struct {
	Index         uint64
	Node          string
	policy.Record // Time is the entry's time, which never falls from one index to the next
	// Clock is the record's own time where it differs from the entry's: the
	// clock had gone back, or another entry overtook this one. Otherwise zero.
	Clock time.Time
	// FactsJSON is the facts document itself, in an entry of action
	// [ActionFacts]; [policy.Record.Facts] is its hash.
	FactsJSON json.RawMessage
	// Personal are the personal fields that the payload holds sealed, by account.
	// Those that could be opened stand in the fields above as well.
	Personal []Personal
	// Payload is the exact bytes that are hashed.
	Payload []byte
}

// MarshalJSON returns the entry as [Entry.Clear] does.
func (e *Entry) MarshalJSON() ([]byte, error) {
	if e.Payload == nil {
		return nil, errors.New("encoding entry: it did not come from a log")
	}
	return e.Clear(), nil
}

// ParseEntry reads a payload and leaves what is sealed in it sealed. It accepts exactly what the log writes: one
// encoding for each entry, so that any other spelling of the same values, a
// key out of order, a second document under one hash, is an error.
func ParseEntry(payload []byte) (*Entry, error) {
	e, err := decodeEntry(payload)
	if err != nil {
		return nil, err
	}
	if err := checkRecord(&e.Record); err != nil {
		return nil, fmt.Errorf("reading entry: %w", err)
	}
	if err := e.checkSealed(); err != nil {
		return nil, fmt.Errorf("reading entry: %w", err)
	}
	parts := e.parts()
	again := appendRecord(appendHead(nil, e.Index, e.Node, e.Time, e.Clock), &e.Record, &parts, e.UserAgent)
	if e.FactsJSON != nil {
		again = appendDocument(again, e.FactsJSON)
		if err := checkDocument(e); err != nil {
			return nil, fmt.Errorf("reading entry: %w", err)
		}
	}
	if !bytes.Equal(again, payload) {
		return nil, errors.New("reading entry: the encoding is not the canonical one")
	}
	if !e.Clock.IsZero() && e.Clock.Equal(e.Time) {
		return nil, errors.New("reading entry: clock repeats time")
	}
	return e, nil
}

func checkDocument(e *Entry) error {
	sum := sha256.Sum256(e.FactsJSON)
	if e.Facts != "sha256:"+hex.EncodeToString(sum[:]) {
		return errors.New("the document is not the one that its hash names")
	}
	if e.Type != policy.RecordLog || e.Action != ActionFacts {
		return errors.New("a document in an entry that is not for facts")
	}
	var c bytes.Buffer
	if err := json.Compact(&c, e.FactsJSON); err != nil {
		return fmt.Errorf("document: %w", err)
	}
	if !bytes.Equal(c.Bytes(), e.FactsJSON) {
		return errors.New("the document is not compact")
	}
	return nil
}

// decodeEntry reads what appendHead and appendBody write. It takes the keys in
// their order and nothing else, but leaves it to [ParseEntry] to insist on the
// one spelling of each value. The entry keeps payload.
func decodeEntry(payload []byte) (*Entry, error) {
	e := &Entry{Payload: payload}
	d := decoder{b: payload}
	d.lit(`{"index":`)
	e.Index = d.uint()
	d.str(`,"node":`, &e.Node)
	d.lit(`,"time":`)
	e.Time = d.time()
	if d.key(`,"clock":`) {
		e.Clock = d.time()
	}
	d.record(e)
	if d.key(`,"document":`) && d.err == nil {
		e.FactsJSON = json.RawMessage(payload[d.i : len(payload)-1])
		d.i = len(payload) - 1
	}
	d.lit(`}`)
	if d.err == nil && d.i != len(payload) {
		d.fail("bytes after the end")
	}
	if d.err != nil {
		return nil, d.err
	}
	return e, nil
}

func (d *decoder) record(e *Entry) {
	r := &e.Record
	d.lit(`,"type":`)
	r.Type = policy.RecordType(d.string())
	d.str(`,"action":`, &r.Action)
	d.str(`,"result":`, &r.Result)
	d.str(`,"request_id":`, &r.RequestID)
	d.str(`,"account":`, &r.Account)
	d.personal(e)
	d.str(`,"email":`, &r.Email)
	d.str(`,"vendor":`, &r.Vendor)
	d.str(`,"engagement":`, &r.Engagement)
	d.str(`,"session":`, &r.Session)
	d.str(`,"credential":`, &r.Credential)
	decodeMap(d, `,"factors":`, &r.Factors, (*decoder).int)
	d.count(`,"code_age_s":`, &r.CodeAge)
	d.str(`,"cluster":`, &r.Cluster)
	d.str(`,"classification":`, &r.Classification)
	d.str(`,"mode":`, &r.Mode)
	d.str(`,"route":`, &r.Route)
	d.str(`,"protocol":`, &r.Protocol)
	d.str(`,"method":`, &r.Method)
	d.str(`,"host":`, &r.Host)
	d.str(`,"path":`, &r.Path)
	d.list(`,"query_names":`, &r.QueryNames)
	d.str(`,"source_ip":`, &r.SourceIP)
	d.str(`,"user_agent":`, &r.UserAgent)
	d.str(`,"effect":`, &r.Effect)
	d.list(`,"reasons":`, &r.Reasons)
	if d.key(`,"obligations":`) {
		r.Obligations = d.obligations()
	}
	d.str(`,"revision":`, &r.Revision)
	d.str(`,"facts":`, &r.Facts)
	d.list(`,"agreements":`, &r.Agreements)
	if d.key(`,"input":`) {
		r.Input = d.input()
	}
	if d.key(`,"status":`) {
		r.Status = int(d.int())
	}
	d.count(`,"bytes_in":`, &r.BytesIn)
	d.count(`,"bytes_out":`, &r.BytesOut)
	d.count(`,"first_byte_ms":`, &r.FirstByte)
	d.count(`,"duration_ms":`, &r.Duration)
	d.str(`,"upstream":`, &r.Upstream)
	d.str(`,"ended":`, &r.Ended)
	d.str(`,"actor":`, &r.Actor)
	d.str(`,"object":`, &r.Object)
	decodeMap(d, `,"detail":`, &r.Detail, (*decoder).string)
}

func (d *decoder) obligations() *policy.Obligations {
	o := &policy.Obligations{}
	d.lit(`{`)
	d.open = true
	if d.key(`,"max_response_bytes":`) {
		o.MaxResponseBytes = d.int()
	}
	if d.key(`,"egress_budget":`) {
		o.EgressBudget = d.int()
	}
	d.list(`,"mask":`, &o.Mask)
	d.list(`,"strip_headers":`, &o.StripHeaders)
	if d.key(`,"max_code_age":`) {
		o.MaxCodeAge = policy.Seconds(d.int())
	}
	d.list(`,"notify":`, &o.Notify)
	d.open = false
	d.lit(`}`)
	return o
}

// A decoder walks over a payload. After the first fault it stands still.
type decoder struct {
	b    []byte
	i    int
	open bool // the next key is the first of an object and has no comma
	err  error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("reading entry: %s at byte %d", what, d.i)
	}
}

func (d *decoder) has(s string) bool {
	return len(d.b)-d.i >= len(s) && string(d.b[d.i:d.i+len(s)]) == s
}

func (d *decoder) lit(s string) {
	if d.err == nil && d.has(s) {
		d.i += len(s)
		return
	}
	d.fail("expecting " + s)
}

// key consumes k, which is written with its comma, if it comes next.
func (d *decoder) key(k string) bool {
	if d.open {
		k = k[1:]
	}
	if d.err != nil || !d.has(k) {
		return false
	}
	d.i += len(k)
	d.open = false
	return true
}

func (d *decoder) str(k string, p *string) {
	if d.key(k) {
		*p = d.string()
	}
}

func (d *decoder) count(k string, p **int64) {
	if d.key(k) {
		n := d.int()
		*p = &n
	}
}

func (d *decoder) list(k string, p *[]string) {
	if !d.key(k) {
		return
	}
	*p = d.strings()
}

// strings reads a list, which may be empty.
func (d *decoder) strings() []string {
	out := []string{}
	d.lit(`[`)
	for d.err == nil && !d.has(`]`) {
		if len(out) > 0 {
			d.lit(`,`)
		}
		out = append(out, d.string())
	}
	d.lit(`]`)
	return out
}

func decodeMap[V any](d *decoder, k string, p *map[string]V, value func(*decoder) V) {
	if !d.key(k) {
		return
	}
	*p = map[string]V{}
	d.lit(`{`)
	for d.err == nil {
		name := d.string()
		d.lit(`:`)
		(*p)[name] = value(d)
		if d.has(`}`) {
			break
		}
		d.lit(`,`)
	}
	d.lit(`}`)
}

func (d *decoder) digits() string {
	j := d.i
	for j < len(d.b) && (d.b[j] >= '0' && d.b[j] <= '9' || d.b[j] == '-') {
		j++
	}
	s := string(d.b[d.i:j])
	d.i = j
	return s
}

func (d *decoder) uint() uint64 {
	n, err := strconv.ParseUint(d.digits(), 10, 64)
	if err != nil || n > math.MaxInt64 {
		d.fail("expecting a number")
	}
	return n
}

func (d *decoder) int() int64 {
	n, err := strconv.ParseInt(d.digits(), 10, 64)
	if err != nil {
		d.fail("expecting a number")
	}
	return n
}

func (d *decoder) time() time.Time {
	s := d.string()
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Location() != time.UTC {
		d.fail("expecting a time in UTC")
		return time.Time{}
	}
	return t
}

func (d *decoder) string() string {
	d.lit(`"`)
	if d.err != nil {
		return ""
	}
	end := bytes.IndexByte(d.b[d.i:], '"')
	if end < 0 {
		d.fail("string without an end")
		return ""
	}
	if s := d.b[d.i : d.i+end]; bytes.IndexByte(s, '\\') < 0 {
		d.i += end + 1
		return string(s)
	}
	return d.escaped()
}

func (d *decoder) escaped() string {
	var out []byte
	for d.i < len(d.b) {
		c := d.b[d.i]
		d.i++
		if c == '"' {
			return string(out)
		}
		if c != '\\' {
			out = append(out, c)
			continue
		}
		if d.i == len(d.b) {
			break
		}
		c = d.b[d.i]
		d.i++
		switch c {
		case '"', '\\':
			out = append(out, c)
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			out = utf8.AppendRune(out, d.hex4())
		default:
			d.fail("unknown escape")
			return ""
		}
	}
	d.fail("string without an end")
	return ""
}

func (d *decoder) hex4() rune {
	if len(d.b)-d.i < 4 {
		d.fail("short escape")
		return 0
	}
	n, err := strconv.ParseUint(string(d.b[d.i:d.i+4]), 16, 16)
	if err != nil || utf16.IsSurrogate(rune(n)) {
		d.fail("bad escape")
	}
	d.i += 4
	return rune(n)
}
