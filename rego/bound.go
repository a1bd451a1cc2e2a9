package rego

import (
	"errors"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Bounds on the operands of one built-in function. The evaluator cannot stop a
// built-in function at its deadline, so none may get work that lasts.
const (
	maxWork    = 256 << 10 // bytes of text plus values, in all operands together
	maxGrowth  = 4 << 20   // bytes that a replacement may make
	maxFactors = 1000      // of a product
	maxRange   = 100_000   // numbers in a row; two arrays are compared one frame of the stack an element
	maxPattern = 1 << 10   // bytes of a pattern, which compiles to thousands of times as much
	maxDigits  = 1000      // of a number
	maxExp     = 3         // digits of a number's exponent
)

// light are built-in functions whose work does not depend on the depth and
// the text of their operands, or that look at the deadline themselves.
var light = []string{
	"eq", "assign", "count", "array.slice", "object.get", "object.keys", "internal.member_2", "internal.member_3",
	"is_array", "is_boolean", "is_null", "is_number", "is_object", "is_set", "is_string", "type_name",
	"print", "internal.test_case",
}

// init puts the bounds into the engine's one table of built-in functions, the
// only place that it takes them from. No other package uses the engine, and
// within the bounds nothing is different.
func init() {
	for _, b := range capabilities().Builtins {
		if f := topdown.GetBuiltin(b.Name); f != nil && !slices.Contains(light, b.Name) {
			topdown.RegisterBuiltinFunc(b.Name, bounded(b.Name, f))
		}
	}
}

func bounded(name string, f topdown.BuiltinFunc) topdown.BuiltinFunc {
	check := operandsBounded
	switch name {
	case "replace", "strings.replace_n":
		check = growthBounded
	case "regex.replace":
		pattern := patternBounded(1)
		check = func(operands []*ast.Term) bool { return pattern(operands) && growthBounded(operands) }
	case "regex.match", "regex.is_valid", "regex.split", "regex.find_n", "regex.template_match", "glob.match":
		check = patternBounded(0)
	case "product":
		check = factorsBounded
	case "json.patch":
		check = patchBounded
	case "bits.lsh":
		check = smallNumbers
	case "numbers.range", "numbers.range_step":
		check = rangeBounded
	}
	return func(bctx topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
		if !check(operands) {
			// A halt, because a built-in error could be lost in a negation.
			return topdown.Halt{Err: &topdown.Error{Code: topdown.BuiltinErr, Location: bctx.Location,
				Message: name + ": " + errTooMuch.Error()}}
		}
		return f(bctx, operands, iter)
	}
}

var keyOp = newKey("op")

var errTooMuch = errors.New("the operands are larger than a policy may work on")

func operandsBounded(operands []*ast.Term) bool {
	room := maxWork
	for _, t := range operands {
		switch v := t.Value.(type) {
		case ast.String:
			room -= len(v)
		case ast.Number:
			if !number(string(v)) {
				return false
			}
		case ast.Boolean, ast.Null:
		default:
			left := room // kept apart, so that the common case allocates nothing
			if !measure(v, &left) {
				return false
			}
			room = left
		}
	}
	return room >= 0
}

// measure takes the size of v from room and reports whether there was enough.
// It looks at no more of v than fits, however often v repeats a part of itself.
func measure(v ast.Value, room *int) bool {
	if *room--; *room < 0 {
		return false
	}
	switch v := v.(type) {
	case ast.String:
		*room -= len(v)
	case ast.Number:
		return number(string(v))
	case *ast.Array:
		for i := range v.Len() {
			if !measure(v.Elem(i).Value, room) {
				return false
			}
		}
	case ast.Set:
		return !v.Until(func(t *ast.Term) bool { return !measure(t.Value, room) })
	case ast.Object:
		return !v.Until(func(k, t *ast.Term) bool { return !measure(k.Value, room) || !measure(t.Value, room) })
	}
	return *room >= 0
}

// number reports whether a number is small enough to be computed with at once.
func number(n string) bool {
	if len(n) <= 20 && strings.IndexByte(n, 'e') < 0 && strings.IndexByte(n, 'E') < 0 {
		return true
	}
	if i := strings.IndexAny(n, "eE"); i >= 0 && len(strings.TrimLeft(n[i+1:], "+-0")) > maxExp {
		return false
	}
	return len(n) <= maxDigits
}

// growthBounded is for what puts one operand into another many times over.
func growthBounded(operands []*ast.Term) bool {
	if !operandsBounded(operands) {
		return false
	}
	text, insert := 0, 0
	for _, t := range operands {
		room := maxWork
		measure(t.Value, &room)
		n := maxWork - room
		text, insert = max(text, n), insert+n
	}
	return text*(insert-text+1) <= maxGrowth
}

// patternBounded is for what compiles the operand at i.
func patternBounded(i int) func([]*ast.Term) bool {
	return func(operands []*ast.Term) bool {
		pattern, ok := operands[i].Value.(ast.String)
		return (!ok || len(pattern) <= maxPattern) && operandsBounded(operands)
	}
}

// patchBounded keeps out of a patch what takes a value from one place of the
// document to another: put below itself it has no end, and whoever walks it
// next takes the whole process down.
func patchBounded(operands []*ast.Term) bool {
	if !operandsBounded(operands) {
		return false
	}
	moves := func(step *ast.Term) bool {
		o, ok := step.Value.(ast.Object)
		if !ok {
			return false // the function refuses it
		}
		op, _ := value(o, keyOp).(ast.String)
		return op == "copy" || op == "move"
	}
	switch steps := operands[1].Value.(type) {
	case *ast.Array:
		return !steps.Until(moves)
	case ast.Set:
		return !steps.Until(moves)
	}
	return true
}

func factorsBounded(operands []*ast.Term) bool {
	room := maxFactors
	return measure(operands[0].Value, &room)
}

// smallNumbers is for what makes as much as a number says.
func smallNumbers(operands []*ast.Term) bool {
	for _, t := range operands {
		if n, ok := t.Value.(ast.Number); ok && len(n) > 10 {
			return false
		}
	}
	return operandsBounded(operands)
}

func rangeBounded(operands []*ast.Term) bool {
	if !smallNumbers(operands[:2]) {
		return false
	}
	from, ok1 := operands[0].Value.(ast.Number)
	to, ok2 := operands[1].Value.(ast.Number)
	a, whole1 := from.Int64()
	b, whole2 := to.Int64()
	return !ok1 || !ok2 || !whole1 || !whole2 || max(a-b, b-a) <= maxRange // the function refuses the rest
}
