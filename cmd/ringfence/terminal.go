package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"
)

// plural returns "1 change" or "3 changes".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// plain makes text safe for a terminal: what is recorded can come from an attacker.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar {
			return '�'
		}
		return r
	}, s)
}

// printable words an error for a terminal, its line ends kept: a certificate or
// an answer that somebody else made may be quoted in it.
func printable(err error) string { return plainText(err.Error()) }

// plainText is plain for a text of several lines.
func plainText(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = plain(strings.ReplaceAll(l, "\t", "    "))
	}
	return strings.Join(lines, "\n")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return plain(s)
}

// lastDay names the last day before an end.
func lastDay(end time.Time) string {
	if end.IsZero() {
		return "-"
	}
	return end.Add(-time.Nanosecond).UTC().Format(time.DateOnly)
}

// stamp writes an instant for people.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// isTerminal reports whether w is a terminal, where colours and progress belong.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// progress shows how far long work has come, on a terminal only and only once
// it takes longer than a second.
type progress struct {
	w       io.Writer
	what    string
	started time.Time
	shown   time.Time
	on      bool
}

func newProgress(w io.Writer, what string) *progress {
	return &progress{w: w, what: what, started: time.Now(), on: isTerminal(w)}
}

func (p *progress) step(done, total uint64) {
	now := time.Now()
	if !p.on || now.Sub(p.started) < time.Second || now.Sub(p.shown) < 100*time.Millisecond {
		return
	}
	p.shown = now
	if total > 0 {
		fmt.Fprintf(p.w, "\r%s: %d of %d (%d %%)\x1b[K", p.what, done, total, done*100/total)
		return
	}
	fmt.Fprintf(p.w, "\r%s: %d\x1b[K", p.what, done)
}

func (p *progress) end() {
	if !p.shown.IsZero() {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
