package console

import (
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// A changeLine is one line of how two texts differ.
type changeLine struct {
	Kind string // "added", "removed", "same", or "gap" for lines left out
	Text string
}

// Mark is the sign before the line, for who cannot tell the colours apart.
func (l changeLine) Mark() string {
	switch l.Kind {
	case "added":
		return "+"
	case "removed":
		return "−"
	}
	return ""
}

// changesBetween returns how a text differs from the one before, with some
// lines around each change; nothing when they are the same.
func changesBetween(before, after string) []changeLine {
	ends := func(s string) []byte {
		s = strings.ReplaceAll(s, "\r\n", "\n")
		if !strings.HasSuffix(s, "\n") {
			s += "\n"
		}
		return []byte(s)
	}
	var out []changeLine
	text := string(diff.Diff("before", ends(before), "after", ends(after)))
	for i, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		switch {
		case i < 3: // the command and the names
		case strings.HasPrefix(l, "@@"):
			if len(out) > 0 {
				out = append(out, changeLine{Kind: "gap"})
			}
		case strings.HasPrefix(l, "+"):
			out = append(out, changeLine{"added", l[1:]})
		case strings.HasPrefix(l, "-"):
			out = append(out, changeLine{"removed", l[1:]})
		case strings.HasPrefix(l, " "):
			out = append(out, changeLine{"same", l[1:]})
		}
	}
	return out
}
