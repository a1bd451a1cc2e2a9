package directory

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/ringfence/ringfence/policy"
)

// YAML writes the directory in the form that [ParseYAML] reads, sorted by name:
// the same directory always gives the same bytes. What is read-only, and who
// gave an assignment, is left out. It returns the faults of a directory that
// could not be read back.
func (d *Directory) YAML() ([]byte, error) {
	c := newChecker(d, "", nil)
	c.objects("")
	if err := c.faults.err(); err != nil {
		return nil, err
	}
	w := &writer{}
	w.line(0, "version: "+strconv.Itoa(FormatVersion))
	section(w, "vendors", d.Vendors, vendorKey, w.vendor)
	section(w, "agreements", d.Agreements, agreementKey, w.agreement)
	section(w, "clusters", d.Clusters, clusterKey, w.cluster)
	section(w, "engagements", d.Engagements, engagementKey, w.engagement)
	section(w, "accounts", d.Accounts, func(a *Account) string { return a.Email }, w.account)
	section(w, "assignments", d.Assignments, assignmentKey, w.assignment)
	return w.b.Bytes(), nil
}

// A writer writes the form line by line. The next field after item begins a
// list entry.
type writer struct {
	b    bytes.Buffer
	item bool
}

func section[T any](w *writer, name string, all []T, key func(*T) string, write func(*T)) {
	if len(all) == 0 {
		return
	}
	sorted := make([]*T, len(all))
	for i := range all {
		sorted[i] = &all[i]
	}
	slices.SortFunc(sorted, func(a, b *T) int { return strings.Compare(key(a), key(b)) })
	w.line(0, "")
	w.line(0, name+":")
	for _, v := range sorted {
		w.item = true
		write(v)
	}
}

func (w *writer) line(indent int, s string) {
	if s != "" {
		w.b.WriteString(strings.Repeat(" ", indent))
	}
	w.b.WriteString(s)
	w.b.WriteByte('\n')
}

// field writes a field at an indent of its object's fields.
func (w *writer) field(indent int, name, value string) {
	if w.item {
		w.item = false
		w.line(indent-2, "- "+name+": "+value)
		return
	}
	w.line(indent, name+": "+value)
}

func (w *writer) text(indent int, name, s string) {
	if s != "" {
		w.field(indent, name, scalar(s))
	}
}

func (w *writer) flag(indent int, name string, b bool) {
	if b {
		w.field(indent, name, "true")
	}
}

func (w *writer) date(indent int, name string, t time.Time) {
	if !t.IsZero() {
		w.field(indent, name, FormatDate(t, name == "ends"))
	}
}

func (w *writer) list(indent int, name string, list []string) {
	if len(list) == 0 {
		return
	}
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = scalar(s)
	}
	w.field(indent, name, "["+strings.Join(quoted, ", ")+"]")
}

func (w *writer) person(indent int, name string, p policy.Person) {
	if p != (policy.Person{}) {
		w.field(indent, name, "{name: "+scalar(p.Name)+", email: "+scalar(p.Email)+"}")
	}
}

// block writes a text of several lines as a literal block where that can say it exactly.
func (w *writer) block(indent int, name, s string) {
	if !plainBlock(s) {
		w.text(indent, name, s)
		return
	}
	mark, body := "|", strings.TrimSuffix(s, "\n")
	if body == s {
		mark = "|-"
	}
	w.field(indent, name, mark)
	for l := range strings.SplitSeq(body, "\n") {
		w.line(indent+2, l)
	}
}

// plainBlock reports whether a literal block gives s back byte for byte:
// several lines, at most one line break at the end, no line that begins or ends
// with white space in a way that reads as indentation or is easily lost.
func plainBlock(s string) bool {
	body := strings.TrimSuffix(s, "\n")
	if !strings.Contains(body, "\n") || strings.HasSuffix(body, "\n") || strings.HasPrefix(body, "\n") {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\n' || s[i] == 0x7f {
			return false
		}
	}
	if strings.HasPrefix(s, " ") || strings.ContainsAny(s, "\u0085\u2028\u2029\ufeff") {
		return false
	}
	for l := range strings.SplitSeq(body, "\n") {
		if strings.TrimRight(l, " ") != l || strings.HasPrefix(l, "---") || strings.HasPrefix(l, "...") {
			return false
		}
	}
	return true
}

