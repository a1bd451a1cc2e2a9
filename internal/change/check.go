package change

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ringfence/ringfence/policy"
)

// Bounds on what people write, far above what they need.
const (
	maxTitle   = 200 // characters
	maxReason  = 2000
	maxNote    = 4000
	maxName    = 200     // bytes of a file's name
	maxModule  = 1 << 20 // bytes of one file
	maxModules = 8 << 20 // bytes of all
	maxFiles   = 1000
)

// Checked is what the checks found in modules: compiler, tests, knock-out test.
type Checked struct {
	Of       string // the hash of the modules, as by policy.Revision
	Revision string // that the engine calls them
	Tests    int
	Coverage float64 // percent of lines
	Holes    int     // of the knock-out test
	// Faults is why they cannot be put in force; empty: they can.
	Faults []policy.Diagnostic
}

// refuse returns why modules of a hash cannot be published.
func (c *Checked) refuse(hash string) error {
	if c.Of != hash {
		return ErrState // they were changed while they were checked
	}
	if len(c.Faults) > 0 {
		return &FaultError{Faults: c.Faults}
	}
	return nil
}

// CodeTest, CodeHole and CodeLog are codes of [Checked.Faults]; the compiler has its own.
const (
	CodeTest = "test"     // a test does not hold
	CodeHole = "knockout" // a missing field would lift a denial
	CodeLog  = "log"      // recorded denials could not be looked at for such fields
)

// unlessHoles leaves out what the knock-out test found, and what it could not look at.
func (c *Checked) unlessHoles() *Checked {
	n := *c
	n.Faults = slices.DeleteFunc(slices.Clone(c.Faults), func(d policy.Diagnostic) bool { return d.Code == CodeHole || d.Code == CodeLog })
	return &n
}

// into notes what was found beside what trials found of the same modules.
func (c *Checked) into(f *Figures, hash string, at time.Time) {
	if f.Of != hash {
		*f = Figures{Of: hash}
	}
	if f.At.IsZero() {
		f.At = at
	}
	f.Tests, f.Coverage, f.Holes = c.Tests, c.Coverage, c.Holes
}

func checkWords(title, reason string) error {
	if err := checkText("title", title, maxTitle); err != nil {
		return err
	}
	if strings.ContainsAny(title, "\r\n") {
		return &InvalidError{Field: "title", Message: "has more than one line"}
	}
	return checkText("reason", reason, maxReason)
}

// checkText refuses what is empty, too long, or would read otherwise than it is.
func checkText(field, text string, limit int) error {
	switch {
	case strings.TrimSpace(text) == "":
		return &InvalidError{Field: field, Message: "is missing"}
	case utf8.RuneCountInString(text) > limit:
		return &InvalidError{Field: field, Message: fmt.Sprintf("is longer than %d characters", limit)}
	}
	if at := hidden(text); at >= 0 {
		return &InvalidError{Field: field, Message: "has characters that cannot be seen"}
	}
	return nil
}

// checkModule refuses files that a reviewer could not read as they are. Whether
// one can be compiled is not asked: a draft is work under way.
func checkModule(name, text string) error {
	invalid := func(message string) error {
		return &InvalidError{Field: "file", Name: clip(name, 80), Message: message}
	}
	parts := strings.Split(name, "/")
	switch {
	case len(name) > maxName || strings.ToValidUTF8(name, "") != name || hidden(name) >= 0 || strings.ContainsAny(name, "\r\n\t \\"):
		return invalid("has a name that is too long, or characters that no file here has")
	case !(len(parts) == 2 && parts[0] == "all" || len(parts) == 3 && parts[0] == "clusters") || path.Clean(name) != name || strings.HasPrefix(path.Base(name), "."):
		return invalid("must be all/NAME or clusters/CLUSTER/NAME")
	case path.Ext(name) != ".rego" && path.Ext(name) != ".json":
		return invalid("must end with .rego or .json")
	case len(text) > maxModule:
		return invalid(fmt.Sprintf("is larger than %d bytes", maxModule))
	}
	if at := hidden(text); at >= 0 {
		return invalid(fmt.Sprintf("has a character on line %d that cannot be seen, or is no text", 1+strings.Count(text[:at], "\n")))
	}
	return nil
}

func checkSize(modules map[string]string) error {
	total := 0
	for _, text := range modules {
		total += len(text)
	}
	if total > maxModules || len(modules) > maxFiles {
		return &InvalidError{Field: "size", Message: fmt.Sprintf("is more than %d bytes or %d files", maxModules, maxFiles)}
	}
	return nil
}

// hidden returns where the first character stands that a reader does not see or
// that turns the direction of text; -1 for none. A rule hidden so would pass
// under the eyes of whoever approves.
func hidden(s string) int {
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			return i
		case r == '\n' || r == '\t' || r == '\r' && strings.HasPrefix(s[i:], "\r\n"):
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r), unicode.Is(unicode.Co, r),
			unicode.Is(unicode.Variation_Selector, r), unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r), r == '\u2800':
			return i
		}
	}
	return -1
}

func clip(s string, limit int) string {
	if r := []rune(s); len(r) > limit {
		return string(r[:limit-1]) + "…"
	}
	return s
}
