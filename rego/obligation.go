package rego

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/ringfence/ringfence/policy"
)

// decodeObligations merges a set of obligation objects by narrowing: the
// smallest of each limit, the union of each list. A key that is not known, or
// a value of another type, is an error: what a policy demands and the gateway
// cannot do must not be served.
func decodeObligations(v ast.Value) (policy.Obligations, error) {
	var out policy.Obligations
	set, ok := v.(ast.Set)
	if !ok {
		return out, shape("obligations are not a set")
	}
	if set.Len() == 0 {
		return out, nil
	}
	err := set.Iter(func(t *ast.Term) error {
		o, ok := t.Value.(ast.Object)
		if !ok {
			return shape("an obligation is not an object")
		}
		return o.Iter(func(k, v *ast.Term) error {
			name, ok := k.Value.(ast.String)
			if !ok {
				return shape("an obligation's name is not a string")
			}
			return oblige(&out, string(name), v.Value)
		})
	})
	if err != nil {
		return policy.Obligations{}, err
	}
	return out, nil
}

func oblige(out *policy.Obligations, name string, v ast.Value) error {
	switch name {
	case "max_response_bytes":
		return smallest(&out.MaxResponseBytes, name, v)
	case "egress_budget":
		return smallest(&out.EgressBudget, name, v)
	case "max_code_age":
		return smallest((*int64)(&out.MaxCodeAge), name, v)
	case "mask":
		return union(&out.Mask, name, v)
	case "strip_headers":
		return union(&out.StripHeaders, name, v)
	case "notify":
		return union(&out.Notify, name, v)
	}
	return shape("there is no obligation %q", name)
}

// smallest keeps the smaller of two limits. A limit is a whole number of at
// least one: zero would mean none at all to whoever enforces it.
func smallest(limit *int64, name string, v ast.Value) error {
	n, ok := v.(ast.Number)
	i, whole := n.Int64()
	if !ok || !whole || i <= 0 {
		return shape("the obligation %s is no whole number above zero", name)
	}
	if *limit == 0 || i < *limit {
		*limit = i
	}
	return nil
}

func union(list *[]string, name string, v ast.Value) error {
	add := func(t *ast.Term) error {
		s, ok := t.Value.(ast.String)
		if !ok || s == "" {
			return shape("the obligation %s is no list of strings", name)
		}
		*list = append(*list, string(s))
		return nil
	}
	var err error
	switch v := v.(type) {
	case *ast.Array:
		err = v.Iter(add)
	case ast.Set:
		err = v.Iter(add)
	default:
		err = add(nullTerm)
	}
	slices.Sort(*list)
	*list = slices.Compact(*list)
	return err
}

var nullTerm = ast.NullTerm()
