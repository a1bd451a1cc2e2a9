package config

import (
	"fmt"
	"slices"
	"strings"
)

// A Fault is one thing that is wrong with a file.
type Fault struct {
	File    string // as it was given to Load or Parse
	Line    int    // counted from 1; 0 when the fault is about the whole file
	Field   string // such as "tls.files[0].key"; empty when no field can be named
	Message string // what is wrong and what to write instead; safe to print
}

// String returns the fault as one line: file:line: field: message.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d", f.Line)
	}
	b.WriteString(": ")
	if f.Field != "" {
		b.WriteString(f.Field)
		b.WriteString(": ")
	}
	b.WriteString(f.Message)
	return b.String()
}

// Errors is every fault of a file in the order of its lines; never empty.
type Errors []Fault

// Error returns the faults, one a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, f := range e {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

func (e Errors) sort() {
	slices.SortStableFunc(e, func(a, b Fault) int { return a.Line - b.Line })
}
