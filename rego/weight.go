package rego

import (
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// maxWeight bounds the values that one value may be written out to.
const maxWeight = 10_000

// overweight refuses rules that nest values by name, such as
//
//	b := [a, a]; c := [b, b]; d := [c, c]
//
// The evaluator writes such a value out in one step that it cannot stop, and
// 34 lines of this kind are more than any memory holds. The type checker is no
// better, so it is a stage of the compiler that runs before.
func overweight(c *ast.Compiler) *ast.Error {
	for _, name := range slices.Sorted(maps.Keys(c.Modules)) {
		for _, r := range c.Modules[name].Rules {
			if weigh(r) > maxWeight {
				return ast.NewError(codeRule, r.Location, "values are nested by name to more than a rule may hold")
			}
		}
	}
	return nil
}

// weigh returns how many values the largest value that r writes holds, and
// no more than a little above [maxWeight].
func weigh(r *ast.Rule) int {
	w, most := weights{}, 0
	for changed := true; changed && most <= maxWeight; {
		changed = false
		ast.WalkExprs(r, func(x *ast.Expr) bool {
			if x.IsEquality() || x.IsAssignment() {
				changed = w.learn(x.Operand(0), x.Operand(1)) || changed
				changed = w.learn(x.Operand(1), x.Operand(0)) || changed
			}
			return false
		})
		ast.WalkTerms(r, func(t *ast.Term) bool {
			most = max(most, w.of(t))
			return false
		})
	}
	return most
}

type weights map[ast.Var]int

// learn notes that name stands for value, and reports whether that was news.
func (w weights) learn(name, value *ast.Term) bool {
	v, ok := name.Value.(ast.Var)
	if !ok {
		return false
	}
	n := min(w.of(value), maxWeight+1)
	if n <= max(w[v], 1) {
		return false
	}
	w[v] = n
	return true
}

func (w weights) of(t *ast.Term) int {
	n := 1
	add := func(t *ast.Term) { n = min(n+w.of(t), maxWeight+1) }
	switch v := t.Value.(type) {
	case ast.Var:
		return max(w[v], 1)
	case *ast.Array:
		v.Foreach(add)
	case ast.Set:
		v.Foreach(add)
	case ast.Object:
		v.Foreach(func(k, e *ast.Term) { add(k); add(e) })
	}
	return n
}
