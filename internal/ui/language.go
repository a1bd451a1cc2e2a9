package ui

import (
	"net/http"
	"strings"
	"time"

	bcp47 "golang.org/x/text/language"

	"github.com/ringfence/ringfence/internal/ui/language"
)

// LanguageCookie keeps the language that a person chose, for one host. Its
// value counts only when it is the tag of a language that there is.
const LanguageCookie = "__Host-ringfence-language"

// maxAccept bounds how much of an Accept-Language header is read.
const maxAccept = 200

// A tongue puts texts into one language.
type tongue struct{ *language.Catalogue }

var english = tongue{language.English}

// A Language is one that pages can be read in.
type Language struct{ Tag, Name string }

// languages are those that a Renderer knows, English first.
type languages struct {
	tongues []tongue
	count   int // of those that can be chosen
	matcher bcp47.Matcher
}

func newLanguages(pseudo bool) (*languages, error) {
	all, err := language.All()
	if err != nil {
		return nil, err
	}
	l := &languages{}
	var tags []bcp47.Tag
	for _, c := range all {
		l.tongues = append(l.tongues, tongue{c})
		tags = append(tags, c.Tag)
	}
	l.count = len(tags)
	if pseudo {
		l.tongues = append(l.tongues, tongue{language.Pseudo})
	}
	l.matcher = bcp47.NewMatcher(tags)
	return l, nil
}

// of returns the number of the language for a request: the one that the
// person chose, else the best of those that the browser asks for.
func (l *languages) of(r *http.Request) int {
	if k, err := r.Cookie(LanguageCookie); err == nil {
		for i, t := range l.tongues[:l.count] {
			if t.Tag.String() == k.Value {
				return i
			}
		}
	}
	accept := r.Header.Get("Accept-Language")
	if accept == "" || len(accept) > maxAccept {
		return 0
	}
	tags, _, err := bcp47.ParseAcceptLanguage(accept)
	if err != nil {
		return 0
	}
	_, i, confidence := l.matcher.Match(tags...)
	if confidence == bcp47.No {
		return 0
	}
	return i
}

// HasLanguage reports whether pages can be read in the language with this tag.
func (u *Renderer) HasLanguage(tag string) bool {
	for _, t := range u.languages.tongues[:u.languages.count] {
		if t.Tag.String() == tag {
			return true
		}
	}
	return false
}

// Say returns t in the language in which r is answered: for what a page fills
// into a field. Everything else that pages say, they are given as a Text.
func (u *Renderer) Say(r *http.Request, t Text) string {
	return u.languages.tongues[u.languages.of(r)].word(t)
}

// others returns the languages that a page in t offers instead.
func (l *languages) others(t tongue) []Language {
	var out []Language
	for _, o := range l.tongues[:l.count] {
		if o.Catalogue != t.Catalogue {
			out = append(out, Language{o.Tag.String(), o.Name})
		}
	}
	return out
}

// layouts are how times are written, as a translation may write them too.
var layouts = map[byte]Text{
	'd': "2 Jan 2006",
	'l': "2 January 2006",
	'h': "15:04 UTC",
	'm': "2 Jan 2006, 15:04 UTC",
	'i': "2 Jan 2006, 15:04:05.000 UTC",
}

var months = [12][2]Text{{"January", "Jan"}, {"February", "Feb"}, {"March", "Mar"}, {"April", "Apr"}, {"May", "May"}, {"June", "Jun"},
	{"July", "Jul"}, {"August", "Aug"}, {"September", "Sep"}, {"October", "Oct"}, {"November", "Nov"}, {"December", "Dec"}}

// format writes a time in UTC in one of the layouts.
func (l tongue) format(layout byte, t time.Time) string {
	t = t.UTC()
	if l.Catalogue == language.English {
		return t.Format(string(layouts[layout]))
	}
	form, month := l.Say(string(layouts[layout])), months[t.Month()-1]
	name, short := month[0], "January"
	if !strings.Contains(form, short) {
		name, short = month[1], "Jan"
	}
	before, after, dated := strings.Cut(form, short)
	if !dated { // an hour of the day
		return t.Format(form)
	}
	return t.Format(before) + l.Say(string(name)) + t.Format(after)
}
