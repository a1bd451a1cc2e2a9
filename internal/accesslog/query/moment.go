package query

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

const (
	day       = 24 * time.Hour
	maxSpan   = 100 * 365 * day
	firstYear = 1900 // within what nanoseconds since 1970 can say
	lastYear  = 2200
)

var spanUnits = []struct {
	letter byte
	length time.Duration
}{{'w', 7 * day}, {'d', day}, {'h', time.Hour}, {'m', time.Minute}, {'s', time.Second}}

// parseMoment reads a span such as 7d, a day or an instant.
func parseMoment(f Field, s string) (Bound, error) {
	if ago, ok := parseSpan(s); ok {
		if ago > maxSpan {
			return Bound{}, errors.New("the span is longer than 100 years")
		}
		return Bound{Field: f, Ago: ago}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano, "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if layout == time.DateOnly && f == Until {
			t = t.AddDate(0, 0, 1) // the day is included
		}
		if t = t.UTC(); t.Year() < firstYear || t.Year() > lastYear {
			return Bound{}, errors.New("the year is not between 1900 and 2200")
		}
		return Bound{Field: f, At: t}, nil
	}
	return Bound{}, errors.New("this is neither a span such as 7d nor a time such as 2026-11-30 or 2026-11-30T10:00:00Z")
}

func parseSpan(s string) (time.Duration, bool) {
	var sum time.Duration
	if s == "" {
		return 0, false
	}
	for s != "" {
		i := 0
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		n, err := strconv.ParseInt(s[:i], 10, 32)
		if err != nil || i == len(s) {
			return 0, false
		}
		var unit time.Duration
		for _, u := range spanUnits {
			if u.letter == s[i] {
				unit = u.length
			}
		}
		if unit == 0 {
			return 0, false
		}
		if sum += unit * min(time.Duration(n), maxSpan/unit+1); sum > maxSpan {
			sum = maxSpan + 1 // longer than is allowed; never wraps
		}
		s = s[i+1:]
	}
	return sum, true
}

func appendMoment(b []byte, t Bound) []byte {
	if t.At.IsZero() {
		for _, u := range spanUnits[1:] {
			if t.Ago%u.length == 0 && (t.Ago > 0 || u.length == time.Second) {
				return append(strconv.AppendInt(b, int64(t.Ago/u.length), 10), u.letter)
			}
		}
		return append(strconv.AppendInt(b, int64(t.Ago/time.Second), 10), 's')
	}
	if at := t.At; at.Equal(at.Truncate(day)) && at.Hour() == 0 {
		if t.Field == Until {
			at = at.AddDate(0, 0, -1)
		}
		if at.Year() >= firstYear {
			return at.AppendFormat(b, time.DateOnly)
		}
	}
	return t.At.AppendFormat(b, time.RFC3339Nano)
}

const maxNumber = 1<<63 - 1

// sizes are the endings of numbers by kind of field.
var sizes = map[Kind]map[string]int64{
	Bytes:   {"b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40},
	Millis:  {"ms": 1, "s": 1e3, "m": 60e3, "h": 3600e3},
	Seconds: {"s": 1, "m": 60, "h": 3600, "d": 86400},
}

// parseRange reads 403, 4xx, >=500, <2s, 400..499.
func parseRange(f Field, s string) (Range, error) {
	r := Range{Field: f, Max: maxNumber}
	low, high, between := strings.Cut(s, "..")
	var err error
	switch {
	case between:
		if r.Min, err = parseNumber(f, low); err == nil {
			r.Max, err = parseNumber(f, high)
		}
	case strings.HasPrefix(s, ">="):
		r.Min, err = parseNumber(f, s[2:])
	case strings.HasPrefix(s, "<="):
		r.Max, err = parseNumber(f, s[2:])
	case strings.HasPrefix(s, ">"):
		if r.Min, err = parseNumber(f, s[1:]); err == nil {
			r.Min++
		}
	case strings.HasPrefix(s, "<"):
		if r.Max, err = parseNumber(f, s[1:]); err == nil {
			r.Max--
		}
	case f == Status && len(s) == 3 && s[0] >= '1' && s[0] <= '9' && s[1:] == "xx":
		r.Min = int64(s[0]-'0') * 100
		r.Max = r.Min + 99
	default:
		r.Min, err = parseNumber(f, s)
		r.Max = r.Min
	}
	if err == nil && r.Min > r.Max {
		err = errors.New("the range is empty")
	}
	return r, err
}

func parseNumber(f Field, s string) (int64, error) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	n, err := strconv.ParseInt(s[:i], 10, 63)
	if err != nil {
		return 0, errors.New("this is not a number such as 403, nor a range such as 400..499, >=500 or <10")
	}
	unit := int64(1)
	if s[i:] != "" {
		var ok bool
		if unit, ok = sizes[f.Kind()][strings.ToLower(s[i:])]; !ok {
			return 0, errors.New("the unit is not known: bytes have kB, MB, GB or KiB, MiB, GiB; durations ms, s, m, h")
		}
	}
	if n > (1<<62)/unit {
		return 0, errors.New("the number is too large")
	}
	return n * unit, nil
}
