package query

import (
	"net/netip"
	"reflect"
	"strconv"
	"time"
)

// A Node is a condition on an entry: [And], [Or], [Not], [Match], [Within],
// [Range], [Bound] or [Anywhere]. Nodes are not changed once they are made.
type Node interface {
	append(b []byte) []byte
}

// And holds where all of it hold; the empty And holds always.
type And []Node

// Or holds where one of it holds. It has at least two.
type Or []Node

// Not holds where what it holds does not.
type Not struct{ Of Node }

// Match holds where the field, or one element of a list, is what the pattern describes.
type Match struct {
	Field   Field
	Pattern Pattern
}

// Within holds where the address is one of the network's.
type Within struct {
	Field   Field
	Network netip.Prefix
}

// Range holds where the field counts from Min to Max, both included.
type Range struct {
	Field    Field
	Min, Max int64
}

// A Bound holds from a moment on ([Since], included) or before it ([Until]).
type Bound struct {
	Field Field
	Ago   time.Duration // before the time of asking; used where At is zero
	At    time.Time     // in UTC
}

// Anywhere holds where one of the entry's texts has Text in it, in any case of letters.
type Anywhere struct{ Text string }

// Moment returns the moment that b bounds when asked at now.
func (b Bound) Moment(now time.Time) time.Time {
	if b.At.IsZero() {
		return now.Add(-b.Ago)
	}
	return b.At
}

// All returns the condition that all of nodes hold, in canonical form.
func All(nodes ...Node) Node {
	var flat And
	for _, n := range nodes {
		if a, ok := n.(And); ok {
			flat = append(flat, a...)
		} else if n != nil {
			flat = append(flat, n)
		}
	}
	if len(flat) == 1 {
		return flat[0]
	}
	return flat
}

// Any returns the condition that one of nodes holds, in canonical form.
func Any(nodes ...Node) Node {
	var flat Or
	for _, n := range nodes {
		if o, ok := n.(Or); ok {
			flat = append(flat, o...)
		} else {
			flat = append(flat, n)
		}
	}
	if len(flat) == 1 {
		return flat[0]
	}
	return flat
}

// Negate returns the condition that n does not hold, in canonical form.
func Negate(n Node) Node {
	if not, ok := n.(Not); ok {
		return not.Of
	}
	return Not{n}
}

// Equal reports whether two conditions are the same.
func Equal(a, b Node) bool { return reflect.DeepEqual(a, b) }

// Print writes n in its canonical spelling. The condition that always holds is empty.
func Print(n Node) string {
	if n == nil {
		return ""
	}
	return string(n.append(nil))
}

func (a And) append(b []byte) []byte {
	for i, n := range a {
		if i > 0 {
			b = append(b, ' ')
		}
		b = appendInner(b, n)
	}
	return b
}

// appendInner puts parentheses around what binds less than terms side by side.
func appendInner(b []byte, n Node) []byte {
	switch n := n.(type) {
	case Or:
		if n.oneField() != None {
			return n.append(b)
		}
	case And:
	default:
		return n.append(b)
	}
	return append(n.append(append(b, '(')), ')')
}

func (o Or) append(b []byte) []byte {
	if f := o.oneField(); f != None {
		b = append(append(b, f.String()...), ':')
		for i, n := range o {
			if i > 0 {
				b = append(b, ',')
			}
			b = n.(valued).appendValue(b)
		}
		return b
	}
	for i, n := range o {
		if i > 0 {
			b = append(b, " or "...)
		}
		if a, ok := n.(And); ok && len(a) > 0 {
			b = a.append(b)
		} else {
			b = appendInner(b, n)
		}
	}
	return b
}

// oneField returns the field that all of o are about, or None.
func (o Or) oneField() Field {
	var f Field
	for i, n := range o {
		v, ok := n.(valued)
		if !ok || i > 0 && v.field() != f {
			return None
		}
		f = v.field()
	}
	return f
}

func (n Not) append(b []byte) []byte { return appendInner(append(b, "not "...), n.Of) }

// valued is a term with a field and a value.
type valued interface {
	Node
	field() Field
	appendValue(b []byte) []byte
}

func appendTerm(b []byte, v valued) []byte {
	return v.appendValue(append(append(b, v.field().String()...), ':'))
}

func (m Match) field() Field           { return m.Field }
func (m Match) append(b []byte) []byte { return appendTerm(b, m) }
func (m Match) appendValue(b []byte) []byte {
	if m.Field.Kind() == Address {
		if whole, ok := m.Pattern.Whole(); ok && looksLikeNetwork(whole) {
			return append(append(append(b, '"'), whole...), '"')
		}
	}
	return m.Pattern.append(b)
}

func (w Within) field() Field                { return w.Field }
func (w Within) append(b []byte) []byte      { return appendTerm(b, w) }
func (w Within) appendValue(b []byte) []byte { return w.Network.AppendTo(b) }

func (r Range) field() Field           { return r.Field }
func (r Range) append(b []byte) []byte { return appendTerm(b, r) }
func (r Range) appendValue(b []byte) []byte {
	switch {
	case r.Min == r.Max:
		return strconv.AppendInt(b, r.Min, 10)
	case r.Max == maxNumber:
		return strconv.AppendInt(append(b, ">="...), r.Min, 10)
	case r.Min == 0:
		return strconv.AppendInt(append(b, "<="...), r.Max, 10)
	case r.Field == Status && r.Min%100 == 0 && r.Max == r.Min+99 && r.Min <= 900:
		return append(strconv.AppendInt(b, r.Min/100, 10), "xx"...)
	}
	return strconv.AppendInt(append(strconv.AppendInt(b, r.Min, 10), ".."...), r.Max, 10)
}

func (t Bound) field() Field                { return t.Field }
func (t Bound) append(b []byte) []byte      { return appendTerm(b, t) }
func (t Bound) appendValue(b []byte) []byte { return appendMoment(b, t) }

func (a Anywhere) append(b []byte) []byte {
	if word(a.Text) {
		return append(b, a.Text...)
	}
	b = append(b, '"')
	for i := range len(a.Text) {
		if a.Text[i] == '"' || a.Text[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, a.Text[i])
	}
	return append(b, '"')
}
