package reconcile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// A Line is one request as an upstream's own log has it.
type Line struct {
	Number       int    // in the file, from 1
	Entry        string // what the entry's field holds; empty or "-" where the request had no header
	Method, Path string // the path without its query
	Status       int    // 0: the format does not say
}

// A Format says where a line holds the entry.
type Format struct {
	// Field names the JSON key, or, as a number from 1, the quoted field of a
	// text line that holds the header X-Ringfence-Entry. Empty: the key that
	// ends in ringfence_entry or is called entry; the last quoted field.
	Field string
}

var (
	errLine  = errors.New("reading a line: it is neither in the common or combined format nor JSON")
	errField = errors.New("reading a line: it has no field for the entry; write the header X-Ringfence-Entry into the log")
	status   = regexp.MustCompile(`^ (\d{3})( |$)`)
)

// Parse reads a line in the common or combined format of nginx and Apache with
// one more quoted field, or a JSON object as nginx, Apache or Caddy write them.
func (f Format) Parse(b []byte) (Line, error) {
	b = bytes.TrimSpace(b)
	if bytes.HasPrefix(b, []byte("{")) {
		return f.parseJSON(b)
	}
	return f.parseText(string(b))
}

func (f Format) parseText(s string) (Line, error) {
	var l Line
	fields, ends := quoted(s)
	if len(fields) == 0 || !l.request(fields[0]) {
		return l, errLine
	}
	if m := status.FindStringSubmatch(s[ends[0]:]); m != nil {
		l.Status, _ = strconv.Atoi(m[1])
	}
	at := len(fields)
	if f.Field != "" {
		n, err := strconv.Atoi(f.Field)
		if err != nil || n < 1 {
			return l, fmt.Errorf("reading a line: the field of a text line is a number from 1, not %q", f.Field)
		}
		at = n
	}
	if at > len(fields) || at < 2 {
		return l, errField
	}
	// In the combined format the last field is the user agent, which the client
	// chose: it is no entry whatever it says.
	if f.Field == "" && len(fields) == 3 && ends[2] == len(s) && !entryLike(fields[2]) && fields[2] != "-" && fields[2] != "" {
		return l, errField
	}
	l.Entry = fields[at-1]
	return l, nil
}

// quoted returns the fields of a line that stand in quotation marks, and where
// each ends. Inside, a backslash escapes.
func quoted(s string) (fields []string, ends []int) {
	for i := 0; i < len(s); i++ {
		if s[i] != '"' {
			continue
		}
		j := i + 1
		for j < len(s) && s[j] != '"' {
			if s[j] == '\\' {
				j++
			}
			j++
		}
		if j >= len(s) {
			break
		}
		fields, ends = append(fields, s[i+1:j]), append(ends, j+1)
		i = j
	}
	return fields, ends
}

// request reads a request line, or what there is of one.
func (l *Line) request(s string) bool {
	parts := strings.Split(s, " ")
	if len(parts) != 3 && len(parts) != 2 || parts[0] == "" {
		return s == "-" || s == "" // a request that the server could not read
	}
	l.Method = parts[0]
	l.setPath(parts[1])
	return true
}

func (l *Line) setPath(uri string) {
	if _, rest, ok := strings.Cut(uri, "://"); ok { // an absolute form
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			uri = rest[i:]
		}
	}
	l.Path, _, _ = strings.Cut(uri, "?")
}

func entryLike(s string) bool {
	_, n, ok := strings.Cut(s, "#")
	_, err := strconv.ParseUint(n, 10, 63)
	return ok && err == nil
}

func (f Format) parseJSON(b []byte) (Line, error) {
	var l Line
	var top map[string]any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&top); err != nil {
		return l, fmt.Errorf("reading a line: %w", err)
	}
	request, _ := top["request"].(map[string]any) // Caddy's
	if text, ok := top["request"].(string); ok {  // "GET /x HTTP/1.1"
		l.request(text)
	}
	if s := text(first(request, "method"), first(top, "request_method", "method")); s != "" {
		l.Method = s
	}
	if s := text(first(request, "uri"), first(top, "request_uri", "uri", "path", "url")); s != "" {
		l.setPath(s)
	}
	l.Status, _ = strconv.Atoi(text(first(top, "status", "status_code")))
	if l.Method == "" || l.Path == "" {
		return l, errLine
	}
	value, ok := f.entryOf(top)
	if !ok {
		return l, errField
	}
	l.Entry = value
	return l, nil
}

// entryOf finds the entry by its key. Only where headers are an object may it
// be missing: a request without the header is what is looked for.
func (f Format) entryOf(top map[string]any) (string, bool) {
	found, headers := "", false
	ok := false
	var look func(m map[string]any)
	look = func(m map[string]any) {
		for k, v := range m {
			name := strings.ReplaceAll(strings.ToLower(k), "-", "_")
			if f.Field != "" && k == f.Field || f.Field == "" && (name == "entry" || strings.HasSuffix(name, "ringfence_entry")) {
				found, ok = text(v), true
			}
			if sub, is := v.(map[string]any); is && (name == "request" || name == "headers" || name == "request_headers") {
				headers = headers || name != "request"
				look(sub)
			}
		}
	}
	look(top)
	return found, ok || headers
}

func first(m map[string]any, keys ...string) any {
	for _, k := range keys {
		if v, ok := m[k]; ok {
			return v
		}
	}
	return nil
}

// text returns the first value that is a string, a number or a list of one.
func text(values ...any) string {
	for _, v := range values {
		switch v := v.(type) {
		case string:
			return v
		case json.Number:
			return v.String()
		case []any:
			if len(v) == 1 {
				return text(v[0])
			}
			return "several" // no gateway sends the header twice
		}
	}
	return ""
}

// standard reports whether a method is one that a check of health would use.
func standard(method string) bool { return method == http.MethodGet || method == http.MethodHead }
