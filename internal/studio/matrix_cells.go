package studio

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
)

// Cells returns the cells of a matrix for requests from source: every account
// on every route of the clusters that it has an assignment for, in force or
// not. Without counts the pairs of contractor and cluster that have none: the
// guardrails deny those whatever policies say, so nobody asks.
func Cells(s *directory.Snapshot, source netip.Addr) (cells []MatrixCell, without int) {
	d := s.Directory()
	for i := range d.Accounts {
		a := &d.Accounts[i]
		if a.Vendor == "" {
			continue // the customer's own people reach no cluster
		}
		without += len(d.Clusters)
		for _, given := range s.AssignmentsOf(a.ID) {
			c, ok := s.Cluster(given.Cluster)
			if !ok {
				continue
			}
			without--
			for j := range c.Routes {
				prefix := segmentsOf(c.Routes[j].Path)
				cells = append(cells, MatrixCell{Account: a.ID, Email: a.Email, Vendor: a.Vendor, Roles: a.Roles, Cluster: c.Name,
					Classification: c.Classification, Route: c.Routes[j].Name, Host: firstOf(c.Hosts), Prefix: prefix, Below: below(c, prefix),
					Facts: s.Facts(a.ID, c.Name, source)})
			}
		}
	}
	return cells, without
}

// Ask returns the request for a matrix of the directory at a time. A nil new
// asks about today alone.
func Ask(s *directory.Snapshot, old, new map[string]string, at time.Time, source netip.Addr) (a MatrixRequest, without int) {
	a = MatrixRequest{Old: old, New: new, One: new == nil, At: at, Source: source.String()}
	a.Cells, without = Cells(s, source)
	return a, without
}

// below returns the prefixes of the routes that take a part of another.
func below(c *directory.Cluster, prefix []string) (out [][]string) {
	for _, r := range c.Routes {
		if p := segmentsOf(r.Path); len(p) > len(prefix) && covers(prefix, p) {
			out = append(out, p)
		}
	}
	return out
}

func firstOf(hosts []string) string {
	if len(hosts) == 0 {
		return ""
	}
	return hosts[0]
}

// segmentsOf cuts a prefix at its slashes; "/" has none.
func segmentsOf(prefix string) []string {
	return slices.DeleteFunc(strings.Split(prefix, "/"), func(s string) bool { return s == "" })
}
