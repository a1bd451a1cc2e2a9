package directory

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// A field is one field of an object as a change tells it. The fields of a kind
// come in the same number and order for every object.
type field struct{ name, value string }

func sameVendor(a, b *Vendor) bool {
	return a.Name == b.Name && a.Title == b.Title && a.Owner == b.Owner &&
		a.Suspended == b.Suspended && a.SuspendedReason == b.SuspendedReason &&
		sameProvider(a.IdentityProvider, b.IdentityProvider)
}

func vendorFields(v *Vendor) []field {
	return append([]field{
		{"title", v.Title}, {"owner", person(v.Owner)},
		{"suspended", flag(v.Suspended)}, {"suspended_reason", v.SuspendedReason},
	}, providerFields(v.IdentityProvider)...)
}

func sameAgreement(a, b *Agreement) bool { return *a == *b }

func agreementFields(a *Agreement) []field {
	text := ""
	if a.Text != "" {
		text = TextHash(a.Text)
	}
	return []field{{"title", a.Title}, {"version", strconv.Itoa(a.Version)}, {"text", text}}
}

func sameEngagement(a, b *Engagement) bool {
	return a.Name == b.Name && a.Vendor == b.Vendor && a.Title == b.Title &&
		a.Starts.Equal(b.Starts) && a.Ends.Equal(b.Ends) && a.Closed == b.Closed &&
		slices.Equal(a.Clusters, b.Clusters) && slices.Equal(a.Agreements, b.Agreements) &&
		a.TrustProviderFactor == b.TrustProviderFactor && a.PhishingResistant == b.PhishingResistant && a.Session == b.Session && a.AccessTokens == b.AccessTokens
}

func engagementFields(e *Engagement) []field {
	return []field{
		{"vendor", e.Vendor}, {"title", e.Title}, {"starts", instant(e.Starts)}, {"ends", instant(e.Ends)},
		{"closed", flag(e.Closed)}, {"clusters", list(e.Clusters)}, {"agreements", list(e.Agreements)},
		{"trust_provider_factor", flag(e.TrustProviderFactor)},
		{"phishing_resistant", flag(e.PhishingResistant)},
		{"session", e.Session.String()},
		{"access_tokens", flag(e.AccessTokens)},
	}
}

func sameCluster(a, b *Cluster) bool {
	return a.Name == b.Name && a.Title == b.Title && a.Classification == b.Classification && a.Owner == b.Owner &&
		slices.Equal(a.Hosts, b.Hosts) && a.LogMode == b.LogMode &&
		slices.EqualFunc(a.Routes, b.Routes, func(x, y Route) bool { return sameRoute(&x, &y) })
}

func sameRoute(a, b *Route) bool {
	return a.Name == b.Name && a.Path == b.Path && slices.Equal(a.Upstreams, b.Upstreams) &&
		a.HealthPath == b.HealthPath && a.EncodedSlashes == b.EncodedSlashes && a.PreserveHost == b.PreserveHost &&
		a.Timeout == b.Timeout && a.UpstreamCA == b.UpstreamCA
}

func clusterFields(c *Cluster) []field {
	return []field{
		{"title", c.Title}, {"classification", c.Classification}, {"owner", person(c.Owner)},
		{"hosts", list(c.Hosts)}, {"log_mode", c.LogMode}, {"routes", routes(c.Routes)},
	}
}

func sameAccount(a, b *Account) bool {
	return (a.ID == b.ID || b.ID == "") && a.Email == b.Email && a.Name == b.Name && a.Vendor == b.Vendor &&
		slices.Equal(a.Roles, b.Roles) && a.Ends.Equal(b.Ends) && a.Disabled == b.Disabled && a.TimeZone == b.TimeZone &&
		slices.Equal(a.LogClusters, b.LogClusters)
}

func accountFields(a *Account) []field {
	roles := make([]string, len(a.Roles))
	for i, r := range a.Roles {
		roles[i] = string(r)
	}
	return []field{
		{"email", a.Email}, {"name", a.Name}, {"vendor", a.Vendor}, {"roles", list(roles)},
		{"ends", instant(a.Ends)}, {"time_zone", a.TimeZone}, {"log_clusters", list(a.LogClusters)}, {"disabled", flag(a.Disabled)},
	}
}

func sameAssignment(a, b *Assignment) bool {
	return a.Account == b.Account && a.Cluster == b.Cluster && a.Engagement == b.Engagement &&
		a.Starts.Equal(b.Starts) && a.Ends.Equal(b.Ends) && a.Access == b.Access && a.Reason == b.Reason &&
		a.GivenBy == b.GivenBy && slices.Equal(a.Methods, b.Methods) && slices.Equal(a.Paths, b.Paths)
}

func assignmentFields(a *Assignment) []field {
	return []field{
		{"engagement", a.Engagement}, {"starts", instant(a.Starts)}, {"ends", instant(a.Ends)}, {"access", a.Access},
		{"methods", list(a.Methods)}, {"paths", list(a.Paths)}, {"reason", a.Reason}, {"given_by", a.GivenBy},
	}
}

func person(p policy.Person) string {
	if p == (policy.Person{}) {
		return ""
	}
	return p.Name + " <" + p.Email + ">"
}

func flag(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

func list(s []string) string { return strings.Join(s, " ") }

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// routes returns routes as JSON, with certificates as hashes.
func routes(rs []Route) string {
	type route struct {
		Name           string   `json:"name"`
		Path           string   `json:"path"`
		Upstreams      []string `json:"upstreams"`
		HealthPath     string   `json:"health_path,omitempty"`
		EncodedSlashes bool     `json:"encoded_slashes,omitempty"`
		PreserveHost   bool     `json:"preserve_host,omitempty"`
		Timeout        string   `json:"timeout,omitempty"`
		UpstreamCA     string   `json:"upstream_ca,omitempty"`
	}
	all := make([]route, len(rs))
	for i, r := range rs {
		all[i] = route{r.Name, r.Path, r.Upstreams, r.HealthPath, r.EncodedSlashes, r.PreserveHost, "", ""}
		if r.Timeout != 0 {
			all[i].Timeout = r.Timeout.String()
		}
		if r.UpstreamCA != "" {
			all[i].UpstreamCA = TextHash(r.UpstreamCA)
		}
	}
	b, err := json.Marshal(all)
	if err != nil {
		return err.Error() // strings and booleans always encode
	}
	return string(b)
}

// Same reports whether two assignments say the same.
func (a *Assignment) Same(b *Assignment) bool { return sameAssignment(a, b) }
