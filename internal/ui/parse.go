package ui

import (
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"text/template/parse"

	"github.com/ringfence/ringfence/internal/ui/language"
)

// load reads a whole set, once for each language.
func load(fsys fs.FS, l *languages) (*set, error) {
	a, err := gather(fsys)
	if err != nil {
		return nil, err
	}
	s := &set{assets: a}
	for _, t := range l.tongues {
		pages, err := loadPages(fsys, a, t, l.others(t))
		if err != nil {
			return nil, err
		}
		s.pages = append(s.pages, pages)
	}
	return s, nil
}

// loadPages parses every page in one language. Each page gets a set of its
// own, made of the layout, the shared components and its own folder, so that
// every page can define "main" and none can break another.
func loadPages(fsys fs.FS, a *assets, t tongue, others []Language) (map[string]*template.Template, error) {
	common := template.New("").Option("missingkey=error").Funcs(functions(a, t, others))
	for _, pattern := range []string{"layout/*.tmpl", "shared/*/*.tmpl"} {
		if err := parseAll(common, fsys, pattern, t); err != nil {
			return nil, fmt.Errorf("parsing templates: %w", err)
		}
	}
	folders, err := fs.ReadDir(fsys, "pages")
	if err != nil {
		return nil, fmt.Errorf("reading pages: %w", err)
	}
	pages := map[string]*template.Template{}
	for _, f := range folders {
		page, err := common.Clone()
		if err == nil {
			err = parseAll(page, fsys, path.Join("pages", f.Name(), "*.tmpl"), t)
		}
		if err != nil {
			return nil, fmt.Errorf("parsing page %s: %w", f.Name(), err)
		}
		if page.Lookup("main") == nil {
			return nil, fmt.Errorf("parsing page %s: it defines no \"main\"", f.Name())
		}
		for _, part := range page.Templates() {
			if part.Tree != nil {
				wordActions(part.Tree.Root)
			}
		}
		pages[f.Name()] = page
	}
	return pages, nil
}

// parseAll adds the templates of the files that match, translated.
func parseAll(to *template.Template, fsys fs.FS, pattern string, t tongue) error {
	files, err := fs.Glob(fsys, pattern)
	if err != nil {
		return err
	}
	for _, name := range files {
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		text := string(src)
		if t.Catalogue != language.English {
			if text, err = language.Template(text, t.Say); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if _, err := to.New(name).Parse(text); err != nil {
			return err
		}
	}
	return nil
}

// plain are functions whose results are no Text.
var plain = map[string]bool{"asset": true, "markdown": true, "otpauth": true, "date": true, "datetime": true, "machine": true, "join": true, "add": true, "lang": true, "len": true, "word": true}

// wordActions puts the function word behind every action that writes
// something, as html/template does with its escapers.
func wordActions(n parse.Node) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, c := range n.Nodes {
				wordActions(c)
			}
		}
	case *parse.ActionNode:
		if len(n.Pipe.Decl) == 0 && !isPlain(n.Pipe) {
			n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos,
				Args: []parse.Node{parse.NewIdentifier("word").SetPos(n.Pos)}})
		}
	case *parse.IfNode:
		wordActions(n.List)
		wordActions(n.ElseList)
	case *parse.RangeNode:
		wordActions(n.List)
		wordActions(n.ElseList)
	case *parse.WithNode:
		wordActions(n.List)
		wordActions(n.ElseList)
	}
}

// isPlain reports whether the last command of a pipe calls one of plain.
func isPlain(p *parse.PipeNode) bool {
	f, ok := p.Cmds[len(p.Cmds)-1].Args[0].(*parse.IdentifierNode)
	return ok && plain[f.Ident]
}
