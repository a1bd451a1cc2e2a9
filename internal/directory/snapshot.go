package directory

import (
	"fmt"
	"math"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// A Zone is a named part of the network from which requests come.
type Zone struct {
	Name     string
	Networks []netip.Prefix
}

// A Snapshot is an immutable directory with the facts made from it. All methods
// are safe for concurrent use, take no lock, and return values that must not be changed.
type Snapshot struct {
	d           *Directory
	zones       []Zone
	byID        map[string]int32 // account by id
	byEmail     map[string]int32
	vendors     map[string]*Vendor
	agreements  map[string]*Agreement
	engagements map[string]*Engagement
	clusters    map[string]*Cluster
	hosts       map[string]*Cluster
	providers   map[string]*Vendor // by mail domain

	// first[i] to first[i+1] are the places in assigned of account i's
	// assignments, and the same for acceptances.
	first, assigned         []int32
	firstAccepted, accepted []int32
	acceptances             []Acceptance

	// One place for each zone (and none) of each assignment, in the order of
	// assigned, then of each account without an assignment. Filled at first use.
	documents []atomic.Pointer[policy.Document]

	limited []bool // by account: an engagement of its limits sessions; nil: none does
}

// NewSnapshot indexes a directory with its acceptances. Both belong to the
// snapshot afterwards and must not be changed. It refuses keys that are there
// twice and accounts without id. A reference that leads nowhere is not an error: its facts are missing,
// and what is missing denies.
func NewSnapshot(d *Directory, a []Acceptance, zones []Zone) (*Snapshot, error) {
	s := &Snapshot{
		d: d, acceptances: a, zones: zones,
		byID:        make(map[string]int32, len(d.Accounts)),
		byEmail:     make(map[string]int32, len(d.Accounts)),
		vendors:     make(map[string]*Vendor, len(d.Vendors)),
		agreements:  make(map[string]*Agreement, len(d.Agreements)),
		engagements: make(map[string]*Engagement, len(d.Engagements)),
		clusters:    make(map[string]*Cluster, len(d.Clusters)),
		hosts:       map[string]*Cluster{},
	}
	if len(d.Accounts)+len(d.Assignments) >= math.MaxInt32/(len(zones)+1) {
		return nil, fmt.Errorf("indexing directory: too many objects")
	}
	if err := s.indexNamed(); err != nil {
		return nil, fmt.Errorf("indexing directory: %w", err)
	}
	s.indexProviders()
	if err := s.indexAccounts(); err != nil {
		return nil, fmt.Errorf("indexing directory: %w", err)
	}
	s.first, s.assigned = group(len(d.Accounts), len(d.Assignments), func(i int) (int32, bool) {
		n, ok := s.byEmail[d.Assignments[i].Account]
		return n, ok
	})
	s.firstAccepted, s.accepted = group(len(d.Accounts), len(a), func(i int) (int32, bool) {
		n, ok := s.byID[a[i].Account]
		return n, ok
	})
	s.indexSessionLimits()
	s.documents = make([]atomic.Pointer[policy.Document], (len(s.assigned)+len(d.Accounts))*(len(zones)+1))
	return s, nil
}

func (s *Snapshot) indexNamed() error {
	d := s.d
	for i := range d.Vendors {
		s.vendors[d.Vendors[i].Name] = &d.Vendors[i]
	}
	for i := range d.Agreements {
		s.agreements[d.Agreements[i].Name] = &d.Agreements[i]
	}
	for i := range d.Engagements {
		s.engagements[d.Engagements[i].Name] = &d.Engagements[i]
	}
	for i := range d.Clusters {
		c := &d.Clusters[i]
		s.clusters[c.Name] = c
		for _, h := range c.Hosts {
			if of := s.hosts[h]; of != nil {
				return fmt.Errorf("host %s belongs to clusters %s and %s", h, of.Name, c.Name)
			}
			s.hosts[h] = c
		}
	}
	for _, k := range [...]struct {
		kind       string
		have, want int
	}{
		{kindVendor, len(s.vendors), len(d.Vendors)}, {kindAgreement, len(s.agreements), len(d.Agreements)},
		{kindEngagement, len(s.engagements), len(d.Engagements)}, {kindCluster, len(s.clusters), len(d.Clusters)},
	} {
		if k.have != k.want {
			return fmt.Errorf("a %s is there twice", k.kind)
		}
	}
	return nil
}

func (s *Snapshot) indexAccounts() error {
	for i := range s.d.Accounts {
		a := &s.d.Accounts[i]
		if a.ID == "" {
			return fmt.Errorf("account %s has no id", a.Email)
		}
		s.byID[a.ID], s.byEmail[a.Email] = int32(i), int32(i)
	}
	if len(s.byID) != len(s.d.Accounts) || len(s.byEmail) != len(s.d.Accounts) {
		return fmt.Errorf("an account is there twice")
	}
	return nil
}

// group sorts n items by owner: owner o's are items[first[o]:first[o+1]].
func group(owners, n int, of func(int) (int32, bool)) (first, items []int32) {
	first = make([]int32, owners+1)
	owner := make([]int32, n)
	for i := range n {
		o, ok := of(i)
		if !ok {
			owner[i] = -1
			continue
		}
		owner[i] = o
		first[o+1]++
	}
	for o := range owners {
		first[o+1] += first[o]
	}
	items = make([]int32, first[owners])
	next := append([]int32(nil), first[:owners]...)
	for i, o := range owner {
		if o >= 0 {
			items[next[o]] = int32(i)
			next[o]++
		}
	}
	return first, items
}

// Directory returns what the snapshot was made from.
func (s *Snapshot) Directory() *Directory { return s.d }

// Account returns the account with an id.
func (s *Snapshot) Account(id string) (*Account, bool) {
	i, ok := s.byID[id]
	if !ok {
		return nil, false
	}
	return &s.d.Accounts[i], true
}

// AccountByEmail returns the account with a canonical address.
func (s *Snapshot) AccountByEmail(email string) (*Account, bool) {
	i, ok := s.byEmail[email]
	if !ok {
		return nil, false
	}
	return &s.d.Accounts[i], true
}

// Vendor returns a vendor by name.
func (s *Snapshot) Vendor(name string) (*Vendor, bool) { v := s.vendors[name]; return v, v != nil }

// Agreement returns an agreement by name.
func (s *Snapshot) Agreement(name string) (*Agreement, bool) {
	a := s.agreements[name]
	return a, a != nil
}

// Engagement returns an engagement by name.
func (s *Snapshot) Engagement(name string) (*Engagement, bool) {
	e := s.engagements[name]
	return e, e != nil
}

// Cluster returns a cluster by name.
func (s *Snapshot) Cluster(name string) (*Cluster, bool) { c := s.clusters[name]; return c, c != nil }

// ClusterByHost returns the cluster that a canonical host name belongs to.
func (s *Snapshot) ClusterByHost(host string) (*Cluster, bool) {
	c := s.hosts[host]
	return c, c != nil
}

// Access is a cluster that an account may reach, with what gives it.
type Access struct {
	Cluster    *Cluster
	Assignment *Assignment
	Engagement *Engagement
}

// ClustersOf returns the clusters that an account may reach at the time now, in
// the order of their names: those whose account, vendor, engagement and
// assignment are all in force. Agreements and fresh codes may still be demanded.
func (s *Snapshot) ClustersOf(accountID string, now time.Time) []Access {
	i, ok := s.byID[accountID]
	if !ok || !s.d.Accounts[i].InForce(now) {
		return nil
	}
	account := &s.d.Accounts[i]
	if v := s.vendors[account.Vendor]; v == nil || v.Suspended {
		return nil
	}
	var all []Access
	for a := range s.assignments(i) {
		e, c := s.engagements[a.Engagement], s.clusters[a.Cluster]
		if c != nil && e != nil && e.Vendor == account.Vendor && e.InForce(now) && e.covers(c.Name) && a.InForce(now) {
			all = append(all, Access{c, a, e})
		}
	}
	sortAccess(all)
	return all
}

// AssignmentsOf returns all assignments of an account, also those not in force.
func (s *Snapshot) AssignmentsOf(accountID string) []*Assignment {
	i, ok := s.byID[accountID]
	if !ok {
		return nil
	}
	var all []*Assignment
	for a := range s.assignments(i) {
		all = append(all, a)
	}
	return all
}

// AcceptancesOf returns what an account has accepted.
func (s *Snapshot) AcceptancesOf(accountID string) []Acceptance {
	i, ok := s.byID[accountID]
	if !ok {
		return nil
	}
	var all []Acceptance
	for _, j := range s.accepted[s.firstAccepted[i]:s.firstAccepted[i+1]] {
		all = append(all, s.acceptances[j])
	}
	return all
}
