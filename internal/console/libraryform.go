package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/internal/ui"
)

// param is the form's field for a parameter.
func param(f *studio.LibraryField) string { return "param_" + f.Name }

// fillParams puts parameters into a form as people write them.
func fillParams(values url.Values, m *studio.LibraryModule, params []byte) {
	have := m.Values(params)
	for i := range m.Fields {
		f := &m.Fields[i]
		lines := f.Lines(have[f.Name])
		if f.Kind == "days" || f.Kind == "methods" {
			values[param(f)] = lines
			continue
		}
		values.Set(param(f), strings.Join(lines, "\n"))
	}
}

// readParams makes parameters of what was typed, with a fault beside each field
// that is not right.
func readParams(f *form, m *studio.LibraryModule) []byte {
	values := map[string]json.RawMessage{}
	for i := range m.Fields {
		p := &m.Fields[i]
		lines := f.values[param(p)]
		if p.Kind != "days" && p.Kind != "methods" {
			lines = f.lines(param(p))
		}
		raw, err := p.Parse(lines)
		if err != nil {
			f.fault(param(p), paramFault(p, err))
			continue
		}
		values[p.Name] = raw
	}
	return m.Build(values)
}

var paramFaults = map[string]ui.Text{
	"zone":    "Give the name of a time zone, such as Europe/Berlin.",
	"time":    "Give a time of day, such as 08:00.",
	"days":    "Choose days of the list.",
	"methods": "Choose methods of the list.",
	"names":   "Give names, one a line and each once: small letters, digits and hyphens.",
	"words":   "Give names, one a line and each once.",
	"paths":   "Give plain paths such as /api, one a line and each once: no escapes, dots or stars.",
	"dates":   "Give dates such as 2026-12-25, one a line and each once.",
	"periods": "Give one period a line: its beginning, a space and its end, which comes later.",
	"choice":  "Choose one of the list.",
	"pattern": "Give a regular expression that an empty text does not match.",
	"groups":  "Give one group a line: at least two clusters with commas between them, each once.",
	"classes": "Give one class a line: its name, a colon, and its fields with commas between them.",
	"grants":  "Give one vendor a line: its name, a colon, and the classes with commas between them.",
}

func paramFault(p *studio.LibraryField, err error) ui.Text {
	if errors.Is(err, studio.ErrEmptyParameter) {
		return "This cannot be empty."
	}
	if p.Kind == "count" {
		return ui.Say("Give a whole number from {1} to {2}.", p.Min, p.Max)
	}
	return paramFaults[string(p.Kind)]
}

var dayLabels = map[string]ui.Text{
	"mon": "Monday", "tue": "Tuesday", "wed": "Wednesday", "thu": "Thursday", "fri": "Friday", "sat": "Saturday", "sun": "Sunday",
}

var demandLabels = map[string]ui.Text{"ticket": "A ticket", "purpose": "A purpose", "either": "A ticket or a purpose"}

// paramControls are the controls for the parameters of a module.
func paramControls(f *form, m *studio.LibraryModule) []control {
	var out []control
	for i := range m.Fields {
		p := &m.Fields[i]
		label, hint := ui.Known(p.Label), ui.Known(p.Hint)
		switch {
		case p.Kind == "days" || p.Kind == "methods":
			values := studio.LibraryMethods
			if p.Kind == "days" {
				values = studio.LibraryDays
			}
			var items []choice
			for _, s := range values {
				item := choice{Value: s, Label: ui.Verbatim(s)}
				if l, ok := dayLabels[s]; ok {
					item.Label = l
				}
				items = append(items, item)
			}
			boxes := f.boxes(param(p), label, items)
			boxes.Hint, boxes.Short = hint, true
			out = append(out, controls(boxes)...)
		case p.Kind == "choice":
			var options []ui.Option
			for _, s := range p.Choices {
				options = append(options, ui.Option{Value: s, Label: demandLabels[s]})
			}
			out = append(out, controls(f.choice(param(p), label, "", options))...)
		case p.Many():
			out = append(out, controls(with(f.area(param(p), label, 4), func(u *ui.Field) { u.Hint, u.Required = hint, p.Required }))...)
		default:
			out = append(out, controls(with(f.text(param(p), label), func(u *ui.Field) {
				u.Hint, u.Required, u.Mono = hint, p.Required, p.Kind == "pattern"
				if p.Kind == "count" {
					u.InputMode = "numeric"
				}
			}))...)
		}
	}
	return out
}

// openDrafts returns what can be added to, and one that was asked for first.
func (c *Console) openDrafts(r *http.Request) ([]change.Draft, error) {
	all, err := c.Changes.Drafts(r.Context())
	return slices.DeleteFunc(all, func(d change.Draft) bool { return d.State != change.Open && d.State != change.InReview }), libraryFault(err)
}

// draftControls let somebody choose a draft, or say why they begin another.
func draftControls(f *form, drafts []change.Draft) []control {
	options := []ui.Option{}
	for _, d := range drafts {
		options = append(options, ui.Option{Value: strconv.FormatInt(d.ID, 10), Label: ui.Verbatim(d.Title)})
	}
	return controls(
		with(f.choice("draft", "Draft", "A new one", options), func(u *ui.Field) {
			u.Hint = "Nothing is in force before a draft is reviewed and published."
		}),
		with(f.text("title", "Title of the new draft"), func(u *ui.Field) { u.MaxLength = 120 }),
		with(f.text("reason", "Why"), func(u *ui.Field) {
			u.MaxLength, u.Hint = 500, "A sentence for whoever reviews the new draft."
		}),
	)
}

// chosenDraft returns the draft that a form names, or begins one.
func (c *Console) chosenDraft(r *http.Request, v *visit, f *form, drafts []change.Draft) (change.Draft, error) {
	id, err := strconv.ParseInt(f.Value("draft"), 10, 64)
	if err != nil {
		d, err := c.Changes.Begin(r.Context(), v.Actor(), strings.TrimSpace(f.Value("title")), strings.TrimSpace(f.Value("reason")))
		if invalid, ok := errors.AsType[*change.InvalidError](err); ok {
			field := "reason"
			if invalid.Field == "title" {
				field = "title"
			}
			f.fault(field, "This cannot be kept: characters that nobody sees, or too many of them.")
			return d, nil
		}
		return d, libraryFault(err)
	}
	if !slices.ContainsFunc(drafts, func(d change.Draft) bool { return d.ID == id }) {
		return change.Draft{}, libraryFault(change.ErrState)
	}
	d, err := c.Changes.Draft(r.Context(), id)
	return d, libraryFault(err)
}

// saveInto saves files into a draft. What somebody else did meanwhile stays, and is said.
func (c *Console) saveInto(r *http.Request, v *visit, f *form, d change.Draft, files map[string]string) error {
	_, err := c.Changes.Save(r.Context(), v.Actor(), d.ID, d.Version, change.Edit{Write: files})
	if _, ok := errors.AsType[*change.ConflictError](err); ok {
		f.note("Somebody else changed the draft at the same moment. Nothing of yours is saved yet: send the form again.")
		return nil
	}
	if invalid, ok := errors.AsType[*change.InvalidError](err); ok {
		if invalid.Field == "same" {
			f.note("These are the parameters that the draft has already.")
			return nil
		}
		f.note("The draft cannot take this: its files are too many or too large.")
		return nil
	}
	return libraryFault(err)
}

// checkNewDraft demands the words of a draft that is to be begun.
func checkNewDraft(f *form) {
	if f.Value("draft") == "" {
		f.line("title", "a title", 120, true)
		f.line("reason", "a reason", 500, true)
	}
}
