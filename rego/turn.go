package rego

import (
	"reflect"
	"slices"

	"github.com/ringfence/ringfence/policy"
)

// A Turn says how one decision differs from another about the same request.
// The empty Turn is no difference.
type Turn string

// The turns.
const (
	Widened  Turn = "widened"  // allowed now, and not before
	Narrowed Turn = "narrowed" // allowed before, and not now
	Reworded Turn = "reworded" // allowed both times or neither, for other reasons or under other obligations
)

// TurnOf compares two decisions by what they mean: effect, codes of reasons
// and obligations. Sentences and revisions do not count.
func TurnOf(old, new policy.Decision) Turn {
	was, is := old.Effect == policy.Allow, new.Effect == policy.Allow
	switch {
	case is && !was:
		return Widened
	case was && !is:
		return Narrowed
	case old.Effect != new.Effect || !slices.Equal(codes(old.Reasons), codes(new.Reasons)) || !sameObligations(old.Obligations, new.Obligations):
		return Reworded
	}
	return ""
}

// codes returns the codes of reasons, each once, sorted.
func codes(reasons []policy.Reason) []string {
	out := make([]string, 0, len(reasons))
	for _, r := range reasons {
		out = append(out, r.Code)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func sameObligations(a, b policy.Obligations) bool {
	for _, o := range []*policy.Obligations{&a, &b} {
		for _, l := range []*[]string{&o.Mask, &o.StripHeaders, &o.Notify} {
			*l = slices.Sorted(slices.Values(*l)) // nil and empty are the same, and so is any order
		}
	}
	return reflect.DeepEqual(a, b)
}
