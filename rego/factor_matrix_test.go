package rego

import (
	"context"
	"fmt"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

// What an engagement demands and trusts, against each kind of credential and
// each way of having given a second factor.
func TestDecide_FactorsOfEngagements(t *testing.T) {
	e := newEngine(t, quiet)
	load(t, e, all(""))
	scope := &policy.TokenScope{Access: policy.AccessWrite, Methods: []string{}, Paths: [][]string{{}}}
	credentials := map[string]func(*policy.Subject){
		"session": func(s *policy.Subject) { s.Credential = policy.CredentialSession },
		"bearer":  func(s *policy.Subject) { s.Credential, s.TokenCluster = policy.CredentialToken, "claims" },
		"bound": func(s *policy.Subject) {
			s.Credential, s.TokenCluster, s.TokenBinding = policy.CredentialToken, "claims", policy.BindingKey
		},
		"personal": func(s *policy.Subject) {
			s.Credential, s.TokenCluster, s.TokenBinding, s.TokenScope = policy.CredentialAccessToken, "claims", policy.BindingNetwork, scope
		},
	}
	factors := map[string]map[string]int64{
		"none":               {policy.FactorPassword: 1},
		"code":               {policy.FactorPassword: 1, policy.FactorTOTP: 1},
		"recovery":           {policy.FactorPassword: 1, policy.FactorRecovery: 1},
		"key":                {policy.FactorPassword: 1, policy.FactorWebAuthn: 3000},
		"provider":           {policy.FactorExternal: 1, policy.FactorProvider: 1},
		"provider and key":   {policy.FactorExternal: 1, policy.FactorProvider: 1, policy.FactorWebAuthn: 3000},
		"provider's first":   {policy.FactorExternal: 1},
		"provider's and own": {policy.FactorExternal: 1, policy.FactorTOTP: 1},
	}
	for kind, credential := range credentials {
		for given, ages := range factors {
			for bits := range 4 {
				trust, demand := bits&1 != 0, bits&2 != 0
				_, own := ages[policy.FactorTOTP]
				_, recovery := ages[policy.FactorRecovery]
				_, key := ages[policy.FactorWebAuthn]
				_, provider := ages[policy.FactorProvider]
				want := own || recovery || key || trust && provider
				if demand {
					want = key && kind != "personal"
				}
				in := edited(func(in *policy.Input, f *policy.Facts) {
					credential(&in.Subject)
					in.Subject.Factors = ages
					f.Engagement.TrustProviderFactor, f.Engagement.PhishingResistant, f.Engagement.AccessTokens = trust, demand, true
				})
				d := e.Decide(context.Background(), in)
				if (d.Effect == policy.Allow) != want {
					t.Errorf("%s: %s, allowed is not %v: %s %v", fmt.Sprintf("trusted %v, key demanded %v", trust, demand), kind+" with "+given, want, d.Effect, codesOf(d))
				}
			}
		}
	}
}