// scalar writes text plain where nothing else could be read from it, else in
// double quotes with JSON's escapes, which YAML shares.
func scalar(s string) string {
	if plain(s) {
		return s
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return strconv.QuoteToASCII(s) // text always encodes
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func plain(s string) bool {
	if s == "" || len(s) > 200 || strings.Trim(s[:1], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/") != "" {
		return false
	}
	switch strings.ToLower(s) {
	case "null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf":
		return false
	}
	for i, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("-_./@+()", r), r > 0x7f && unicode.IsLetter(r):
		case r == ' ' && i > 0 && i < len(s)-1 && s[i-1] != ' ':
		case r == ':' && strings.HasPrefix(s[i:], "://"):
		case r == ':' && i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9' && strings.Contains(s[:i], "://"):
		default:
			return false
		}
	}
	return true
}

func (w *writer) vendor(v *Vendor) {
	w.text(4, "name", v.Name)
	w.text(4, "title", v.Title)
	w.person(4, "owner", v.Owner)
	w.flag(4, "suspended", v.Suspended)
	w.text(4, "suspended_reason", v.SuspendedReason)
	w.provider(v.IdentityProvider)
}

func (w *writer) agreement(a *Agreement) {
	w.text(4, "name", a.Name)
	w.text(4, "title", a.Title)
	w.field(4, "version", strconv.Itoa(a.Version))
	w.block(4, "text", a.Text)
}

func (w *writer) cluster(c *Cluster) {
	w.text(4, "name", c.Name)
	w.text(4, "title", c.Title)
	w.text(4, "classification", c.Classification)
	w.person(4, "owner", c.Owner)
	w.list(4, "hosts", c.Hosts)
	w.text(4, "log_mode", c.LogMode)
	w.line(4, "routes:")
	for i := range c.Routes {
		w.item = true
		w.route(&c.Routes[i])
	}
}

func (w *writer) route(r *Route) {
	w.text(8, "name", r.Name)
	w.text(8, "path", r.Path)
	w.list(8, "upstreams", r.Upstreams)
	w.text(8, "health_path", r.HealthPath)
	w.flag(8, "encoded_slashes", r.EncodedSlashes)
	w.flag(8, "preserve_host", r.PreserveHost)
	if r.Timeout != 0 {
		// 2m, not 2m0s
		w.field(8, "timeout", trimUnit(trimUnit(r.Timeout.String(), "m0s"), "h0m"))
	}
	w.block(8, "upstream_ca", r.UpstreamCA)
}

// trimUnit takes off the last part of a duration when it is zero.
func trimUnit(s, zero string) string {
	if strings.HasSuffix(s, zero) {
		return s[:len(s)-len(zero)+1]
	}
	return s
}

func (w *writer) engagement(e *Engagement) {
	w.text(4, "name", e.Name)
	w.text(4, "vendor", e.Vendor)
	w.text(4, "title", e.Title)
	w.date(4, "starts", e.Starts)
	w.date(4, "ends", e.Ends)
	w.flag(4, "closed", e.Closed)
	w.list(4, "clusters", e.Clusters)
	w.list(4, "agreements", e.Agreements)
	w.session(4, e.Session)
	w.flag(4, "trust_provider_factor", e.TrustProviderFactor)
	w.flag(4, "phishing_resistant", e.PhishingResistant)
	w.flag(4, "access_tokens", e.AccessTokens)
}

func (w *writer) account(a *Account) {
	w.text(4, "email", a.Email)
	w.text(4, "name", a.Name)
	w.text(4, "vendor", a.Vendor)
	roles := make([]string, len(a.Roles))
	for i, r := range a.Roles {
		roles[i] = string(r)
	}
	w.list(4, "roles", roles)
	w.date(4, "ends", a.Ends)
	w.text(4, "time_zone", a.TimeZone)
	w.list(4, "log_clusters", a.LogClusters)
	w.flag(4, "disabled", a.Disabled)
}

func (w *writer) assignment(a *Assignment) {
	w.text(4, "account", a.Account)
	w.text(4, "cluster", a.Cluster)
	w.text(4, "engagement", a.Engagement)
	w.date(4, "starts", a.Starts)
	w.date(4, "ends", a.Ends)
	w.text(4, "access", a.Access)
	w.list(4, "methods", a.Methods)
	w.list(4, "paths", a.Paths)
	w.text(4, "reason", a.Reason)
}
