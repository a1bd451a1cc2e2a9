package query

import "strings"

// A Pattern is a text with places where any run of characters may stand: one
// such place between each two parts. A single part is the whole text.
type Pattern struct {
	Parts []string
}

// Exact returns a pattern of one text.
func Exact(text string) Pattern { return Pattern{Parts: []string{text}} }

// Whole returns the text that p demands, and whether p is a whole text.
func (p Pattern) Whole() (string, bool) {
	if len(p.Parts) == 1 {
		return p.Parts[0], true
	}
	return "", false
}

// Prefix returns what a text must begin with.
func (p Pattern) Prefix() string { return p.Parts[0] }

// Contains returns the text of a pattern *text*, and whether p is one.
func (p Pattern) Contains() (string, bool) {
	if len(p.Parts) == 3 && p.Parts[0] == "" && p.Parts[2] == "" {
		return p.Parts[1], true
	}
	return "", false
}

// Match reports whether s is what p describes. No pattern with a free place
// describes the empty text: a field that is not there has no value.
func (p Pattern) Match(s string) bool {
	if len(p.Parts) == 1 {
		return s == p.Parts[0]
	}
	if s == "" || !strings.HasPrefix(s, p.Parts[0]) {
		return false
	}
	s = s[len(p.Parts[0]):]
	last := p.Parts[len(p.Parts)-1]
	for _, part := range p.Parts[1 : len(p.Parts)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return strings.HasSuffix(s, last)
}

// tidy removes parts that say nothing: two free places side by side are one.
func (p Pattern) tidy() Pattern {
	if len(p.Parts) < 3 {
		return p
	}
	kept := []string{p.Parts[0]}
	for _, part := range p.Parts[1 : len(p.Parts)-1] {
		if part != "" {
			kept = append(kept, part)
		}
	}
	return Pattern{Parts: append(kept, p.Parts[len(p.Parts)-1])}
}

func (p Pattern) append(b []byte) []byte {
	for i, part := range p.Parts {
		if i > 0 {
			b = append(b, '*')
		}
		b = appendText(b, part, len(p.Parts) == 1)
	}
	return b
}

// appendText writes s as it is, or quoted where it would be read as something
// else. An empty text is quoted only where it stands alone.
func appendText(b []byte, s string, alone bool) []byte {
	if s == "" {
		if alone {
			return append(b, '"', '"')
		}
		return b
	}
	if strings.IndexFunc(s, special) < 0 {
		return append(b, s...)
	}
	b = append(b, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}
