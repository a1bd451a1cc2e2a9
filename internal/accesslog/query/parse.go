package query

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ringfence/ringfence/policy"
)

// Bounds of what Parse reads, so that a query from elsewhere costs little.
const (
	MaxLength = 4096 // bytes
	maxDepth  = 50
	maxTerms  = 500
)

// An Error says where a query cannot be understood, and why.
type Error struct {
	Column  int    // in characters, from 1
	What    string // a sentence
	Nearest string // the field name that was perhaps meant, or ""
}

// Error returns the sentence with its column.
func (e *Error) Error() string {
	s := fmt.Sprintf("column %d: %s", e.Column, e.What)
	if e.Nearest != "" {
		s += "; did you mean " + e.Nearest + "?"
	}
	return s
}

// Parse reads a query. The empty one is the empty [And], which always holds.
// The error is an [*Error].
func Parse(s string) (Node, error) {
	p := &parser{s: s}
	if len(s) > MaxLength {
		return nil, &Error{Column: 1, What: fmt.Sprintf("the query is longer than %d bytes", MaxLength)}
	}
	for i, r := range s {
		if _, n := utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && n == 1 {
			return nil, p.at(i, "this is not UTF-8")
		}
		if unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' {
			return nil, p.at(i, "this is a control character")
		}
	}
	p.space()
	if p.end() {
		return And{}, nil
	}
	n, err := p.or(0)
	if err == nil && !p.end() {
		err = p.at(p.i, "there is no opening parenthesis for this one")
	}
	if err != nil {
		return nil, err
	}
	return n, nil
}

// effects are all that a decision can be.
var effects = []string{policy.Allow.String(), policy.Challenge.String(), policy.Deny.String()}

type parser struct {
	s     string
	i     int
	terms int
}

func (p *parser) at(i int, what string) *Error {
	return &Error{Column: utf8.RuneCountInString(p.s[:min(i, len(p.s))]) + 1, What: what}
}

func (p *parser) end() bool { return p.i >= len(p.s) }

func (p *parser) space() {
	for !p.end() {
		r, n := utf8.DecodeRuneInString(p.s[p.i:])
		if !unicode.IsSpace(r) {
			return
		}
		p.i += n
	}
}

// keyword consumes word if it comes next and stands by itself.
func (p *parser) keyword(word string) bool {
	rest := p.s[p.i:]
	if !strings.HasPrefix(rest, word) {
		return false
	}
	r, _ := utf8.DecodeRuneInString(rest[len(word):])
	if rest = rest[len(word):]; rest != "" && !unicode.IsSpace(r) && r != '(' && r != ')' {
		return false
	}
	p.i += len(word)
	p.space()
	return true
}

func (p *parser) or(depth int) (Node, error) {
	var all []Node
	for {
		n, err := p.and(depth)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
		if !p.keyword("or") {
			return Any(all...), nil
		}
	}
}

func (p *parser) and(depth int) (Node, error) {
	var all []Node
	for {
		n, err := p.unary(depth)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
		p.space()
		if p.keyword("and") {
			continue
		}
		if p.end() || p.s[p.i] == ')' {
			break
		}
		at := p.i
		if p.keyword("or") {
			p.i = at
			break
		}
	}
	return All(all...), nil
}

func (p *parser) unary(depth int) (Node, error) {
	p.space()
	start := p.i
	if depth > maxDepth {
		return nil, p.at(start, "conditions are nested too deeply")
	}
	if p.end() {
		return nil, p.at(start, "a condition is missing at the end")
	}
	if p.keyword("not") || p.minus() {
		n, err := p.unary(depth + 1)
		if err != nil {
			return nil, err
		}
		return Negate(n), nil
	}
	if p.keyword("or") || p.keyword("and") {
		return nil, p.at(start, "a condition is missing before this word; in quotation marks it is text")
	}
	for _, word := range []string{"OR", "AND", "NOT"} {
		if p.keyword(word) { // which other languages take, and which as text would find next to nothing
			e := p.at(start, "this word counts in small letters only; in quotation marks it is text")
			e.Nearest = strings.ToLower(word)
			return nil, e
		}
	}
	switch p.s[p.i] {
	case ')':
		return nil, p.at(start, "a condition is missing before this parenthesis")
	case '(':
		p.i++
		n, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if p.space(); p.end() {
			return nil, p.at(start, "this parenthesis is not closed")
		}
		p.i++ // or returned before the end only at one
		p.space()
		return n, nil
	}
	if p.terms++; p.terms > maxTerms {
		return nil, p.at(start, "there are too many conditions")
	}
	return p.term()
}

func (p *parser) minus() bool {
	if p.s[p.i] != '-' || p.i+1 >= len(p.s) || strings.IndexByte(" \t\r\n)", p.s[p.i+1]) >= 0 {
		return false
	}
	p.i++
	return true
}

