package directory

import (
	"fmt"
	"strings"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// references checks what objects say of one another. It stays silent about a
// value that is missing, which has its own fault.
func (c *checker) references() {
	for i := range c.d.Engagements {
		e, o := &c.d.Engagements[i], c.engagement(i)
		if e.Vendor != "" && c.vendors[e.Vendor] == nil {
			o.fault("vendor", "there is no vendor %q", e.Vendor)
		}
		for j, n := range e.Clusters {
			if c.clusters[n] == nil {
				o.fault(fmt.Sprintf("clusters[%d]", j), "there is no cluster %q", n)
			}
		}
		for j, n := range e.Agreements {
			if c.agreements[n] == nil {
				o.fault(fmt.Sprintf("agreements[%d]", j), "there is no agreement %q", n)
			}
		}
	}
	for i := range c.d.Accounts {
		if a := &c.d.Accounts[i]; a.Vendor != "" && c.vendors[a.Vendor] == nil {
			c.account(i).fault("vendor", "there is no vendor %q", a.Vendor)
		}
		for j, n := range c.d.Accounts[i].LogClusters {
			if c.clusters[n] == nil {
				c.account(i).fault(fmt.Sprintf("log_clusters[%d]", j), "there is no cluster %q", n)
			}
		}
	}
	for i := range c.d.Assignments {
		c.assigned(c.assignment(i), &c.d.Assignments[i])
	}
}

func (c *checker) assigned(o object, a *Assignment) {
	account, engagement := c.accounts[a.Account], c.engagements[a.Engagement]
	if account == nil && a.Account != "" {
		o.fault("account", "there is no account %q", a.Account)
	}
	if c.clusters[a.Cluster] == nil && a.Cluster != "" {
		o.fault("cluster", "there is no cluster %q", a.Cluster)
	}
	if engagement == nil && a.Engagement != "" {
		o.fault("engagement", "there is no engagement %q", a.Engagement)
	}
	if account != nil && !account.Has(policy.Contractor) {
		o.fault("account", "only contractors are assigned to clusters")
	}
	if account != nil && !account.Ends.IsZero() && a.Ends.After(account.Ends) {
		o.fault("ends", "is after the account's end (%s)", stamp(account.Ends))
	}
	if engagement == nil {
		return
	}
	if account != nil && account.Vendor != engagement.Vendor {
		o.fault("engagement", "%q is an engagement of vendor %q, the account belongs to %q", a.Engagement, engagement.Vendor, account.Vendor)
	}
	if a.Cluster != "" && !c.covers(engagement, a.Cluster) {
		o.fault("engagement", "%q does not cover cluster %q", a.Engagement, a.Cluster)
	}
	if a.Starts.Before(engagement.Starts) && !a.Starts.IsZero() {
		o.fault("starts", "is before the engagement's start (%s)", stamp(engagement.Starts))
	}
	if a.Ends.After(engagement.Ends) {
		o.fault("ends", "is after the engagement's end (%s)", stamp(engagement.Ends))
	}
}

func (c *checker) covers(e *Engagement, cluster string) bool {
	k := covering{e.Name, cluster}
	covers, asked := c.covered[k]
	if !asked {
		covers = e.covers(cluster)
		c.covered[k] = covers
	}
	return covers
}

// transition checks the rules about change.
func (c *checker) transition(have *Directory, now time.Time) {
	agreements := make(map[string]*Agreement, len(have.Agreements))
	for i := range have.Agreements {
		agreements[have.Agreements[i].Name] = &have.Agreements[i]
	}
	for i := range c.d.Agreements {
		a := &c.d.Agreements[i]
		old := agreements[a.Name]
		switch {
		case old == nil || a.Version < 1 || strings.TrimSpace(a.Text) == "": // told already
		case a.Version < old.Version:
			c.agreement(i).fault("version", "%d is below the version in force, %d: versions only rise", a.Version, old.Version)
		case a.Version == old.Version && a.Text != old.Text:
			c.agreement(i).fault("text", "the text of version %d never changes: raise the version", a.Version)
		}
	}
	c.erased(have)
	var stored *accounts
	for i := range c.d.Accounts {
		a := &c.d.Accounts[i]
		if !a.Has(policy.Contractor) || a.Ends.IsZero() || !a.Ends.After(now.Add(MaxContractorTerm)) {
			continue
		}
		if c.keptAccount(i) {
			continue
		}
		if stored == nil {
			stored = accountIndex(have)
		}
		if old := stored.find(a); old == nil || !old.Ends.Equal(a.Ends) {
			c.account(i).fault("ends", "is more than %d days ahead: a contractor's account ends by %s",
				MaxContractorTerm/(24*time.Hour), now.Add(MaxContractorTerm).UTC().Format(time.DateOnly))
		}
	}
}

// erased sees to it that an account that was erased is nobody's again: its key is
// gone, so the access log would say neither what it did nor from where.
func (c *checker) erased(have *Directory) {
	gone := map[string]bool{}
	for i := range have.Accounts {
		if a := &have.Accounts[i]; a.Disabled && a.Erased() {
			gone[a.ID] = true
		}
	}
	for i := range c.d.Accounts {
		a := &c.d.Accounts[i]
		if !gone[a.ID] {
			continue
		}
		if !a.Disabled {
			c.account(i).fault("disabled", "is false: the account was erased and is never used again")
		}
		if !a.Erased() {
			c.account(i).fault("email", "changes: the account was erased and is never used again")
		}
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// accounts finds the same account in another directory: by id where there is
// one, else by e-mail.
type accounts struct{ byID, byEmail map[string]*Account }

func accountIndex(d *Directory) *accounts {
	x := &accounts{make(map[string]*Account, len(d.Accounts)), make(map[string]*Account, len(d.Accounts))}
	for i := range d.Accounts {
		a := &d.Accounts[i]
		if a.ID != "" {
			x.byID[a.ID] = a
		}
		x.byEmail[a.Email] = a
	}
	return x
}

func (x *accounts) find(a *Account) *Account {
	if a.ID != "" {
		return x.byID[a.ID]
	}
	return x.byEmail[a.Email]
}
