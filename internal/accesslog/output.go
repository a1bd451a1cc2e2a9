package accesslog

import (
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// WriteJSON writes e as one line of JSON: the payload as it is hashed. Control
// characters and those that change the direction of text are escaped in it; in
// a facts document, whose bytes are not the log's own, they are escaped here.
func WriteJSON(w io.Writer, e *Entry) error {
	b, err := e.MarshalJSON()
	if err != nil {
		return err
	}
	line := make([]byte, 0, len(b)+1)
	if e.FactsJSON == nil {
		line = append(line, b...)
	} else {
		for _, r := range string(b) {
			if hidden(r) {
				line = appendEscape(line, r)
			} else {
				line = utf8.AppendRune(line, r)
			}
		}
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// A CSVWriter writes entries as comma-separated values, a line each below one
// of column names. No cell is read as a formula by a spreadsheet and no cell
// holds a control character. It is not safe for concurrent use.
type CSVWriter struct {
	w     *csv.Writer
	begun bool
}

// NewCSVWriter returns a writer to w. Call Flush at the end.
func NewCSVWriter(w io.Writer) *CSVWriter { return &CSVWriter{w: csv.NewWriter(w)} }

// A column is one of the CSV's.
type column struct {
	name string
	cell func(*Entry) string
}

var columns = []column{
	{"index", func(e *Entry) string { return strconv.FormatUint(e.Index, 10) }},
	{"time", func(e *Entry) string { return e.Time.UTC().Format(time.RFC3339Nano) }},
	{"node", func(e *Entry) string { return e.Node }},
	{"type", func(e *Entry) string { return string(e.Type) }},
	{"action", func(e *Entry) string { return e.Action }},
	{"result", func(e *Entry) string { return e.Result }},
	{"request_id", func(e *Entry) string { return e.RequestID }},
	{"account", func(e *Entry) string { return e.Account }},
	{"email", func(e *Entry) string { return e.Email }},
	{"vendor", func(e *Entry) string { return e.Vendor }},
	{"engagement", func(e *Entry) string { return e.Engagement }},
	{"session", func(e *Entry) string { return e.Session }},
	{"credential", func(e *Entry) string { return e.Credential }},
	{"factors", func(e *Entry) string {
		return pairs(e.Factors, func(n int64) string { return strconv.FormatInt(n, 10) })
	}},
	{"code_age_s", func(e *Entry) string { return count(e.CodeAge) }},
	{"cluster", func(e *Entry) string { return e.Cluster }},
	{"classification", func(e *Entry) string { return e.Classification }},
	{"mode", func(e *Entry) string { return e.Mode }},
	{"route", func(e *Entry) string { return e.Route }},
	{"protocol", func(e *Entry) string { return e.Protocol }},
	{"method", func(e *Entry) string { return e.Method }},
	{"host", func(e *Entry) string { return e.Host }},
	{"path", func(e *Entry) string { return e.Path }},
	{"query_names", func(e *Entry) string { return strings.Join(e.QueryNames, " ") }},
	{"source_ip", func(e *Entry) string { return e.SourceIP }},
	{"user_agent", func(e *Entry) string { return e.UserAgent }},
	{"effect", func(e *Entry) string { return e.Effect }},
	{"reasons", func(e *Entry) string { return strings.Join(e.Reasons, " ") }},
	{"obligations", func(e *Entry) string {
		if e.Obligations == nil {
			return ""
		}
		return strings.TrimPrefix(string(appendObligations(nil, e.Obligations)), `,"obligations":`)
	}},
	{"revision", func(e *Entry) string { return e.Revision }},
	{"facts", func(e *Entry) string { return e.Facts }},
	{"agreements", func(e *Entry) string { return strings.Join(e.Agreements, " ") }},
	{"input", inputCell},
	{"status", func(e *Entry) string {
		if e.Status == 0 {
			return ""
		}
		return strconv.Itoa(e.Status)
	}},
	{"bytes_in", func(e *Entry) string { return count(e.BytesIn) }},
	{"bytes_out", func(e *Entry) string { return count(e.BytesOut) }},
	{"first_byte_ms", func(e *Entry) string { return count(e.FirstByte) }},
	{"duration_ms", func(e *Entry) string { return count(e.Duration) }},
	{"upstream", func(e *Entry) string { return e.Upstream }},
	{"ended", func(e *Entry) string { return e.Ended }},
	{"actor", func(e *Entry) string { return e.Actor }},
	{"object", func(e *Entry) string { return e.Object }},
	{"detail", func(e *Entry) string { return pairs(e.Detail, func(s string) string { return s }) }},
}

func count(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

func pairs[V any](m map[string]V, text func(V) string) string {
	var b strings.Builder
	for i, k := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(k + "=" + text(m[k]))
	}
	return b.String()
}

// Write adds one line, and the line of names before the first.
func (c *CSVWriter) Write(e *Entry) error {
	row := make([]string, len(columns))
	if err := c.begin(row); err != nil {
		return err
	}
	for i, col := range columns {
		row[i] = cell(col.cell(e))
	}
	return c.w.Write(row)
}

func (c *CSVWriter) begin(row []string) error {
	if c.begun {
		return nil
	}
	c.begun = true
	for i, col := range columns {
		row[i] = col.name
	}
	return c.w.Write(row)
}

// Flush writes what is buffered, and the line of names if there were no entries.
func (c *CSVWriter) Flush() error {
	if err := c.begin(make([]string, len(columns))); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}

// formulas are what spreadsheets take a cell for a formula by, wide forms of the
// same characters included.
const formulas = "=+-@|%\uff1d\uff0b\uff0d\uff20"

// cell makes s harmless: a quote before what would be a formula makes it text.
// Where a comma is for decimals, as in German, spreadsheets cut lines at
// semicolons instead, whatever is quoted: what stands behind one is a cell too.
func cell(s string) string {
	s = printable(s)
	if formula(s, " ") {
		s = "'" + s
	}
	for at := 0; ; {
		i := strings.IndexByte(s[at:], ';')
		if i < 0 {
			return s
		}
		if at += i + 1; formula(s[at:], " \"") {
			s = s[:at] + "'" + s[at:]
		}
	}
}

func formula(s, before string) bool {
	r, _ := utf8.DecodeRuneInString(strings.TrimLeft(s, before))
	return strings.ContainsRune(formulas, r)
}

// printable escapes every character that a terminal would not simply show.
func printable(s string) string {
	odd := func(r rune) bool { return !unicode.IsPrint(r) || hidden(r) || r == utf8.RuneError }
	if strings.IndexFunc(s, odd) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && s[i] != 0xef: // a byte that is no UTF-8
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !odd(r):
			b.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

// Line returns e as one line for people, without a line end: time, index, what
// happened, who, where. It holds no control character and is safe to print.
func Line(e *Entry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %7d %-7s", e.Time.UTC().Format("2006-01-02T15:04:05.000Z"), e.Index, printable(string(e.Type)))
	add := func(parts ...string) {
		for _, p := range parts {
			if p != "" {
				b.WriteByte(' ')
				b.WriteString(printable(p))
			}
		}
	}
	add(e.Effect, e.Action, e.Result)
	if e.Status != 0 {
		add(strconv.Itoa(e.Status))
	}
	add(e.Method)
	if e.Host != "" || e.Path != "" {
		add(e.Host + e.Path)
	}
	add(e.Cluster)
	if e.Email != "" {
		add(e.Email)
	} else {
		add(e.Account)
	}
	add(e.SourceIP)
	if e.Actor != "" {
		add("by " + e.Actor)
	}
	add(e.Object, e.Ended)
	if len(e.Reasons) > 0 {
		add("(" + strings.Join(e.Reasons, ", ") + ")")
	}
	if e.Duration != nil {
		add(strconv.FormatInt(*e.Duration, 10) + "ms")
	}
	return b.String()
}
