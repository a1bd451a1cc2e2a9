package directory

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"

	"github.com/ringfence/ringfence/policy"
)

// The fields of the YAML form, in the order in which they are written.
var (
	documentFieldNames   = []string{"version", "vendors", "agreements", "clusters", "engagements", "accounts", "assignments"}
	vendorFieldNames     = []string{"name", "title", "owner", "suspended", "suspended_reason", "identity_provider"}
	agreementFieldNames  = []string{"name", "title", "version", "text"}
	clusterFieldNames    = []string{"name", "title", "classification", "owner", "hosts", "log_mode", "routes"}
	routeFieldNames      = []string{"name", "path", "upstreams", "health_path", "encoded_slashes", "preserve_host", "timeout", "upstream_ca"}
	engagementFieldNames = []string{"name", "vendor", "title", "starts", "ends", "closed", "clusters", "agreements", "session", "trust_provider_factor", "phishing_resistant", "access_tokens"}
	accountFieldNames    = []string{"email", "name", "vendor", "roles", "ends", "time_zone", "log_clusters", "disabled"}
	assignmentFieldNames = []string{"account", "cluster", "engagement", "starts", "ends", "access", "methods", "paths", "reason"}
)

func (r *reader) document(body ast.Node) *Directory {
	d, version := &Directory{}, 0
	fields, ok := r.mapping(body, "", documentFieldNames, func(key, at string, v ast.Node) bool {
		switch key {
		case "version":
			return r.number(v, at, &version)
		case "vendors":
			return objects(r, v, kindVendor, at, &d.Vendors, r.vendor)
		case "agreements":
			return objects(r, v, kindAgreement, at, &d.Agreements, r.agreement)
		case "clusters":
			return objects(r, v, kindCluster, at, &d.Clusters, r.cluster)
		case "engagements":
			return objects(r, v, kindEngagement, at, &d.Engagements, r.engagement)
		case "accounts":
			return objects(r, v, kindAccount, at, &d.Accounts, r.account)
		default:
			return objects(r, v, kindAssignment, at, &d.Assignments, r.assignment)
		}
	})
	switch f := find(fields, "version"); {
	case !ok:
	case f == nil:
		r.fault(lineOf(body), "version", "is missing: begin with version: %d", FormatVersion)
	case !f.bad && version != FormatVersion:
		r.fault(f.line, "version", "%d is not known: this program reads version %d", version, FormatVersion)
	}
	return d
}

// objects reads a list of objects of one kind.
func objects[T any](r *reader, n ast.Node, kind, at string, to *[]T, read func(ast.Node, string, *T) ([]fieldLine, bool)) bool {
	return r.sequence(n, at, func(_ int, at string, n ast.Node) bool {
		var v T
		fields, ok := read(n, at, &v)
		if ok { // what is no mapping at all has no fields to check
			*to = append(*to, v)
			r.lines.objects[kind] = append(r.lines.objects[kind], objectLines{lineOf(n), fields})
		}
		return ok
	})
}

func (r *reader) vendor(n ast.Node, at string, to *Vendor) ([]fieldLine, bool) {
	to.unsaid, to.providerUnsaid = true, true
	var owner, provider []fieldLine
	fields, ok := r.mapping(n, at, vendorFieldNames, func(key, at string, v ast.Node) (ok bool) {
		switch key {
		case "name":
			return r.text(v, at, &to.Name)
		case "title":
			return r.text(v, at, &to.Title)
		case "owner":
			owner, ok = r.person(v, at, &to.Owner)
			return ok
		case "suspended":
			to.unsaid = false
			return r.bool(v, at, &to.Suspended)
		case "identity_provider":
			provider, ok = r.provider(v, at, to)
			return ok
		default:
			return r.text(v, at, &to.SuspendedReason)
		}
	})
	return append(append(fields, below("owner", owner)...), provider...), ok
}

func below(field string, fields []fieldLine) []fieldLine {
	for i := range fields {
		fields[i].name = field + "." + fields[i].name
	}
	return fields
}

func (r *reader) agreement(n ast.Node, at string, to *Agreement) ([]fieldLine, bool) {
	return r.mapping(n, at, agreementFieldNames, func(key, at string, v ast.Node) bool {
		switch key {
		case "name":
			return r.text(v, at, &to.Name)
		case "title":
			return r.text(v, at, &to.Title)
		case "version":
			return r.number(v, at, &to.Version)
		default:
			return r.text(v, at, &to.Text)
		}
	})
}

