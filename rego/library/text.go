package library

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrEmpty is what [Field.Parse] returns for a parameter that may not be empty.
var ErrEmpty = errEmpty

// Many reports whether a parameter is written in several lines.
func (f *Field) Many() bool {
	switch f.Kind {
	case Zone, Time, Choice, Pattern, Count:
		return false
	}
	return true
}

// Lines returns a parameter as people write it, a line for each item; nothing
// for a value that is not of the field's kind.
func (f *Field) Lines(raw json.RawMessage) []string {
	if f.check(raw) != nil && f.check(raw) != errEmpty {
		return nil
	}
	switch f.Kind {
	case Count:
		return []string{string(raw)}
	case Zone, Time, Choice, Pattern:
		return []string{as[string](raw)}
	case Periods:
		var out []string
		for _, p := range as[[]Period](raw) {
			out = append(out, p.From+" "+p.Until)
		}
		return out
	case Groups:
		var out []string
		for _, g := range as[[][]string](raw) {
			out = append(out, strings.Join(g, ", "))
		}
		return out
	case Classes, Grants:
		var out []string
		all := as[map[string][]string](raw)
		for _, name := range slices.Sorted(maps.Keys(all)) {
			out = append(out, name+": "+strings.Join(all[name], ", "))
		}
		return out
	}
	return as[[]string](raw)
}

func as[T any](raw json.RawMessage) T {
	var v T
	_ = json.Unmarshal(raw, &v) // it was checked
	return v
}

// Parse reads a parameter out of what people wrote, the other way round.
func (f *Field) Parse(lines []string) (json.RawMessage, error) {
	lines = slices.DeleteFunc(slices.Clone(lines), func(s string) bool { return strings.TrimSpace(s) == "" })
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	v, err := f.read(lines)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return raw, f.check(raw)
}

func (f *Field) read(lines []string) (any, error) {
	one := strings.Join(lines, " ")
	switch f.Kind {
	case Count:
		n, err := strconv.ParseInt(one, 10, 64)
		if err != nil {
			return nil, errors.New("it is not a whole number")
		}
		return n, nil
	case Zone, Time, Choice, Pattern:
		return one, nil
	case Periods:
		return all(lines, period)
	case Groups:
		return all(lines, func(line string) ([]string, error) { return parts(line), nil })
	case Classes, Grants:
		out := map[string][]string{}
		for _, line := range lines {
			name, rest, ok := strings.Cut(line, ":")
			name = strings.TrimSpace(name)
			if _, twice := out[name]; !ok || twice {
				return nil, fmt.Errorf("%q is no name with a colon and a list, or its name is there twice", line)
			}
			out[name] = parts(rest)
		}
		return out, nil
	}
	return slices.Clip(append([]string{}, lines...)), nil
}

func all[T any](lines []string, read func(string) (T, error)) ([]T, error) {
	out := []T{}
	for _, line := range lines {
		v, err := read(line)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func parts(s string) []string {
	out := []string{}
	for p := range strings.SplitSeq(s, ",") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// period reads the two ends of a period. A date alone is the first moment of
// its day in UTC, and as an end the first after it.
func period(line string) (Period, error) {
	words := strings.Fields(line)
	if len(words) != 2 {
		return Period{}, fmt.Errorf("%q is not the beginning and the end of a period", line)
	}
	from, err := moment(words[0], 0)
	until, err2 := moment(words[1], 1)
	if err = errors.Join(err, err2); err != nil {
		return Period{}, fmt.Errorf("%q is no period: give dates, or times with their offset", line)
	}
	return Period{from, until}, nil
}

func moment(s string, days int) (string, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t.AddDate(0, 0, days).Format(time.RFC3339), nil
	}
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(form, s); err == nil {
			return t.Format(time.RFC3339), nil
		}
	}
	return "", errors.New("no time")
}

// Build makes the JSON of parameters out of one value for each field.
func (m *Module) Build(values map[string]json.RawMessage) []byte {
	return m.values(func(f *Field) json.RawMessage {
		if v, ok := values[f.Name]; ok {
			return v
		}
		return f.Default
	})
}

// Values returns the parameters in JSON by name; nothing for what is no object.
func (m *Module) Values(params []byte) map[string]json.RawMessage {
	return as[map[string]json.RawMessage](params)
}
