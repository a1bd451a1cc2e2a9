package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/internal/ui"
)

// libraryOf returns the module that the address names, where something can be
// changed at all.
func (c *Console) libraryOf(r *http.Request) (*studio.LibraryModule, error) {
	m := studio.FromLibrary(r.PathValue("module"))
	if m == nil || c.Changes == nil {
		return nil, ui.NotFound()
	}
	if c.Changes.Origin().ReadOnly() {
		return nil, libraryFault(change.ErrReadOnly)
	}
	return m, nil
}

// libraryForm shows the form that adds a module to a draft.
func (c *Console) libraryForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	m, err := c.libraryOf(r)
	if err != nil {
		return err
	}
	f := newForm(url.Values{"name": {m.Name}, "draft": {r.URL.Query().Get("draft")}, "cluster": {r.URL.Query().Get("cluster")},
		"title": {ui.Say("Add {1}", ui.Known(m.Title)).String()}})
	fillParams(f.values, m, m.Defaults())
	return c.showLibraryForm(w, r, v, m, f)
}

func (c *Console) showLibraryForm(w http.ResponseWriter, r *http.Request, v *visit, m *studio.LibraryModule, f *form) error {
	drafts, err := c.openDrafts(r)
	if err != nil {
		return err
	}
	var clusters []ui.Option
	for _, cl := range v.Snapshot.Directory().Clusters {
		clusters = append(clusters, ui.Option{Value: cl.Name, Label: ui.Verbatim(cl.Name)})
	}
	return c.showEdit(w, r, f, editPage{
		Base: v.page(ui.Say("Add {1}", ui.Known(m.Title))), About: ui.Link{Label: ui.Known(m.Title), URL: moduleURL(m.Name)}, Lede: ui.Known(m.Summary),
		Groups: []group{
			{Title: "Parameters", Hint: "They are data: changing them later changes no Rego.", Controls: paramControls(f, m)},
			{Title: "Place", Controls: controls(
				f.choice("cluster", "Cluster", "Every cluster", clusters),
				with(f.text("name", "Name"), func(u *ui.Field) {
					u.Required, u.Mono, u.MaxLength = true, true, 41
					u.Hint = "Of its files, and of the codes of its reasons. Choose another one to add the module a second time."
				}),
			)},
			{Title: "Draft", Controls: draftControls(f, drafts)},
		},
		Submit: "Add to the draft", URL: moduleURL(m.Name) + "/add", Back: moduleURL(m.Name),
	})
}

// libraryAdd writes a module, its tests and its parameters into a draft.
func (c *Console) libraryAdd(w http.ResponseWriter, r *http.Request, v *visit) error {
	m, err := c.libraryOf(r)
	if err != nil {
		return err
	}
	f := posted(r)
	place := studio.LibraryPlace{Name: strings.TrimSpace(f.Value("name"))}
	if !studio.ValidLibraryName(place.Name) {
		f.fault("name", "A name has small letters, digits and underscores, begins with a letter, and has 2 to 41 characters.")
	}
	place.Cluster = f.oneOf("cluster", "a cluster", append(names(v.Snapshot.Directory().Clusters, clusterName), ""))
	params := readParams(f, m)
	checkNewDraft(f)
	drafts, err := c.openDrafts(r)
	if err != nil {
		return err
	}
	if !f.OK() {
		return c.showLibraryForm(w, r, v, m, f)
	}
	files, err := m.Files(place, params)
	if err != nil {
		return err
	}
	if taken, err := c.takenFile(r, f.Value("draft"), files); err != nil {
		return err
	} else if taken != "" {
		f.fault("name", "The draft has a file {1} already. Choose another name.", taken)
		return c.showLibraryForm(w, r, v, m, f)
	}
	d, err := c.chosenDraft(r, v, f, drafts)
	if err == nil && f.OK() {
		f.values.Set("draft", strconv.FormatInt(d.ID, 10)) // a form that is sent again begins no second draft
		err = c.saveInto(r, v, f, d, files)
	}
	if err != nil {
		return err
	}
	if !f.OK() {
		return c.showLibraryForm(w, r, v, m, f)
	}
	return c.seeOther(w, r, v, draftURL(d.ID), ui.Say("{1} is in the draft, with its tests.", ui.Known(m.Title)))
}

