package ui

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/message"
)

// A Text is something to be read by people, worded in English, that is put
// into the reader's language when a page is written and not before. A constant
// is a Text as it stands. What holds values is made by [Say] and [Count], what
// must stay as it is by [Verbatim], and times by [Day], [Date], [Moment] and
// [Instant]. No other string is converted to a Text: the catalogues could not
// know it.
//
// The zero Text is empty. Texts may be compared when both are constants.
type Text string

// A Text that is no constant begins with composed and its kind; see the
// functions that make it. What follows is made of parts: a length, a colon and
// as many bytes.
const composed = '\x00'

const (
	kindVerbatim = 'v' // the rest
	kindMessage  = 'm' // parts: the key, then the values
	kindCount    = 'c' // parts: the number, the key for one, the key for others, then the values
	kindJoin     = 'j' // parts: the separator, then the texts
	kindTime     = 't' // one letter for the format, then RFC 3339
)

// Verbatim returns a Text that is the same in every language: a name, a title
// that an administrator chose, a code.
func Verbatim(s string) Text {
	if s == "" {
		return ""
	}
	return Text([]byte{composed, kindVerbatim}) + Text(s)
}

// Known returns the Text of words that another package gave, such as the name
// of a state or a stock sentence: they are translated where the catalogue has
// them and stay as they are where it has not. Words that a person typed are
// for [Verbatim].
func Known(s string) Text {
	if s != "" && s[0] == composed {
		return Verbatim(s)
	}
	return Text(s)
}

// Join returns texts with a separator, which is the same in every language.
func Join(texts []Text, separator string) Text {
	switch len(texts) {
	case 0:
		return ""
	case 1:
		return texts[0]
	}
	b := appendPart([]byte{composed, kindJoin}, separator)
	for _, t := range texts {
		b = appendPart(b, string(t))
	}
	return Text(b)
}

// Say returns the message key with values in the place of {1}, {2} and so on.
// key must be a constant: it is what the catalogues translate. A value that is
// a Text is put into the reader's language too, everything else is written as
// fmt does.
func Say(key Text, values ...any) Text {
	if len(values) == 0 {
		return key
	}
	b := append(make([]byte, 0, len(key)+32*len(values)), composed, kindMessage)
	return Text(appendValues(appendPart(b, string(key)), values))
}

// Count returns one when n is 1 and other when it is not, each in the form
// that the reader's language demands. {1} is n, {2} the first of values.
func Count(n int, one, other Text, values ...any) Text {
	b := append(make([]byte, 0, len(one)+len(other)+32), composed, kindCount)
	b = appendPart(appendPart(appendPart(b, strconv.Itoa(n)), string(one)), string(other))
	return Text(appendValues(b, values))
}

// Day returns the date of t in UTC in a short form, such as 2 Jan 2026. The
// zero time has none.
func Day(t time.Time) Text { return timeText('d', t) }

// Date returns the date of t in UTC in full, such as 2 January 2026.
func Date(t time.Time) Text { return timeText('l', t) }

// Moment returns t in UTC to the minute, such as 2 Jan 2026, 15:04 UTC.
func Moment(t time.Time) Text { return timeText('m', t) }

// Instant returns t in UTC to the millisecond.
func Instant(t time.Time) Text { return timeText('i', t) }

func timeText(format byte, t time.Time) Text {
	if t.IsZero() {
		return ""
	}
	return Text(t.UTC().AppendFormat([]byte{composed, kindTime, format}, time.RFC3339Nano))
}

func appendPart(b []byte, s string) []byte {
	b = append(strconv.AppendInt(b, int64(len(s)), 10), ':')
	return append(b, s...)
}

func appendValues(b []byte, values []any) []byte {
	for _, v := range values {
		switch v := v.(type) {
		case Text:
			b = appendPart(b, string(v))
		case string:
			b = appendPart(b, string(Verbatim(v)))
		case int:
			b = appendPart(b, string(Verbatim(strconv.Itoa(v))))
		default:
			b = appendPart(b, string(Verbatim(fmt.Sprint(v))))
		}
	}
	return b
}

// part cuts the first part off.
func part(s string) (p, rest string) {
	n, after, ok := strings.Cut(s, ":")
	length, err := strconv.Atoi(n)
	if !ok || err != nil || length < 0 || length > len(after) {
		return s, ""
	}
	return after[:length], after[length:]
}

// String returns the text in English.
func (t Text) String() string { return english.word(t) }

// MarshalText returns the text in English: what programs read has one language.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// word returns t in the language.
func (l tongue) word(t Text) string {
	if len(t) < 2 || t[0] != composed {
		return l.Say(string(t))
	}
	body := string(t[2:])
	switch t[1] {
	case kindVerbatim:
		return l.Keep(body)
	case kindTime:
		return l.time(body)
	case kindMessage:
		key, rest := part(body)
		return l.fill(l.Say(key), "", rest)
	case kindJoin:
		separator, rest := part(body)
		var all []string
		for rest != "" {
			var p string
			p, rest = part(rest)
			all = append(all, l.word(Text(p)))
		}
		return strings.Join(all, separator)
	case kindCount:
		n, rest := part(body)
		one, rest := part(rest)
		other, rest := part(rest)
		number, _ := strconv.Atoi(n) // Count wrote it
		return l.fill(l.Count(number, one, other), l.number(number), rest)
	}
	return ""
}

// number writes how many there are. From five digits on they stand in groups,
// as the reader's language has them.
func (l tongue) number(n int) string {
	if n > -10_000 && n < 10_000 {
		return strconv.Itoa(n)
	}
	return message.NewPrinter(l.Tag).Sprint(n)
}

// fill puts values into the places of a message: first, unless it is empty,
// then those that are parts of rest.
func (l tongue) fill(message, first, rest string) string {
	values := make([]string, 0, 4)
	if first != "" {
		values = append(values, first)
	}
	for rest != "" {
		var p string
		p, rest = part(rest)
		values = append(values, l.word(Text(p)))
	}
	if !strings.Contains(message, "{") {
		return message
	}
	var b strings.Builder
	for {
		at := strings.IndexByte(message, '{')
		if at < 0 || at+2 >= len(message) {
			break
		}
		i := int(message[at+1] - '0')
		if message[at+2] != '}' || i < 1 || i > len(values) {
			b.WriteString(message[:at+1])
			message = message[at+1:]
			continue
		}
		b.WriteString(message[:at])
		b.WriteString(values[i-1])
		message = message[at+3:]
	}
	b.WriteString(message)
	return b.String()
}

func (l tongue) time(body string) string {
	t, err := time.Parse(time.RFC3339Nano, body[1:])
	if err != nil {
		return ""
	}
	return l.format(body[0], t)
}
