package ui

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"sync"
)

//go:embed layout shared pages static
var embedded embed.FS

// Config says how a [Renderer] works. The zero value is ready for production.
type Config struct {
	// Dev is a folder with the layout, shared, pages and static folders of
	// this package's source. When set, they are read again for every page:
	// for development only, never in production.
	Dev    string
	Logger *slog.Logger // nil: slog.Default
	// Marked, when set, is given every page a second time, with ⟦ and ⟧ around
	// each text that a catalogue would translate and ⟪ and ⟫ around what
	// [Verbatim] keeps from it: for tests that look for other words.
	Marked func(page string, body []byte)
}

// A Renderer writes pages. It is safe for concurrent use.
type Renderer struct {
	log       *slog.Logger
	dev       string
	set       *set
	languages *languages
	marked    func(page string, body []byte)
	fallback  [][]byte // the error page of each language, rendered at start
	buffers   sync.Pool
}

// A set is everything that was read from one file system.
type set struct {
	pages  []map[string]*template.Template // of each language
	assets *assets
}

// New reads and parses every template and joins styles and scripts. It fails
// when one of them is broken, so that a started program can show every page.
func New(c Config) (*Renderer, error) {
	u := &Renderer{log: c.Logger, dev: c.Dev, marked: c.Marked, buffers: sync.Pool{New: func() any { return new(bytes.Buffer) }}}
	if u.log == nil {
		u.log = slog.Default()
	}
	made := embeddedPages
	if c.Marked != nil {
		made = markedPages
	}
	if c.Dev != "" {
		made = func() (*parsed, error) { return parsePages(os.DirFS(c.Dev), c.Marked != nil) }
	}
	p, err := made()
	if err != nil {
		return nil, err
	}
	u.languages, u.set = p.languages, p.set
	page := ErrorPage{Frame: Frame{Title: "Something went wrong", Narrow: true}, Status: http.StatusInternalServerError,
		Detail: "The page could not be made. Nothing was changed. Please try again."}
	for i := range u.languages.tongues {
		var b bytes.Buffer
		if err := u.set.execute(&b, i, "error", page); err != nil {
			return nil, fmt.Errorf("rendering the error page: %w", err)
		}
		u.fallback = append(u.fallback, b.Bytes())
	}
	return u, nil
}

// parsed is a set with the languages that it was made in. Neither changes.
type parsed struct {
	languages *languages
	set       *set
}

func parsePages(from fs.FS, marked bool) (*parsed, error) {
	l, err := newLanguages(marked)
	if err != nil {
		return nil, err
	}
	s, err := load(from, l)
	return &parsed{l, s}, err
}

// The embedded files are parsed once a process, whoever needs them: every page
// in every language takes a while.
var (
	embeddedPages = sync.OnceValues(func() (*parsed, error) { return parsePages(embedded, false) })
	markedPages   = sync.OnceValues(func() (*parsed, error) { return parsePages(embedded, true) })
)

// current returns the set to render with: the one made at start, or a fresh
// one in development.
func (u *Renderer) current() (*set, error) {
	if u.dev == "" {
		return u.set, nil
	}
	return load(os.DirFS(u.dev), u.languages)
}

func (s *set) execute(b *bytes.Buffer, language int, page string, data any) error {
	t := s.pages[language][page]
	if t == nil {
		return fmt.Errorf("no page %q", page)
	}
	return t.ExecuteTemplate(b, "base", data)
}

// Page writes the named page with the given status, in the language of the
// request: the one that was chosen here, else the best that its
// Accept-Language header asks for, else English. data must embed [Frame].
// The page is complete before its first byte is written: where it cannot be
// made, the person gets a plain error page with status 500 and the operational
// log the cause.
func (u *Renderer) Page(w http.ResponseWriter, r *http.Request, status int, page string, data any) {
	b := u.buffers.Get().(*bytes.Buffer)
	defer u.buffers.Put(b)
	b.Reset()
	language := u.languages.of(r)
	s, err := u.current()
	if err == nil {
		err = s.execute(b, language, page, data)
	}
	body := b.Bytes()
	if u.marked != nil && err == nil {
		var m bytes.Buffer
		err = s.execute(&m, len(s.pages)-1, page, data)
		u.marked(page, m.Bytes())
	}
	if err != nil {
		u.log.ErrorContext(r.Context(), "rendering page", "page", page, "err", err)
		status, body = http.StatusInternalServerError, u.fallback[language]
	}
	var targets []string
	if f, ok := data.(framed); ok {
		targets = f.formTargets()
	}
	SecureHeaders(w.Header(), targets...)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Add("Vary", "Accept-Language, Cookie")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

// Pages returns the names of all pages, for tests that visit each.
func (u *Renderer) Pages() []string {
	var names []string
	for n := range u.set.pages[0] {
		names = append(names, n)
	}
	return names
}
