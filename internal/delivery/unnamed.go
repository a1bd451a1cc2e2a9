package delivery

import (
	"maps"
	"slices"
	"strings"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// unnamed takes an entry's personal fields out of what a destination says of
// it: that is kept in the open, and no erasure would reach it.
func unnamed(why string, e *accesslog.Entry) string {
	personal := []string{e.Email, e.SourceIP, e.UserAgent, e.Object}
	for _, p := range e.Personal {
		if p.Opening != nil { // of which details are part
			personal = append(personal, slices.Collect(maps.Values(e.Detail))...)
		}
	}
	slices.SortFunc(personal, func(a, b string) int { return len(b) - len(a) }) // the whole before its parts
	for _, s := range personal {
		if len(s) > 3 {
			why = strings.ReplaceAll(why, s, "…")
		}
	}
	return why
}
