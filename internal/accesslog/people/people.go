// Package people keeps addresses of accounts out of what the access log records
// in the open: in the details of an entry, such as what was searched for and
// who approved, an account's id stands in place of its e-mail address, so that
// an erasure reaches what others' entries say of a person. It looks at text
// alone and knows neither log nor directory. Start with [Conceal].
package people

import (
	"maps"
	"regexp"
	"strings"

	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/policy"
)

// A Find returns the id of the account that goes by a name: its address in any
// case of letters, or what stands before the @ of it where no other account's
// address begins so. It must be safe for concurrent use.
type Find func(name string) (id string, ok bool)

// address is what may be an e-mail address within a text, with what may be part
// of one or stand beside it; plain is without.
var (
	address = regexp.MustCompile(`[^\s"(),:;<>\[\]\\/@]+@[^\s"(),:;<>\[\]\\/@]+`)
	plain   = regexp.MustCompile(`[^\s"'(),:;<>\[\]{}=|\\/*?&@]+@[^\s"'(),:;<>\[\]{}=|\\/*?&@]+`)
)

// Keys of details that hold the words of a search.
const (
	queryKey  = "query"
	scopeKey  = "scope"
	filterKey = "filter" // of commands: flags, then query=
	nameKey   = "account"
)

// Conceal puts ids in place of the addresses of accounts in r's detail, and in
// its object where the entry is of the log itself. Queries are rewritten to
// their canonical spelling. What is of no account stays as it is. The maps that r
// was given are not changed. Records of requests are left alone: they name
// nobody but by what is sealed.
func Conceal(r *policy.Record, find Find) {
	if r.Type == policy.RecordRequest || r.Type == policy.RecordOutcome {
		return
	}
	if r.Type == policy.RecordLog {
		r.Object = inText(r.Object, find)
	}
	cloned := false
	for k, v := range r.Detail {
		to := value(r.Type, k, v, find)
		if to == v {
			continue
		}
		if !cloned {
			r.Detail, cloned = maps.Clone(r.Detail), true
		}
		r.Detail[k] = to
	}
}

func value(t policy.RecordType, key, v string, find Find) string {
	if t == policy.RecordLog {
		switch key {
		case queryKey, scopeKey:
			v = inQuery(v, find)
		case filterKey:
			v = inFilter(v, find)
		case nameKey:
			if id, ok := find(v); ok {
				return id
			}
		}
	}
	return inText(v, find)
}

// inText replaces addresses wherever they stand.
func inText(s string, find Find) string {
	if !strings.Contains(s, "@") {
		return s
	}
	return address.ReplaceAllStringFunc(s, func(found string) string {
		if to := replaced(found, find); to != found {
			return to
		}
		return plain.ReplaceAllStringFunc(found, func(found string) string { return replaced(found, find) })
	})
}

func replaced(found string, find Find) string {
	name := strings.Trim(found, ".!?'“”„‘’«»")
	if id, ok := find(name); ok {
		return strings.Replace(found, name, id, 1)
	}
	return found
}

func inQuery(s string, find Find) string {
	n, err := query.Parse(s)
	if err != nil {
		return s
	}
	if to := query.Rename(n, find); !query.Equal(n, to) {
		return query.Print(to)
	}
	return s
}

// inFilter rewrites the conditions of a command.
func inFilter(s string, find Find) string {
	flags, typed, isQuery := strings.Cut(s, "query=")
	words := strings.Split(flags, " ")
	for i, w := range words {
		if name, ok := strings.CutPrefix(w, nameKey+"="); ok {
			if id, ok := find(name); ok {
				words[i] = nameKey + "=" + id
			}
		}
	}
	s = strings.Join(words, " ")
	if isQuery {
		s += "query=" + inQuery(typed, find)
	}
	return s
}
