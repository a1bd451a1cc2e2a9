package language

import (
	"embed"
	"fmt"
	"regexp"
	"strings"

	"github.com/leonelquinteros/gotext"
	"golang.org/x/text/language"
)

//go:embed *.po
var files embed.FS

// A Catalogue puts English texts into one language. It is safe for concurrent
// use.
type Catalogue struct {
	Tag  language.Tag
	Name string // of the language, in itself
	po   *gotext.Po
	// said are the texts without forms for numbers; gotext itself would take a
	// percent sign in them for a verb.
	said map[string]*gotext.Translation
	mark bool
}

// English is the language of the source, whose catalogue is empty.
var English = &Catalogue{Tag: language.English, Name: "English"}

// Pseudo is no language: it puts ⟦ and ⟧ around every text that a catalogue
// would translate, and ⟪ and ⟫ around what is kept from them, so that a test
// finds the words that are neither. Its tag is the one that Unicode's CLDR has
// for such languages.
var Pseudo = &Catalogue{Tag: language.MustParse("en-XA"), Name: "⟦Pseudo⟧", mark: true}

// All returns English and every language with a catalogue.
func All() ([]*Catalogue, error) {
	all := []*Catalogue{English}
	for _, l := range []struct{ file, name string }{{"de", "Deutsch"}} {
		c, err := read(l.file, l.name)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func read(tag, name string) (*Catalogue, error) {
	b, err := files.ReadFile(tag + ".po")
	if err != nil {
		return nil, fmt.Errorf("reading the catalogue of %s: %w", name, err)
	}
	t, err := language.Parse(tag)
	if err != nil {
		return nil, fmt.Errorf("reading the catalogue of %s: %w", name, err)
	}
	po := gotext.NewPo()
	po.Parse(b)
	return &Catalogue{Tag: t, Name: name, po: po, said: po.GetDomain().GetTranslations()}, nil
}

// Say returns the translation of an English text, and the text itself when
// there is none.
func (c *Catalogue) Say(key string) string {
	switch {
	case c.mark:
		return marked(key)
	case key == "":
		return key
	}
	if t := c.said[key]; t != nil {
		return t.Get()
	}
	return key
}

// Keep returns a text that is the same in every language.
func (c *Catalogue) Keep(s string) string {
	if c.mark {
		return "⟪" + s + "⟫"
	}
	return s
}

// Count returns the translation for n of a text that has a form for one and
// one for others, and the English one when there is none.
func (c *Catalogue) Count(n int, one, other string) string {
	if c.po != nil {
		return c.po.GetN(one, other, n)
	}
	if n == 1 {
		return c.Say(one)
	}
	return c.Say(other)
}

var notWords = regexp.MustCompile(`\{[1-9]\}|</?[a-z]+[0-9]*>`)

// marked puts marks around the words of a text and not around its
// placeholders, whose values need marks of their own.
func marked(key string) string {
	var b strings.Builder
	at := 0
	for _, m := range append(notWords.FindAllStringIndex(key, -1), []int{len(key), len(key)}) {
		if m[0] > at {
			b.WriteString("⟦" + key[at:m[0]] + "⟧")
		}
		b.WriteString(key[m[0]:m[1]])
		at = m[1]
	}
	return b.String()
}
