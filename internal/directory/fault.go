package directory

import (
	"fmt"
	"strings"
)

// A Fault is one thing that is wrong with a directory.
type Fault struct {
	File    string // when read from a file
	Line    int    // from 1; zero when not read from a file
	Object  string // such as "cluster claims"; empty for the document itself
	Field   string // such as "routes[0].path"; empty for the object itself
	Message string
}

// String returns the fault in one line, with its place.
func (f Fault) String() string {
	var b strings.Builder
	if f.File != "" {
		fmt.Fprintf(&b, "%s:%d: ", f.File, f.Line)
	}
	for _, s := range []string{f.Object, f.Field} {
		if s != "" {
			b.WriteString(excerpt(s) + ": ")
		}
	}
	return b.String() + excerpt(f.Message)
}

// shownText is how many bytes of a name or message are shown: either can hold
// whatever a wrong file holds.
const shownText = 500

func excerpt(s string) string {
	if len(s) <= shownText {
		return s
	}
	return strings.ToValidUTF8(s[:shownText], "") + "…"
}

// Faults is every fault that was found. It is an error when not empty.
type Faults []Fault

// shownFaults is how many faults an error text lists; a program can read all.
const shownFaults = 100

// Error lists the faults, one a line, at most a hundred.
func (f Faults) Error() string {
	lines := make([]string, 0, min(len(f), shownFaults)+1)
	for _, x := range f[:min(len(f), shownFaults)] {
		lines = append(lines, x.String())
	}
	if more := len(f) - shownFaults; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

func (f Faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}
