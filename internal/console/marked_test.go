package console

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/html"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
)

// markedRenderer returns a renderer that fails the test when a page has words
// that no catalogue would translate and that data does not hold. Every page
// that a test of this package opens goes through it.
func markedRenderer(t testing.TB, data func() []string) *ui.Renderer {
	t.Helper()
	// Sessions go on saying what the directory said before; a device that nobody
	// named has the name that package auth gives it; the others were typed by tests.
	before := append(data(), "Authenticator app", "March", "Work phone", "Old tablet", "Tablet", "blue key", "green key", "first", "slow", "import", "<img src=x onerror=alert(1)>", `<script src=//x>"'`, "Mozilla/5.0 (Windows NT 10.0; rv:128.0) Gecko/20100101 Firefox/128.0")
	seen := map[string]bool{}
	u, err := ui.New(ui.Config{Marked: func(page string, body []byte) {
		for _, words := range unmarked(t, body, append(data(), before...)) {
			if !seen[page+words] {
				seen[page+words] = true
				t.Errorf("page %s has words of no language: %q", page, words)
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// read are the attributes that people read.
var readAttributes = []string{"title", "placeholder", "aria-label", "alt", "data-label"}

// unmarked returns what a marked page says outside the marks, unless data has it.
func unmarked(t testing.TB, body []byte, data []string) []string {
	doc, err := html.ParseWithOptions(strings.NewReader(string(body)), html.ParseOptionEnableScripting(false))
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(data, func(a, b string) int { return len(b) - len(a) })
	var out []string
	add := func(s string) {
		if strings.HasPrefix(s, "Mozilla/5.0 (") { // what a browser calls itself
			return
		}
		rest := outside(s)
		for _, d := range data {
			rest = strings.ReplaceAll(rest, d, " ")
		}
		if strings.Count(rest, " ") < len(rest) && letters(rest) > 1 {
			out = append(out, strings.TrimSpace(rest))
		}
	}
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		switch n.Type {
		case html.TextNode:
			add(n.Data)
		case html.ElementNode:
			if attr(n, "translate") == "no" {
				return
			}
			for _, a := range n.Attr {
				if slices.Contains(readAttributes, a.Key) || strings.HasPrefix(a.Key, "data-say") {
					add(a.Val)
				}
			}
			// Code, what an administrator wrote, and what was typed are data.
			class := strings.Fields(attr(n, "class"))
			if slices.Contains([]string{"script", "style", "code", "pre", "textarea", "svg"}, n.Data) ||
				slices.Contains(class, "mono") || slices.Contains(class, "prose") || slices.Contains(class, "brand-name") {
				return
			}
		}
		for c := range n.ChildNodes() {
			walk(c)
		}
	}
	walk(doc)
	return out
}

// outside returns what stands outside all marks, with a space for each part in them.
func outside(s string) string {
	var b strings.Builder
	depth := 0
	for _, r := range s {
		switch r {
		case '⟦', '⟪':
			depth++
			b.WriteByte(' ')
		case '⟧', '⟫':
			depth--
		default:
			if depth == 0 {
				b.WriteRune(r)
			}
		}
	}
	return b.String()
}

func letters(s string) int {
	n := 0
	for _, r := range s {
		if unicode.IsLetter(r) {
			n++
		}
	}
	return n
}

// dataOf returns every string that the directory and the entries hold, except
// the words that the console itself has for states, roles and effects.
func dataOf(d *directory.Directory, entries []accesslog.Entry, more ...string) []string {
	found := map[string]bool{}
	var collect func(v any)
	collect = func(v any) {
		switch v := v.(type) {
		case string:
			found[strings.TrimSpace(v)] = true
		case []any:
			for _, e := range v {
				collect(e)
			}
		case map[string]any:
			for _, e := range v {
				collect(e)
			}
		}
	}
	for _, object := range []any{d, entries} {
		raw, err := json.Marshal(object)
		if err != nil {
			panic(err)
		}
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			panic(err)
		}
		collect(v)
	}
	for _, m := range more {
		found[m] = true
	}
	for _, w := range vocabulary {
		delete(found, w.String())
	}
	var out []string
	for s := range found {
		if letters(s) > 1 {
			out = append(out, s)
		}
	}
	return out
}
