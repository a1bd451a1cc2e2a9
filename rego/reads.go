package rego

import "github.com/open-policy-agent/opa/v1/ast"

// reads says which fields of the subject and the request a set can look at at
// all; what no module names is not built for each request. It is a superset:
// where a module takes a whole group, or names a field by a variable,
// everything counts as read.
type reads struct {
	all    bool
	fields map[[2]string]bool
}

func (r *reads) has(group, field string) bool { return r.all || r.fields[[2]string{group, field}] }

// readsOf walks every rule of the compiled modules, whether it can be reached
// or not.
func readsOf(c *ast.Compiler) reads {
	r := reads{fields: map[[2]string]bool{}}
	for _, m := range c.Modules {
		for _, rule := range m.Rules {
			r.walk(rule)
		}
	}
	return r
}

func (r *reads) walk(x any) {
	ast.NewGenericVisitor(func(x any) bool {
		t, ok := x.(*ast.Term)
		if !ok {
			return false
		}
		switch v := t.Value.(type) {
		case ast.Ref:
			return r.ref(v)
		case ast.Var:
			r.all = r.all || v.Equal(ast.InputRootDocument.Value)
		}
		return false
	}).Walk(x)
}

// ref notes what v reads and reports whether v has been dealt with.
func (r *reads) ref(v ast.Ref) bool {
	if len(v) == 0 || !v[0].Equal(ast.InputRootDocument) {
		return false
	}
	for _, operand := range v[1:] { // which may read on its own
		r.walk(operand)
	}
	group, known := "", len(v) > 1
	if known {
		s, ok := v[1].Value.(ast.String)
		group, known = string(s), ok
	}
	switch {
	case !known:
		r.all = true
	case group == "version" || group == "facts": // always built whole
	case len(v) < 3:
		r.all = true
	default:
		field, ok := v[2].Value.(ast.String)
		r.all = r.all || !ok
		r.fields[[2]string{group, string(field)}] = true
	}
	return true
}
