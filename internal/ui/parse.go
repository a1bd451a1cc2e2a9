package ui

import (
	"fmt"
	"html/template"
	"io/fs"
	"path"
)

// load reads a whole set. Each page gets a set of its own, made of the
// layout, the shared components and its own folder, so that every page can
// define "main" and none can break another.
func load(fsys fs.FS) (*set, error) {
	a, err := gather(fsys)
	if err != nil {
		return nil, err
	}
	common := template.New("").Option("missingkey=error").Funcs(functions(a))
	for _, pattern := range []string{"layout/*.tmpl", "shared/*/*.tmpl"} {
		if common, err = common.ParseFS(fsys, pattern); err != nil {
			return nil, fmt.Errorf("parsing templates: %w", err)
		}
	}
	folders, err := fs.ReadDir(fsys, "pages")
	if err != nil {
		return nil, fmt.Errorf("reading pages: %w", err)
	}
	s := &set{pages: map[string]*template.Template{}, assets: a}
	for _, f := range folders {
		t, err := common.Clone()
		if err == nil {
			t, err = t.ParseFS(fsys, path.Join("pages", f.Name(), "*.tmpl"))
		}
		if err != nil {
			return nil, fmt.Errorf("parsing page %s: %w", f.Name(), err)
		}
		if t.Lookup("main") == nil {
			return nil, fmt.Errorf("parsing page %s: it defines no \"main\"", f.Name())
		}
		s.pages[f.Name()] = t
	}
	return s, nil
}
