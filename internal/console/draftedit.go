package console

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/internal/ui"
)

// maxModule is how long one file may be here, in bytes, as the engine has it.
const maxModule = 1 << 20

// editorPage is one file of a draft with what is wrong with it.
type editorPage struct {
	Base
	Label    string  // the draft's title
	Warning  ui.Text // that saving takes it out of review; empty: it does not
	Closed   ui.Text // why nothing can be changed; empty: it can
	Files    []ui.Link
	File     string // shown; empty: the draft has none
	Text     string
	Seen     int    // the version that the text is of
	Was      string // names the text as it was there
	Unsaved  bool   // the text shown is not what is kept
	Faults   []ui.Text
	Result   *draftResult // of a check that was asked for; nil: none was
	Empty    ui.Empty
	URL      string // of the editor itself
	FileURL  string // of the file in it, to be followed by what is done
	DraftURL string
	CheckURL string
	Acts     []act
	Links    draftLinks
}

func draftURL(id int64) string { return "/console/policies/drafts/" + strconv.FormatInt(id, 10) }

func editorURL(id int64, file string) string {
	if file == "" {
		return draftURL(id) + "/edit"
	}
	return draftURL(id) + "/edit?" + url.Values{"file": {file}}.Encode()
}

// textName names a text, so that a form can say which one it was made from.
func textName(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// draft reads the draft that the address names.
func (c *Console) draft(r *http.Request) (change.Draft, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || c.Changes == nil {
		return change.Draft{}, ui.NotFound()
	}
	d, err := c.Changes.Draft(r.Context(), id)
	return d, draftFault(err)
}

// draftFault words what change control refuses. A conflict is left to whoever can show it.
func draftFault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, change.ErrNotFound):
		return ui.NotFound()
	case errors.Is(err, change.ErrReadOnly):
		return &ui.Error{Status: http.StatusConflict, Code: "read_only", Title: "Changed elsewhere", Err: err, Detail: "The policies in force come from a folder or a bundle. Change them there; here they can only be read."}
	case errors.Is(err, change.ErrState):
		return &ui.Error{Status: http.StatusConflict, Code: "state", Title: "No longer open", Err: err, Detail: "The draft was published or withdrawn, so nothing in it can be changed any more. Begin another one."}
	}
	if _, ok := errors.AsType[*change.ConflictError](err); ok {
		return &ui.Error{Status: http.StatusConflict, Code: "conflict", Err: err}
	}
	if invalid, ok := errors.AsType[*change.InvalidError](err); ok {
		words := ui.Text("The draft cannot be kept like this.")
		switch invalid.Field {
		case "file":
			words = ui.Say("The file {1} cannot be kept: its name or its text is not one that a policy may have.", invalid.Name)
		case "size":
			words = "The files of the draft are too many or too long together."
		case "title", "reason":
			words = "The title or the reason cannot be kept: each must be there, and neither too long."
		}
		return &ui.Error{Status: http.StatusUnprocessableEntity, Code: "refused", Title: "Not possible", Detail: words, Err: err}
	}
	if errors.Is(err, directory.ErrNotAllowed) {
		return &ui.Error{Status: http.StatusForbidden, Err: err}
	}
	return &ui.Error{Status: http.StatusServiceUnavailable, Title: "Nothing was changed", Err: fmt.Errorf("changing a draft: %w", err), Detail: "The draft could not be read or saved. Please try again in a moment."}
}

// closed says why nothing in a draft can be changed; empty: it can.
func (c *Console) closed(d *change.Draft) ui.Text {
	switch {
	case c.Changes.Origin().ReadOnly():
		return "The policies in force come from a folder or a bundle, so drafts cannot be changed here."
	case d.State == change.Published:
		return "This draft was published. Nothing in it can be changed any more."
	case d.State == change.Withdrawn:
		return "This draft was withdrawn. Nothing in it can be changed any more."
	}
	return ""
}

