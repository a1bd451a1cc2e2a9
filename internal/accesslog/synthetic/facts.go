package synthetic

import (
	"fmt"
	"slices"

	"github.com/ringfence/ringfence/policy"
)

// factsOf returns what is known about a person on a cluster, as large as what a
// gateway's directory gives. The same document is returned for the same pair.
func (w *World) factsOf(who, cluster int) (*policy.Document, error) {
	key := [2]int{who, cluster}
	if d := w.documents[key]; d != nil {
		return d, nil
	}
	p := &w.people[who]
	starts, ends := Start.AddDate(0, -2, 0).UnixNano(), End.AddDate(0, 6, 0).UnixNano()
	f := policy.Facts{
		Account: &policy.AccountFacts{ID: p.id, Email: p.email, Status: policy.StatusActive, Roles: []policy.Role{policy.Contractor}, TimeZone: "Europe/Berlin"},
		Vendor: &policy.VendorFacts{Name: p.vendor, Title: "The company " + p.vendor, Status: policy.StatusActive,
			Owner: policy.Person{Name: "Owner of " + p.vendor, Email: "owner." + p.vendor + "@example.com"}},
		Engagement: &policy.EngagementFacts{Name: p.engagement, Status: policy.StatusActive, StartsNS: starts, EndsNS: ends},
		Agreements: []policy.AgreementFacts{{Name: "confidentiality", Version: 3, AcceptedVersion: 3, AcceptedNS: starts + int64(who)*1e9}},
		Zone:       "vendor-office",
	}
	for _, c := range p.clusters {
		name := w.upstreams[c].name
		f.Account.Clusters = append(f.Account.Clusters, policy.ClusterFacts{Name: name, StartsNS: starts, EndsNS: ends})
		f.Engagement.Clusters = append(f.Engagement.Clusters, name)
	}
	if slices.Contains(p.clusters, cluster) {
		f.Assignment = &policy.AssignmentFacts{StartsNS: starts, EndsNS: ends, Access: policy.AccessWrite, Methods: []string{},
			Paths: [][]string{{}}, Reason: fmt.Sprintf("ticket %d: support of %s", 4000+who, w.upstreams[cluster].name)}
	}
	d, err := policy.NewDocument(f)
	if err != nil {
		return nil, err
	}
	w.documents[key] = d
	return d, nil
}
