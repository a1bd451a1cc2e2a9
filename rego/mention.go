package rego

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Mentioned is what the modules of a set name literally of requests: whoever
// looks for requests that could be decided differently tries these first.
type Mentioned struct {
	Methods []string   // upper case
	Paths   [][]string // as segments
}

// maxMentioned bounds what a set can name, so that one full of constants does
// not make a matrix that never ends.
const maxMentioned = 24

var methodWord = regexp.MustCompile(`^(GET|HEAD|OPTIONS|POST|PUT|PATCH|DELETE)$`)

// Mentions returns the methods and paths that a set names, tests left out, each
// at most 24, sorted. A set that does not parse mentions what could be read.
func Mentions(src Source) Mentioned {
	methods, paths := map[string]bool{}, map[string][]string{}
	modules, _ := parse(src, capabilities())
	for _, m := range modules {
		if m.scope.test {
			continue
		}
		for _, r := range m.Rules {
			mentionedIn(r, methods, paths)
		}
	}
	var out Mentioned
	out.Methods = slices.Sorted(maps.Keys(methods))
	for _, k := range slices.Sorted(maps.Keys(paths)) {
		if len(out.Paths) < maxMentioned {
			out.Paths = append(out.Paths, paths[k])
		}
	}
	return out
}

func mentionedIn(r *ast.Rule, methods map[string]bool, paths map[string][]string) {
	ofPath := readsPath(r)
	add := func(segments []string) {
		if key := strings.Join(segments, "/"); len(segments) > 0 && key != "" {
			paths[key] = segments
		}
	}
	ast.WalkTerms(r, func(t *ast.Term) bool {
		switch v := t.Value.(type) {
		case ast.String:
			s := string(v)
			switch {
			case methodWord.MatchString(s):
				methods[s] = true
			case strings.HasPrefix(s, "/") && len(s) < 256:
				add(strings.Split(strings.Trim(s, "/"), "/"))
			}
		case *ast.Array:
			if segments, ok := constantStrings(v); ok && ofPath {
				add(segments)
				return true
			}
		}
		return false
	})
	// input.request.path[0] == "admin"
	ast.WalkExprs(r, func(e *ast.Expr) bool {
		if first, ok := comparedFirst(e); ok {
			add([]string{first})
		}
		return false
	})
}

var pathRef = ast.MustParseRef("input.request.path")

func readsPath(r *ast.Rule) bool {
	found := false
	ast.WalkRefs(r, func(ref ast.Ref) bool {
		found = found || ref.HasPrefix(pathRef)
		return found
	})
	return found
}

// constantStrings returns the elements of an array of plain strings that could
// be the segments of a path.
func constantStrings(a *ast.Array) (out []string, ok bool) {
	for i := range a.Len() {
		s, plain := a.Elem(i).Value.(ast.String)
		if !plain || s == "" || strings.ContainsAny(string(s), "/ ") || methodWord.MatchString(string(s)) {
			return nil, false
		}
		out = append(out, string(s))
	}
	return out, len(out) > 0
}

// comparedFirst returns the constant that the first segment is compared with.
func comparedFirst(e *ast.Expr) (string, bool) {
	if !e.IsEquality() && !e.IsCall() || len(e.Operands()) != 2 {
		return "", false
	}
	var word string
	var first bool
	for _, t := range e.Operands() {
		switch v := t.Value.(type) {
		case ast.String:
			word = string(v)
		case ast.Ref:
			first = v.HasPrefix(pathRef) && len(v) == len(pathRef)+1 && v[len(v)-1].Equal(ast.InternedTerm(0))
		}
	}
	return word, first && word != "" && !strings.HasPrefix(word, "/")
}
