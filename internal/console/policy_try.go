package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

const tryPath = "/console/policies/try"

// tryPage is where a request is made up and judged.
type tryPage struct {
	Base
	Faults      []ui.Text
	Faulty      int
	Set         ui.Field // which policies judge
	Who, What   []ui.Field
	Factors     []ui.Field
	More        []ui.Field
	Entry       string // the entry of the log that the form began with
	Facts       *choices
	Explanation *explanationView
	JSON        string
}

// tryForm shows the form, filled in from an entry of the log or for a draft.
func (c *Console) tryForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := r.URL.Query()
	f := newForm(tryDefaults(v.Now))
	for name := range f.values { // a link may fill in any field but what only a form gives
		if q.Has(name) {
			f.values.Set(name, q.Get(name))
		}
	}
	for _, name := range []string{"account", "cluster"} {
		f.values.Set(name, q.Get(name))
	}
	if entry := q.Get("entry"); entry != "" {
		base, err := c.tryBase(r, v, entry)
		if err != nil {
			return err
		}
		f.values = tryValues(base, base.Subject.Email)
		f.values.Set("entry", entry)
		f.values.Set("facts", "then")
	}
	for _, kind := range []string{"draft", "revision"} {
		if id := q.Get(kind); id != "" {
			f.values.Set("set", kind+":"+id)
		}
	}
	return c.showTry(w, r, v, f, nil, nil)
}

// try judges what the form says.
func (c *Console) try(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := posted(r)
	var base *policy.Input
	if entry := f.Value("entry"); entry != "" {
		var err error
		if base, err = c.tryBase(r, v, entry); err != nil {
			return err
		}
	}
	in := tryInput(f, v.Snapshot, base)
	if in == nil {
		return c.showTry(w, r, v, f, nil, nil)
	}
	modules, err := c.trySet(r.Context(), f)
	if err != nil || !f.OK() {
		if err != nil {
			return err
		}
		return c.showTry(w, r, v, f, nil, nil)
	}
	x, err := c.explain(r.Context(), modules, in)
	if err != nil {
		return err
	}
	return c.showTry(w, r, v, f, in, x)
}

// tryBase returns the input that an entry records. Whoever may not read the log
// begins with nothing of it. Each reading is recorded: a form can name an entry
// that it was never filled in from.
func (c *Console) tryBase(r *http.Request, v *visit, entry string) (*policy.Input, error) {
	index, err := strconv.ParseUint(entry, 10, 63)
	if err != nil || !mayReview.met(v.Session) {
		return nil, ui.NotFound()
	}
	in, err := c.recordedInput(r, v, index, "try")
	if errors.Is(err, accesslog.ErrNotDecided) || errors.Is(err, accesslog.ErrNoFacts) {
		return nil, ui.BadRequest("No input for the policies is recorded in this entry.")
	}
	return in, err
}

// trySet returns the modules that the form chooses.
func (c *Console) trySet(ctx context.Context, f *form) (map[string]string, error) {
	kind, number, _ := strings.Cut(f.Value("set"), ":")
	id, err := strconv.ParseInt(number, 10, 64)
	var modules map[string]string
	switch {
	case kind == "":
		modules, _ = c.Sets.InForce()
		return modules, nil
	case err != nil || c.Changes == nil:
		f.fault("set", "“{1}” is not among the choices.", clip(f.Value("set"), 80))
		return nil, nil
	case kind == "draft":
		var d change.Draft
		d, err = c.Changes.Draft(ctx, id)
		modules = d.Modules
	case kind == "revision":
		var rev change.Revision
		rev, err = c.Changes.Revision(ctx, id)
		modules = rev.Modules
	default:
		err = change.ErrNotFound
	}
	if errors.Is(err, change.ErrNotFound) {
		f.fault("set", "“{1}” is not among the choices.", clip(f.Value("set"), 80))
		return nil, nil
	}
	return modules, err
}

