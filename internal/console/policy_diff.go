package console

import (
	"maps"
	"slices"
	"strings"

	"github.com/ringfence/ringfence/internal/ui"
)

// A moduleChange is how one file of a policy set differs from another set.
type moduleChange struct {
	Name           string
	Kind           ui.Badge // new, changed or removed
	Added, Removed int      // lines
	Lines          []changeLine
	Cut            int    // lines that are not shown, for their number
	URL            string // of the whole text, where some are not; empty: there is none
}

// linesShown bounds how much of one file's difference a page shows.
const linesShown = 4000

// moduleChanges returns the files in which two sets differ, by name.
func moduleChanges(before, after map[string]string) []moduleChange {
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	var out []moduleChange
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, had := before[name]
		is, has := after[name]
		m := moduleChange{Name: name}
		switch {
		case !had:
			m.Kind, m.Lines = ui.Badge{Kind: ui.Good, Text: "new"}, wholeText("added", is)
		case !has:
			m.Kind, m.Lines = ui.Badge{Kind: ui.Bad, Text: "removed"}, wholeText("removed", was)
		case was != is:
			m.Kind, m.Lines = ui.Badge{Kind: ui.Neutral, Text: "changed"}, changesBetween(was, is)
		default:
			continue
		}
		for _, l := range m.Lines {
			switch l.Kind {
			case "added":
				m.Added++
			case "removed":
				m.Removed++
			}
		}
		if m.Cut = max(0, len(m.Lines)-linesShown); m.Cut > 0 {
			m.Lines = m.Lines[:linesShown]
		}
		out = append(out, m)
	}
	return out
}

// wholeText returns a text as lines that are all new, or all gone.
func wholeText(kind, text string) []changeLine {
	var out []changeLine
	for l := range strings.Lines(strings.ReplaceAll(text, "\r\n", "\n")) {
		out = append(out, changeLine{kind, strings.TrimSuffix(l, "\n")})
	}
	return out
}

// changesWords sums up how two sets differ.
func changesWords(changes []moduleChange) ui.Text {
	if len(changes) == 0 {
		return "The files are the same."
	}
	added, removed := 0, 0
	for _, m := range changes {
		added, removed = added+m.Added, removed+m.Removed
	}
	return ui.Count(len(changes), "{1} file differs: +{2} −{3} lines.", "{1} files differ: +{2} −{3} lines.", added, removed)
}

// A moduleText is one file of a set, to be read.
type moduleText struct {
	Name, Text string
	Lines      int
}

// moduleTexts returns the files of a set by name.
func moduleTexts(modules map[string]string) []moduleText {
	var out []moduleText
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		out = append(out, moduleText{Name: name, Text: modules[name], Lines: strings.Count(modules[name], "\n")})
	}
	return out
}
