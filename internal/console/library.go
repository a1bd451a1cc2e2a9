package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/internal/ui"
)

const libraryURL = "/console/policies/library"

func moduleURL(name string) string { return libraryURL + "/" + url.PathEscape(name) }

// libraryPage lists what is ready to be added.
type libraryPage struct {
	Base
	Modules []libraryRow
	Draft   ui.Link // that a module is chosen for; empty: none yet
}

type libraryRow struct {
	Title, Summary ui.Text
	URL            string
	Used           int // places in the policies in force
}

// libraryFor reads which draft a module is looked for.
func (c *Console) libraryFor(r *http.Request) (trialSet, ui.Link, error) {
	about, err := setOf(r.URL.Query().Get("draft"), "")
	if err != nil || about.Draft == 0 || c.Changes == nil {
		return trialSet{}, ui.Link{}, err
	}
	d, err := c.Changes.Draft(r.Context(), about.Draft)
	return about, ui.Link{Label: ui.Verbatim(d.Title), URL: draftURL(d.ID)}, libraryFault(err)
}

func (c *Console) libraryList(w http.ResponseWriter, r *http.Request, v *visit) error {
	about, draft, err := c.libraryFor(r)
	if err != nil {
		return err
	}
	used, err := c.libraryInForce(r.Context())
	if err != nil {
		return err
	}
	page := libraryPage{Base: v.page("Policy library"), Draft: draft}
	for _, m := range studio.Library() {
		row := libraryRow{Title: ui.Known(m.Title), Summary: ui.Known(m.Summary), URL: moduleURL(m.Name) + about.query()}
		for _, u := range used {
			if u.Module == m {
				row.Used++
			}
		}
		page.Modules = append(page.Modules, row)
	}
	return c.show(w, r, http.StatusOK, "console-policy-library", page)
}

// libraryModulePage explains one module and says where it stands.
type libraryModulePage struct {
	Base
	Lede   ui.Text
	Page   []ui.Text
	Fields []libraryField
	Used   []libraryUse
	Text   string // the module as it is written
	Tests  string
	AddURL string // empty: nothing can be added

	Draft      ui.Link // that a module is chosen for; empty: none yet
	LibraryURL string
}

type libraryField struct{ Label, Hint ui.Text }

type libraryUse struct {
	File, Cluster string
	URL           string // of the form for the parameters; empty: they cannot be changed
	Params        string
}

func (c *Console) libraryModule(w http.ResponseWriter, r *http.Request, v *visit) error {
	m := studio.FromLibrary(r.PathValue("module"))
	if m == nil {
		return ui.NotFound()
	}
	about, draft, err := c.libraryFor(r)
	if err != nil {
		return err
	}
	set, err := c.policiesInForce(r.Context())
	if err != nil {
		return err
	}
	files, err := m.Files(studio.LibraryPlace{}, m.Sample())
	if err != nil {
		return err
	}
	page := libraryModulePage{Base: v.page(ui.Known(m.Title)), Draft: draft, LibraryURL: libraryURL + about.query(), Lede: ui.Known(m.Summary),
		Text: files["all/"+m.Name+".rego"], Tests: files["all/"+m.Name+"_test.rego"]}
	for _, p := range m.Page {
		page.Page = append(page.Page, ui.Known(p))
	}
	for i := range m.Fields {
		page.Fields = append(page.Fields, libraryField{ui.Known(m.Fields[i].Label), ui.Known(m.Fields[i].Hint)})
	}
	writable := v.mayChange() && c.Changes != nil && !c.Changes.Origin().ReadOnly()
	if writable {
		page.AddURL = moduleURL(m.Name) + "/add" + about.query()
	}
	in := studio.LibraryIn(set)
	for _, file := range sortedKeys(in) {
		if in[file].Module != m {
			continue
		}
		use := libraryUse{File: file, Cluster: in[file].Place.Cluster, Params: set[file]}
		if writable {
			use.URL = moduleURL(m.Name) + "/parameters?file=" + url.QueryEscape(file)
		}
		page.Used = append(page.Used, use)
	}
	return c.show(w, r, http.StatusOK, "console-policy-module", page)
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// policiesInForce returns the files of the newest revision; none before the first.
func (c *Console) policiesInForce(ctx context.Context) (map[string]string, error) {
	if c.Changes == nil {
		return nil, nil
	}
	all, err := c.Changes.Revisions(ctx)
	if err != nil || len(all) == 0 {
		return nil, libraryFault(err)
	}
	newest, err := c.Changes.Revision(ctx, all[0].ID)
	return newest.Modules, libraryFault(err)
}

func (c *Console) libraryInForce(ctx context.Context) (map[string]studio.InUse, error) {
	set, err := c.policiesInForce(ctx)
	return studio.LibraryIn(set), err
}

// libraryFault words what change control refuses.
func libraryFault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, change.ErrNotFound):
		return ui.NotFound()
	case errors.Is(err, change.ErrReadOnly):
		return &ui.Error{Status: http.StatusConflict, Code: "read_only", Title: "Changed elsewhere", Err: err,
			Detail: "The policies come from a folder or a bundle and are changed there. Use “ringfence policy library” to write a module into the folder."}
	case errors.Is(err, change.ErrState):
		return &ui.Error{Status: http.StatusConflict, Code: "state", Title: "Not possible", Err: err,
			Detail: "The draft was published or withdrawn in the meantime. Choose another one."}
	case errors.Is(err, directory.ErrNotAllowed):
		return &ui.Error{Status: http.StatusForbidden, Err: err}
	}
	return &ui.Error{Status: http.StatusServiceUnavailable, Title: "Nothing was changed", Err: fmt.Errorf("changing a draft: %w", err),
		Detail: "The draft could not be read or saved. Please try again in a moment."}
}