func (p *parser) term() (Node, error) {
	start := p.i
	name := p.i
	for name < len(p.s) && (p.s[name] == '_' || p.s[name] >= 'a' && p.s[name] <= 'z' || p.s[name] >= 'A' && p.s[name] <= 'Z') {
		name++
	}
	if name == len(p.s) || p.s[name] != ':' || name == start {
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		if !p.end() && p.s[p.i] == ',' {
			return nil, p.at(p.i, "a comma separates the values of a field; in quotation marks it is text")
		}
		text := strings.Join(v.pattern.Parts, "*")
		if i := strings.IndexByte(text, ':'); i > 0 && !v.quoted {
			e := p.at(start, fmt.Sprintf("there is no field %q; text with a colon stands in quotation marks", text[:i]))
			e.Nearest = nearest(strings.ToLower(text[:i]))
			return nil, e
		}
		if text == "" {
			return nil, p.at(start, "the empty text is found everywhere")
		}
		return Anywhere{text}, nil
	}
	f, ok := Lookup(strings.ToLower(p.s[start:name]))
	if !ok {
		e := p.at(start, fmt.Sprintf("there is no field %q", p.s[start:name]))
		e.Nearest = nearest(strings.ToLower(p.s[start:name]))
		return nil, e
	}
	p.i = name + 1
	var all []Node
	for {
		n, err := p.test(f)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
		if p.end() || p.s[p.i] != ',' {
			break
		}
		if p.terms++; p.terms > maxTerms {
			return nil, p.at(p.i, "there are too many conditions")
		}
		p.i++
	}
	return Any(all...), nil
}

// test reads one value of field f.
func (p *parser) test(f Field) (Node, error) {
	start := p.i
	v, err := p.value()
	if err != nil {
		return nil, err
	}
	if v.empty {
		return nil, p.at(start, fmt.Sprintf("a value of %s is missing; %s:\"\" finds entries without one", f, f))
	}
	raw, whole := v.pattern.Whole()
	var n Node
	var fault error
	switch f.Kind() {
	case Moment, Number, Bytes, Millis, Seconds, Position:
		if !whole {
			return nil, p.at(start, fmt.Sprintf("%s has no places for any text", f))
		}
		if f.Kind() == Moment {
			n, fault = parseMoment(f, raw)
		} else {
			n, fault = parseRange(f, raw)
		}
	case Address:
		if whole && !v.quoted && looksLikeNetwork(raw) {
			net, err := netip.ParsePrefix(raw)
			if err != nil || net.Addr().Is4In6() {
				return nil, p.at(start, fmt.Sprintf("%q is not a network such as 10.0.0.0/8", raw))
			}
			return Within{f, net.Masked()}, nil
		}
		return Match{f, v.pattern}, nil
	default:
		if f == Effect && whole && raw != "" && !slices.Contains(effects, raw) {
			return nil, p.at(start, "there are allow, challenge and deny")
		}
		return Match{f, v.pattern}, nil
	}
	if fault != nil {
		return nil, p.at(start, fault.Error())
	}
	return n, nil
}

func looksLikeNetwork(s string) bool { return strings.IndexByte(s, '/') >= 0 }

type value struct {
	pattern Pattern
	quoted  bool // some of it
	empty   bool // nothing is there, not even quotation marks
}

// value reads bare and quoted parts up to a space, comma or parenthesis.
func (p *parser) value() (value, error) {
	v := value{empty: true, pattern: Pattern{Parts: []string{""}}}
	var part strings.Builder
	for !p.end() {
		r, n := utf8.DecodeRuneInString(p.s[p.i:])
		if unicode.IsSpace(r) || r == ',' || r == '(' || r == ')' {
			break
		}
		v.empty = false
		switch r {
		case '"':
			v.quoted = true
			if err := p.quoted(&part); err != nil {
				return v, err
			}
			continue
		case '*':
			v.pattern.Parts[len(v.pattern.Parts)-1] = part.String()
			part.Reset()
			v.pattern.Parts = append(v.pattern.Parts, "")
		default:
			part.WriteRune(r)
		}
		p.i += n
	}
	v.pattern.Parts[len(v.pattern.Parts)-1] = part.String()
	v.pattern = v.pattern.tidy()
	if !p.end() && p.s[p.i] == '(' && !v.empty {
		return v, p.at(p.i, "a space is missing before this parenthesis")
	}
	if !p.end() && p.s[p.i] == '(' {
		return v, p.at(p.i, "a value cannot begin with a parenthesis; in quotation marks it is text")
	}
	return v, nil
}

func (p *parser) quoted(out *strings.Builder) error {
	start := p.i
	for p.i++; !p.end(); p.i++ {
		switch c := p.s[p.i]; c {
		case '"':
			p.i++
			return nil
		case '\\':
			p.i++
			if p.end() || p.s[p.i] != '"' && p.s[p.i] != '\\' {
				return p.at(p.i-1, `a backslash in quotation marks stands before " or \ only`)
			}
			out.WriteByte(p.s[p.i])
		default:
			out.WriteByte(c)
		}
	}
	return p.at(start, "this quotation mark is not closed")
}

// special reports whether r has a meaning in a value and must be quoted there.
func special(r rune) bool {
	switch r {
	case '"', ',', '(', ')', '*', '\\':
		return true
	}
	return unicode.IsSpace(r)
}

// word reports whether s can stand without quotation marks as a text to be found anywhere.
func word(s string) bool {
	if slices.Contains([]string{"or", "and", "not", "OR", "AND", "NOT"}, s) || s[0] == '-' {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool { return special(r) || r == ':' }) < 0
}
