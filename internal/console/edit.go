package console

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
)

// editPage is a form that makes or changes one object.
type editPage struct {
	Base
	Lede   ui.Text
	About  ui.Link // what is changed; empty for something new
	Faulty int     // how many faults the form shows
	Faults []ui.Text
	Groups []group
	Seen   string // which state of the object the form was made from
	Submit ui.Text
	Routes int     // how many routes the form of a cluster has fields for
	More   ui.Text // a second button that only adds empty fields; empty for none
	URL    string
	Back   string
}

// A group is some controls under a title.
type group struct {
	Title, Hint ui.Text
	Controls    []control
}

// A control is either a field or a set of boxes.
type control struct {
	Field   *ui.Field
	Choices *choices
}

// choices are boxes to tick, of which several may be.
type choices struct {
	Name               string
	Label, Hint, Error ui.Text
	One                bool // exactly one may be chosen
	Short              bool // the labels are short: several stand beside one another
	Items              []choice
}

type choice struct {
	Value       string
	Label, Hint ui.Text
	Checked     bool
}

// controls makes controls of fields and choices.
func controls(items ...any) []control {
	var out []control
	for _, i := range items {
		switch i := i.(type) {
		case ui.Field:
			out = append(out, control{Field: &i})
		case choices:
			out = append(out, control{Choices: &i})
		}
	}
	return out
}

// boxes returns boxes for a field, ticked as the form has them.
func (f *form) boxes(name string, label ui.Text, items []choice) choices {
	for i := range items {
		items[i].Checked = f.Checked(name, items[i].Value)
	}
	return choices{Name: name, Label: label, Error: f.Fault(name), Items: items}
}

// showEdit shows a form with what was typed into it and what is wrong with it.
func (c *Console) showEdit(w http.ResponseWriter, r *http.Request, f *form, page editPage) error {
	page.Faulty, page.Faults = f.Faulty(), f.Notes
	return c.show(w, r, f.status(), "edit", page)
}

// Faults of a change that are worth words of their own.
var (
	errGone    = errors.New("changing the directory: the object is gone")
	errChanged = errors.New("changing the directory: the object changed in the meantime")
	errTaken   = errors.New("changing the directory: the name is taken")
)

// edit changes the directory in the name of who is signed in, for acts that
// have no form: every refusal becomes an error page.
func (c *Console) edit(r *http.Request, v *visit, change func(*directory.Directory) error) error {
	f := newForm(nil)
	if err := c.editForm(r, v, f, "", fieldMap(nil), change); err != nil {
		return err
	}
	return f.asError()
}

// asError returns the faults of a change without a form as an error page; nil
// when there are none.
func (f *form) asError() error {
	if f.OK() {
		return nil
	}
	words := slices.Clone(f.Notes)
	for _, name := range slices.Sorted(maps.Keys(f.faults)) {
		words = append(words, f.faults[name])
	}
	return &ui.Error{Status: http.StatusUnprocessableEntity, Code: "refused", Title: "Not possible", Detail: ui.Join(words, " ")}
}

// editForm changes the directory in the name of who is signed in. What the
// directory refuses becomes faults of f: field names the form's field for each
// of the object's, as faults call it. The change was made when no error is returned and f
// is OK.
func (c *Console) editForm(r *http.Request, v *visit, f *form, object string, field func(string) string, change func(*directory.Directory) error) error {
	_, err := c.Directory.Change(r.Context(), v.Actor(), change)
	var faults directory.Faults
	switch {
	case err == nil:
	case errors.Is(err, errGone):
		return ui.NotFound()
	case errors.Is(err, errChanged):
		f.note("Somebody else changed this in the meantime. Open it again and repeat your change.")
	case errors.Is(err, errTaken):
		f.isTaken = true
	case errors.Is(err, directory.ErrOwnRights):
		f.note("This would change your own access or rights. Nobody does that for themselves: ask another administrator to make this change.")
	case errors.Is(err, directory.ErrNotAllowed):
		return &ui.Error{Status: http.StatusForbidden, Code: "not_allowed", Title: "No longer yours to change", Err: fmt.Errorf("changing the directory: %w", err),
			Detail: "Only an administrator may change this, and your account is none at this moment. Nothing was changed. Ask another administrator to look at your roles and your last day."}
	case errors.As(err, &faults):
		for _, fault := range faults {
			f.place(fault, object, field)
		}
	default:
		return &ui.Error{Status: http.StatusServiceUnavailable, Title: "Nothing was changed", Err: fmt.Errorf("changing the directory: %w", err),
			Detail: "The change could not be made, so everything is as it was. Open the page again and look whether you may still make it."}
	}
	return nil
}

// A saving is what a posted form does when nothing is wrong with it.
type saving struct {
	object string              // as faults name it, such as "vendor acme"
	field  func(string) string // the form's field for each of the object's
	change func(*directory.Directory) error
	taken  func()       // notes that the object exists; nil puts it beside the name
	again  func() error // shows the form once more, with its faults
	to     string       // the page to go to afterwards
	said   ui.Text      // what that page says
}

// save makes the change of a form, or shows the form again with its faults.
func (c *Console) save(w http.ResponseWriter, r *http.Request, v *visit, f *form, s saving) error {
	if f.OK() {
		if err := c.editForm(r, v, f, s.object, s.field, s.change); err != nil {
			return err
		}
		switch was := f.taken(); {
		case was && s.taken != nil:
			s.taken()
		case was:
			f.fault("name", "This name is taken.")
		}
	}
	if !f.OK() {
		return s.again()
	}
	return c.seeOther(w, r, v, s.to, s.said)
}

// add puts a new object into a list that has none of its name.
func add[T any](list *[]T, same func(*T) bool, want T) error {
	if find(*list, same) != nil {
		return errTaken
	}
	*list = append(*list, want)
	return nil
}

// replace puts want in the place of have, unless that is gone or was changed
// since the form was made, which seen says.
func replace[T any](have *T, seen string, want T) error {
	switch {
	case have == nil:
		return errGone
	case fingerprint(have) != seen:
		return errChanged
	}
	*have = want
	return nil
}
