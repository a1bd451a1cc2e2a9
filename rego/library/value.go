package library

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Kind says what a parameter is.
type Kind string

// The kinds of parameters, with their form in JSON.
const (
	Zone    Kind = "zone"    // an IANA time zone, or "" where it may be left out
	Time    Kind = "time"    // "HH:MM", up to 24:00
	Days    Kind = "days"    // some of mon, tue, wed, thu, fri, sat, sun
	Names   Kind = "names"   // names of vendors
	Words   Kind = "words"   // other names
	Methods Kind = "methods" // HTTP methods
	Paths   Kind = "paths"   // prefixes such as "/api"
	Dates   Kind = "dates"   // "2006-01-02"
	Periods Kind = "periods" // {"from": …, "until": …}, both RFC 3339
	Count   Kind = "count"   // a whole number
	Choice  Kind = "choice"  // one of Choices
	Pattern Kind = "pattern" // a regular expression
	Groups  Kind = "groups"  // lists of at least two names of clusters
	Classes Kind = "classes" // lists of words by name
	Grants  Kind = "grants"  // lists of names by name of a vendor
)

// A Fault is one thing that is wrong with parameters.
type Fault struct {
	Field string // empty: the file as a whole
	Line  int    // in the JSON, from 1
	Text  string
}

// String returns the field and what is wrong with it.
func (f Fault) String() string {
	if f.Field == "" {
		return f.Text
	}
	return f.Field + ": " + f.Text
}

// A Period is a span of time in parameters.
type Period struct {
	From  string `json:"from"`
	Until string `json:"until"`
}

// Bounds of parameters, far above what people write.
const (
	maxItems = 500
	maxText  = 300
)

// Check returns what is wrong with parameters in JSON: nothing is missing,
// nothing unknown, and every value of its kind.
func (m *Module) Check(params []byte) []Fault {
	var have map[string]json.RawMessage
	if err := json.Unmarshal(params, &have); err != nil {
		return []Fault{{Line: 1, Text: fmt.Sprintf("the parameters are no JSON object: %v", err)}}
	}
	var faults []Fault
	for i := range m.Fields {
		f := &m.Fields[i]
		v, ok := have[f.Name]
		delete(have, f.Name)
		err := errors.New("it is missing")
		if ok {
			err = f.check(v)
		}
		if err != nil {
			faults = append(faults, Fault{f.Name, lineOf(params, f.Name), err.Error()})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		faults = append(faults, Fault{name, lineOf(params, name), fmt.Sprintf("module %s has no such parameter", m.Name)})
	}
	return faults
}

// lineOf returns the line in which a key of the object stands first.
func lineOf(b []byte, key string) int {
	quoted, _ := json.Marshal(key)
	i := bytes.Index(b, quoted)
	return 1 + bytes.Count(b[:max(i, 0)], []byte("\n"))
}

// check says what is wrong with a value, in words for people.
func (f *Field) check(raw json.RawMessage) error {
	switch f.Kind {
	case Count:
		return decoded(raw, "a whole number", func(n int64) error {
			if n < f.Min || n > f.Max {
				return fmt.Errorf("it must be between %d and %d", f.Min, f.Max)
			}
			return nil
		})
	case Zone, Time, Choice, Pattern:
		return decoded(raw, "a text", f.text)
	case Periods:
		// Rego reads names as they are written, which a Go struct does not.
		return decoded(raw, "a list of periods", func(all []map[string]string) error {
			return f.each(len(all), func(i int) error {
				from, ok1 := all[i]["from"]
				until, ok2 := all[i]["until"]
				if !ok1 || !ok2 || len(all[i]) != 2 {
					return errors.New("a period has from and until, and nothing else")
				}
				return Period{from, until}.check()
			})
		})
	case Groups:
		return decoded(raw, "a list of lists", func(all [][]string) error {
			return f.each(len(all), func(i int) error {
				if len(all[i]) < 2 {
					return errors.New("a group has at least two clusters")
				}
				return items(all[i], slug)
			})
		})
	case Classes, Grants:
		return decoded(raw, "an object of lists", func(all map[string][]string) error { return f.lists(all) })
	}
	return decoded(raw, "a list of texts", func(all []string) error {
		if f.Required && len(all) == 0 {
			return errEmpty
		}
		return items(all, f.item)
	})
}

var errEmpty = errors.New("it may not be empty")

// decoded reads raw as exactly a T, not null, and has it checked.
func decoded[T any](raw json.RawMessage, what string, check func(T) error) error {
	var v T
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if bytes.Contains(raw, []byte("null")) && bytes.Equal(bytes.TrimSpace(raw), []byte("null")) || dec.Decode(&v) != nil {
		return fmt.Errorf("it is not %s", what)
	}
	return check(v)
}

func (f *Field) each(n int, check func(int) error) error {
	if f.Required && n == 0 {
		return errEmpty
	}
	if n > maxItems {
		return fmt.Errorf("it has more than %d items", maxItems)
	}
	for i := range n {
		if err := check(i); err != nil {
			return err
		}
	}
	return nil
}

func (f *Field) lists(all map[string][]string) error {
	names := slices.Sorted(maps.Keys(all))
	return f.each(len(names), func(i int) error {
		if err := slug(names[i]); err != nil {
			return err
		}
		if len(all[names[i]]) == 0 {
			return fmt.Errorf("%s has nothing", names[i])
		}
		if f.Kind == Grants {
			return items(all[names[i]], slug)
		}
		return items(all[names[i]], word)
	})
}

// items checks every item of a list, and that none is there twice.
func items(all []string, check func(string) error) error {
	if len(all) > maxItems {
		return fmt.Errorf("it has more than %d items", maxItems)
	}
	for i, s := range all {
		if err := check(s); err != nil {
			return err
		}
		if slices.Contains(all[:i], s) {
			return fmt.Errorf("%q is there twice", s)
		}
	}
	return nil
}

// WeekDays are the values of [Days].
var WeekDays = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// HTTPMethods are the values of [Methods].
var HTTPMethods = []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE",
	"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH"}

