package rego

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/ringfence/ringfence/policy"
)

// A key is one field's name as a term, made once.
type key struct {
	name string
	term *ast.Term
}

func newKey(name string) key { return key{name, ast.StringTerm(name)} }

func intTerm(n int64) *ast.Term {
	if n >= 0 && n < 512 {
		return ast.InternedTerm(int(n))
	}
	return &ast.Term{Value: ast.Number(strconv.FormatInt(n, 10))}
}

var emptyArray = ast.ArrayTerm()

// factsTerm returns the document's term, built at its first use and kept with it.
func factsTerm(d *policy.Document) *ast.Term {
	return d.Prepared(prepareFacts).(*ast.Term)
}

func prepareFacts(d *policy.Document) any {
	t := termOf(reflect.ValueOf(d.Facts()))
	// Hashes and order are settled here, not by whoever happens to be first of
	// the evaluations that share the term.
	t.Hash()
	t.IsGround()
	return t
}

// inputTerm returns the whole of in, as policies may read it.
func inputTerm(in *policy.Input) *ast.Term { return termOf(reflect.ValueOf(in)) }

// termOf returns v as its JSON form is read by policies, but with an empty
// array for a nil slice. It is too slow for the request path.
func termOf(v reflect.Value) *ast.Term {
	if d, ok := v.Interface().(*policy.Document); ok {
		return termOf(reflect.ValueOf(d.Facts()))
	}
	switch v.Kind() {
	case reflect.Pointer:
		return termOf(v.Elem())
	case reflect.String:
		return ast.StringTerm(v.String())
	case reflect.Bool:
		return ast.BooleanTerm(v.Bool())
	case reflect.Int, reflect.Int64:
		return intTerm(v.Int())
	case reflect.Slice:
		terms := make([]*ast.Term, v.Len())
		for i := range terms {
			terms[i] = termOf(v.Index(i))
		}
		return ast.ArrayTerm(terms...)
	case reflect.Map:
		var items [][2]*ast.Term
		for k, e := range v.Seq2() {
			items = append(items, [2]*ast.Term{termOf(k), termOf(e)})
		}
		return ast.ObjectTerm(items...)
	case reflect.Struct:
		var items [][2]*ast.Term
		for f, e := range v.Fields() {
			name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" {
				continue
			}
			if option == "omitempty" && (e.IsZero() || e.Kind() == reflect.Map && e.Len() == 0 || e.Kind() == reflect.Slice && e.Len() == 0) {
				continue
			}
			if option == "omitzero" && e.IsZero() { // an empty list is something to know, none is not
				continue
			}
			items = append(items, [2]*ast.Term{ast.StringTerm(name), termOf(e)})
		}
		return ast.ObjectTerm(items...)
	}
	panic("policy.Input has a field of a type that has no term: " + v.Type().String())
}

// jsonTerm reads a term out of JSON, numbers as they are written.
func jsonTerm(b []byte) (*ast.Term, error) {
	var x any
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	if err := d.Decode(&x); err != nil {
		return nil, err
	}
	v, err := ast.InterfaceToValue(x)
	if err != nil {
		return nil, err
	}
	return ast.NewTerm(v), nil
}
