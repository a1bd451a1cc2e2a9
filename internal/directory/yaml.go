package directory

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// FormatVersion is the version of the YAML form, its top-level field version.
const FormatVersion = 1

const (
	maxFile  = 256 << 20
	maxDepth = 16 // the form itself is five deep
)

// ParseYAML reads a directory, or a part of one, in YAML. name is what faults
// call the file. The reading is strict: unknown fields, fields given twice,
// values of another type, anchors and tags are faults, and every fault that can
// be found without other objects is returned at once, as [Faults] with lines.
// References are checked by [Directory.Check], after [Merge].
//
// Dates are written 2026-01-31 or as RFC 3339. A day alone means for starts its
// first moment in UTC, for ends its last second.
func ParseYAML(name string, b []byte) (*Directory, error) {
	r := &reader{file: name, lines: lines{map[string][]objectLines{}}}
	body := r.parse(b)
	if body == nil {
		if len(r.faults) == 0 {
			r.fault(1, "", "the file is empty: begin with version: %d", FormatVersion)
		}
		return nil, r.faults
	}
	d := r.document(body)
	c := newChecker(d, name, &r.lines)
	c.objects("")
	r.faults = append(r.faults, c.faults...)
	if len(r.faults) > 0 {
		return nil, r.faults
	}
	return d, nil
}

// A reader turns one file's syntax tree into objects and gathers its faults.
type reader struct {
	file   string
	lines  lines
	faults Faults
}

func (r *reader) fault(line int, field, format string, args ...any) {
	r.faults = append(r.faults, Fault{File: r.file, Line: max(line, 1), Field: field, Message: fmt.Sprintf(format, args...)})
}

// parse returns the document's body; nil with or without a fault.
func (r *reader) parse(b []byte) (body ast.Node) {
	b = []byte(strings.TrimPrefix(string(b), "\ufeff"))
	if len(b) > maxFile {
		r.fault(1, "", "the file is larger than %d MiB", maxFile>>20)
		return nil
	}
	if !utf8.Valid(b) {
		r.fault(1+strings.Count(string(validPrefix(b)), "\n"), "", "the file is not UTF-8")
		return nil
	}
	// A file that the parser cannot cope with is a faulty file, not a reason
	// for the gateway to end.
	defer func() {
		if p := recover(); p != nil {
			r.fault(1, "", "the file is not valid YAML")
			body = nil
		}
	}()
	tokens := lexer.Tokenize(strings.ReplaceAll(string(b), "\r\n", "\n"))
	if line := tooDeep(tokens); line > 0 {
		r.fault(line, "", "the file is nested too deeply")
		return nil
	}
	// Keys given twice are found by the reader, all of them.
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		line, message := 1, "the file is not valid YAML"
		var e yaml.Error
		if errors.As(err, &e) {
			message = e.GetMessage()
			if t := e.GetToken(); t != nil && t.Position != nil {
				line = t.Position.Line
			}
		}
		r.fault(line, "", "%s", message)
		return nil
	}
	for _, doc := range f.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			r.fault(lineOf(doc.Body), "", "only one document is allowed in a file")
			return nil
		}
		body = doc.Body
	}
	return body
}

// tooDeep returns the line on which a file nests deeper than any directory
// does, before the parser would follow it down.
func tooDeep(tokens token.Tokens) int {
	flow, entries, line := 0, 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType:
			if t.Position.Line != line {
				entries, line = 0, t.Position.Line
			}
			entries++
		}
		if flow > maxDepth || entries > maxDepth || t.Position.IndentNum > 64*maxDepth {
			return t.Position.Line
		}
	}
	return 0
}

func validPrefix(b []byte) []byte {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return b[:i]
		}
		i += n
	}
	return b
}

func lineOf(n ast.Node) int {
	if n == nil {
		return 1
	}
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		n = m.Values[0].Key
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 1
}

// mapping calls set for each field of n, in order, and returns where the
// fields stand. set returns whether the value could be read.
func (r *reader) mapping(n ast.Node, at string, known []string, set func(key, at string, v ast.Node) bool) ([]fieldLine, bool) {
	var values []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	default:
		r.fault(lineOf(n), at, "must be a mapping of fields, such as %s: …", known[0])
		return nil, false
	}
	fields := make([]fieldLine, 0, len(values))
	for _, v := range values {
		k, ok := v.Key.(*ast.StringNode)
		if !ok {
			r.fault(lineOf(v.Key), at, "the field's name must be plain text")
			continue
		}
		line, below := lineOf(v.Key), k.Value
		if at != "" {
			below = at + "." + k.Value
		}
		if !contains(known, k.Value) {
			r.fault(line, at, "unknown field %q: known are %s", k.Value, strings.Join(known, ", "))
			continue
		}
		if twice := find(fields, k.Value); twice != nil {
			r.fault(line, below, "is given twice, first on line %d", twice.line)
			continue
		}
		good := set(k.Value, below, v.Value)
		fields = append(fields, fieldLine{k.Value, line, !good})
	}
	return fields, true
}

func find(fields []fieldLine, name string) *fieldLine {
	for i := range fields {
		if fields[i].name == name {
			return &fields[i]
		}
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// sequence calls item for each entry of n.
func (r *reader) sequence(n ast.Node, at string, item func(i int, at string, n ast.Node) bool) bool {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		r.fault(lineOf(n), at, "must be a list")
		return false
	}
	good := true
	for i, v := range s.Values {
		good = item(i, fmt.Sprintf("%s[%d]", at, i), v) && good
	}
	return good
}
