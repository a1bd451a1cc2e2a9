package language

import (
	"fmt"
	"html"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// Template puts the source of a template into another language: each segment,
// which is a sentence or label with the elements and actions inside it, is
// replaced by what say returns for its key. What a template whose name ends in
// -attributes defines is for the inside of a tag and stays as it is. It fails where a translation does
// not have the placeholders of its key.
func Template(src string, say func(key string) string) (string, error) {
	t := translator{say: say}
	out := t.template(src)
	return out, t.err
}

// Keys returns the keys of all segments of a template, in their order.
func Keys(src string) []string {
	var keys []string
	t := translator{say: func(key string) string {
		keys = append(keys, key)
		return key
	}}
	t.template(src)
	return keys
}

// A token is a piece of a template's source.
type token struct {
	kind kind
	src  string
	name string // of an element
}

type kind uint8

const (
	words   kind = iota // text outside tags and actions
	action              // {{.Name}}, {{template "x" .}}: a value inside a sentence
	control             // {{if}}, {{else}}, {{end}}: no sentence crosses it
	opening             // of an element that may stand inside a sentence
	closing
	edge // any other tag: no sentence crosses it
)

// inline are the elements that may stand inside a sentence.
var inline = map[string]bool{"a": true, "abbr": true, "b": true, "code": true, "em": true, "i": true, "kbd": true, "q": true, "small": true,
	"span": true, "strong": true, "time": true}

var (
	controls = regexp.MustCompile(`^\{\{-?\s*(if|else|end|range|with|define|block|break|continue|/\*)\b?`)
	tagName  = regexp.MustCompile(`^</?([a-zA-Z][a-zA-Z0-9]*)`)
	// attributes are those that people read. The data-say ones are words for scripts.
	attributes = regexp.MustCompile(`(\s(?:title|placeholder|aria-label|alt|label|data-label|data-say(?:-[a-z]+)?)=")([^"]*)(")`)
)

// tokens cuts a template's source into pieces that together are the source.
func tokens(src string) []token {
	var out []token
	for src != "" {
		var t token
		switch {
		case strings.HasPrefix(src, "{{"):
			t = token{kind: action, src: src[:actionEnd(src)]}
			if controls.MatchString(t.src) {
				t.kind = control
			}
		case tagName.MatchString(src) || strings.HasPrefix(src, "<!"):
			t = token{kind: edge, src: src[:tagEnd(src)]}
			if m := tagName.FindStringSubmatch(src); m != nil {
				t.name = strings.ToLower(m[1])
			}
			if inline[t.name] {
				t.kind = opening
				if strings.HasPrefix(src, "</") {
					t.kind = closing
				}
			}
		default:
			n := strings.IndexAny(src[1:], "<{") + 1
			for n > 0 && !strings.HasPrefix(src[n:], "{{") && src[n] == '{' {
				next := strings.IndexAny(src[n+1:], "<{")
				if next < 0 {
					n = 0
					break
				}
				n += 1 + next
			}
			if n == 0 {
				n = len(src)
			}
			t = token{kind: words, src: src[:n]}
		}
		out = append(out, t)
		src = src[len(t.src):]
	}
	return out
}

// actionEnd returns where the action that src begins with is over.
func actionEnd(src string) int {
	if n := strings.Index(src, "}}"); n >= 0 {
		return n + 2
	}
	return len(src)
}

// tagEnd returns where the tag that src begins with is over; actions inside it
// may hold any character.
func tagEnd(src string) int {
	quoted := byte(0)
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case strings.HasPrefix(src[i:], "{{"):
			i += actionEnd(src[i:]) - 1
		case quoted != 0:
			if c == quoted {
				quoted = 0
			}
		case c == '"' || c == '\'':
			quoted = c
		case c == '>':
			return i + 1
		}
	}
	return len(src)
}

type translator struct {
	say func(string) string
	err error
}

// template translates every run of tokens that no control structure and no
// block element interrupts.
func (t *translator) template(src string) string {
	var out strings.Builder
	var run []token
	flush := func() {
		out.WriteString(t.run(run))
		run = run[:0]
	}
	skip := false // inside a template of attributes, which is no text
	for _, k := range tokens(src) {
		if k.kind == control && strings.Contains(k.src, "define ") {
			skip = strings.Contains(k.src, `-attributes"`)
		}
		if skip {
			flush()
			out.WriteString(k.src)
			continue
		}
		if k.kind == control || k.kind == edge {
			flush()
			out.WriteString(t.attributes(k.src))
			continue
		}
		run = append(run, k)
	}
	flush()
	return out.String()
}

// attributes translates the attributes of one tag that people read.
func (t *translator) attributes(tag string) string {
	if !strings.HasPrefix(tag, "<") {
		return tag
	}
	return attributes.ReplaceAllStringFunc(tag, func(a string) string {
		m := attributes.FindStringSubmatch(a)
		return m[1] + strings.ReplaceAll(t.template(m[2]), `"`, "&#34;") + m[3]
	})
}

