package console

import (
	"net/http"
	"strings"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/ui"
)

// conflictPage shows what two people made of one draft: nothing was saved.
type conflictPage struct {
	Base
	Label     string
	File      string
	Text      string // what this person typed
	Seen      int    // the version that is there now
	Was       string
	Authors   string // of the draft, by their addresses
	Gone      bool   // the file is no longer in the draft
	Same      bool   // the file is as this person saw it: another one was changed
	Changes   []changeLine
	Closed    ui.Text // why nothing can be saved any more; empty: it can
	URL       string
	TheirsURL string
	DraftURL  string
}

// showConflict tells somebody that another person was first and how what is
// there now differs from what they typed.
func (c *Console) showConflict(w http.ResponseWriter, v *visit, page editorPage, now *change.Draft) error {
	if wantsJSON(v.r) { // the script posts the form itself, and its answer shows it
		return &ui.Error{Status: http.StatusConflict, Code: "conflict"}
	}
	theirs, there := now.Modules[page.File]
	p := conflictPage{Label: now.Title, File: page.File, Text: page.Text, Seen: now.Version, Was: textName(theirs), Gone: !there, Same: there && textName(theirs) == page.Was,
		Closed: c.closed(now), URL: draftURL(now.ID) + "/edit", TheirsURL: editorURL(now.ID, ""), DraftURL: draftURL(now.ID)}
	if there {
		p.TheirsURL = editorURL(now.ID, page.File)
		p.Changes = changesBetween(theirs, page.Text)
	} else {
		p.Was = ""
	}
	var authors []string
	for _, a := range now.Authors {
		authors = append(authors, a.Name())
	}
	p.Authors = strings.Join(authors, ", ")
	p.Base = v.page("Somebody was faster")
	return c.show(w, v.r, http.StatusConflict, "console-policy-conflict", p)
}
