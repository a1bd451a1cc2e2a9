package directory

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/policy"
)

const (
	maxTitle = 200
	maxText  = 1 << 20 // of an agreement or a certificate bundle
)

// objects checks each object by itself and that no key is there twice.
func (c *checker) objects(gateHost string) {
	for i := range c.d.Vendors {
		v, o := &c.d.Vendors[i], c.vendor(i)
		unique(o, "name", v.Name, c.vendors, v)
		c.oneVendor(o, v)
	}
	for i := range c.d.Agreements {
		a, o := &c.d.Agreements[i], c.agreement(i)
		unique(o, "name", a.Name, c.agreements, a)
		c.oneAgreement(o, a)
	}
	for i := range c.d.Engagements {
		e, o := &c.d.Engagements[i], c.engagement(i)
		unique(o, "name", e.Name, c.engagements, e)
		c.oneEngagement(o, e)
	}
	hosts := map[string]string{}
	if gateHost != "" {
		hosts[gateHost] = ""
	}
	for i := range c.d.Clusters {
		k, o := &c.d.Clusters[i], c.cluster(i)
		unique(o, "name", k.Name, c.clusters, k)
		c.oneCluster(o, k, hosts)
	}
	ids := make(map[string]bool, len(c.d.Accounts))
	for i := range c.d.Accounts {
		a, o := &c.d.Accounts[i], c.account(i)
		unique(o, "email", a.Email, c.accounts, a)
		if c.keptAccount(i) {
			if a.ID != "" {
				ids[a.ID] = true
			}
			continue
		}
		c.oneAccount(o, a, ids)
	}
	c.assignments()
}

// keptAccount reports whether an account stands unchanged where it stood.
func (c *checker) keptAccount(i int) bool {
	return c.have != nil && i < len(c.have.Accounts) && c.have.Accounts[i].ID == c.d.Accounts[i].ID &&
		sameAccount(&c.have.Accounts[i], &c.d.Accounts[i])
}

// assignments checks each assignment and that no key is there twice. Those
// that stand where they stood in the directory that is replaced are known to be
// sound and to differ from one another; with hundreds of thousands, that is
// most of the work of a change.
func (c *checker) assignments() {
	type key struct{ account, cluster string }
	kept := func(i int) bool {
		return c.have != nil && i < len(c.have.Assignments) && sameAssignment(&c.have.Assignments[i], &c.d.Assignments[i])
	}
	fresh := map[key]int{} // place of the first
	for i := range c.d.Assignments {
		if kept(i) {
			continue
		}
		a := &c.d.Assignments[i]
		if _, twice := fresh[key{a.Account, a.Cluster}]; twice {
			c.assignment(i).fault("", "is there twice: an account has at most one assignment on a cluster")
		} else {
			fresh[key{a.Account, a.Cluster}] = i
		}
		c.oneAssignment(c.assignment(i), a)
	}
	if len(fresh) == 0 || len(fresh) == len(c.d.Assignments) {
		return
	}
	for i := range c.d.Assignments {
		a := &c.d.Assignments[i]
		if j, twice := fresh[key{a.Account, a.Cluster}]; twice && i != j && kept(i) {
			c.assignment(j).fault("", "is there twice: an account has at most one assignment on a cluster")
		}
	}
}

func unique[T any](o object, field, key string, seen map[string]*T, v *T) {
	if key == "" {
		return
	}
	if seen[key] != nil {
		o.fault(field, "%q is there twice", key)
		return
	}
	seen[key] = v
}

func (c *checker) oneVendor(o object, v *Vendor) {
	o.name63(v.Name)
	o.text("title", v.Title, maxTitle)
	o.text("owner.name", v.Owner.Name, maxTitle)
	o.email("owner.email", v.Owner.Email)
	switch {
	case v.SuspendedReason != "" && !v.Suspended:
		o.fault("suspended_reason", "is given, but the vendor is not suspended")
	case v.SuspendedReason != "":
		o.text("suspended_reason", v.SuspendedReason, maxTitle*5)
	}
	c.oneProvider(o, v)
}

