package ui

import "time"

// A Frame is what every page shows around its contents. Page structs embed it.
type Frame struct {
	Title        string // of the page, without the product's name
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
}

// framed is implemented by every struct that embeds [Frame].
type framed interface{ formTargets() []string }

func (f Frame) formTargets() []string { return f.FormTargets }

// A Person is who is signed in.
type Person struct {
	Name  string // falls back to the address when unknown
	Email string
	Role  string // in words, such as "Contractor, Acme Analytics"
}

// A NavGroup is one block of the navigation.
type NavGroup struct {
	Title string
	Items []NavItem
}

// A NavItem leads to one page.
type NavItem struct {
	Label   string
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
	Text string
}

// A Notice stands above pages until the person has seen what it is about.
type Notice struct {
	Title      string // of the newest
	At         time.Time
	IP, Client string // where the newest came from, if known
	Others     int    // how many more there are
	Grave      bool
	UpTo       string // names the newest, for the form that dismisses them
}

// A Badge is a word with a colour; the word alone must say everything.
type Badge struct {
	Kind string
	Text string
}

// A Field is one labelled input of a form. Its template is "field".
type Field struct {
	Name, Label, Type, Value string
	Hint                     string // below the label
	Error                    string // what is wrong with the value
	Autocomplete             string
	InputMode                string
	Placeholder              string
	Required, Autofocus      bool
	Mono                     bool
	Rows                     int      // more than 0: a text area
	MinLength, MaxLength     int      // 0: none
	Options                  []Option // not empty: a select
}

// An Option is one choice of a select.
type Option struct {
	Value, Label string
	Selected     bool
}

// A Pager leads to the newer and older part of a list; an empty URL is no link.
type Pager struct {
	Newer, Older string
	Text         string // such as "50 entries, newest first"
}

// An Empty says why a list is empty and what to do.
type Empty struct {
	Title, Text       string
	ActionURL, Action string
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
