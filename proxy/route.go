package proxy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const defaultTimeout = 30 * time.Second // to the first byte of a response

// A table is an immutable set of clusters by host. It is replaced whole.
type table struct {
	hosts    map[string]*cluster
	clusters []*cluster
	pools    map[poolKey]*pool
}

type cluster struct {
	Cluster
	routes []*route // longest prefix first
}

// A route is chosen once for a request and handed on; nothing looks at the
// path a second time.
type route struct {
	Route
	prefix []string
	pools  []*pool
	next   counter // where balancing starts
}

// match returns the route with the longest prefix of whole segments, nil when none covers path.
func (c *cluster) match(path []string) *route {
	for _, r := range c.routes {
		if covers(r.prefix, path) {
			return r
		}
	}
	return nil
}

func covers(prefix, path []string) bool {
	return len(prefix) <= len(path) && slices.Equal(prefix, path[:len(prefix)])
}

// SetClusters replaces the clusters, whole or not at all: on an error, which
// names every fault, the old ones stay. Connections to upstreams that do not
// change are kept; open streams of clusters or routes that are gone are cut by
// the [Handler.Recheck] that this causes. It is safe for concurrent use.
func (h *Handler) SetClusters(cs []Cluster) error {
	h.setting.Lock()
	defer h.setting.Unlock()
	old := h.table.Load()
	t := &table{hosts: make(map[string]*cluster), pools: make(map[poolKey]*pool)}
	var faults []error
	names := make(map[string]bool)
	for _, c := range cs {
		if c.Name == "" || names[c.Name] {
			faults = append(faults, fmt.Errorf("cluster %q: the name is missing or used twice", c.Name))
			continue
		}
		names[c.Name] = true
		if err := h.addCluster(t, old, c); err != nil {
			faults = append(faults, err)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("setting clusters: %w", err)
	}
	h.table.Store(t)
	if old != nil {
		for k, p := range old.pools {
			if t.pools[k] != p {
				p.transport.CloseIdleConnections()
			}
		}
	}
	h.Recheck()
	return nil
}

func (h *Handler) addCluster(t, old *table, c Cluster) error {
	var faults []error
	out := &cluster{Cluster: c}
	if len(c.Hosts) == 0 {
		faults = append(faults, fmt.Errorf("cluster %s: it has no host", c.Name))
	}
	out.Hosts = nil
	for _, s := range c.Hosts {
		host, port, err := canonicalHost(s)
		switch {
		case err != nil || port != "":
			faults = append(faults, fmt.Errorf("cluster %s: host %q is no host name", c.Name, s))
		case host == h.gateHost:
			faults = append(faults, fmt.Errorf("cluster %s: host %s is the gate's", c.Name, host))
		case t.hosts[host] != nil:
			faults = append(faults, fmt.Errorf("cluster %s: host %s is used twice, also by cluster %s", c.Name, host, t.hosts[host].Name))
		default:
			out.Hosts = append(out.Hosts, host)
			t.hosts[host] = out
		}
	}
	for _, r := range c.Routes {
		rt, err := h.newRoute(t, old, c.Name, r)
		if err == nil && slices.ContainsFunc(out.routes, func(o *route) bool { return o.Name == rt.Name || slices.Equal(o.prefix, rt.prefix) }) {
			err = errors.New("its name or path is used twice")
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("cluster %s: route %q: %w", c.Name, r.Name, err))
			continue
		}
		out.routes = append(out.routes, rt)
	}
	slices.SortStableFunc(out.routes, func(a, b *route) int { return len(b.prefix) - len(a.prefix) })
	t.clusters = append(t.clusters, out)
	return errors.Join(faults...)
}

func (h *Handler) newRoute(t, old *table, clusterName string, r Route) (*route, error) {
	if r.Path == "" {
		r.Path = "/"
	}
	if r.Timeout <= 0 {
		r.Timeout = defaultTimeout
	}
	if len(r.Upstreams) == 0 {
		return nil, errors.New("it has no upstream")
	}
	p, err := canonicalPath(r.Path)
	if err != nil || p.Slashes {
		return nil, fmt.Errorf("path %q cannot be a prefix: it must be a plain path such as /api", r.Path)
	}
	out := &route{Route: r, prefix: p.Segments}
	if last := len(out.prefix) - 1; out.prefix[last] == "" {
		out.prefix = out.prefix[:last] // "/api/" covers what "/api" covers
	}
	if r.HealthPath != "" && !strings.HasPrefix(r.HealthPath, "/") {
		return nil, fmt.Errorf("health path %q does not begin with a slash", r.HealthPath)
	}
	for _, u := range r.Upstreams {
		k := poolKey{cluster: clusterName, url: u, ca: r.UpstreamCA, timeout: r.Timeout, health: r.HealthPath}
		pl := t.pools[k]
		if pl == nil && old != nil {
			pl = old.pools[k]
		}
		if pl == nil {
			if pl, err = h.newPool(k); err != nil {
				return nil, err
			}
		}
		t.pools[k] = pl
		out.pools = append(out.pools, pl)
	}
	return out, nil
}