// files returns the names in a draft in the order in which pages show them.
func files(d *change.Draft) []string { return slices.Sorted(maps.Keys(d.Modules)) }

func (c *Console) showEditor(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, err := c.draft(r)
	if err != nil {
		return err
	}
	file := r.URL.Query().Get("file")
	names := files(&d)
	if file == "" && len(names) > 0 {
		file = names[0]
		if i := slices.IndexFunc(names, func(n string) bool { return !strings.HasSuffix(n, "_test.rego") }); i >= 0 {
			file = names[i]
		}
	}
	text, ok := d.Modules[file]
	if file != "" && !ok {
		return ui.NotFound()
	}
	return c.showFile(w, v, http.StatusOK, editorPage{File: file, Text: text, Seen: d.Version, Was: textName(text)}, &d)
}

// showFile fills what every view of a file has around its text.
func (c *Console) showFile(w http.ResponseWriter, v *visit, status int, page editorPage, d *change.Draft) error {
	page.Label, page.URL, page.FileURL, page.DraftURL = d.Title, draftURL(d.ID)+"/edit", editorURL(d.ID, page.File), draftURL(d.ID)
	page.CheckURL, page.Closed = page.DraftURL+"/check", c.closed(d)
	page.Base, page.Links = v.page(ui.Say("Edit {1}", d.Title)), v.draftLinks(d)
	for _, n := range files(d) {
		page.Files = append(page.Files, ui.Link{Label: ui.Verbatim(n), URL: editorURL(d.ID, n)})
	}
	if d.State == change.InReview {
		page.Warning = "This draft is in review. Saving a change takes it back to its authors: it has to be handed to review again."
	}
	if page.Closed == "" {
		page.Acts = append(page.Acts, act{Label: "Title and reason", URL: page.URL + "/about"}, act{Label: "Add a file", URL: page.URL + "/add"})
		if page.File == "" {
			page.Empty = ui.Empty{Title: "No file yet", Text: "A policy is a file for every cluster or for one. Nothing but the guardrails and the assignments decides until one is there.", Action: "Add the first file", ActionURL: page.URL + "/add"}
		}
	} else if page.File == "" {
		page.Empty = ui.Empty{Title: "No file", Text: "This draft holds no policy: under it, the guardrails and the assignments decide alone."}
	}
	return c.show(w, v.r, status, "console-policy-edit", page)
}

// postEditor saves, formats or checks the file that was posted.
func (c *Console) postEditor(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, err := c.draft(r)
	if err != nil {
		return err
	}
	f := posted(r)
	seen, err := strconv.Atoi(f.Value("seen"))
	if err != nil {
		return ui.BadRequest("The form says no version of the draft. Open the page again.")
	}
	page := editorPage{File: f.Value("file"), Text: f.module("text"), Seen: seen, Was: f.Value("was")}
	page.Unsaved = page.Text != d.Modules[page.File]
	if !f.OK() {
		page.Faults = []ui.Text{f.Fault("text")}
		return c.answerFile(w, v, http.StatusUnprocessableEntity, page, &d, nil)
	}
	switch f.Value("do") {
	case "format":
		return c.formatFile(w, v, page, &d)
	case "check":
		if page.Result, err = c.checkFile(r, &d, page.File, page.Text, true); err != nil {
			return err
		}
		return c.showFile(w, v, http.StatusOK, page, &d)
	case "edit": // what was typed is shown again, to be written upon what is there now
		return c.showFile(w, v, http.StatusOK, page, &d)
	}
	return c.saveFile(w, v, page, &d)
}