// run translates tokens without control structures or blocks.
func (t *translator) run(run []token) string {
	partner := pair(run)
	var out strings.Builder
	start := 0
	for i, k := range run { // an element that begins or ends elsewhere is an edge
		if (k.kind == opening || k.kind == closing) && partner[i] < 0 {
			out.WriteString(t.sentence(run[start:i]))
			out.WriteString(t.attributes(k.src))
			start = i + 1
		}
	}
	out.WriteString(t.sentence(run[start:]))
	return out.String()
}

// pair finds for each tag the one that belongs to it, -1 when it is elsewhere.
func pair(run []token) []int {
	partner := make([]int, len(run))
	var open []int
	for i, k := range run {
		partner[i] = -1
		switch k.kind {
		case opening:
			open = append(open, i)
		case closing:
			if n := len(open); n > 0 && run[open[n-1]].name == k.name {
				partner[i], partner[open[n-1]] = open[n-1], i
				open = open[:n-1]
			}
		}
	}
	return partner
}

// sentence translates a run whose elements are whole. Where all words stand
// inside elements, each element is a segment of its own.
func (t *translator) sentence(run []token) string {
	if !hasWords(run) {
		var out strings.Builder
		for _, k := range run {
			out.WriteString(t.attributes(k.src))
		}
		return out.String()
	}
	partner, outside := pair(run), false
	for i := 0; i < len(run); i++ {
		if run[i].kind == opening {
			i = partner[i]
		} else if run[i].kind == words && hasLetter(run[i].src) {
			outside = true
		}
	}
	if outside {
		return t.segment(run)
	}
	var out strings.Builder
	for i := 0; i < len(run); i++ {
		out.WriteString(t.attributes(run[i].src))
		if run[i].kind == opening {
			out.WriteString(t.sentence(run[i+1 : partner[i]]))
			i = partner[i]
			out.WriteString(run[i].src)
		}
	}
	return out.String()
}

func hasWords(run []token) bool {
	for _, k := range run {
		if k.kind == words && hasLetter(k.src) {
			return true
		}
	}
	return false
}

func hasLetter(s string) bool { return strings.ContainsFunc(html.UnescapeString(s), unicode.IsLetter) }

var (
	space       = regexp.MustCompile(`\s+`)
	placeholder = regexp.MustCompile(`\{[1-9]\}|</?[a-z]+[0-9]*>`)
)

// segment translates one sentence: its key has {1}, {2} for actions and bare
// tags for elements, with a number from the second of a name.
func (t *translator) segment(run []token) string {
	var key strings.Builder
	stands := map[string]string{} // placeholder: source
	partner, names, count := pair(run), map[string]int{}, 0
	closes := map[int]string{}
	for i, k := range run {
		p := ""
		switch k.kind {
		case words:
			key.WriteString(html.UnescapeString(k.src))
			continue
		case action:
			count++
			p = "{" + strconv.Itoa(count) + "}"
			stands[p] = k.src
		case opening:
			names[k.name]++
			name := k.name
			if n := names[k.name]; n > 1 {
				name += strconv.Itoa(n)
			}
			p, closes[partner[i]] = "<"+name+">", "</"+name+">"
			stands[p] = t.attributes(k.src)
		case closing:
			p = closes[i]
			stands[p] = k.src
		}
		key.WriteString(p)
	}
	before, after := "", ""
	whole := key.String()
	if trimmed := strings.TrimLeft(whole, " \t\r\n"); trimmed != whole {
		before, whole = whole[:len(whole)-len(trimmed)], trimmed
	}
	if trimmed := strings.TrimRight(whole, " \t\r\n"); trimmed != whole {
		after, whole = whole[len(trimmed):], trimmed
	}
	name := space.ReplaceAllString(whole, " ")
	said := t.say(name)
	if err := SamePlaceholders(name, said); err != nil && t.err == nil {
		t.err = err
	}
	var out strings.Builder
	out.WriteString(before)
	for said != "" {
		at := placeholder.FindStringIndex(said)
		if at == nil {
			out.WriteString(escape(said))
			break
		}
		out.WriteString(escape(said[:at[0]]))
		if src, ok := stands[said[at[0]:at[1]]]; ok {
			out.WriteString(src)
		}
		said = said[at[1]:]
	}
	return out.String() + after
}

// escape makes text of a translation: it can hold neither markup nor actions.
func escape(s string) string {
	return strings.ReplaceAll(html.EscapeString(s), "{{", "{&#123;")
}

// SamePlaceholders reports with an error that a translation does not hold each
// placeholder of its key exactly as often as the key does.
func SamePlaceholders(key, translation string) error {
	balance := map[string]int{}
	for _, p := range placeholder.FindAllString(key, -1) {
		balance[p]++
	}
	for _, p := range placeholder.FindAllString(translation, -1) {
		balance[p]--
	}
	for p, n := range balance {
		if n != 0 {
			return fmt.Errorf("translating %q: the placeholder %s is in %q %+d times too often", key, p, translation, -n)
		}
	}
	return nil
}
