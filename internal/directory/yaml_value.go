package directory

import (
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/ringfence/ringfence/policy"
)

// Each of these reads one value into *to and reports whether it could.

func (r *reader) text(n ast.Node, at string, to *string) bool {
	switch v := n.(type) {
	case *ast.StringNode:
		if v.Token.Type == token.InvalidType {
			break
		}
		*to = v.Value
		return true
	case *ast.LiteralNode:
		*to = v.Value.Value
		return true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode, *ast.InfinityNode, *ast.NanNode:
		if _, null := n.(*ast.NullNode); !null {
			r.fault(lineOf(n), at, "must be text: put %s in quotes", n.GetToken().Value)
			return false
		}
		r.fault(lineOf(n), at, "has no value")
		return false
	}
	r.fault(lineOf(n), at, "must be text, not %s", kindOf(n))
	return false
}

func (r *reader) bool(n ast.Node, at string, to *bool) bool {
	v, ok := n.(*ast.BoolNode)
	if !ok {
		r.fault(lineOf(n), at, "must be true or false")
		return false
	}
	*to = v.Value
	return true
}

func (r *reader) number(n ast.Node, at string, to *int) bool {
	v, ok := n.(*ast.IntegerNode)
	if !ok {
		r.fault(lineOf(n), at, "must be a whole number")
		return false
	}
	switch x := v.Value.(type) {
	case int64:
		*to = int(x)
		return int64(int(x)) == x
	case uint64:
		if x < 1<<31 {
			*to = int(x)
			return true
		}
	}
	r.fault(lineOf(n), at, "is out of range")
	return false
}

func (r *reader) list(n ast.Node, at string, to *[]string) bool {
	return r.sequence(n, at, func(_ int, at string, n ast.Node) bool {
		var s string
		ok := r.text(n, at, &s)
		*to = append(*to, s)
		return ok
	})
}

func (r *reader) duration(n ast.Node, at string, to *time.Duration) bool {
	var s string
	if !r.text(n, at, &s) {
		return false
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		r.fault(lineOf(n), at, "%q is no duration: write it as 30s or 2m", s)
		return false
	}
	*to = d
	return true
}

// lastSecond is what a day alone adds when it is an end. An end is the first
// moment at which nothing is in force, and reads as that day on every page.
const lastSecond = 24*time.Hour - time.Second

func (r *reader) starts(n ast.Node, at string, to *time.Time) bool { return r.date(n, at, to, 0) }
func (r *reader) ends(n ast.Node, at string, to *time.Time) bool {
	return r.date(n, at, to, lastSecond)
}

func (r *reader) date(n ast.Node, at string, to *time.Time, day time.Duration) bool {
	var s string
	if !r.text(n, at, &s) {
		return false
	}
	t, err := ParseDate(s, day != 0)
	if err != nil {
		r.fault(lineOf(n), at, "%v", err)
		return false
	}
	*to = t
	return true
}

func (r *reader) person(n ast.Node, at string, to *policy.Person) ([]fieldLine, bool) {
	return r.mapping(n, at, []string{"name", "email"}, func(key, at string, v ast.Node) bool {
		if key == "name" {
			return r.text(v, at, &to.Name)
		}
		return r.text(v, at, &to.Email)
	})
}

func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AnchorNode, *ast.AliasNode:
		return "an anchor or alias, which are not supported"
	case *ast.TagNode:
		return "a tag, which are not supported"
	}
	return strings.ToLower(n.Type().String())
}
