package accesslog

import (
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/ringfence/ringfence/policy"
)

// appendHead starts a payload with what the log itself adds: the entry's
// index, the node, the entry's time and, where it differs, the record's own.
func appendHead(b []byte, index uint64, node string, at, clock time.Time) []byte {
	b = append(b, `{"index":`...)
	b = strconv.AppendUint(b, index, 10)
	b = appendField(b, `,"node":`, node)
	b = appendTime(b, `,"time":"`, at)
	if !clock.IsZero() {
		b = appendTime(b, `,"clock":"`, clock)
	}
	return b
}

// appendBody continues a payload with the record's fields and ends it. Order
// and spelling are part of the format: each value has one encoding.
func appendBody(b []byte, r *policy.Record) []byte { return appendRecord(b, r, nil, r.UserAgent) }

// appendRecord is appendBody for a record whose personal fields were taken out
// and sealed; agent is the user agent that it had.
func appendRecord(b []byte, r *policy.Record, personal *sealedParts, agent string) []byte {
	b = append(b, `,"type":`...)
	b = appendString(b, string(r.Type))
	b = appendField(b, `,"action":`, r.Action)
	b = appendField(b, `,"result":`, r.Result)
	b = appendField(b, `,"request_id":`, r.RequestID)
	b = appendField(b, `,"account":`, r.Account)
	b = appendPersonal(b, personal)
	b = appendField(b, `,"email":`, r.Email)
	b = appendField(b, `,"vendor":`, r.Vendor)
	b = appendField(b, `,"engagement":`, r.Engagement)
	b = appendField(b, `,"session":`, r.Session)
	b = appendField(b, `,"credential":`, r.Credential)
	b = appendMap(b, `,"factors":`, r.Factors, appendInt)
	b = appendCount(b, `,"code_age_s":`, r.CodeAge)
	b = appendField(b, `,"cluster":`, r.Cluster)
	b = appendField(b, `,"classification":`, r.Classification)
	b = appendField(b, `,"mode":`, r.Mode)
	b = appendField(b, `,"route":`, r.Route)
	b = appendField(b, `,"protocol":`, r.Protocol)
	b = appendField(b, `,"method":`, r.Method)
	b = appendField(b, `,"host":`, r.Host)
	b = appendField(b, `,"path":`, r.Path)
	b = appendList(b, `,"query_names":`, r.QueryNames)
	b = appendField(b, `,"source_ip":`, r.SourceIP)
	b = appendField(b, `,"user_agent":`, r.UserAgent)
	b = appendField(b, `,"effect":`, r.Effect)
	b = appendList(b, `,"reasons":`, r.Reasons)
	b = appendObligations(b, r.Obligations)
	b = appendField(b, `,"revision":`, r.Revision)
	b = appendField(b, `,"facts":`, r.Facts)
	b = appendList(b, `,"agreements":`, r.Agreements)
	b = appendInput(b, r.Input, agent)
	b = appendNumber(b, `,"status":`, int64(r.Status))
	b = appendCount(b, `,"bytes_in":`, r.BytesIn)
	b = appendCount(b, `,"bytes_out":`, r.BytesOut)
	b = appendCount(b, `,"first_byte_ms":`, r.FirstByte)
	b = appendCount(b, `,"duration_ms":`, r.Duration)
	b = appendField(b, `,"upstream":`, r.Upstream)
	b = appendField(b, `,"ended":`, r.Ended)
	b = appendField(b, `,"actor":`, r.Actor)
	b = appendField(b, `,"object":`, r.Object)
	b = appendMap(b, `,"detail":`, r.Detail, appendString)
	return append(b, '}')
}

// appendDocument adds a facts document, always the last key, to a finished payload.
func appendDocument(b, document []byte) []byte {
	b = append(b[:len(b)-1], `,"document":`...)
	b = append(b, document...)
	return append(b, '}')
}

func appendObligations(b []byte, o *policy.Obligations) []byte {
	if o == nil {
		return b
	}
	b = append(b, `,"obligations":`...)
	at := len(b)
	b = appendNumber(b, `,"max_response_bytes":`, o.MaxResponseBytes)
	b = appendNumber(b, `,"egress_budget":`, o.EgressBudget)
	b = appendList(b, `,"mask":`, o.Mask)
	b = appendList(b, `,"strip_headers":`, o.StripHeaders)
	b = appendNumber(b, `,"max_code_age":`, int64(o.MaxCodeAge))
	b = appendList(b, `,"notify":`, o.Notify)
	if len(b) == at {
		return append(b, '{', '}')
	}
	b[at] = '{' // the first key's comma
	return append(b, '}')
}

func appendField(b []byte, key, v string) []byte {
	if v == "" {
		return b
	}
	return appendString(append(b, key...), v)
}

func appendCount(b []byte, key string, v *int64) []byte {
	if v == nil {
		return b
	}
	return appendInt(append(b, key...), *v)
}

func appendNumber(b []byte, key string, v int64) []byte {
	if v == 0 {
		return b
	}
	return appendInt(append(b, key...), v)
}

func appendInt(b []byte, v int64) []byte { return strconv.AppendInt(b, v, 10) }

func appendTime(b []byte, key string, t time.Time) []byte {
	b = t.UTC().AppendFormat(append(b, key...), time.RFC3339Nano)
	return append(b, '"')
}

func appendList[S ~string](b []byte, key string, v []S) []byte {
	if len(v) == 0 {
		return b
	}
	return appendStrings(append(b, key...), v)
}

// appendStrings writes a list as a value, also an empty one.
func appendStrings[S ~string](b []byte, v []S) []byte {
	b = append(b, '[')
	for i, s := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, string(s))
	}
	return append(b, ']')
}

func appendMap[V any](b []byte, key string, m map[string]V, value func([]byte, V) []byte) []byte {
	if len(m) == 0 {
		return b
	}
	var few [8]string // keeps the usual handful of keys off the heap
	keys := few[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	b = append(b, key...)
	for i, k := range keys {
		b = append(b, "{,"[min(i, 1)])
		b = append(appendString(b, k), ':')
		b = value(b, m[k])
	}
	return append(b, '}')
}

// plain tells the bytes that stand for themselves in a string.
var plain = func() (t [256]bool) {
	for c := 0x20; c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// hidden reports whether r is escaped: what a terminal or an editor would act
// on instead of showing. An exported line is therefore safe to print as it is.
func hidden(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r <= 0x9f, r == 0xad, r == 0x61c:
		return true
	case r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f:
		return true
	}
	return r == 0xfeff || r >= 0xfff9 && r <= 0xfffb
}

// appendString writes s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		if plain[s[i]] {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r >= utf8.RuneSelf && !hidden(r) && (r != utf8.RuneError || n > 1) {
			i += n
			continue
		}
		b = append(b, s[start:i]...)
		b = appendEscape(b, r)
		i += n
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

func appendEscape(b []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(b, '\\', byte(r))
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	case utf8.RuneError:
		return utf8.AppendRune(b, r)
	}
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

// checkRecord refuses what the format has no place for.
func checkRecord(r *policy.Record) error {
	switch r.Type {
	case policy.RecordRequest, policy.RecordOutcome, policy.RecordLogin, policy.RecordAdmin, policy.RecordPolicy, policy.RecordLog:
		return nil
	}
	return fmt.Errorf("recording: type %q is not known", r.Type)
}
