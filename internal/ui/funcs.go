package ui

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
)

// functions are the few that templates may use; what needs more is prepared in
// Go by whoever fills the page.
func functions(a *assets) template.FuncMap {
	return template.FuncMap{
		"asset": func(name string) (string, error) {
			if u, ok := a.urls[name]; ok {
				return u, nil
			}
			return "", fmt.Errorf("no asset %q", name)
		},
		"markdown": markdown,
		"otpauth":  otpauth,
		"date":     func(t time.Time) string { return stamp(t, "2 January 2006") },
		"datetime": func(t time.Time) string { return stamp(t, "2 Jan 2006, 15:04 UTC") },
		"hour":     func(t time.Time) string { return stamp(t, "15:04 UTC") },
		"machine":  func(t time.Time) string { return stamp(t, time.RFC3339) },
		"badge":    func(kind, text string) Badge { return Badge{kind, text} },
		"hash":     func(v string) Hash { return Hash{Value: v} },
		"join":     strings.Join,
		"add":      func(a, b int) int { return a + b },
	}
}

// stamp formats t in UTC; a zero time is a dash.
func stamp(t time.Time, layout string) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format(layout)
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
