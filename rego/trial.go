package rego

import (
	"time"

	"github.com/ringfence/ringfence/policy"
)

// trialInput returns an input with every field of the contract that the
// guardrails and the scope allow: made-up people on cluster at now.
func trialInput(cluster string, now time.Time) *policy.Input {
	ns, day := now.UnixNano(), int64(24*time.Hour)
	facts, err := policy.NewDocument(policy.Facts{
		Account: &policy.AccountFacts{ID: "trial", Email: "trial@vendor.example", Status: policy.StatusActive, Roles: []policy.Role{policy.Contractor}, EndsNS: ns + 9*day,
			TimeZone: "UTC", Clusters: []policy.ClusterFacts{{Name: cluster, StartsNS: ns - day, EndsNS: ns + day}}},
		Vendor: &policy.VendorFacts{Name: "vendor", Title: "Vendor", Status: policy.StatusActive, Owner: policy.Person{Name: "Owner", Email: "owner@customer.example"}},
		Engagement: &policy.EngagementFacts{Name: "engagement", Status: policy.StatusActive, StartsNS: ns - 9*day, EndsNS: ns + 9*day,
			Clusters: []string{cluster}},
		Assignment: &policy.AssignmentFacts{StartsNS: ns - day, EndsNS: ns + day, Access: policy.AccessWrite, Methods: []string{}, Paths: [][]string{{}}, Reason: "trial"},
		Agreements: []policy.AgreementFacts{{Name: "confidentiality", Version: 1, AcceptedVersion: 1, AcceptedNS: ns - day}},
		Zone:       "office",
	})
	if err != nil {
		panic(err) // nothing in it can fail to encode
	}
	return &policy.Input{
		Version: policy.ContractVersion,
		Subject: policy.Subject{Account: "trial", Email: "trial@vendor.example", Vendor: "vendor", Roles: []policy.Role{policy.Contractor}, Session: "trial",
			Credential: policy.CredentialToken, TokenCluster: cluster, Factors: map[string]int64{policy.FactorPassword: 60, policy.FactorTOTP: 60}},
		Facts: facts,
		Request: policy.Request{ID: "trial", Time: now.UTC().Format(time.RFC3339Nano), TimeNS: ns, Protocol: "http", Method: "GET", Host: "trial.example",
			Path: []string{"a", "b"}, RawPath: "/a/b", Query: map[string][]string{"q": {"1"}},
			Headers: map[string]string{"accept": "*/*", "user-agent": "trial", "x-ticket": "T-1", "x-purpose": "trial"}, SourceIP: "192.0.2.1",
			TLS: &policy.TLS{Version: "1.3", Cipher: "TLS_AES_128_GCM_SHA256"}},
		Resource: policy.Resource{Cluster: cluster, Classification: "internal", Route: "default"},
	}
}
