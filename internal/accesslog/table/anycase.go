package table

import (
	"fmt"
	"strings"
	"sync"
	"unicode"
)

// larger holds, for each letter that others become when they are made small,
// all of them.
var larger = sync.OnceValue(func() map[rune][]rune {
	out := map[rune][]rune{}
	for _, span := range unicode.CaseRanges {
		for r := rune(span.Lo); r <= rune(span.Hi); r++ {
			if l := unicode.ToLower(r); l != r {
				out[l] = append(out[l], r)
			}
		}
	}
	return out
})

// anyCase returns an expression that finds text in any case of letters, each
// character by its number, so that none has a meaning of its own. It reports
// whether anything can be found.
func (s *Statement) anyCase(text string) (string, bool) {
	form := `\x{%x}`
	if s.Dialect == Postgres {
		form = `\U%08x`
	}
	var b strings.Builder
	for _, want := range strings.ToLower(text) {
		var all []rune
		if unicode.ToLower(want) == want {
			all = append(all, want)
		}
		all = append(all, larger()[want]...)
		if len(all) == 0 {
			return "", false
		}
		b.WriteByte('[')
		for _, r := range all {
			fmt.Fprintf(&b, form, r)
		}
		b.WriteByte(']')
	}
	return b.String(), true
}