// trySets are the sets that can be chosen: what is in force, drafts, and the
// one revision that a link named.
func (c *Console) trySets(ctx context.Context, f *form) ([]ui.Option, error) {
	out := []ui.Option{{Label: "The policies in force"}}
	if c.Changes == nil {
		return out, nil
	}
	drafts, err := c.Changes.Drafts(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range drafts {
		if d.State == change.Open || d.State == change.InReview {
			out = append(out, ui.Option{Value: "draft:" + strconv.FormatInt(d.ID, 10), Label: ui.Say("Draft {1}: {2}", d.ID, d.Title)})
		}
	}
	if number, ok := strings.CutPrefix(f.Value("set"), "revision:"); ok {
		out = append(out, ui.Option{Value: f.Value("set"), Label: ui.Say("Revision {1}", clip(number, 20))})
	}
	return out, nil
}

func (c *Console) showTry(w http.ResponseWriter, r *http.Request, v *visit, f *form, in *policy.Input, x *explanationView) error {
	sets, err := c.trySets(r.Context(), f)
	if err != nil {
		return err
	}
	d := v.Snapshot.Directory()
	wide := func(field ui.Field) ui.Field { field.Mono = true; return field }
	seconds := func(name string, label ui.Text) ui.Field {
		return with(f.text("factor-"+name, label), func(u *ui.Field) { u.InputMode, u.MaxLength = "numeric", 12 })
	}
	page := tryPage{Base: v.Titled("Try a request"), Entry: f.Value("entry"), Faults: f.Notes, Faulty: f.Faulty(), Explanation: x,
		Set: f.choice("set", "Policies", "", sets),
		Who: []ui.Field{
			with(f.text("account", "E-mail of the account"), func(u *ui.Field) { u.Type, u.Required, u.MaxLength = "email", true, 254 }),
			f.choice("credential", "Proved by", "", []ui.Option{{Value: policy.CredentialSession, Label: "Session"}, {Value: policy.CredentialToken, Label: "Short-lived token"}, {Value: policy.CredentialAccessToken, Label: "Personal access token"}}),
			with(f.text("source", "Source address"), func(u *ui.Field) { u.Required, u.Mono = true, true }),
		},
		What: []ui.Field{
			with(f.choice("cluster", "Cluster", "Choose a cluster", clusterOptions(d)), func(u *ui.Field) { u.Required = true }),
			with(wide(f.text("method", "Method")), func(u *ui.Field) { u.Required, u.MaxLength = true, 40 }),
			with(wide(f.text("path", "Path")), func(u *ui.Field) { u.Required = true }),
			f.choice("protocol", "Protocol", "", []ui.Option{{Value: "http", Label: ui.Verbatim("HTTP")}, {Value: "websocket", Label: ui.Verbatim("WebSocket")}, {Value: "grpc", Label: ui.Verbatim("gRPC")}}),
			with(f.text("time", "Time (UTC)"), func(u *ui.Field) { u.Type, u.Required = "datetime-local", true }),
		},
		More: []ui.Field{
			with(wide(f.area("headers", "Headers", 3)), func(u *ui.Field) { u.Hint, u.Placeholder = "One a line, such as x-ticket: T-1.", "x-ticket: T-1" }),
			with(wide(f.area("query", "Query", 3)), func(u *ui.Field) { u.Hint = "One a line, as name=value." }),
		},
	}
	for _, factor := range tryFactors {
		page.Factors = append(page.Factors, seconds(factor.name, factor.label))
	}
	if page.Entry != "" {
		facts := f.boxes("facts", "What is known about the account", []choice{
			{Value: "then", Label: "As it was known then", Hint: "while account and cluster stay as they were"}, {Value: "now", Label: "As it is known now"}})
		facts.One = true
		page.Facts = &facts
	}
	if in != nil {
		page.JSON = inputText(in)
	}
	return c.show(w, r, f.status(), "console-policy-try", page)
}

// tryURL is the form filled in from an entry.
func tryURL(index uint64) string {
	return tryPath + "?" + url.Values{"entry": {strconv.FormatUint(index, 10)}}.Encode()
}
