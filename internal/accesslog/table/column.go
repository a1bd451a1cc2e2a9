package table

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// A Kind says what a column holds.
type Kind uint8

// The kinds.
const (
	Text  Kind = iota + 1 // few distinct values
	Plain                 // texts of many values
	List                  // of texts
	Count                 // a 64-bit number
)

// A Column is one of the table's. Its name needs no quoting but for index,
// which is a word of SQL.
type Column struct {
	Name string
	Kind Kind
	// Field is the one whose values it holds, or [query.None].
	Field query.Field
}

// Columns are those of the table, in order.
var Columns = func() []Column {
	out := []Column{{"origin", Text, query.None}, {"index", Count, query.Index}, {"ns", Count, query.None}}
	for _, f := range query.Fields() {
		switch f.Kind() {
		case query.Text, query.Address:
			out = append(out, Column{f.Key(), textKind(f), f})
		case query.List:
			out = append(out, Column{f.Key(), List, f})
		case query.Number, query.Bytes, query.Millis, query.Seconds:
			out = append(out, Column{f.Key(), Count, f})
		}
	}
	return append(out, Column{"email_name", Text, query.None}, Column{"email_fold", Text, query.None}, Column{"name_fold", Text, query.None},
		Column{"address", Text, query.None}, Column{"words", Plain, query.None}, Column{"payload", Plain, query.None})
}()

func textKind(f query.Field) Kind {
	if f == query.RequestID || f == query.Path || f == query.Session {
		return Plain
	}
	return Text
}

// Of returns the column of a field with values of its own.
func Of(f query.Field) (Column, bool) {
	i := slices.IndexFunc(Columns, func(c Column) bool { return c.Field == f })
	if f == query.None || i < 0 {
		return Column{}, false
	}
	return Columns[i], true
}

// Separator stands between the texts in words.
const Separator = "\x1f"

// AppendRow writes an entry of the log origin as a JSON object by column.
func AppendRow(b []byte, origin string, e *accesslog.Entry) ([]byte, error) {
	if len(e.Payload) == 0 {
		return nil, fmt.Errorf("writing entry %d as a row: it has no payload", e.Index)
	}
	name := e.Email
	if i := strings.LastIndexByte(name, '@'); i > 0 {
		name = name[:i]
	}
	more := map[string]string{"origin": origin, "email_name": name, "email_fold": Fold(e.Email), "name_fold": Fold(name),
		"address": Address(e.SourceIP), "words": words(e)}
	open := byte('{')
	for _, c := range Columns {
		b = append(append(append(b, open, '"'), c.Name...), `":`...)
		open = ','
		var err error
		switch {
		case c.Name == "ns":
			b = strconv.AppendInt(b, e.Time.UnixNano(), 10)
		case c.Kind == Count:
			n, ok := c.Field.NumberOf(e)
			if !ok {
				n = -1
			}
			b = strconv.AppendInt(b, n, 10)
		case c.Kind == List:
			list := []string{}
			for _, s := range c.Field.ListOf(e) {
				list = append(list, clean(s))
			}
			b, err = appendJSON(b, list)
		case c.Name == "payload":
			b, err = appendJSON(b, string(e.Payload))
		case c.Field == query.None:
			b, err = appendJSON(b, clean(more[c.Name]))
		default:
			b, err = appendJSON(b, clean(c.Field.TextOf(e)))
		}
		if err != nil {
			return nil, fmt.Errorf("writing entry %d as a row: %w", e.Index, err)
		}
	}
	return append(b, '}'), nil
}

func appendJSON(b []byte, v any) ([]byte, error) {
	j, err := json.Marshal(v)
	return append(b, j...), err
}

func clean(s string) string { return strings.ReplaceAll(s, "\x00", "\uFFFD") }

// words returns what an [query.Anywhere] is looked for in.
func words(e *accesslog.Entry) string {
	var all []string
	add := func(s string) {
		if s = lower(s); s != "" && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	for _, c := range Columns {
		switch {
		case c.Kind == List:
			for _, s := range c.Field.ListOf(e) {
				add(s)
			}
		case c.Kind != Count && c.Field != query.None:
			add(c.Field.TextOf(e))
		}
	}
	return strings.Join(all, Separator)
}

// lower makes A to Z small and leaves everything else.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

// Fold maps texts that [strings.EqualFold] holds for equal, and no others, to one text.
func Fold(s string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, s)
}

// Address writes an IP address so that texts sort as addresses do: 4 or 6 and
// its hexadecimal digits. What is no address, or has a zone, is "".
func Address(s string) string {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return ""
	}
	return key(a.Unmap())
}

func key(a netip.Addr) string {
	if a.Is4() {
		b := a.As4()
		return "4" + hex.EncodeToString(b[:])
	}
	b := a.As16()
	return "6" + hex.EncodeToString(b[:])
}

// ends returns the first and the last address of a network as [Address] writes them.
func ends(n netip.Prefix) (low, high string) {
	first := n.Masked().Addr()
	b := first.AsSlice()
	for i := range b {
		if bits := n.Bits() - 8*i; bits < 8 {
			b[i] |= 0xff >> max(bits, 0)
		}
	}
	last, _ := netip.AddrFromSlice(b)
	return key(first), key(last)
}