var (
	timeForm = regexp.MustCompile(`^(?:[01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$`)
	slugForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	zoneForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*){0,2}$`)
)

func slug(s string) error {
	if !slugForm.MatchString(s) {
		return fmt.Errorf("%q is no name: small letters, digits and hyphens", s)
	}
	return nil
}

func word(s string) error {
	if s == "" || len(s) > maxText || strings.TrimSpace(s) != s || strings.ContainsAny(s, "\x00\r\n\t,\"\\") {
		return fmt.Errorf("%q is no plain word", s)
	}
	return nil
}

func (f *Field) item(s string) error {
	switch f.Kind {
	case Names:
		return slug(s)
	case Days:
		return among(s, WeekDays)
	case Methods:
		return among(s, HTTPMethods)
	case Dates:
		if _, err := time.Parse(time.DateOnly, s); err != nil {
			return fmt.Errorf("%q is no date such as 2026-12-25", s)
		}
		return nil
	case Paths:
		return plainPath(s)
	}
	return word(s)
}

func among(s string, all []string) error {
	if !slices.Contains(all, s) {
		return fmt.Errorf("%q is none of %s", s, strings.Join(all, ", "))
	}
	return nil
}

// plainPath refuses what could be meant for another path than it names.
func plainPath(s string) error {
	if len(s) > maxText || !strings.HasPrefix(s, "/") || strings.Contains(s, "//") || strings.ContainsAny(s, "%?#;\\*\"\x00 \t\r\n") ||
		strings.Contains(s+"/", "/./") || strings.Contains(s+"/", "/../") {
		return fmt.Errorf("%q is no plain path such as /api: it begins with a slash and has no escapes, dots or stars", s)
	}
	return nil
}

func (f *Field) text(s string) error {
	switch {
	case s == "" && f.Required:
		return errEmpty
	case len(s) > maxText:
		return fmt.Errorf("it is longer than %d bytes", maxText)
	case f.Kind == Choice:
		return among(s, f.Choices)
	case f.Kind == Time && !timeForm.MatchString(s):
		return fmt.Errorf("%q is no time of day such as 08:00", s)
	case f.Kind == Zone && s != "":
		if _, err := time.LoadLocation(s); err != nil || !zoneForm.MatchString(s) || strings.EqualFold(s, "local") {
			return fmt.Errorf("%q is no time zone such as Europe/Berlin", s)
		}
	case f.Kind == Pattern:
		whole, err := regexp.Compile("^(?:" + s + ")$")
		if err == nil { // what is one only when wrapped, such as a)|(?:b, is not held to the ends
			_, err = regexp.Compile(s)
		}
		if err != nil {
			return fmt.Errorf("%q is no regular expression", s)
		}
		if whole.MatchString("") {
			return fmt.Errorf("%q matches an empty text, so it demands nothing", s)
		}
	}
	return nil
}

func (p Period) check() error {
	from, err := time.Parse(time.RFC3339, p.From)
	until, err2 := time.Parse(time.RFC3339, p.Until)
	switch {
	case err != nil || err2 != nil:
		return fmt.Errorf("%q to %q is no period: give both as 2026-12-19T18:00:00Z", p.From, p.Until)
	case !from.Before(until):
		return fmt.Errorf("the period that begins at %s ends before it begins", p.From)
	}
	return nil
}
