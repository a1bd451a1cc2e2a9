package directory

import (
	"iter"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// InForce reports whether the account may be used at the time now: not
// disabled and not ended. Whether enrolment is finished is in Status.
func (a *Account) InForce(now time.Time) bool {
	return !a.Disabled && a.Status != policy.StatusDisabled && (a.Ends.IsZero() || now.Before(a.Ends))
}

// InForce reports whether the engagement stands at the time now.
func (e *Engagement) InForce(now time.Time) bool {
	return !e.Closed && !now.Before(e.Starts) && now.Before(e.Ends)
}

// InForce reports whether the assignment itself stands at the time now.
func (a *Assignment) InForce(now time.Time) bool {
	return !now.Before(a.Starts) && now.Before(a.Ends)
}

func (e *Engagement) covers(cluster string) bool { return slices.Contains(e.Clusters, cluster) }

// Facts returns what is known of an account (by id) on a cluster for a request
// from source; nil when the account or the cluster is not known. The document
// is built at first use and kept, so that later calls allocate nothing.
func (s *Snapshot) Facts(account, cluster string, source netip.Addr) *policy.Document {
	i, ok := s.byID[account]
	if !ok || s.clusters[cluster] == nil {
		return nil
	}
	zone := s.zone(source)
	place := len(s.assigned) + int(i)
	var given *Assignment
	for j := s.first[i]; j < s.first[i+1]; j++ {
		if a := &s.d.Assignments[s.assigned[j]]; a.Cluster == cluster {
			place, given = int(j), a
			break
		}
	}
	slot := &s.documents[place*(len(s.zones)+1)+zone+1]
	if doc := slot.Load(); doc != nil {
		return doc
	}
	doc := s.build(i, given, zone)
	// Of two that race the first stays, so that a document is one value.
	if doc != nil && !slot.CompareAndSwap(nil, doc) {
		return slot.Load()
	}
	return doc
}

// zone returns the index of the zone with the narrowest network that holds
// source, and -1 for none.
func (s *Snapshot) zone(source netip.Addr) int {
	best, bits := -1, -1
	source = source.Unmap()
	for i := range s.zones {
		for _, n := range s.zones[i].Networks {
			if n.Bits() > bits && n.Contains(source) {
				best, bits = i, n.Bits()
			}
		}
	}
	return best
}

// build makes a facts document. given is nil when the account has no
// assignment on the cluster.
func (s *Snapshot) build(account int32, given *Assignment, zone int) *policy.Document {
	a := &s.d.Accounts[account]
	f := policy.Facts{Account: accountFacts(a)}
	f.Account.Clusters = s.clusterFacts(account)
	if v := s.vendors[a.Vendor]; v != nil {
		f.Vendor = vendorFacts(v)
	}
	if zone >= 0 {
		f.Zone = s.zones[zone].Name
	}
	if given != nil {
		f.Assignment = assignmentFacts(given)
		if e := s.engagements[given.Engagement]; e != nil {
			f.Engagement = engagementFacts(e)
			f.Agreements = s.agreementFacts(account, e)
		}
		// Another vendor's contract gives this account nothing.
		if e := s.engagements[given.Engagement]; e != nil && e.Vendor != a.Vendor {
			f.Engagement = nil
		}
	}
	doc, err := policy.NewDocument(f)
	if err != nil {
		return nil // plain values always encode; nil denies
	}
	return doc
}

func accountFacts(a *Account) *policy.AccountFacts {
	f := &policy.AccountFacts{ID: a.ID, Email: a.Email, Status: a.Status, Roles: []policy.Role{}, TimeZone: a.TimeZone}
	f.Roles = append(f.Roles, a.Roles...)
	switch {
	case a.Disabled:
		f.Status = policy.StatusDisabled
	case a.Status == "":
		f.Status = policy.StatusInvited // nobody said that enrolment is finished
	}
	if !a.Ends.IsZero() {
		f.EndsNS = a.Ends.UnixNano()
	}
	return f
}

// clusterFacts returns what an account is given and under which contracts that
// stands, in the order of the clusters' names.
func (s *Snapshot) clusterFacts(account int32) []policy.ClusterFacts {
	all := []policy.ClusterFacts{}
	for a := range s.assignments(account) {
		e := s.engagements[a.Engagement]
		if e == nil || e.Closed || !e.covers(a.Cluster) || e.Vendor != s.d.Accounts[account].Vendor {
			continue
		}
		f := policy.ClusterFacts{Name: a.Cluster, StartsNS: max(a.Starts.UnixNano(), e.Starts.UnixNano()), EndsNS: min(a.Ends.UnixNano(), e.Ends.UnixNano())}
		if f.StartsNS < f.EndsNS {
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(a, b policy.ClusterFacts) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func vendorFacts(v *Vendor) *policy.VendorFacts {
	f := &policy.VendorFacts{Name: v.Name, Title: v.Title, Status: policy.StatusActive, Owner: v.Owner}
	if v.Suspended {
		f.Status = policy.StatusSuspended
	}
	return f
}

func engagementFacts(e *Engagement) *policy.EngagementFacts {
	f := &policy.EngagementFacts{
		Name: e.Name, Status: policy.StatusActive,
		StartsNS: e.Starts.UnixNano(), EndsNS: e.Ends.UnixNano(), Clusters: []string{},
		TrustProviderFactor: e.TrustProviderFactor,
		PhishingResistant:   e.PhishingResistant,
		AccessTokens:        e.AccessTokens,
	}
	f.Clusters = append(f.Clusters, e.Clusters...)
	if e.Closed {
		f.Status = policy.StatusClosed
	}
	return f
}

func assignmentFacts(a *Assignment) *policy.AssignmentFacts {
	f := &policy.AssignmentFacts{
		StartsNS: a.Starts.UnixNano(), EndsNS: a.Ends.UnixNano(),
		Access: a.Access, Methods: []string{}, Paths: [][]string{}, Reason: a.Reason,
	}
	f.Methods = append(f.Methods, a.Methods...)
	for _, p := range a.Paths {
		f.Paths = append(f.Paths, segments(p))
	}
	if len(a.Paths) == 0 {
		f.Paths = [][]string{{}}
	}
	return f
}

// segments cuts a path prefix at its slashes; "/" has none.
func segments(prefix string) []string {
	if p := strings.Trim(prefix, "/"); p != "" {
		return strings.Split(p, "/")
	}
	return []string{}
}

func (s *Snapshot) agreementFacts(account int32, e *Engagement) []policy.AgreementFacts {
	all := []policy.AgreementFacts{}
	for _, name := range e.Agreements {
		// An agreement that is not known cannot have been accepted.
		f := policy.AgreementFacts{Name: name, Version: math.MaxInt32}
		if a := s.agreements[name]; a != nil {
			f.Version = a.Version
		}
		if x := s.acceptance(account, name); x != nil {
			f.AcceptedVersion, f.AcceptedNS = x.Version, x.At.UnixNano()
		}
		all = append(all, f)
	}
	return all
}

// acceptance returns an account's newest acceptance of an agreement, nil for none.
func (s *Snapshot) acceptance(account int32, agreement string) *Acceptance {
	var newest *Acceptance
	for _, j := range s.accepted[s.firstAccepted[account]:s.firstAccepted[account+1]] {
		if x := &s.acceptances[j]; x.Agreement == agreement && (newest == nil || x.Version > newest.Version) {
			newest = x
		}
	}
	return newest
}

// An AgreementState is an agreement that an account is asked to accept.
type AgreementState struct {
	Agreement       *Agreement
	AcceptedVersion int       // the newest that the account accepted; 0: none
	AcceptedAt      time.Time // when; zero: not accepted
}

// Outstanding reports whether the version in force is still to be accepted.
func (a AgreementState) Outstanding() bool { return a.AcceptedVersion < a.Agreement.Version }

// Demanded returns the agreements that an account's engagements demand, in the
// order of their names. Closed engagements demand nothing.
func (s *Snapshot) Demanded(accountID string) []AgreementState {
	return s.demanded(accountID, func(e *Engagement) bool { return !e.Closed })
}

// DemandedAt is [Snapshot.Demanded] without the engagements that have ended at
// the time now.
func (s *Snapshot) DemandedAt(accountID string, now time.Time) []AgreementState {
	return s.demanded(accountID, func(e *Engagement) bool { return !e.Closed && now.Before(e.Ends) })
}

func (s *Snapshot) demanded(accountID string, stands func(*Engagement) bool) []AgreementState {
	i, ok := s.byID[accountID]
	if !ok {
		return nil
	}
	var all []AgreementState
	seen := map[string]bool{}
	for a := range s.assignments(i) {
		e := s.engagements[a.Engagement]
		if e == nil || !stands(e) {
			continue
		}
		for _, name := range e.Agreements {
			g := s.agreements[name]
			if g == nil || seen[name] {
				continue
			}
			seen[name] = true
			state := AgreementState{Agreement: g}
			if x := s.acceptance(i, name); x != nil {
				state.AcceptedVersion, state.AcceptedAt = x.Version, x.At
			}
			all = append(all, state)
		}
	}
	slices.SortFunc(all, func(a, b AgreementState) int { return strings.Compare(a.Agreement.Name, b.Agreement.Name) })
	return all
}

func (s *Snapshot) assignments(account int32) iter.Seq[*Assignment] {
	return func(yield func(*Assignment) bool) {
		for _, j := range s.assigned[s.first[account]:s.first[account+1]] {
			if !yield(&s.d.Assignments[j]) {
				return
			}
		}
	}
}

// PhishingResistant reports whether an account, by id, has an assignment under
// an engagement that demands a passkey or security key and that has not ended
// at the time now. It reads the snapshot only.
func (s *Snapshot) PhishingResistant(accountID string, now time.Time) bool {
	i, ok := s.byID[accountID]
	if !ok {
		return false
	}
	for a := range s.assignments(i) {
		if e := s.engagements[a.Engagement]; e != nil && e.PhishingResistant && !e.Closed && now.Before(e.Ends) && now.Before(a.Ends) {
			return true
		}
	}
	return false
}

func sortAccess(all []Access) {
	slices.SortFunc(all, func(a, b Access) int { return strings.Compare(a.Cluster.Name, b.Cluster.Name) })
}
