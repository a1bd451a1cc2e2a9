package console

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// find returns the first element that is wanted, nil when there is none. It
// points into list.
func find[T any](list []T, wanted func(*T) bool) *T {
	for i := range list {
		if wanted(&list[i]) {
			return &list[i]
		}
	}
	return nil
}

func accountWithID(id string) func(*directory.Account) bool {
	return func(a *directory.Account) bool { return a.ID == id && id != "" }
}

func accountWithEmail(email string) func(*directory.Account) bool {
	return func(a *directory.Account) bool { return a.Email == email }
}

func vendorNamed(name string) func(*directory.Vendor) bool {
	return func(v *directory.Vendor) bool { return v.Name == name }
}

func engagementNamed(name string) func(*directory.Engagement) bool {
	return func(e *directory.Engagement) bool { return e.Name == name }
}

func clusterNamed(name string) func(*directory.Cluster) bool {
	return func(c *directory.Cluster) bool { return c.Name == name }
}

func assignmentOf(email, cluster string) func(*directory.Assignment) bool {
	return func(a *directory.Assignment) bool { return a.Account == email && a.Cluster == cluster }
}

func vendorName(v directory.Vendor) string         { return v.Name }
func clusterName(c directory.Cluster) string       { return c.Name }
func engagementName(e directory.Engagement) string { return e.Name }
func agreementName(a directory.Agreement) string   { return a.Name }

// names returns the name of every element, in the order of list.
func names[T any](list []T, name func(T) string) []string {
	out := make([]string, 0, len(list))
	for _, e := range list {
		out = append(out, name(e))
	}
	return out
}

// everyRole lists the roles as a form has them.
func everyRole() []string {
	return names(policy.Roles, func(r policy.Role) string { return string(r) })
}

// byTitle orders a list as people look things up.
func byTitle[T any](title func(*T) string) func(a, b T) int {
	return func(a, b T) int { return strings.Compare(strings.ToLower(title(&a)), strings.ToLower(title(&b))) }
}

// nothingYet says what a list is for that is empty, with the first step for
// who may take it.
func (v *visit) nothingYet(title, text, action ui.Text, to string) ui.Empty {
	e := ui.Empty{Title: title, Text: text}
	if v.mayChange() {
		e.Action, e.ActionURL = action, to
	}
	return e
}

// options makes choices whose labels are their values, which are words that
// the console knows.
func options(values []string) []ui.Option {
	out := make([]ui.Option, 0, len(values))
	for _, v := range values {
		out = append(out, ui.Option{Value: v, Label: ui.Known(v)})
	}
	return out
}

// vendorOptions makes a choice of vendors by title, after further ones.
func vendorOptions(d *directory.Directory, first ...ui.Option) []ui.Option {
	for _, v := range d.Vendors {
		first = append(first, ui.Option{Value: v.Name, Label: ui.Verbatim(cmp.Or(v.Title, v.Name))})
	}
	return first
}

func clusterOptions(d *directory.Directory) []ui.Option {
	var out []ui.Option
	for _, c := range d.Clusters {
		out = append(out, ui.Option{Value: c.Name, Label: ui.Verbatim(cmp.Or(c.Title, c.Name))})
	}
	return out
}

// paged cuts the page with the given number (from 1) out of rows.
func paged[T any](rows []T, number int, path string, q url.Values, noun string) ([]T, ui.Pager) {
	from := min((number-1)*rowsAPage, len(rows))
	to := min(from+rowsAPage, len(rows))
	link := func(n int) string {
		p := url.Values{}
		for k, v := range q {
			if k != "page" && len(v) > 0 && v[0] != "" {
				p.Set(k, v[0])
			}
		}
		if n > 1 {
			p.Set("page", strconv.Itoa(n))
		}
		if len(p) == 0 {
			return path
		}
		return path + "?" + p.Encode()
	}
	pager := ui.Pager{Text: count(len(rows), noun)}
	if len(rows) > rowsAPage {
		pager.Text = ui.Say("{1} to {2} of {3}", min(from+1, to), to, pager.Text)
	}
	if number > 1 {
		pager.Newer = link(number - 1)
	}
	if to < len(rows) {
		pager.Older = link(number + 1)
	}
	return rows[from:to], pager
}

// fingerprint names the state of an object, so that a form can say which one
// it was made from. It is not a secret.
func fingerprint(object any) string {
	b, err := json.Marshal(object)
	if err != nil {
		return "" // matches no form
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// The methods below make the fields of a search form.

func (f *form) known(names ...string) {
	for name := range f.values {
		if !slices.Contains(names, name) {
			f.note("There is no field “{1}” to search by.", clip(name, 40))
		} else if len(f.values[name]) > 1 {
			f.fault(name, "Give this once.")
		}
	}
}

func (f *form) pageNumber(name string) int {
	if f.Value(name) == "" {
		return 1
	}
	n, err := strconv.Atoi(f.Value(name))
	if err != nil || n < 1 || n > 1_000_000 {
		f.note("There is no page “{1}”.", clip(f.Value(name), 20))
		return 1
	}
	return n
}

// search returns the text field of a search.
func (f *form) search(name string, label ui.Text) ui.Field {
	return ui.Field{Name: name, Label: label, Type: "search", Value: f.Value(name), Error: f.Fault(name), MaxLength: 254}
}

// choice returns a select; any labels the empty choice, which is left out when any is empty.
func (f *form) choice(name string, label, empty ui.Text, choices []ui.Option) ui.Field {
	field := ui.Field{Name: name, Label: label, Value: f.Value(name), Error: f.Fault(name)}
	if empty != "" {
		field.Options = append(field.Options, ui.Option{Label: empty})
	}
	for _, o := range choices {
		o.Selected = o.Value == f.Value(name)
		field.Options = append(field.Options, o)
	}
	return field
}

// text returns a one-line field.
func (f *form) text(name string, label ui.Text) ui.Field {
	return ui.Field{Name: name, Label: label, Type: "text", Value: f.Value(name), Error: f.Fault(name), Autocomplete: "off"}
}

// area returns a field of several lines.
func (f *form) area(name string, label ui.Text, rows int) ui.Field {
	return ui.Field{Name: name, Label: label, Value: f.Value(name), Error: f.Fault(name), Rows: rows}
}

// day returns a date field.
func (f *form) day(name string, label ui.Text) ui.Field {
	return ui.Field{Name: name, Label: label, Type: "date", Value: f.Value(name), Error: f.Fault(name)}
}

// status is the status of a page that shows the form: 200, or 422 when it
// shows faults.
func (f *form) status() int {
	if f.OK() {
		return http.StatusOK
	}
	return http.StatusUnprocessableEntity
}

// all returns the faults that no field shows.
func (f *form) all() []ui.Text { return f.Notes }

// with returns field after change has completed it.
func with(field ui.Field, change func(*ui.Field)) ui.Field {
	change(&field)
	return field
}