// takenFile returns which of the files there is already, in the draft that is
// named or in the policies that a new one begins with.
func (c *Console) takenFile(r *http.Request, draft string, files map[string]string) (string, error) {
	have, err := c.filesOf(r, draft)
	if err != nil {
		return "", err
	}
	for _, name := range sortedKeys(files) {
		if _, ok := have[name]; ok {
			return name, nil
		}
	}
	return "", nil
}

// filesOf returns the files of a draft, or of the policies in force for none.
func (c *Console) filesOf(r *http.Request, draft string) (map[string]string, error) {
	id, err := strconv.ParseInt(draft, 10, 64)
	if err != nil {
		return c.policiesInForce(r.Context())
	}
	d, err := c.Changes.Draft(r.Context(), id)
	return d.Modules, libraryFault(err)
}

// parametersForm shows the form that changes parameters, and nothing else.
func (c *Console) parametersForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	m, err := c.libraryOf(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	file, draft := q.Get("file"), q.Get("draft")
	have, err := c.parameters(r, m, file, draft)
	if err != nil {
		return err
	}
	f := newForm(url.Values{"file": {file}, "draft": {draft}, "seen": {fingerprint(have)}, "title": {ui.Say("Change {1}", ui.Known(m.Title)).String()}})
	fillParams(f.values, m, []byte(have))
	return c.showParameters(w, r, v, m, f)
}

// parameters returns the text of a file that holds parameters of m.
func (c *Console) parameters(r *http.Request, m *studio.LibraryModule, file, draft string) (string, error) {
	set, err := c.filesOf(r, draft)
	if err != nil {
		return "", err
	}
	if studio.LibraryIn(set)[file].Module != m {
		return "", ui.NotFound()
	}
	return set[file], nil
}

func (c *Console) showParameters(w http.ResponseWriter, r *http.Request, v *visit, m *studio.LibraryModule, f *form) error {
	groups := []group{{Title: "Parameters", Controls: paramControls(f, m)}}
	back := moduleURL(m.Name)
	file, draft := f.Value("file"), f.Value("draft")
	to := moduleURL(m.Name) + "/parameters?" + url.Values{"file": {file}, "draft": {draft}}.Encode()
	if draft == "" {
		groups = append(groups, group{Title: "Draft", Controls: draftControls(f, nil)[1:]})
	} else {
		back = "/console/policies/drafts/" + url.PathEscape(draft)
	}
	return c.showEdit(w, r, f, editPage{
		Base: v.page(ui.Say("Parameters of {1}", ui.Known(m.Title))), About: ui.Link{Label: ui.Verbatim(file), URL: back},
		Lede:   "Only the file of the parameters changes: no Rego and no test.",
		Groups: groups, Seen: f.Value("seen"), Submit: "Save into the draft", URL: to, Back: back,
	})
}

// changeParameters writes one file of parameters into a draft.
func (c *Console) changeParameters(w http.ResponseWriter, r *http.Request, v *visit) error {
	m, err := c.libraryOf(r)
	if err != nil {
		return err
	}
	f := posted(r)
	file, draft := r.URL.Query().Get("file"), r.URL.Query().Get("draft")
	f.values.Set("file", file)
	f.values.Set("draft", draft)
	have, err := c.parameters(r, m, file, draft)
	if err != nil {
		return err
	}
	params := readParams(f, m)
	checkNewDraft(f)
	if fingerprint(have) != f.Value("seen") {
		f.note("Somebody else changed these parameters in the meantime. Open the form again and repeat your change.")
	}
	if !f.OK() {
		return c.showParameters(w, r, v, m, f)
	}
	drafts, err := c.openDrafts(r)
	if err != nil {
		return err
	}
	d, err := c.chosenDraft(r, v, f, drafts)
	if err == nil && f.OK() {
		err = c.saveInto(r, v, f, d, map[string]string{file: string(params)})
		f.values.Set("draft", strconv.FormatInt(d.ID, 10))
	}
	if err != nil {
		return err
	}
	if !f.OK() {
		return c.showParameters(w, r, v, m, f)
	}
	return c.seeOther(w, r, v, draftURL(d.ID), ui.Say("The parameters of {1} are in the draft.", ui.Known(m.Title)))
}
