package console

import (
	"strings"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/policy"
)

// tokenChallenges tells programs which tokens are taken and what is wrong with
// the one that was shown (RFC 6750 section 3, RFC 9449 section 7.1, RFC 9470).
func tokenChallenges(f policy.Refusal) []string {
	dpop := `DPoP realm="Ringfence", algs="` + strings.Join(auth.ProofAlgorithms, " ") + `"`
	bearer := `Bearer realm="Ringfence"`
	if r := f.Subject.Refused; r != nil {
		fault := `, error="invalid_token", error_description="` + r.Code + `"`
		switch r.Code {
		case policy.RefusedProof, policy.RefusedTime, policy.RefusedTarget, policy.RefusedReplay, policy.RefusedFlood:
			return []string{bearer, dpop + `, error="invalid_dpop_proof", error_description="` + r.Code + `"`}
		case policy.RefusedNoProof, policy.RefusedUnbound:
			return []string{bearer, dpop + fault}
		}
		return []string{bearer + fault, dpop}
	}
	for _, r := range f.Decision.Reasons {
		if r.Code == policy.ReasonCodeStale {
			stale := `, error="insufficient_user_authentication", error_description="a fresher code is needed"`
			return []string{bearer + stale, dpop + stale}
		}
	}
	return []string{bearer, dpop}
}