func (c *checker) oneAgreement(o object, a *Agreement) {
	o.name63(a.Name)
	o.text("title", a.Title, maxTitle)
	if a.Version < 1 || a.Version > 1<<20 {
		o.fault("version", "must be a whole number from 1")
	}
	switch bad := badRune(a.Text, "\n\t"); {
	case strings.TrimSpace(a.Text) == "":
		o.fault("text", "is missing")
	case bad != "":
		o.fault("text", "contains %s", bad)
	case len(a.Text) > maxText:
		o.fault("text", "is longer than %d bytes", maxText)
	}
}

func (c *checker) oneEngagement(o object, e *Engagement) {
	o.name63(e.Name)
	o.text("title", e.Title, maxTitle)
	if e.Vendor == "" {
		o.fault("vendor", "is missing")
	}
	o.period(e.Starts, e.Ends)
	if len(e.Clusters) == 0 {
		o.fault("clusters", "is missing: an engagement covers at least one cluster")
	}
	o.each("clusters", e.Clusters, func(string, string) {})
	o.each("agreements", e.Agreements, func(string, string) {})
	o.session(e.Session)
}

func (c *checker) oneCluster(o object, k *Cluster, hosts map[string]string) {
	o.name63(k.Name)
	o.text("title", k.Title, maxTitle)
	if !slices.Contains(Classifications, k.Classification) {
		o.fault("classification", "%q must be one of %s", k.Classification, strings.Join(Classifications, ", "))
	}
	if k.LogMode != "" && k.LogMode != policy.ModeRelaxed {
		o.fault("log_mode", "%q must be strict or relaxed", k.LogMode)
	}
	o.text("owner.name", k.Owner.Name, maxTitle)
	o.email("owner.email", k.Owner.Email)
	if len(k.Hosts) == 0 {
		o.fault("hosts", "is missing: a cluster has at least one host name")
	}
	for i, h := range k.Hosts {
		at := fmt.Sprintf("hosts[%d]", i)
		canonical, err := CanonicalHost(h)
		if err != nil {
			o.fault(at, "%v", err)
			continue
		}
		if canonical != h {
			o.fault(at, "%q must be written %q", h, canonical)
		}
		switch of, taken := hosts[canonical]; {
		case taken && of == "":
			o.fault(at, "%q is the gate's own host", h)
		case taken:
			o.fault(at, "%q is a host of cluster %s already", h, of)
		default:
			hosts[canonical] = k.Name
		}
	}
	if len(k.Routes) == 0 {
		o.fault("routes", "is missing: a cluster has at least one route")
	}
	for i := range k.Routes {
		c.oneRoute(o, k.Routes[:i], &k.Routes[i], fmt.Sprintf("routes[%d].", i))
	}
}

func (c *checker) oneRoute(o object, before []Route, r *Route, at string) {
	if !ValidName(r.Name) {
		o.fault(at+"name", "%q must be 1 to 63 of a-z, 0-9 and -, not beginning with -", r.Name)
	}
	if why := badPrefix(r.Path); why != "" {
		o.fault(at+"path", "%q %s", r.Path, why)
	}
	for _, b := range before {
		if b.Name == r.Name {
			o.fault(at+"name", "%q is there twice", r.Name)
		}
		if b.Path == r.Path {
			o.fault(at+"path", "%q is the path of route %s already", r.Path, b.Name)
		}
	}
	if len(r.Upstreams) == 0 {
		o.fault(at+"upstreams", "is missing: a route has at least one upstream")
	}
	o.each(at+"upstreams", r.Upstreams, func(field, s string) {
		if why := badUpstream(s); why != "" {
			o.fault(field, "%s", why)
		}
	})
	if r.HealthPath != "" {
		if why := badPrefix(strings.TrimSuffix(r.HealthPath, "/") + "/x"); why != "" {
			o.fault(at+"health_path", "%q %s", r.HealthPath, why)
		}
	}
	if r.Timeout < 0 || r.Timeout > time.Hour {
		o.fault(at+"timeout", "must be between 0 and 1h")
	}
	if r.UpstreamCA != "" {
		if why := badCertificates(r.UpstreamCA); why != "" {
			o.fault(at+"upstream_ca", "%s", why)
		}
	}
}

