package ui

import (
	"bytes"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
)

// functions are the few that templates may use; what needs more is prepared in
// Go by whoever fills the page.
func functions(a *assets, l tongue, others []Language) template.FuncMap {
	return template.FuncMap{
		"asset": func(name string) (string, error) {
			if u, ok := a.urls[name]; ok {
				return u, nil
			}
			return "", fmt.Errorf("no asset %q", name)
		},
		"markdown": markdown,
		"otpauth":  otpauth,
		"date":     func(t time.Time) string { return l.stamp(t, 'l') },
		"datetime": func(t time.Time) string { return l.stamp(t, 'm') },
		"hour":     func(t time.Time) string { return l.stamp(t, 'h') },
		"machine":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"badge":    func(kind string, text Text) Badge { return Badge{kind, text} },
		"hash":     func(v string) Hash { return Hash{Value: v} },
		"join":     strings.Join,
		"add":      func(a, b int) int { return a + b },
		"count":    countOf,
		"number":   l.numberOf,
		"lang":     func() string { return l.Tag.String() },
		"others":   func() []Language { return others },
		"word":     l.printed,
	}
}

// countOf is [Count] for templates, whose numbers are of any type.
func countOf(n any, one, other Text) (Text, error) {
	i, err := strconv.Atoi(fmt.Sprint(n))
	if err != nil {
		return "", fmt.Errorf("counting: %w", err)
	}
	return Count(i, one, other), nil
}

// numberOf is [tongue.number] for templates, whose numbers are of any type.
func (l tongue) numberOf(n any) (string, error) {
	i, err := strconv.Atoi(fmt.Sprint(n))
	if err != nil {
		return "", fmt.Errorf("writing a number: %w", err)
	}
	return l.number(i), nil
}

// printed is put behind every action of every template: a [Text] is written
// in the reader's language, everything else as it is.
func (l tongue) printed(value any) any {
	if t, ok := value.(Text); ok {
		return l.word(t)
	}
	return value
}

// stamp writes t in UTC; a zero time is a dash.
func (l tongue) stamp(t time.Time, layout byte) string {
	if t.IsZero() {
		return "–"
	}
	return l.format(layout, t)
}

var renderer = goldmark.New(goldmark.WithExtensions(extension.Table))

// markdown renders a text that an administrator wrote. Raw HTML and links of
// dangerous schemes are left out by goldmark, which is not given its unsafe
// option; pictures would be stopped by the content security policy.
func markdown(text string) (template.HTML, error) {
	var b bytes.Buffer
	if err := renderer.Convert([]byte(text), &b); err != nil {
		return "", fmt.Errorf("rendering markdown: %w", err)
	}
	return template.HTML(b.String()), nil
}

// otpauth lets the one scheme through that html/template does not know, so
// that a phone can open its authenticator from a link.
func otpauth(uri string) (template.URL, error) {
	if !strings.HasPrefix(uri, "otpauth://totp/") {
		return "", fmt.Errorf("not the address of an authenticator")
	}
	return template.URL(uri), nil
}
