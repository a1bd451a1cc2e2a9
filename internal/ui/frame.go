package ui

import "time"

// A Frame is what every page shows around its contents. Page structs embed it.
type Frame struct {
	Title        Text   // of the page, without the product's name
	Organisation string // whose gateway this is
	// Prefix stands before asset paths: empty at the gate, "/.ringfence" on a
	// cluster's host.
	Prefix string
	// Gate is the gate's URL without a trailing slash, for links on a
	// cluster's host. It is empty on the gate, where links are local.
	Gate      string
	Person    *Person // nil: nobody is signed in
	Nav       []NavGroup
	Narrow    bool // a single column for one task: sign-in, enrolment, refusal
	Flash     *Flash
	Notice    *Notice // what the person has not seen yet of what happened to the account
	RequestID string  // shown on error pages and refusals
	// FormTargets are further origins that a form of this page may lead to.
	FormTargets []string
	// Here is the address of this page on the gate, to come back to when the
	// language was changed; empty: the language cannot be changed here.
	Here string
}

// framed is implemented by every struct that embeds [Frame].
type framed interface{ formTargets() []string }

func (f Frame) formTargets() []string { return f.FormTargets }

// A Person is who is signed in.
type Person struct {
	Name  string // falls back to the address when unknown
	Email string
	Role  Text // in words, such as "Contractor, Acme Analytics"
}

// A NavGroup is one block of the navigation.
type NavGroup struct {
	Title Text
	Items []NavItem
}

// A NavItem leads to one page.
type NavItem struct {
	Label   Text
	URL     string
	Current bool
}

// Kinds of [Flash] and of badges.
const (
	Good    = "good"
	Warn    = "warn"
	Bad     = "bad"
	Neutral = "neutral"
)

// A Flash is a message above the page's contents.
type Flash struct {
	Kind string // Good, Warn, Bad or Neutral
	Text Text
}

// A Notice stands above pages until the person has seen what it is about.
type Notice struct {
	Title  Text // of the newest
	At     time.Time
	IP     string // where the newest came from, if known
	Client Text
	Others int // how many more there are
	Grave  bool
	UpTo   string // names the newest, for the form that dismisses them
}

// A Badge is a word with a colour; the word alone must say everything.
type Badge struct {
	Kind string
	Text Text
}

// A Field is one labelled input of a form. Its template is "field".
type Field struct {
	Name, Type, Value    string
	Label                Text
	Hint                 Text // below the label
	Error                Text // what is wrong with the value
	Autocomplete         string
	InputMode            string
	Placeholder          Text
	Required, Autofocus  bool
	Mono                 bool
	Rows                 int      // more than 0: a text area
	MinLength, MaxLength int      // 0: none
	Options              []Option // not empty: a select
}

// An Option is one choice of a select.
type Option struct {
	Value    string
	Label    Text
	Selected bool
}

// A Pager leads to the newer and older part of a list; an empty URL is no link.
type Pager struct {
	Newer, Older string
	Text         Text // such as "50 entries, newest first"
}

// An Empty says why a list is empty and what to do.
type Empty struct {
	Title, Text, Action Text
	ActionURL           string
}

// A Hash is a long value that is shown shortened and can be copied whole.
type Hash struct {
	Value string
	Short int // characters shown, 0: 12
}

// Shown returns the beginning of the value.
func (h Hash) Shown() string {
	n := h.Short
	if n == 0 {
		n = 12
	}
	if r := []rune(h.Value); len(r) > n+3 {
		return string(r[:n]) + "…"
	}
	return h.Value
}