func (c *checker) oneAccount(o object, a *Account, ids map[string]bool) {
	o.email("email", a.Email)
	o.text("name", a.Name, maxTitle)
	switch {
	case a.ID == "":
	case a.ID == Operator || !validID(a.ID):
		o.fault("id", "%q cannot be an account's id", a.ID)
	case ids[a.ID]:
		o.fault("id", "%q is the id of another account", a.ID)
	default:
		ids[a.ID] = true
	}
	if len(a.Roles) == 0 {
		o.fault("roles", "is missing: an account has at least one role")
	}
	for i, r := range a.Roles {
		switch {
		case !r.Valid():
			o.fault(fmt.Sprintf("roles[%d]", i), "%q must be one of %s", r, roleList())
		case slices.Contains(a.Roles[:i], r):
			o.fault(fmt.Sprintf("roles[%d]", i), "%q is there twice", r)
		}
	}
	if !a.Ends.IsZero() {
		o.time("ends", a.Ends)
	}
	if a.TimeZone != "" && !ValidTimeZone(a.TimeZone) {
		o.fault("time_zone", "%q is no time zone; give a name such as Europe/Berlin or UTC", a.TimeZone)
	}
	if len(a.LogClusters) > 0 && (len(a.Roles) != 1 || !a.Has(policy.Reviewer)) {
		o.fault("log_clusters", "is given, but only an account whose one role is reviewer can be limited to clusters")
	}
	if !a.Has(policy.Contractor) {
		if a.Vendor != "" {
			o.fault("vendor", "is given, but only contractors belong to a vendor")
		}
		return
	}
	if len(a.Roles) > 1 {
		o.fault("roles", "a contractor holds no other role")
	}
	if a.Vendor == "" {
		o.fault("vendor", "is missing: a contractor belongs to a vendor")
	}
	if a.Ends.IsZero() {
		o.fault("ends", "is missing: a contractor's account has an end")
	}
}

func (c *checker) oneAssignment(o object, a *Assignment) {
	for _, f := range [...]struct{ field, value string }{{"account", a.Account}, {"cluster", a.Cluster}, {"engagement", a.Engagement}} {
		if f.value == "" {
			o.fault(f.field, "is missing")
		}
	}
	o.period(a.Starts, a.Ends)
	if a.Access != policy.AccessRead && a.Access != policy.AccessWrite {
		o.fault("access", "%q must be read or write", a.Access)
	}
	o.each("methods", a.Methods, func(field, m string) {
		switch {
		case !slices.Contains(methods, m):
			o.fault(field, "%q must be one of %s", m, strings.Join(methods, ", "))
		case a.Access == policy.AccessRead && !slices.Contains(methods[:readMethods], m):
			o.fault(field, "%q is not within read access", m)
		}
	})
	o.each("paths", a.Paths, func(field, p string) {
		if why := badPrefix(p); why != "" {
			o.fault(field, "%q %s", p, why)
		}
	})
	o.text("reason", a.Reason, maxTitle*5)
}

// methods an assignment can name; the first readMethods are within read access.
var methods = []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE",
	"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH"}

const readMethods = 3

func roleList() string {
	s := make([]string, len(policy.Roles))
	for i, r := range policy.Roles {
		s[i] = string(r)
	}
	return strings.Join(s, ", ")
}

func validID(s string) bool {
	return len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}