func (r *reader) cluster(n ast.Node, at string, to *Cluster) ([]fieldLine, bool) {
	var more []fieldLine
	fields, ok := r.mapping(n, at, clusterFieldNames, func(key, at string, v ast.Node) (ok bool) {
		switch key {
		case "name":
			return r.text(v, at, &to.Name)
		case "title":
			return r.text(v, at, &to.Title)
		case "classification":
			return r.text(v, at, &to.Classification)
		case "owner":
			var owner []fieldLine
			owner, ok = r.person(v, at, &to.Owner)
			more = append(more, below("owner", owner)...)
			return ok
		case "hosts":
			return r.list(v, at, &to.Hosts)
		case "log_mode":
			ok = r.text(v, at, &to.LogMode)
			if to.LogMode == policy.ModeStrict {
				to.LogMode = ""
			}
			return ok
		default:
			return r.sequence(v, at, func(i int, at string, n ast.Node) bool {
				var route Route
				fields, ok := r.route(n, at, &route)
				to.Routes = append(to.Routes, route)
				here := fmt.Sprintf("routes[%d]", i)
				more = append(more, fieldLine{here, lineOf(n), !ok})
				more = append(more, below(here, fields)...)
				return ok
			})
		}
	})
	return append(fields, more...), ok
}

func (r *reader) route(n ast.Node, at string, to *Route) ([]fieldLine, bool) {
	return r.mapping(n, at, routeFieldNames, func(key, at string, v ast.Node) bool {
		switch key {
		case "name":
			return r.text(v, at, &to.Name)
		case "path":
			return r.text(v, at, &to.Path)
		case "upstreams":
			return r.list(v, at, &to.Upstreams)
		case "health_path":
			return r.text(v, at, &to.HealthPath)
		case "encoded_slashes":
			return r.bool(v, at, &to.EncodedSlashes)
		case "preserve_host":
			return r.bool(v, at, &to.PreserveHost)
		case "timeout":
			return r.duration(v, at, &to.Timeout)
		default:
			return r.text(v, at, &to.UpstreamCA)
		}
	})
}

func (r *reader) engagement(n ast.Node, at string, to *Engagement) ([]fieldLine, bool) {
	to.unsaid, to.unsaidFactor = true, true
	var more []fieldLine
	fields, ok := r.mapping(n, at, engagementFieldNames, func(key, at string, v ast.Node) (ok bool) {
		switch key {
		case "name":
			return r.text(v, at, &to.Name)
		case "vendor":
			return r.text(v, at, &to.Vendor)
		case "title":
			return r.text(v, at, &to.Title)
		case "starts":
			return r.starts(v, at, &to.Starts)
		case "ends":
			return r.ends(v, at, &to.Ends)
		case "closed":
			to.unsaid = false
			return r.bool(v, at, &to.Closed)
		case "clusters":
			return r.list(v, at, &to.Clusters)
		case "trust_provider_factor":
			return r.bool(v, at, &to.TrustProviderFactor)
		case "phishing_resistant":
			to.unsaidFactor = false
			return r.bool(v, at, &to.PhishingResistant)
		case "session":
			var limits []fieldLine
			limits, ok = r.session(v, at, &to.Session)
			more = append(more, below("session", limits)...)
			return ok
		case "access_tokens":
			return r.bool(v, at, &to.AccessTokens)
		default:
			return r.list(v, at, &to.Agreements)
		}
	})
	return append(fields, more...), ok
}

func (r *reader) account(n ast.Node, at string, to *Account) ([]fieldLine, bool) {
	to.unsaid = true
	return r.mapping(n, at, accountFieldNames, func(key, at string, v ast.Node) bool {
		switch key {
		case "email":
			return r.text(v, at, &to.Email)
		case "name":
			return r.text(v, at, &to.Name)
		case "vendor":
			return r.text(v, at, &to.Vendor)
		case "roles":
			var roles []string
			ok := r.list(v, at, &roles)
			for _, s := range roles {
				to.Roles = append(to.Roles, policy.Role(s))
			}
			return ok
		case "ends":
			return r.ends(v, at, &to.Ends)
		case "time_zone":
			return r.text(v, at, &to.TimeZone)
		case "log_clusters":
			return r.list(v, at, &to.LogClusters)
		default:
			to.unsaid = false
			return r.bool(v, at, &to.Disabled)
		}
	})
}

func (r *reader) assignment(n ast.Node, at string, to *Assignment) ([]fieldLine, bool) {
	return r.mapping(n, at, assignmentFieldNames, func(key, at string, v ast.Node) bool {
		switch key {
		case "account":
			return r.text(v, at, &to.Account)
		case "cluster":
			return r.text(v, at, &to.Cluster)
		case "engagement":
			return r.text(v, at, &to.Engagement)
		case "starts":
			return r.starts(v, at, &to.Starts)
		case "ends":
			return r.ends(v, at, &to.Ends)
		case "access":
			return r.text(v, at, &to.Access)
		case "methods":
			return r.list(v, at, &to.Methods)
		case "paths":
			return r.list(v, at, &to.Paths)
		default:
			return r.text(v, at, &to.Reason)
		}
	})
}
