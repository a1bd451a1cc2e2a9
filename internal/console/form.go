package console

import (
	"net/http"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
)

// A form holds what was typed and what is wrong with it, so that a page can
// show each fault beside its field and keep what was typed. The zero form is
// an empty one without faults.
type form struct {
	values url.Values
	faults map[string]ui.Text // by field name
	Notes  []ui.Text          // faults that belong to no field of the page
	// isTaken is set when a change found that the object exists already.
	isTaken bool
}

// newForm returns a form that shows values and has no faults.
func newForm(values url.Values) *form { return &form{values: values} }

// posted returns the form that r posts. Only the body counts, never the query.
func posted(r *http.Request) *form { return newForm(r.PostForm) }

// Value returns what was typed into the field name, for a template.
func (f *form) Value(name string) string {
	if f == nil {
		return ""
	}
	return f.values.Get(name)
}

// Fault returns what is wrong with the field name, empty when nothing is.
func (f *form) Fault(name string) ui.Text {
	if f == nil {
		return ""
	}
	return f.faults[name]
}

// Checked reports whether value is among those chosen for the field name.
func (f *form) Checked(name, value string) bool {
	return f != nil && slices.Contains(f.values[name], value)
}

// OK reports whether no fault was found so far.
func (f *form) OK() bool { return len(f.faults) == 0 && len(f.Notes) == 0 && !f.isTaken }

// Faulty returns how many faults there are, for the sentence above a form.
func (f *form) Faulty() int {
	if f == nil {
		return 0
	}
	return len(f.faults) + len(f.Notes)
}

// fault notes what is wrong with the field name; the first fault of a field stays.
func (f *form) fault(name string, text ui.Text, values ...any) {
	if f.faults == nil {
		f.faults = make(map[string]ui.Text)
	}
	if _, have := f.faults[name]; !have {
		f.faults[name] = ui.Say(text, values...)
	}
}

// note adds a fault that belongs to no field.
func (f *form) note(text ui.Text, values ...any) {
	if s := ui.Say(text, values...); !slices.Contains(f.Notes, s) {
		f.Notes = append(f.Notes, s)
	}
}

// line returns a one-line field without surrounding space. It must be there
// when required, and be of at most limit characters, none of them a control.
func (f *form) line(name string, what ui.Text, limit int, required bool) string {
	s := strings.TrimSpace(f.Value(name))
	switch {
	case s == "" && required:
		f.fault(name, "Give {1}.", what)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		f.fault(name, "This holds characters that cannot be shown.")
	case utf8.RuneCountInString(s) > limit:
		f.fault(name, "At most {1} characters.", limit)
	}
	return s
}

// lines returns a field's lines that are not empty, each without surrounding space.
func (f *form) lines(name string) []string {
	var out []string
	for l := range strings.Lines(f.Value(name)) {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	return out
}

var slug = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// slug returns a field that names an object.
func (f *form) slug(name string) string {
	s := strings.TrimSpace(f.Value(name))
	if !slug.MatchString(s) {
		f.fault(name, "A name has small letters, digits and hyphens, starts with a letter or digit, and has at most 63 characters.")
	}
	return s
}

// oneOf returns a field whose value must be among choices; empty is accepted
// only when choices hold it.
func (f *form) oneOf(name string, what ui.Text, choices []string) string {
	s := f.Value(name)
	if !slices.Contains(choices, s) {
		if s == "" {
			f.fault(name, "Choose {1}.", what)
		} else {
			f.fault(name, "“{1}” is not among the choices.", clip(s, 80))
		}
	}
	return s
}

// someOf returns the values chosen for a field, each of which must be among choices.
func (f *form) someOf(name string, choices []string) []string {
	var out []string
	for _, s := range f.values[name] {
		if !slices.Contains(choices, s) {
			f.fault(name, "“{1}” is not among the choices.", clip(s, 80))
			return nil
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// address returns a field that holds one e-mail address and nothing else.
func (f *form) address(name string) string {
	s := strings.TrimSpace(f.Value(name))
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || len(s) > 254 {
		f.fault(name, "Give one e-mail address, such as kim@example.com.")
	}
	return s
}

// starts returns a date as the first moment of that day, UTC; the zero time
// for an empty field.
func (f *form) starts(name string, required bool) time.Time {
	t, _ := f.date(name, required)
	return t
}

// ends returns a date as the end of that day, UTC: the whole day still counts.
func (f *form) ends(name string, required bool) time.Time {
	t, ok := f.date(name, required)
	if !ok {
		return time.Time{}
	}
	end, err := directory.ParseDate(t.Format(time.DateOnly), true) // as in files
	if err != nil {
		f.fault(name, faultWords(err.Error()))
	}
	return end
}

func (f *form) date(name string, required bool) (time.Time, bool) {
	s := strings.TrimSpace(f.Value(name))
	if s == "" {
		if required {
			f.fault(name, "Give a date.")
		}
		return time.Time{}, false
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Year() < 2000 || t.Year() > 2199 {
		f.fault(name, "Give a date as year-month-day, such as 2026-01-31.")
		return time.Time{}, false
	}
	return t, true
}

// dateValue returns t as a date field shows it.
func dateValue(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

// fieldMap names a form's field for an object's, whatever the place in a list:
// hosts[1] is hosts.
func fieldMap(m map[string]string) func(string) string {
	return func(field string) string {
		base, _, _ := strings.Cut(field, "[")
		return m[base]
	}
}

// place shows a fault of the directory: beside its field when it is about the
// object of the form, else above the form with the object's name.
func (f *form) place(fault directory.Fault, object string, field func(string) string) {
	words := faultWords(fault.Message)
	if fault.Object != object {
		about := clip(fault.Object, 120)
		if fault.Field != "" {
			about += ", " + fault.Field
		}
		f.note("{1}: {2}", about, words)
		return
	}
	if name := field(fault.Field); name != "" {
		f.fault(name, words)
		return
	}
	f.note(words)
}

// faultWords makes a sentence of a fault's message, which is written to follow
// the name of a field.
func faultWords(s string) ui.Text {
	for _, verb := range []string{"is ", "must ", "has ", "holds ", "contains ", "begins ", "does "} {
		if strings.HasPrefix(s, verb) {
			return ui.Known(sentence("this " + s))
		}
	}
	return ui.Known(sentence(s))
}

// taken reports whether a change was refused because the object exists.
func (f *form) taken() bool {
	was := f.isTaken
	f.isTaken = false
	return was
}
