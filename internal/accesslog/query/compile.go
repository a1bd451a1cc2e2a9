package query

import (
	"math"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// A Filter is a condition made ready to be asked of many entries. It is safe
// for concurrent use.
type Filter struct {
	match func(*accesslog.Entry) bool
	spans Spans
}

// Compile makes n ready to be asked; spans of time end at now.
func Compile(n Node, now time.Time) *Filter {
	return &Filter{match: compile(n, now), spans: SpansOf(n, now)}
}

// Match reports whether e is selected. It allocates nothing.
func (f *Filter) Match(e *accesslog.Entry) bool { return f.match(e) }

// Spans returns what every selected entry lies within.
func (f *Filter) Spans() Spans { return f.spans }

// Spans bound entries by time and index, all included.
type Spans struct {
	Oldest, Newest int64 // nanoseconds since 1970
	First, Last    uint64
}

// SpansOf returns the bounds that n sets, as far as they can be told without entries.
func SpansOf(n Node, now time.Time) Spans {
	s := Spans{Oldest: math.MinInt64, Newest: math.MaxInt64, Last: math.MaxUint64}
	switch n := n.(type) {
	case And:
		for _, m := range n {
			t := SpansOf(m, now)
			s.Oldest, s.Newest = max(s.Oldest, t.Oldest), min(s.Newest, t.Newest)
			s.First, s.Last = max(s.First, t.First), min(s.Last, t.Last)
		}
	case Or:
		for i, m := range n {
			t := SpansOf(m, now)
			if i == 0 {
				s = t
				continue
			}
			s.Oldest, s.Newest = min(s.Oldest, t.Oldest), max(s.Newest, t.Newest)
			s.First, s.Last = min(s.First, t.First), max(s.Last, t.Last)
		}
	case Bound:
		if n.Field == Since {
			s.Oldest = n.Moment(now).UnixNano()
		} else {
			s.Newest = n.Moment(now).UnixNano() - 1
		}
	case Range:
		if n.Field == Index {
			s.First, s.Last = uint64(n.Min), uint64(n.Max)
		}
	}
	return s
}

func compile(n Node, now time.Time) func(*entry) bool {
	switch n := n.(type) {
	case And:
		return compileAll(n, now)
	case Or:
		of := compileEach(n, now)
		return func(e *entry) bool {
			for _, m := range of {
				if m(e) {
					return true
				}
			}
			return false
		}
	case Not:
		of := compile(n.Of, now)
		return func(e *entry) bool { return !of(e) }
	case Match:
		return compileMatch(n)
	case Within:
		text := fields[n.Field].text
		return func(e *entry) bool { return InNetwork(n.Network, text(e)) }
	case Range:
		number := fields[n.Field].number
		return func(e *entry) bool {
			v, ok := number(e)
			return ok && v >= n.Min && v <= n.Max
		}
	case Bound:
		at := n.Moment(now)
		if n.Field == Since {
			return func(e *entry) bool { return !e.Time.Before(at) }
		}
		return func(e *entry) bool { return e.Time.Before(at) }
	case Anywhere:
		return compileAnywhere(n)
	}
	return func(*entry) bool { return true } // nil: no condition
}

func compileEach(nodes []Node, now time.Time) []func(*entry) bool {
	out := make([]func(*entry) bool, len(nodes))
	for i, n := range nodes {
		out[i] = compile(n, now)
	}
	return out
}

func compileAll(nodes And, now time.Time) func(*entry) bool {
	of := compileEach(nodes, now)
	return func(e *entry) bool {
		for _, m := range of {
			if !m(e) {
				return false
			}
		}
		return true
	}
}

func compileMatch(n Match) func(*entry) bool {
	p := n.Pattern
	switch {
	case n.Field == Account:
		return func(e *entry) bool { return p.MatchWho(e.Account, e.Email, e.Actor) }
	case n.Field == Detail:
		return func(e *entry) bool { return matchDetail(p, e.Detail) }
	case n.Field.Kind() == List:
		list := fields[n.Field].list
		return func(e *entry) bool { return p.MatchList(list(e)) }
	}
	text := fields[n.Field].text
	if whole, ok := p.Whole(); ok {
		return func(e *entry) bool { return text(e) == whole }
	}
	return func(e *entry) bool { return p.Match(text(e)) }
}

// MatchWho reports whether p describes one of those whom an entry is about:
// the account's id, its email address in any case or the part before the @, or
// the id of whoever acted. A pattern of the empty text describes an entry of nobody.
func (p Pattern) MatchWho(account, email, actor string) bool {
	if whole, ok := p.Whole(); ok && whole == "" {
		return account == "" && email == "" && actor == ""
	}
	return p.Match(account) || p.Match(actor) || p.MatchEmail(email)
}

// MatchEmail reports whether p describes an email address or what stands before its @.
func (p Pattern) MatchEmail(email string) bool {
	if email == "" {
		return false
	}
	name := email
	if i := strings.LastIndexByte(email, '@'); i > 0 {
		name = email[:i]
	}
	if whole, ok := p.Whole(); ok {
		return strings.EqualFold(email, whole) || strings.EqualFold(name, whole)
	}
	return p.Match(email) || p.Match(name)
}

// MatchList reports whether p describes one of the values, or, for the empty
// text, whether there is none.
func (p Pattern) MatchList(values []string) bool {
	if whole, ok := p.Whole(); ok && whole == "" {
		return len(values) == 0
	}
	for _, v := range values {
		if p.Match(v) {
			return true
		}
	}
	return false
}

func matchDetail(p Pattern, detail map[string]string) bool {
	if whole, ok := p.Whole(); ok && whole == "" {
		return len(detail) == 0
	}
	for k, v := range detail {
		var room [256]byte // keeps a usual pair off the heap
		pair := append(append(append(room[:0], k...), '='), v...)
		if p.matchBytes(pair) {
			return true
		}
	}
	return false
}

// InNetwork reports whether text is an address of the network.
func InNetwork(network netip.Prefix, text string) bool {
	a, err := netip.ParseAddr(text)
	return err == nil && network.Contains(a.Unmap())
}

func compileAnywhere(n Anywhere) func(*entry) bool {
	find := Fold(n.Text)
	var texts []func(*entry) string
	var lists []func(*entry) []string
	for f := Account; f < fieldEnd; f++ {
		if t := fields[f].text; t != nil {
			texts = append(texts, t)
		}
		if l := fields[f].list; l != nil {
			lists = append(lists, l)
		}
	}
	return func(e *entry) bool {
		for _, t := range texts {
			if find.In(t(e)) {
				return true
			}
		}
		for _, l := range lists {
			for _, s := range l(e) {
				if find.In(s) {
					return true
				}
			}
		}
		return find.inDetail(e.Detail)
	}
}

// A Finder looks for a text in any case of letters.
type Finder struct {
	low   string // in small letters
	other byte   // the first byte in its other case
	plain bool   // all of it is ASCII
}

// Fold returns a finder of text.
func Fold(text string) Finder {
	f := Finder{low: strings.ToLower(text), plain: true}
	for i := range len(f.low) {
		f.plain = f.plain && f.low[i] < utf8.RuneSelf
	}
	if f.low != "" {
		f.other = f.low[0]
		if f.other >= 'a' && f.other <= 'z' {
			f.other -= 'a' - 'A'
		}
	}
	return f
}

// Small returns the text in small letters if all of it is ASCII: then it is in
// whatever has it once A to Z there are small too. Otherwise nil.
func (f Finder) Small() []byte {
	if !f.plain {
		return nil
	}
	return []byte(f.low)
}

// In reports whether the text is in s. It allocates nothing.
func (f Finder) In(s string) bool {
	if !f.plain {
		for i := range s {
			if f.beginsWide(s[i:]) {
				return true
			}
		}
		return false
	}
	for len(s) >= len(f.low) {
		i := f.candidate(s)
		if i < 0 || len(s)-i < len(f.low) {
			return false
		}
		if f.begins(s[i:]) {
			return true
		}
		s = s[i+1:]
	}
	return false
}

func (f Finder) candidate(s string) int {
	if f.low == "" {
		return 0
	}
	i := strings.IndexByte(s, f.low[0])
	if f.other == f.low[0] {
		return i
	}
	if i >= 0 {
		s = s[:i]
	}
	if j := strings.IndexByte(s, f.other); j >= 0 {
		return j
	}
	return i
}

func (f Finder) begins(s string) bool {
	for i := range len(f.low) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != f.low[i] {
			return false
		}
	}
	return true
}

func (f Finder) beginsWide(s string) bool {
	for _, want := range f.low {
		r, n := utf8.DecodeRuneInString(s)
		if n == 0 || unicode.ToLower(r) != want {
			return false
		}
		s = s[n:]
	}
	return true
}

func (f Finder) inDetail(detail map[string]string) bool {
	for k, v := range detail {
		var room [256]byte
		pair := append(append(append(room[:0], k...), '='), v...)
		if f.inBytes(pair) {
			return true
		}
	}
	return false
}
