package console

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/ui"
)

// moduleName is how files that are made here are called. Others may be in a
// draft, since the command line takes more.
var moduleName = regexp.MustCompile(`^(?:all|clusters/[a-z0-9][a-z0-9-]{0,62})/[a-z0-9][a-z0-9_-]{0,62}\.(?:rego|json)$`)

var fileName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,57}$`)

const (
	maxDraftTitle  = 120
	maxDraftReason = 2000
)

// reasonText returns a text of several lines that says why.
func (f *form) reasonText(name string) string {
	s := strings.TrimSpace(strings.ReplaceAll(f.Value(name), "\r\n", "\n"))
	switch {
	case s == "":
		f.fault(name, "Say why, in a sentence: whoever approves it reads this first.")
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }):
		f.fault(name, "This holds characters that cannot be shown.")
	case utf8.RuneCountInString(s) > maxDraftReason:
		f.fault(name, "At most {1} characters.", maxDraftReason)
	}
	return s
}

func titleField(f *form) ui.Field {
	return with(f.text("title", "Title"), func(u *ui.Field) {
		u.Required, u.MaxLength, u.Hint = true, maxDraftTitle, "A few words that name the change in lists and in the access log."
	})
}

func reasonField(f *form) ui.Field {
	return with(f.area("reason", "Reason", 4), func(u *ui.Field) {
		u.Required, u.MaxLength, u.Hint = true, maxDraftReason, "Why the policies are to change. Whoever approves it reads this first."
	})
}

func (c *Console) newDraftForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.showNewDraft(w, r, v, newForm(nil))
}

func (c *Console) showNewDraft(w http.ResponseWriter, r *http.Request, v *visit, f *form) error {
	if c.Changes == nil {
		return ui.NotFound()
	}
	if c.Changes.Origin().ReadOnly() {
		return draftFault(change.ErrReadOnly)
	}
	return c.showEdit(w, r, f, editPage{Base: v.page("Begin a draft"), About: ui.Link{Label: "Policies", URL: "/console/policies"},
		Lede:   "A draft begins as a copy of the policies in force. Nothing that you write in it counts before a second person has approved it.",
		Groups: []group{{Title: "The change", Controls: controls(titleField(f), reasonField(f))}}, Submit: "Begin the draft", URL: "/console/policies/new", Back: "/console/policies"})
}

func (c *Console) newDraft(w http.ResponseWriter, r *http.Request, v *visit) error {
	if c.Changes == nil {
		return ui.NotFound()
	}
	f := posted(r)
	title, reason := f.line("title", "a title", maxDraftTitle, true), f.reasonText("reason")
	if !f.OK() {
		return c.showNewDraft(w, r, v, f)
	}
	d, err := c.Changes.Begin(r.Context(), v.Actor(), title, reason)
	if err != nil {
		return draftFault(err)
	}
	return c.seeOther(w, r, v, editorURL(d.ID, ""), ui.Say("The draft “{1}” is begun. It holds what is in force now.", d.Title))
}

// openDraft reads a draft that can still be changed.
func (c *Console) openDraft(r *http.Request) (change.Draft, error) {
	d, err := c.draft(r)
	if err == nil && c.closed(&d) != "" {
		err = change.ErrState
		if c.Changes.Origin().ReadOnly() {
			err = change.ErrReadOnly
		}
		err = draftFault(err)
	}
	return d, err
}

// fileOf returns the file that the address names.
func fileOf(r *http.Request, d *change.Draft) (string, error) {
	file := r.URL.Query().Get("file")
	if _, there := d.Modules[file]; !there {
		return "", ui.NotFound()
	}
	return file, nil
}

// seenVersion returns which version of the draft a form was made from.
func seenVersion(f *form) (int, error) {
	n, err := strconv.Atoi(f.Value("seen"))
	if err != nil {
		return 0, ui.BadRequest("The form says no version of the draft. Open the page again.")
	}
	return n, nil
}

// saveEdit makes a change of a form, or shows the form again.
func (c *Console) saveEdit(w http.ResponseWriter, r *http.Request, v *visit, f *form, d *change.Draft, e change.Edit, again func() error, to string, said ui.Text) error {
	seen, err := seenVersion(f)
	if err != nil {
		return err
	}
	if f.OK() {
		if _, err = c.Changes.Save(r.Context(), v.Actor(), d.ID, seen, e); err == nil {
			return c.seeOther(w, r, v, to, said)
		}
		if _, conflict := errors.AsType[*change.ConflictError](err); !conflict {
			return draftFault(err)
		}
		f.note("Somebody else saved the draft in the meantime, so nothing was changed. Look at it, and send this form again if it is still right.")
		fresh, err := c.openDraft(r)
		if err != nil {
			return err
		}
		*d = fresh
		f.values.Set("seen", strconv.Itoa(d.Version))
	}
	return again()
}

func aboutLink(d *change.Draft) ui.Link {
	return ui.Link{Label: ui.Verbatim(d.Title), URL: editorURL(d.ID, "")}
}

func (c *Console) aboutDraftForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, err := c.openDraft(r)
	if err != nil {
		return err
	}
	return c.showAboutDraft(w, r, v, newForm(url.Values{"title": {d.Title}, "reason": {d.Reason}, "seen": {strconv.Itoa(d.Version)}}), &d)
}

func (c *Console) showAboutDraft(w http.ResponseWriter, r *http.Request, v *visit, f *form, d *change.Draft) error {
	return c.showEdit(w, r, f, editPage{Base: v.page("Title and reason"), About: aboutLink(d), Seen: f.Value("seen"),
		Groups: []group{{Title: "The change", Controls: controls(titleField(f), reasonField(f))}}, Submit: "Save", URL: editorURL(d.ID, "") + "/about", Back: editorURL(d.ID, "")})
}

func (c *Console) aboutDraft(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, err := c.openDraft(r)
	if err != nil {
		return err
	}
	f := posted(r)
	title, reason := f.line("title", "a title", maxDraftTitle, true), f.reasonText("reason")
	return c.saveEdit(w, r, v, f, &d, change.Edit{Title: &title, Reason: &reason},
		func() error { return c.showAboutDraft(w, r, v, f, &d) }, editorURL(d.ID, ""), "Title and reason are saved.")
}

// Kinds of files that the form makes.
const (
	kindPolicy = "policy"
	kindTests  = "tests"
)

func (c *Console) addFileForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, err := c.openDraft(r)
	if err != nil {
		return err
	}
	return c.showFileForm(w, r, v, newForm(url.Values{"kind": {kindPolicy}, "seen": {strconv.Itoa(d.Version)}}), &d, "")
}

func (c *Console) renameFileForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, err := c.openDraft(r)
	if err != nil {
		return err
	}
	file, err := fileOf(r, &d)
	if err != nil {
		return err
	}
	cluster, name, kind := fileParts(file)
	return c.showFileForm(w, r, v, newForm(url.Values{"cluster": {cluster}, "name": {name}, "kind": {kind}, "seen": {strconv.Itoa(d.Version)}}), &d, file)
}

// fileParts takes a file's name apart: the cluster that it is for, empty for
// all, its own name and its kind.
func fileParts(file string) (cluster, name, kind string) {
	parts := strings.Split(file, "/")
	if len(parts) == 3 {
		cluster = parts[1]
	}
	name, kind = strings.TrimSuffix(parts[len(parts)-1], ".rego"), kindPolicy
	if base, ok := strings.CutSuffix(name, "_test"); ok {
		return cluster, base, kindTests
	}
	return cluster, name, kind
}

// showFileForm shows the form for a new file, or for the new name of one.
func (c *Console) showFileForm(w http.ResponseWriter, r *http.Request, v *visit, f *form, d *change.Draft, file string) error {
	where := with(f.text("cluster", "What it governs"), func(u *ui.Field) {
		u.Options = []ui.Option{{Value: "", Label: "Every cluster"}}
		for _, name := range c.draftClusters(v, d) {
			u.Options = append(u.Options, ui.Option{Value: name, Label: ui.Say("Cluster {1}", name), Selected: name == f.Value("cluster")})
		}
	})
	name := with(f.text("name", "Name"), func(u *ui.Field) {
		u.Required, u.Mono, u.MaxLength, u.Placeholder = true, true, 58, ui.Verbatim("office_hours")
		u.Hint = "Small letters, digits, hyphens and underscores. Endings are added."
	})
	kind := with(f.text("kind", "Kind"), func(u *ui.Field) {
		u.Options = []ui.Option{{Value: kindPolicy, Label: "A policy", Selected: f.Value("kind") != kindTests}, {Value: kindTests, Label: "Tests of policies", Selected: f.Value("kind") == kindTests}}
	})
	page := editPage{About: aboutLink(d), Seen: f.Value("seen"), Groups: []group{{Title: "The file", Controls: controls(where, name, kind)}}}
	if file == "" {
		page.Base, page.Submit, page.URL, page.Back = v.page("Add a file"), "Add the file", editorURL(d.ID, "")+"/add", editorURL(d.ID, "")
		page.Lede = "A policy denies, challenges or obliges. A file of tests says what must come of it, and runs at every change."
	} else {
		page.Base, page.Submit, page.Back = v.page(ui.Say("Rename {1}", file)), "Rename", editorURL(d.ID, file)
		page.URL = editorURL(d.ID, "") + "/rename?" + url.Values{"file": {file}}.Encode()
		page.Lede = "The line with the package follows the name. References to it in other files do not."
	}
	return c.showEdit(w, r, f, page)
}

// draftClusters are the clusters that a file can be for: those that there are,
// and those that the draft speaks of.
func (c *Console) draftClusters(v *visit, d *change.Draft) []string {
	var out []string
	for _, cl := range v.Snapshot.Directory().Clusters {
		out = append(out, cl.Name)
	}
	for file := range d.Modules {
		if cluster, _, _ := fileParts(file); cluster != "" {
			out = append(out, cluster)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// fileChosen reads the name of a file out of the form.
func (c *Console) fileChosen(f *form, v *visit, d *change.Draft) string {
	cluster := f.oneOf("cluster", "what it governs", append([]string{""}, c.draftClusters(v, d)...))
	name, kind := strings.TrimSuffix(strings.TrimSpace(f.Value("name")), ".rego"), f.oneOf("kind", "a kind", []string{kindPolicy, kindTests})
	if base, ok := strings.CutSuffix(name, "_test"); ok {
		name, kind = base, kindTests
	}
	if !fileName.MatchString(name) {
		f.fault("name", "A name has small letters, digits, hyphens and underscores, starts with a letter or digit, and has at most 58 characters.")
	}
	if kind == kindTests {
		name += "_test"
	}
	file := "all/" + name + ".rego"
	if cluster != "" {
		file = "clusters/" + cluster + "/" + name + ".rego"
	}
	if _, there := d.Modules[file]; there {
		f.fault("name", "The draft has a file {1} already.", file)
	}
	return file
}

// packageLine is how a file of a name begins.
func packageLine(file string) string {
	cluster, _, kind := fileParts(file)
	name := "ringfence.all"
	suffix := ""
	if kind == kindTests {
		suffix = "_test"
	}
	if cluster != "" {
		return `package ringfence.clusters["` + cluster + suffix + `"]`
	}
	return "package " + name + suffix
}

func (c *Console) addFile(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, err := c.openDraft(r)
	if err != nil {
		return err
	}
	f := posted(r)
	file := c.fileChosen(f, v, &d)
	return c.saveEdit(w, r, v, f, &d, change.Edit{Write: map[string]string{file: packageLine(file) + "\n\nimport rego.v2\n"}},
		func() error { return c.showFileForm(w, r, v, f, &d, "") }, editorURL(d.ID, file), ui.Say("{1} is in the draft.", file))
}

func (c *Console) renameFile(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, err := c.openDraft(r)
	if err != nil {
		return err
	}
	old, err := fileOf(r, &d)
	if err != nil {
		return err
	}
	f := posted(r)
	file := c.fileChosen(f, v, &d)
	text := strings.Replace(d.Modules[old], packageLine(old)+"\n", packageLine(file)+"\n", 1)
	return c.saveEdit(w, r, v, f, &d, change.Edit{Write: map[string]string{file: text}, Remove: []string{old}},
		func() error { return c.showFileForm(w, r, v, f, &d, old) }, editorURL(d.ID, file), ui.Say("{1} is called {2} now.", old, file))
}

func (c *Console) askDeleteFile(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, err := c.openDraft(r)
	if err != nil {
		return err
	}
	return c.showDeleteFile(w, r, v, newForm(nil), &d)
}

func (c *Console) showDeleteFile(w http.ResponseWriter, r *http.Request, v *visit, f *form, d *change.Draft) error {
	file, err := fileOf(r, d)
	if err != nil {
		return err
	}
	return c.show(w, r, f.status(), "ask", askPage{Base: v.page(ui.Say("Delete {1}", file)), Question: ui.Say("Delete {1} from the draft?", file), About: aboutLink(d), Faults: f.Notes,
		Effects: []ui.Text{"What it denies, challenges or obliges today goes on until the draft is published.", "The file stays in every revision that has it."},
		Fields:  []ui.Field{}, Action: "Delete", Danger: true, Back: editorURL(d.ID, file),
		URL: editorURL(d.ID, "") + "/delete?" + url.Values{"file": {file}, "seen": {strconv.Itoa(d.Version)}}.Encode()})
}

func (c *Console) deleteFile(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, err := c.openDraft(r)
	if err != nil {
		return err
	}
	file, err := fileOf(r, &d)
	if err != nil {
		return err
	}
	f := newForm(url.Values{"seen": {r.URL.Query().Get("seen")}})
	return c.saveEdit(w, r, v, f, &d, change.Edit{Remove: []string{file}},
		func() error { return c.showDeleteFile(w, r, v, f, &d) }, editorURL(d.ID, ""), ui.Say("{1} is deleted from the draft.", file))
}
