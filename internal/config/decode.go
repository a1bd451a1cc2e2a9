package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
	"github.com/goccy/go-yaml/ast"
)

// A decoder fills a Config from YAML nodes and goes on after each fault, so
// that one run finds all of them.
type decoder struct {
	file   string
	faults Errors
	unread int            // how many of the faults are about values that could not be read
	lines  map[string]int // line of every field that was given, by its path
}

func (d *decoder) fault(line int, field, format string, args ...any) {
	d.faults = append(d.faults, Fault{File: d.file, Line: line, Field: field, Message: fmt.Sprintf(format, args...)})
}

func line(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// value puts n into v, which is a struct, a slice or a scalar of this package.
func (d *decoder) value(path string, n ast.Node, v reflect.Value) {
	if !d.plain(path, n) {
		return
	}
	switch p := v.Addr().Interface().(type) {
	case *time.Duration:
		scalar(d, path, n, p, parseDuration, "30m")
	case *Size:
		scalar(d, path, n, p, parseSize, "64MiB")
	case *netip.Prefix:
		scalar(d, path, n, p, parseNetwork, "10.0.0.0/8")
	case *string:
		d.text(path, n, p)
	case *int:
		d.integer(path, n, p)
	case *bool:
		d.boolean(path, n, p)
	default:
		switch v.Kind() {
		case reflect.Struct:
			d.fields(path, n, v)
		case reflect.Slice:
			d.list(path, n, v)
		default:
			panic("config: no decoding for " + v.Type().String())
		}
	}
}

// plain refuses what makes a file mean something else than it seems to.
func (d *decoder) plain(path string, n ast.Node) bool {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode:
		d.fault(line(n), path, "uses an anchor or alias (& or *): write the value itself, in quotes if it begins so")
	case *ast.TagNode:
		d.fault(line(n), path, "uses a tag (!): write the value without it, in quotes if it begins so")
	case *ast.NullNode:
		d.fault(line(n), path, "is empty: give it a value or remove the line")
	default:
		return true
	}
	return false
}

func (d *decoder) fields(path string, n ast.Node, v reflect.Value) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		d.fault(line(n), path, "is %s: write settings below it, each as name: value", kind(n))
		return
	}
	known := fieldsOf(v)
	seen := map[string]int{}
	for _, entry := range values {
		key, ok := entry.Key.(*ast.StringNode)
		if !ok {
			d.fault(line(entry.Key), path, "has a key that is not a plain name: write settings as name: value")
			continue
		}
		field, ok := known[key.Value]
		if !ok {
			d.fault(line(key), join(path, printable(key.Value)), "is not a setting%s", suggest(key.Value, known))
			continue
		}
		at := join(path, key.Value)
		if first, twice := seen[key.Value]; twice {
			d.fault(line(key), at, "is given twice, first on line %d: keep one", first)
			continue
		}
		seen[key.Value] = line(key)
		d.lines[at] = line(key)
		if entry.Value == nil {
			d.fault(line(key), at, "is empty: give it a value or remove the line")
			continue
		}
		d.value(at, entry.Value, field)
	}
}

func (d *decoder) list(path string, n ast.Node, v reflect.Value) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.fault(line(n), path, "is %s: write a list, each item after a dash", kind(n))
		return
	}
	list := reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values))
	for i, item := range seq.Values {
		at := fmt.Sprintf("%s[%d]", path, i)
		if item == nil {
			d.fault(line(n), at, "is empty: give it a value or remove the line")
			continue
		}
		d.lines[at] = line(item)
		d.value(at, item, list.Index(i))
	}
	v.Set(list)
}

func (d *decoder) text(path string, n ast.Node, into *string) {
	switch n := n.(type) {
	case *ast.StringNode:
		*into = n.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		d.fault(line(n), path, "is %s where text is wanted: put it in quotes", kind(n))
		return
	default:
		d.fault(line(n), path, "is %s: write text on one line", kind(n))
		return
	}
	if i := strings.IndexFunc(*into, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }); i >= 0 {
		d.fault(line(n), path, "holds a control character or is not UTF-8: write plain text on one line")
	}
}

func (d *decoder) integer(path string, n ast.Node, into *int) {
	i, ok := n.(*ast.IntegerNode)
	if !ok {
		d.fault(line(n), path, "is %s: write a whole number, without quotes", kind(n))
		return
	}
	switch value := i.Value.(type) {
	case int64:
		*into = int(value)
	case uint64:
		// Beyond any range that validation allows, whatever it was.
		*into = int(min(value, 1<<53))
	}
}

func (d *decoder) boolean(path string, n ast.Node, into *bool) {
	b, ok := n.(*ast.BoolNode)
	if !ok {
		d.fault(line(n), path, "is %s: write true or false, without quotes", kind(n))
		return
	}
	*into = b.Value
}

// scalar reads a value that is text with a form of its own.
func scalar[T any](d *decoder, path string, n ast.Node, into *T, parse func(string) (T, error), example string) {
	s, ok := n.(*ast.StringNode)
	if !ok {
		d.fault(line(n), path, "is %s: write it in a form such as %s", kind(n), example)
		return
	}
	v, err := parse(s.Value)
	if err != nil {
		d.fault(line(n), path, "%s", err)
		return
	}
	*into = v
}

// kind says in an operator's words what a node is.
func kind(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a group of settings"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode:
		return "text"
	case *ast.LiteralNode:
		return "a block of text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a bare number"
	case *ast.BoolNode:
		return "true or false"
	}
	return "something else"
}

func fieldsOf(v reflect.Value) map[string]reflect.Value {
	m := make(map[string]reflect.Value, v.NumField())
	for i := range v.NumField() {
		m[v.Type().Field(i).Tag.Get("yaml")] = v.Field(i)
	}
	return m
}

// suggest names the setting that was most likely meant, or all of them.
func suggest(key string, known map[string]reflect.Value) string {
	best, distance := "", 3
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
		if len(key) > 64 {
			continue
		}
		if n := levenshtein.ComputeDistance(key, name); n < distance || n == distance && name < best {
			best, distance = name, n
		}
	}
	if best != "" && distance < 3 {
		return ": did you mean " + best + "?"
	}
	slices.Sort(names)
	return ": here may stand " + strings.Join(names, ", ")
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// printable returns a key of the file as it may be shown on a terminal.
func printable(key string) string {
	if plainKey.MatchString(key) {
		return key
	}
	return quote(key)
}
