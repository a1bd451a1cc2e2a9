package rego

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/ringfence/ringfence/policy"
)

var (
	keyEffect, keyReasons, keyObligations = newKey("effect"), newKey("reasons"), newKey("obligations")
	keyCode, keyMessage, keyHelp          = newKey("code"), newKey("message"), newKey("help")

	effectTexts = map[ast.String]policy.Effect{"allow": policy.Allow, "challenge": policy.Challenge, "deny": policy.Deny}
)

var errShape = errors.New("the policies answered in a shape that is not theirs to give")

func shape(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errShape, fmt.Sprintf(format, args...))
}

// decode reads what ringfence.main answers: exactly
//
//	{"effect": "allow"|"challenge"|"deny", "reasons": {…}, "obligations": {…}}
//
// with no reason for an allow and at least one for anything else. On an error
// the decision is zero, which denies.
func decode(t *ast.Term) (policy.Decision, error) {
	answer, ok := t.Value.(ast.Object)
	if !ok || answer.Len() != 3 {
		return policy.Decision{}, shape("not an object of effect, reasons and obligations")
	}
	name, ok := value(answer, keyEffect).(ast.String)
	effect, known := effectTexts[name]
	if !ok || !known {
		return policy.Decision{}, shape("no such effect")
	}
	reasons, err := decodeReasons(value(answer, keyReasons))
	if err != nil {
		return policy.Decision{}, err
	}
	if (effect == policy.Allow) != (len(reasons) == 0) {
		return policy.Decision{}, shape("%s with %d reasons", effect, len(reasons))
	}
	obligations, err := decodeObligations(value(answer, keyObligations))
	if err != nil {
		return policy.Decision{}, err
	}
	return policy.Decision{Effect: effect, Reasons: reasons, Obligations: obligations}, nil
}

// value returns a field's value; nil when the object does not have it.
func value(o ast.Object, k key) ast.Value {
	if t := o.Get(k.term); t != nil {
		return t.Value
	}
	return nil
}

func decodeReasons(v ast.Value) ([]policy.Reason, error) {
	set, ok := v.(ast.Set)
	if !ok {
		return nil, shape("reasons are not a set")
	}
	if set.Len() == 0 {
		return nil, nil
	}
	out := make([]policy.Reason, 0, set.Len())
	err := set.Iter(func(t *ast.Term) error {
		r, err := decodeReason(t.Value)
		out = append(out, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	sortReasons(out)
	return out, nil
}

func decodeReason(v ast.Value) (policy.Reason, error) {
	o, ok := v.(ast.Object)
	if !ok {
		return policy.Reason{}, shape("a reason is not an object")
	}
	code, ok1 := value(o, keyCode).(ast.String)
	message, ok2 := value(o, keyMessage).(ast.String)
	if !ok1 || !ok2 || code == "" || message == "" {
		return policy.Reason{}, shape("a reason needs a code and a message")
	}
	fields := 2
	help, ok := value(o, keyHelp).(ast.String)
	if ok {
		fields++
	}
	if o.Len() != fields {
		return policy.Reason{}, shape("the reason %q has more than code, message and help", string(code))
	}
	return policy.Reason{Code: string(code), Message: string(message), Help: string(help)}, nil
}

// reasonOrder puts what a person must hear first before what follows from it.
var reasonOrder = func() map[string]int {
	order := map[string]int{}
	for i, code := range []string{
		policy.ReasonSignIn, policy.ReasonSecondFactor, policy.ReasonPhishingResistant, policy.ReasonAgreementMissing, policy.ReasonCodeStale,
		policy.ReasonAccountNotActive, policy.ReasonAccountEnded, policy.ReasonVendorNotActive,
		policy.ReasonTokenOtherCluster, policy.ReasonNoAssignment,
		policy.ReasonEngagementInactive, policy.ReasonEngagementPending, policy.ReasonEngagementEnded, policy.ReasonClusterNotCovered,
		policy.ReasonAssignmentPending, policy.ReasonAssignmentEnded,
		policy.ReasonMethodOutOfScope, policy.ReasonPathOutOfScope, policy.ReasonFactsMissing,
	} {
		order[code] = i - 100 // before the codes of administrators
	}
	return order
}()

func sortReasons(rs []policy.Reason) {
	slices.SortFunc(rs, func(a, b policy.Reason) int {
		return cmp.Or(cmp.Compare(reasonOrder[a.Code], reasonOrder[b.Code]),
			cmp.Compare(a.Code, b.Code), cmp.Compare(a.Message, b.Message), cmp.Compare(a.Help, b.Help))
	})
}
