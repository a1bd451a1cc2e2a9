package console

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

func policyDraftURL(id int64) string { return "/console/policies/drafts/" + strconv.FormatInt(id, 10) }

func policyRevisionURL(id int64) string {
	return "/console/policies/revisions/" + strconv.FormatInt(id, 10)
}

// numberOf reads the id of a draft or revision from the address. Only one
// spelling of a number names anything.
func numberOf(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != s {
		return 0, ui.NotFound()
	}
	return n, nil
}

// opens reports whether the console has a page for pattern that the visitor
// may open, so that nothing is drawn that leads nowhere.
func (v *visit) opens(pattern string) bool {
	n, ok := v.c.needOf(pattern)
	return ok && n.met(v.Session)
}

// link returns an act that opens url, of the page with pattern; nothing where
// there is no such page for the visitor.
func (v *visit) link(label ui.Text, pattern, url string) []act {
	if !v.opens(pattern) {
		return nil
	}
	return []act{{Label: label, URL: url}}
}

// A personAt is who did something with a policy, and when.
type personAt struct {
	Name ui.Text
	URL  string // of the account's page; empty: it is gone, or nobody's
	At   time.Time
}

// who names a person of change control, by the directory where it knows them.
func (v *visit) who(p change.Person) personAt {
	at := personAt{At: p.At, Name: ui.Verbatim(cmp.Or(p.Email, p.Account))}
	if p.Account == directory.Operator {
		at.Name = "the operator"
	} else if a, ok := v.Snapshot.Account(p.Account); ok {
		at.Name, at.URL = ui.Verbatim(nameOf(a)), personURL(a.ID)
	}
	return at
}

// everybodyOf names several, in their order.
func (v *visit) everybodyOf(people []change.Person) []personAt {
	out := make([]personAt, 0, len(people))
	for _, p := range people {
		out = append(out, v.who(p))
	}
	return out
}

// namesOf makes one text of several people.
func namesOf(people []personAt) ui.Text {
	names := make([]ui.Text, 0, len(people))
	for _, p := range people {
		names = append(names, p.Name)
	}
	return andTexts(names)
}

// stateBadge says in a word where a draft stands.
func stateBadge(s change.State) ui.Badge {
	switch s {
	case change.Open:
		return ui.Badge{Kind: ui.Neutral, Text: "being written"}
	case change.InReview:
		return ui.Badge{Kind: ui.Warn, Text: "in review"}
	case change.Published:
		return ui.Badge{Kind: ui.Good, Text: "published"}
	case change.Withdrawn:
		return ui.Badge{Kind: ui.Neutral, Text: "withdrawn"}
	}
	return ui.Badge{Kind: ui.Neutral, Text: ui.Verbatim(string(s))}
}

// An originView says where the policies in force come from, where that is not
// this console.
type originView struct {
	Bundle   bool
	ReadOnly bool
	Place    string
	Fault    string
	At       time.Time
}

func (c *Console) originView() originView {
	o := c.Changes.Origin()
	return originView{Bundle: o.Kind == "bundle", ReadOnly: o.ReadOnly(), Place: o.Place, Fault: o.Fault, At: o.At}
}

// readOnlyWords is the refusal of a change where policies come from elsewhere.
func (c *Console) readOnlyWords() ui.Text {
	o := c.Changes.Origin()
	if o.Kind == "bundle" {
		return ui.Say("The policies come from the bundle {1}. They are changed there, and a signed bundle puts the change in force; nothing can be changed here.", o.Place)
	}
	return ui.Say("The policies come from the folder {1}. They are changed there; nothing can be changed here.", o.Place)
}

// changeWords says why change control refused something, and what to do now.
// Its second result is false for a fault of ours.
func (c *Console) changeWords(r *http.Request, v *visit, id int64, err error) (ui.Text, bool) {
	if e, ok := errors.AsType[*change.ConflictError](err); ok {
		if n := len(e.Now.Authors); n > 0 {
			return ui.Say("Nothing was done: the draft has changed since you opened it, last by {1}. What stands below is how it is now; read it before you go on.", v.who(e.Now.Authors[n-1]).Name), true
		}
		return "Nothing was done: the draft has changed since you opened it. What stands below is how it is now; read it before you go on.", true
	}
	if e, ok := errors.AsType[*change.BaseError](err); ok {
		return ui.Say("Nothing was done: revision {1} was published since this draft was begun from revision {2}. Put the draft upon the newest revision, look at what it changes then, and go on.", e.Newest, e.Base), true
	}
	if e, ok := errors.AsType[*change.SecondError](err); ok {
		return ui.Join([]ui.Text{"Nothing was published.", v.secondWords(e), c.whoCould(r, v, id).Words}, " "), true
	}
	if e, ok := errors.AsType[*change.FaultError](err); ok {
		return faultsWords(e.Faults), true
	}
	if e, ok := errors.AsType[*change.InvalidError](err); ok {
		if e.Field == "same" {
			return "Nothing was done: it is the same as what is in force.", true
		}
		return ui.Say("Nothing was done: {1}.", e.Error()), true
	}
	switch {
	case errors.Is(err, change.ErrReadOnly):
		return c.readOnlyWords(), true
	case errors.Is(err, change.ErrTampered):
		return "Nothing was done: what is kept of that revision is not what was signed when it was published, and nothing is built upon it. Choose another revision, and have somebody find out who changed the store.", true
	case errors.Is(err, change.ErrState):
		return "Nothing was done: the draft is no longer at a point where this can be done. What stands below is how it is now.", true
	case errors.Is(err, directory.ErrNotAllowed):
		return "Nothing was done: your account does not hold the role that this needs at this moment. Ask another administrator to look at your roles and your last day.", true
	}
	return "", false
}

// faultsNamed is how many faults a refusal names; the checks list them all.
const faultsNamed = 3

// faultsWords says why policies cannot be put in force.
func faultsWords(faults []policy.Diagnostic) ui.Text {
	words := []ui.Text{"Nothing was done: these policies cannot be put in force."}
	for _, d := range faults[:min(len(faults), faultsNamed)] {
		switch d.Code {
		case change.CodeTest:
			words = append(words, ui.Say("A test fails: {1}.", d))
		case change.CodeHole:
			words = append(words, ui.Say("The knock-out test found a hole: {1}.", d))
		case change.CodeLog:
			words = append(words, ui.Say("The knock-out test could not look at recorded denials: {1}. Have the access log mended first; only an emergency roll back does without it.", d.Message))
		default:
			words = append(words, ui.Verbatim(d.String()))
		}
	}
	if more := len(faults) - faultsNamed; more > 0 {
		words = append(words, ui.Count(more, "There is {1} more fault.", "There are {1} more faults."))
	}
	return ui.Join(words, " ")
}

// changeError is the error page for what change control refused, where there
// is no draft to show it with.
func (c *Console) changeError(r *http.Request, v *visit, id int64, err error, doing string) error {
	cause := fmt.Errorf("%s: %w", doing, err)
	if errors.Is(err, change.ErrNotFound) {
		return &ui.Error{Status: http.StatusNotFound, Err: cause}
	}
	if words, ok := c.changeWords(r, v, id, err); ok {
		return &ui.Error{Status: http.StatusConflict, Code: "refused", Title: "That is not possible now", Detail: words, Err: cause}
	}
	return &ui.Error{Status: http.StatusServiceUnavailable, Title: "Nothing was changed", RetryAfter: 5 * time.Second, Err: cause,
		Detail: "It could not be done and recorded, so everything is as it was. Please try again in a moment."}
}
