package console

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// scopeWords says in plain words what an assignment allows.
func scopeWords(a directory.Assignment) []string {
	var words []string
	if a.Access == policy.AccessWrite {
		words = append(words, "Read and change data")
	} else {
		words = append(words, "Read only: nothing can be changed")
	}
	if len(a.Methods) > 0 {
		words = append(words, "Only "+andWords(a.Methods)+" requests")
	}
	if len(a.Paths) > 0 && !slices.Contains(a.Paths, "/") {
		words = append(words, "Only what lies below "+andWords(a.Paths))
	} else {
		words = append(words, "Every path")
	}
	return words
}

// andWords joins words as a sentence does.
func andWords(words []string) string {
	switch n := len(words); n {
	case 0:
		return ""
	case 1:
		return words[0]
	default:
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
}

// leftWords says how long something still lasts.
func leftWords(d time.Duration) string {
	switch days := int(d.Hours() / 24); {
	case d <= 0:
		return "ended"
	case d < time.Hour:
		return "less than an hour left"
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours left", int(d.Hours()))
	case days < 60:
		return fmt.Sprintf("%d days left", days)
	default:
		return fmt.Sprintf("%d months left", days/30)
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
