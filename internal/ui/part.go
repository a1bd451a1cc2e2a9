package ui

import (
	"bytes"
	"fmt"
	"net/http"
)

// Part returns one template of a page, such as the rows of a table, in the
// language of the request, for what is added to a page after it was written.
// It is escaped like the page itself.
func (u *Renderer) Part(r *http.Request, page, name string, data any) ([]byte, error) {
	s, err := u.current()
	if err != nil {
		return nil, err
	}
	one := func(language int) ([]byte, error) {
		t := s.pages[language][page]
		if t == nil {
			return nil, fmt.Errorf("rendering a part: no page %q", page)
		}
		var b bytes.Buffer
		if err := t.ExecuteTemplate(&b, name, data); err != nil {
			return nil, fmt.Errorf("rendering a part of page %s: %w", page, err)
		}
		return b.Bytes(), nil
	}
	if u.marked != nil {
		m, err := one(len(s.pages) - 1)
		if err != nil {
			return nil, err
		}
		u.marked(page, m)
	}
	return one(u.languages.of(r))
}
