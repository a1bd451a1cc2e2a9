package console

import (
	"net/http"
	"slices"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// portalPage is the data of the page "portal".
type portalPage struct {
	Base
	Clusters  []clusterCard
	Due       int  // agreements that wait
	KeyDue    bool // an engagement demands a key, and there is none
	Ask       *policy.Person
	LastLogin time.Time // zero: this is the first
	LastIP    string
	From      string // where this session was opened from
	Failed    int    // wrong codes since the last sign-in
	Recovery  int    // recovery codes left
	FewCodes  bool
	Vendor    string
	Factors   factorSummary
	Ends      time.Time // of the session
	Pauses    time.Time // when it will be idle, unless it is used
	Strange   bool      // another session began somewhere new
}

// A clusterCard is one cluster that is open to the visitor now.
type clusterCard struct {
	Name, Title    string
	Classification ui.Badge
	URL            string
	Host           string
	Until          time.Time
	Left           ui.Text // in words
	Soon           bool    // it ends within two weeks
	May            []ui.Text
	Reason         string
	Engagement     string
	Ask            policy.Person
}

func (c *Console) portal(w http.ResponseWriter, r *http.Request, v *visit) error {
	open := v.Snapshot.ClustersOf(v.Session.Account, v.Now)
	if len(open) == 0 && v.Has(policy.Administrator, policy.Approver, policy.Reviewer) {
		if n, ok := c.needOf("/console/"); ok && n.met(v.Session) {
			http.Redirect(w, r, "/console/", http.StatusSeeOther)
			return nil
		}
	}
	s := v.Session
	left, err := c.Auth.RecoveryLeft(r.Context(), s.Account)
	if err != nil {
		return authError(err, "counting recovery codes")
	}
	page := &portalPage{Base: v.Titled("My clusters"), LastLogin: s.LastLogin, LastIP: s.LastIP, From: s.IP, Failed: s.FailedCodes,
		Recovery: left, FewCodes: left <= fewCodes, Due: len(outstanding(v.Snapshot, s.Account, v.Now)), Ends: s.AbsoluteEnds}
	sessions, err := c.Auth.SessionsOf(r.Context(), s.Account)
	if err != nil {
		return authError(err, "listing sessions")
	}
	page.Pauses, page.Strange = s.IdleEnds, strange(sessions, s.ID)
	if owner, title := vendorOf(v.Snapshot, s.Vendor); title != "" {
		page.Ask, page.Vendor = &owner, title
	}
	if v.Snapshot.PhishingResistant(s.Account, v.Now) {
		keys, err := c.Auth.SecurityKeys(r.Context(), s.Account)
		if err != nil {
			return authError(err, "listing keys")
		}
		page.KeyDue = len(keys) == 0
	}
	for _, a := range open {
		page.Clusters = append(page.Clusters, c.card(a, v.Now))
	}
	if page.Factors, err = c.factorSummary(r.Context(), v.Session.Account); err != nil {
		return err
	}
	c.UI.Page(w, r, http.StatusOK, "portal", page)
	return nil
}

// vendorOf returns who answers for a vendor inside the customer.
func vendorOf(s *directory.Snapshot, name string) (owner policy.Person, title string) {
	for _, v := range s.Directory().Vendors {
		if v.Name == name {
			return v.Owner, orElse(v.Title, v.Name)
		}
	}
	return policy.Person{}, ""
}

func (c *Console) card(a directory.Access, now time.Time) clusterCard {
	k := clusterCard{Name: a.Cluster.Name, Title: orElse(a.Cluster.Title, a.Cluster.Name), Classification: classBadge(a.Cluster.Classification),
		Until: until(a), May: scopeWords(*a.Assignment), Reason: a.Assignment.Reason, Engagement: orElse(a.Engagement.Title, a.Engagement.Name), Ask: a.Cluster.Owner}
	if len(a.Cluster.Hosts) > 0 {
		k.Host = a.Cluster.Hosts[0]
		k.URL = c.hostURL(k.Host) + "/"
	}
	left := k.Until.Sub(now)
	k.Left, k.Soon = leftWords(left), left < 14*24*time.Hour
	return k
}

// until returns the moment at which access ends: the earlier end of assignment and engagement.
func until(a directory.Access) time.Time {
	ends := []time.Time{a.Assignment.Ends, a.Engagement.Ends}
	ends = slices.DeleteFunc(ends, time.Time.IsZero)
	if len(ends) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(ends, time.Time.Compare)
}

var classWords = map[string]ui.Badge{
	"public":       {Kind: ui.Neutral, Text: "Public"},
	"internal":     {Kind: ui.Neutral, Text: "Internal"},
	"confidential": {Kind: ui.Warn, Text: "Confidential"},
	"restricted":   {Kind: ui.Bad, Text: "Restricted"},
}

// classBadge shows a classification as it is written everywhere.
func classBadge(class string) ui.Badge {
	if b, ok := classWords[class]; ok {
		return b
	}
	return ui.Badge{Kind: ui.Neutral, Text: ui.Verbatim(class)}
}
