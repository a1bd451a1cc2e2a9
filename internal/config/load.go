package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFile and maxNesting bound what is handed to the YAML parser, which
// descends once for every bracket it meets.
const (
	maxFile    = 1 << 20
	maxNesting = 100
)

// Load reads and judges the file at path. A file that can be read but is wrong
// gives [Errors]; the configuration is nil then.
func Load(path string) (*Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return Parse(path, b)
}

// Parse judges b as the contents of a file called name. Every fault is found
// at once and returned as [Errors], with a nil configuration. Relative paths
// are taken from the folder of name.
func Parse(name string, b []byte) (*Config, error) {
	d := &decoder{file: name, lines: map[string]int{}}
	c := Default()
	if body := d.parse(b); body != nil {
		d.value("", body, reflect.ValueOf(c).Elem())
		c.resolve(filepath.Dir(name))
		d.validate(c)
	}
	if len(d.faults) > 0 {
		d.faults.sort()
		return nil, d.faults
	}
	c.complete()
	return c, nil
}

// parse returns the one mapping that b holds, or nil after it noted a fault.
func (d *decoder) parse(b []byte) (body ast.Node) {
	// A parser that gives up on a hostile file must not take the gateway along
	// when the file is read again while it serves.
	defer func() {
		if r := recover(); r != nil {
			d.fault(0, "", "cannot be read as YAML")
			body = nil
		}
	}()
	if len(b) > maxFile {
		d.fault(0, "", "is larger than %s: a configuration is not", Size(maxFile))
		return nil
	}
	if line := tooDeep(b); line > 0 {
		d.fault(line, "", "nests too deeply to be a configuration")
		return nil
	}
	f, err := parser.ParseBytes(b, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return nil
	}
	var bodies []ast.Node
	for _, doc := range f.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.CommentType && doc.Body.Type() != ast.DirectiveType {
			bodies = append(bodies, doc.Body)
		}
	}
	switch len(bodies) {
	case 0:
		d.fault(0, "gate", "is missing: give at least the gate, such as gate: https://gate.example.com")
		return nil
	case 1:
		return bodies[0]
	}
	d.fault(line(bodies[1]), "", "a second document begins: a configuration is one document, without ---")
	return nil
}

func (d *decoder) syntax(err error) {
	var s *yaml.SyntaxError
	if !errors.As(err, &s) {
		d.fault(0, "", "is not YAML: %s", firstLine(err.Error()))
		return
	}
	n := 0
	if s.Token != nil && s.Token.Position != nil {
		n = s.Token.Position.Line
	}
	d.fault(n, "", "is not YAML: %s", firstLine(s.Message))
}

// firstLine keeps the parser's own words to one printable line.
func firstLine(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	q := quote(text)
	return q[1 : len(q)-1]
}

// tooDeep returns the first line by which more brackets are open than any
// configuration needs, or that is indented or dashed as deeply; 0 for none.
// Brackets in quotes and comments count as well: it guards, it does not parse.
func tooDeep(b []byte) int {
	open := 0
	for i, text := range strings.Split(string(b), "\n") {
		markers := 0
		for _, r := range text {
			switch r {
			case '[', '{':
				open++
			case ']', '}':
				open = max(0, open-1)
			case '-', '?', ':', '&', '!', '>', '|':
				markers++
			}
		}
		if open > maxNesting || markers > 4*maxNesting {
			return i + 1
		}
	}
	return 0
}
