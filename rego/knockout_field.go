package rego

import (
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// readable are the parts of the input that the administrators' modules of a
// compiled set can look at, each as a path in which "*" is any field or index.
// A part that is taken whole, by a variable or a function, is read with all
// that is in it; so whatever helpers do with it is covered.
type readable [][]string

// readableOf walks every rule of the compiled modules: there, local names are
// replaced by what they stand for or by a reference to it.
func readableOf(s *set) readable {
	var out readable
	for name, m := range s.compiler.Modules {
		if strings.HasPrefix(name, stockPrefix) {
			continue
		}
		ast.NewGenericVisitor(func(x any) bool {
			t, ok := x.(*ast.Term)
			if !ok {
				return false
			}
			switch v := t.Value.(type) {
			case ast.Ref:
				if len(v) == 0 || !v[0].Equal(ast.InputRootDocument) {
					return false
				}
				path := make([]string, 0, len(v)-1)
				for _, part := range v[1:] {
					name := "*"
					if s, ok := part.Value.(ast.String); ok {
						name = string(s)
					}
					path = append(path, name)
				}
				out = append(out, path)
				for _, part := range v[1:] { // which may hold references of their own
					if r, ok := part.Value.(ast.Ref); ok {
						out = append(out, readableRef(r)...)
					}
				}
				return true
			case ast.Var:
				if v.Equal(ast.InputRootDocument.Value) {
					out = append(out, nil) // the whole of it
				}
			}
			return false
		}).Walk(m)
	}
	return out
}

// readableRef is what a reference inside another one reads.
func readableRef(r ast.Ref) (out readable) {
	if len(r) == 0 || !r[0].Equal(ast.InputRootDocument) {
		return nil
	}
	path := []string{}
	for _, part := range r[1:] {
		s, ok := part.Value.(ast.String)
		if !ok {
			break
		}
		path = append(path, string(s))
	}
	return readable{path}
}

// has reports whether the policies can read what is at path, above it or below.
func (r readable) has(path []string) bool {
	return slices.ContainsFunc(r, func(read []string) bool {
		for i := range min(len(read), len(path)) {
			if read[i] != "*" && read[i] != path[i] && !strings.HasPrefix(path[i], "[") {
				return false
			}
		}
		return true
	})
}

// maxSingles bounds the elements of a list that lose a field one by one.
const maxSingles = 4

// of returns the fields that an input has and the policies can read. Whole
// groups are never missing, but for the facts. In a list, a field is taken from
// all elements ("[]") and from single ones ("[2]").
func (r readable) of(input *ast.Term) [][]string {
	var out [][]string
	seen := map[string]bool{}
	var walk func(t *ast.Term, at []string)
	walk = func(t *ast.Term, at []string) {
		switch v := t.Value.(type) {
		case ast.Object:
			for _, key := range v.Keys() {
				name, ok := key.Value.(ast.String)
				if !ok {
					continue
				}
				path := append(slices.Clip(slices.Clone(at)), string(name))
				if !r.has(path) {
					continue
				}
				if id := strings.Join(path, "\x00"); !seen[id] && (len(path) > 1 || path[0] == "facts") {
					seen[id] = true
					out = append(out, path)
				}
				walk(v.Get(key), path)
			}
		case *ast.Array:
			for i := range v.Len() {
				walk(v.Elem(i), append(slices.Clone(at), "[]"))
				if v.Len() > 1 && i < maxSingles {
					walk(v.Elem(i), append(slices.Clone(at), "["+strconv.Itoa(i)+"]"))
				}
			}
		}
	}
	walk(input, nil)
	slices.SortFunc(out, slices.Compare)
	return out
}

// drop returns t without the field at path, and the value that it had; nil
// where it had none.
func drop(t *ast.Term, path []string) (without, had *ast.Term) {
	switch v := t.Value.(type) {
	case ast.Object:
		out := ast.NewObject()
		v.Foreach(func(key, value *ast.Term) {
			if key.Value.Compare(ast.String(path[0])) == 0 {
				if len(path) == 1 {
					had = value
					return
				}
				value, had = drop(value, path[1:])
			}
			out.Insert(key, value)
		})
		return ast.NewTerm(out), had
	case *ast.Array:
		if len(path) == 1 || !strings.HasPrefix(path[0], "[") {
			return t, nil
		}
		terms := make([]*ast.Term, v.Len())
		for i := range terms {
			terms[i] = v.Elem(i)
			if path[0] == "[]" || path[0] == "["+strconv.Itoa(i)+"]" {
				one, was := drop(terms[i], path[1:])
				if terms[i] = one; had == nil {
					had = was
				}
			}
		}
		return ast.ArrayTerm(terms...), had
	}
	return t, nil
}

// fieldName writes a path for people: facts.agreements[].version.
func fieldName(path []string) string {
	var b strings.Builder
	for i, part := range path {
		switch {
		case strings.HasPrefix(part, "["):
			b.WriteString("[]")
			continue
		case i > 0:
			b.WriteByte('.')
		}
		b.WriteString(part)
	}
	return b.String()
}
