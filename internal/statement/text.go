package statement

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/ringfence/ringfence/policy"
)

// Text returns the statement in words, ending with a newline.
func (s *Statement) Text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%s", headline)
	line("")
	field(&b, "Gateway", s.Gate)
	field(&b, "Organisation", s.Organisation)
	field(&b, "Made", stamp(s.Made))
	field(&b, "Made for", s.MadeFor)
	field(&b, "Public key", s.Key)
	line("")
	line("HOW TO CHECK IT")
	line("")
	line("Nothing but this file and the gateway's public key is needed, and no network:")
	line("")
	line("    ringfence agreement verify FILE --key log.pub")
	line("")
	line("The command says what was changed, if anything was. Take the public key from somebody")
	line("you trust, or from the gateway's own folder (log/log.pub), and not from this file: a")
	line("forger would put his own key here. Without the command: the file is a signed note")
	line("(C2SP signed-note, Ed25519) and its last line is the signature over everything above")
	line("the empty line before it. The hash of a text is the SHA-256 of its exact bytes, which")
	line("stand in the last part under \"text\". The proof of an entry is an RFC 6962 inclusion")
	line("proof under the signed checkpoint that stands beside it.")
	for i := range s.Acceptances {
		line("")
		s.Acceptances[i].words(&b, i+1, len(s.Acceptances), s)
	}
	for i := range s.Texts {
		line("")
		s.Texts[i].words(&b)
	}
	line("")
	return b.String()
}

func (a *Acceptance) words(b *strings.Builder, number, of int, s *Statement) {
	fmt.Fprintf(b, "ACCEPTANCE %d OF %d\n\n", number, of)
	title := a.Agreement
	if t := s.text(a.Agreement, a.Version); t != nil && t.Title != "" {
		title = t.Title
	}
	field(b, "Agreement", title)
	field(b, "Version", fmt.Sprintf("%s@%d", a.Agreement, a.Version))
	field(b, "Hash of the text", a.Hash)
	field(b, "Accepted by", a.Name)
	field(b, "Typed name", a.TypedName)
	field(b, "E-mail", a.Email)
	field(b, "Account", a.Account)
	field(b, "Vendor", a.Vendor)
	field(b, "Time", stamp(a.At))
	field(b, "Address", a.IP)
	field(b, "Browser", a.UserAgent)
	field(b, "Session", a.Session)
	field(b, "Second factor", factorWords(a.Factor))
	field(b, "Factor proved", stamp(a.CodeAt))
	if a.Entry == nil {
		field(b, "Access log", "no signed checkpoint covered the entry when this statement was made")
		return
	}
	field(b, "Access log", fmt.Sprintf("entry %d, proved below under a signed checkpoint", a.Entry.Index))
}

func (t *Text) words(b *strings.Builder) {
	fmt.Fprintf(b, "TEXT OF %s@%d\n\n", visible(t.Agreement), t.Version)
	field(b, "Title", t.Title)
	field(b, "In force from", stamp(t.Created))
	field(b, "Hash", t.Hash)
	b.WriteString("\n")
	for _, l := range strings.Split(strings.TrimRight(t.Text, "\n"), "\n") {
		// The bar keeps a text from looking like a part of the statement.
		b.WriteString(strings.TrimRight("| "+visible(strings.TrimSuffix(l, "\r")), " ") + "\n")
	}
}

// text returns the text of a version, nil when the statement has none.
func (s *Statement) text(agreement string, version int) *Text {
	for i := range s.Texts {
		if t := &s.Texts[i]; t.Agreement == agreement && t.Version == version {
			return t
		}
	}
	return nil
}

const column = 18

// field writes one line of name and value; an empty value is left out.
func field(b *strings.Builder, name, value string) {
	if value != "" {
		fmt.Fprintf(b, "%-*s %s\n", column, name+":", visible(value))
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 January 2006, 15:04:05 UTC")
}

func factorWords(f string) string {
	switch f {
	case policy.FactorTOTP:
		return "code of an authenticator app"
	case policy.FactorRecovery:
		return "recovery code"
	}
	return f
}

// visible replaces what a terminal or a reader could be fooled with: control
// characters, and marks that turn the direction of text.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029', r == unicode.ReplacementChar:
			return '\uFFFD'
		}
		return r
	}, s)
}
