package console

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// scopeWords says in plain words what an assignment allows.
func scopeWords(a directory.Assignment) []ui.Text {
	var words []ui.Text
	if a.Access == policy.AccessWrite {
		words = append(words, "Read and change data")
	} else {
		words = append(words, "Read only: nothing can be changed")
	}
	if len(a.Methods) > 0 {
		words = append(words, ui.Say("Only {1} requests", andWords(a.Methods)))
	}
	if len(a.Paths) > 0 && !slices.Contains(a.Paths, "/") {
		words = append(words, ui.Say("Only what lies below {1}", andWords(a.Paths)))
	} else {
		words = append(words, "Every path")
	}
	return words
}

// andWords joins words as a sentence does.
func andWords(words []string) ui.Text {
	texts := make([]ui.Text, len(words))
	for i, w := range words {
		texts[i] = ui.Verbatim(w)
	}
	return andTexts(texts)
}

func andTexts(texts []ui.Text) ui.Text {
	n := len(texts)
	if n < 2 {
		return ui.Join(texts, "")
	}
	return ui.Say("{1} and {2}", ui.Join(texts[:n-1], ", "), texts[n-1])
}

// leftWords says how long something still lasts.
func leftWords(d time.Duration) ui.Text {
	switch days := int(d.Hours() / 24); {
	case d <= 0:
		return "ended"
	case d < time.Hour:
		return "less than an hour left"
	case d < 48*time.Hour:
		return ui.Count(int(d.Hours()), "{1} hour left", "{1} hours left")
	case days < 60:
		return ui.Count(days, "{1} day left", "{1} days left")
	default:
		return ui.Count(days/30, "{1} month left", "{1} months left")
	}
}

// sentence makes a text that begins in lower case and has no stop into a sentence.
func sentence(s string) string {
	if s == "" {
		return s
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

func itoa(n int) string { return strconv.Itoa(n) }