// module returns a file's text as it is kept: lines end with a line feed.
// Characters that nobody sees are refused, since whoever approves the text
// would read another one than the engine does.
func (f *form) module(name string) string {
	s := strings.ReplaceAll(f.Value(name), "\r\n", "\n")
	if s != "" && !strings.HasSuffix(s, "\n") {
		s += "\n"
	}
	hidden := func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar
	}
	switch at := strings.IndexFunc(s, hidden); {
	case len(s) > maxModule:
		f.fault(name, "The file is longer than {1} KiB.", maxModule>>10)
	case !utf8.ValidString(s):
		f.fault(name, "The file is not UTF-8.")
	case at >= 0:
		f.fault(name, "Line {1} holds a character that cannot be seen. Type that place again.", 1+strings.Count(s[:at], "\n"))
	}
	return s
}

// answerFile shows the file again, or says in JSON what a script asked for.
func (c *Console) answerFile(w http.ResponseWriter, v *visit, status int, page editorPage, d *change.Draft, said any) error {
	if !wantsJSON(v.r) {
		return c.showFile(w, v, status, page, d)
	}
	if len(page.Faults) > 0 {
		return &ui.Error{Status: status, Code: "refused", Detail: ui.Join(page.Faults, " ")}
	}
	return writeJSON(w, status, said)
}

// saveFile keeps the text, unless somebody has changed the draft since.
func (c *Console) saveFile(w http.ResponseWriter, v *visit, page editorPage, d *change.Draft) error {
	have, there := d.Modules[page.File]
	if !there && !moduleName.MatchString(page.File) {
		return ui.NotFound()
	}
	if !there && page.Was != "" {
		page.Unsaved = true
		return c.showConflict(w, v, page, d)
	}
	saved := *d
	if !there || have != page.Text || page.Seen != d.Version {
		var err error
		saved, err = c.Changes.Save(v.r.Context(), v.Actor(), d.ID, page.Seen, change.Edit{Write: map[string]string{page.File: page.Text}})
		if conflict, ok := errors.AsType[*change.ConflictError](err); ok {
			return c.showConflict(w, v, page, &conflict.Now)
		}
		if err != nil {
			return draftFault(err)
		}
	}
	if wantsJSON(v.r) {
		return writeJSON(w, http.StatusOK, map[string]any{"seen": saved.Version, "was": textName(page.Text)})
	}
	return c.seeOther(w, v.r, v, editorURL(d.ID, page.File), ui.Say("{1} is saved in the draft. It is in force only once the draft is published.", page.File))
}

// formatFile lays the text out; it saves nothing.
func (c *Console) formatFile(w http.ResponseWriter, v *visit, page editorPage, d *change.Draft) error {
	text, faults, err := c.formatted(v.r, page.File, page.Text)
	if err != nil {
		return err
	}
	said := map[string]any{"text": text, "faults": len(faults)}
	page.Text, page.Unsaved = text, text != d.Modules[page.File]
	if len(faults) > 0 {
		page.Result = resultOf(page.File, faults, nil)
		page.Faults = []ui.Text{"The file cannot be laid out before it can be read. What is wrong stands below."}
		if wantsJSON(v.r) {
			page.Faults = nil
		}
	}
	return c.answerFile(w, v, http.StatusOK, page, d, said)
}

func (c *Console) formatted(r *http.Request, file, text string) (string, []draftFinding, error) {
	if strings.HasSuffix(file, ".json") {
		var out bytes.Buffer
		if err := json.Indent(&out, []byte(strings.TrimSpace(text)), "", "\t"); err != nil {
			return text, []draftFinding{{File: file, Line: 1, Severity: severityError, Message: err.Error()}}, nil
		}
		return out.String() + "\n", nil, nil
	}
	if c.Studio == nil {
		return "", nil, &ui.Error{Status: http.StatusServiceUnavailable}
	}
	res, err := c.Studio.Format(r.Context(), studio.FormatRequest{Modules: map[string]string{file: text}})
	if err != nil {
		return "", nil, studioFault(err)
	}
	if len(res.Diagnostics) > 0 {
		return text, findings(severityError, res.Diagnostics), nil
	}
	return res.Modules[file], nil, nil
}
