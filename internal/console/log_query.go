package console

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/ui"
)

// Fields of a search of the access log beside those of before.
const (
	searchQuery  = "q"
	searchFacets = "facets" // "more" shows further ones
)

// asked is a search of the access log as an address names it.
type asked struct {
	Typed  string     // what was typed, whether it can be read or not
	Node   query.Node // what it means; of use only without faults
	Text   string     // its canonical spelling
	Before uint64     // the page of lines before an entry; 0: the newest
	After  uint64     // the page of lines after an entry; 0: not by this
	More   bool

	Fault  *query.Error
	Faults []ui.Text
}

// OK reports whether the search can be made.
func (a *asked) OK() bool { return a.Fault == nil && len(a.Faults) == 0 }

// readAsked reads a search strictly. Addresses from before there was a query
// language name fields one by one; they come out as the query that asks for
// the same. An address that is not canonical is to be left for the one that is,
// so that each search has one address.
func readAsked(values url.Values, now time.Time) (a asked, canonical bool) {
	older := url.Values{}
	for name, v := range values {
		if name != searchQuery && name != searchFacets {
			older[name] = v
		}
	}
	filter, f := parseSearch(older, now, 1000)
	if len(values[searchQuery]) > 1 {
		f.note("Give this once.")
	}
	a = asked{Typed: strings.TrimSpace(values.Get(searchQuery)), Before: filter.Before, After: filter.After, More: values.Get(searchFacets) == "more"}
	for _, name := range searchFields {
		if fault := f.Fault(name); fault != "" {
			a.Faults = append(a.Faults, ui.Say("{1}: {2}", ui.Verbatim(name+"="+clip(values.Get(name), 80)), fault))
		}
	}
	a.Faults = append(a.Faults, f.all()...)
	if len(a.Faults) > 0 {
		return a, true
	}
	terms := olderTerms(older, now)
	typed := a.Typed
	if len(terms) > 0 {
		if typed != "" {
			typed = "(" + typed + ") "
		}
		typed += strings.Join(terms, " ")
	}
	n, err := query.Parse(typed)
	if fault, ok := errors.AsType[*query.Error](err); ok {
		a.Fault, a.Typed = fault, typed
		return a, true
	}
	a.Node, a.Text = n, query.Print(n)
	canonical = len(terms) == 0 && a.Text == values.Get(searchQuery) && older.Get(searchLimit) == "" && (a.Text != "" || !values.Has(searchQuery))
	return a, canonical
}

// olderTerms says in the query language what the fields of an older address ask for.
func olderTerms(values url.Values, now time.Time) []string {
	quote := func(s string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
	}
	var terms []string
	for _, name := range searchFields {
		v := strings.TrimSpace(values.Get(name))
		if v == "" {
			continue
		}
		switch name {
		case searchBefore, searchAfter, searchLimit:
		case searchText:
			terms = append(terms, quote(v))
		case searchStatus:
			terms = append(terms, "status:"+strings.ToLower(v))
		case searchPath:
			if !strings.Contains(v, "*") {
				v += "*" // a path alone was the beginning of one
			}
			parts := strings.Split(v, "*")
			for i, p := range parts {
				if p != "" {
					parts[i] = quote(p)
				}
			}
			terms = append(terms, "path:"+strings.Join(parts, "*"))
		case searchSince, searchUntil:
			if _, err := parseAgo(v); err != nil {
				if _, err := time.Parse(time.DateOnly, v); err != nil {
					t, _ := parseMoment(v, now, false) // was read before
					v = t.UTC().Format(time.RFC3339Nano)
				}
			}
			terms = append(terms, name+":"+v)
		default:
			terms = append(terms, name+":"+quote(v))
		}
	}
	return terms
}

// queryEscaper leaves what a query is made of as it is read: all of it may
// stand in an address.
var queryEscaper = strings.NewReplacer("%3A", ":", "%2F", "/", "%2A", "*", "%2C", ",", "%28", "(", "%29", ")", "%40", "@")

func escapeQuery(s string) string { return queryEscaper.Replace(url.QueryEscape(s)) }

// logURL is the address of a search.
func logURL(n query.Node) string { return queryURL("/console/log", n) }

func queryURL(path string, n query.Node) string {
	if text := query.Print(n); text != "" {
		return path + "?" + searchQuery + "=" + escapeQuery(text)
	}
	return path
}

// with adds fields to the address of a search.
func (a *asked) with(path string, pairs ...string) string {
	u := queryURL(path, a.Node)
	add := func(name, value string) {
		join := "?"
		if strings.Contains(u, "?") {
			join = "&"
		}
		u += join + name + "=" + escapeQuery(value)
	}
	if a.More {
		add(searchFacets, "more")
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		add(pairs[i], pairs[i+1])
	}
	return u
}

// page returns the address of the page that was asked for, in canonical spelling.
func (a *asked) page(path string) string {
	switch {
	case a.Before > 0:
		return a.with(path, searchBefore, strconv.FormatUint(a.Before, 10))
	case a.After > 0:
		return a.with(path, searchAfter, strconv.FormatUint(a.After, 10))
	}
	return a.with(path)
}

// detail is what an entry about the search says of it.
func (a *asked) detail() map[string]string {
	d := map[string]string{}
	if a.Text != "" {
		d["query"] = a.Text // whole: what is cut off was asked for as well
	}
	if a.Before > 0 {
		d[searchBefore] = strconv.FormatUint(a.Before, 10)
	}
	if a.After > 0 {
		d[searchAfter] = strconv.FormatUint(a.After, 10)
	}
	return d
}

// terms returns the conditions that must all hold.
func terms(n query.Node) []query.Node {
	switch n := n.(type) {
	case nil:
		return nil
	case query.And:
		return n
	}
	return []query.Node{n}
}

// untimed returns n without the bounds of time that hold for all of it.
func untimed(n query.Node) query.Node {
	return query.All(slices.DeleteFunc(slices.Clone(terms(n)), func(t query.Node) bool {
		_, timed := t.(query.Bound)
		return timed
	})...)
}

// between returns n within other bounds of time.
func between(n query.Node, from, to time.Time) query.Node {
	return query.All(untimed(n), query.Bound{Field: query.Since, At: from.UTC()}, query.Bound{Field: query.Until, At: to.UTC()})
}

// lasting returns n with spans as the moments that they are at now, and with
// nothing that comes after the entry with index last: the same entries for ever.
func lasting(n query.Node, now time.Time, last uint64) query.Node {
	var fixed []query.Node
	for _, t := range terms(n) {
		if b, ok := t.(query.Bound); ok {
			t = query.Bound{Field: b.Field, At: b.Moment(now).UTC().Truncate(time.Second)}
		}
		fixed = append(fixed, t)
	}
	return query.All(append(fixed, query.Range{Field: query.Index, Max: int64(last)})...)
}

// is is the condition that a field has a value.
func is(f query.Field, value string) query.Node {
	return query.Match{Field: f, Pattern: query.Exact(value)}
}

// narrowed returns n with one more condition, unless it has it already.
func narrowed(n, more query.Node) query.Node {
	if slices.ContainsFunc(terms(n), func(t query.Node) bool { return query.Equal(t, more) }) {
		return n
	}
	return query.All(n, more)
}
