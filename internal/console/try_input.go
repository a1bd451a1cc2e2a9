package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// tryFactors are the factors of which a trial may give the age, with their labels.
var tryFactors = []struct {
	name  string
	label ui.Text
}{
	{policy.FactorPassword, "Password"}, {policy.FactorTOTP, "Code from an app"}, {policy.FactorWebAuthn, "Passkey or security key"},
	{policy.FactorRecovery, "Recovery code"}, {policy.FactorExternal, "Sign-in at the provider"}, {policy.FactorProvider, "Second factor at the provider"},
}

// instantLayout is how a trial's time is typed: UTC, to the second.
const instantLayout = "2006-01-02T15:04:05"

// tryDefaults are what a new form shows.
func tryDefaults(now time.Time) url.Values {
	return url.Values{"time": {now.UTC().Format(instantLayout)}, "method": {"GET"}, "path": {"/"}, "protocol": {"http"}, "credential": {policy.CredentialSession},
		"source": {"192.0.2.1"}, "factor-" + policy.FactorPassword: {"60"}, "factor-" + policy.FactorTOTP: {"60"}}
}

// tryValues are the fields of a form for a recorded input.
func tryValues(in *policy.Input, email string) url.Values {
	v := url.Values{"account": {email}, "cluster": {in.Resource.Cluster}, "method": {in.Request.Method}, "path": {in.Request.RawPath}, "protocol": {in.Request.Protocol},
		"credential": {in.Subject.Credential}, "source": {in.Request.SourceIP}, "time": {time.Unix(0, in.Request.TimeNS).UTC().Format(instantLayout)}}
	for name, age := range in.Subject.Factors {
		v.Set("factor-"+name, strconv.FormatInt(age, 10))
	}
	var headers, query []string
	for _, name := range slices.Sorted(maps.Keys(in.Request.Headers)) {
		headers = append(headers, name+": "+in.Request.Headers[name])
	}
	for _, name := range slices.Sorted(maps.Keys(in.Request.Query)) {
		for _, value := range in.Request.Query[name] {
			query = append(query, name+"="+value)
		}
	}
	v.Set("headers", strings.Join(headers, "\n"))
	v.Set("query", strings.Join(query, "\n"))
	return v
}

// tryInput reads a request out of the form. base, when not nil, is the recorded
// input that the form began with: what the form does not show stays as it was,
// and the facts do while account and cluster are the same.
func tryInput(f *form, s *directory.Snapshot, base *policy.Input) *policy.Input {
	d := s.Directory()
	in := &policy.Input{Version: policy.ContractVersion}
	if base != nil {
		*in = *base
	}
	email := f.line("account", "an account", 254, true)
	account := find(d.Accounts, accountWithEmail(email))
	cluster := find(d.Clusters, clusterNamed(f.Value("cluster")))
	if account == nil && f.Fault("account") == "" && (base == nil || base.Subject.Email != email) {
		f.fault("account", "There is no such account.")
	}
	if cluster == nil && (base == nil || base.Resource.Cluster != f.Value("cluster")) {
		f.fault("cluster", "Choose {1}.", ui.Text("a cluster"))
	}
	readRequest(f, &in.Request)
	readSubject(f, in, account, base)
	if !f.OK() {
		return nil
	}
	if cluster != nil && (base == nil || base.Resource.Cluster != cluster.Name || base.Request.RawPath != in.Request.RawPath) {
		in.Resource = policy.Resource{Cluster: cluster.Name, Classification: cluster.Classification, Route: routeOf(cluster, in.Request.RawPath)}
		if len(cluster.Hosts) > 0 {
			in.Request.Host = cluster.Hosts[0]
		}
	}
	if in.Subject.Credential != policy.CredentialSession && (base == nil || in.Subject.TokenCluster == "") {
		in.Subject.TokenCluster = in.Resource.Cluster
	}
	same := base != nil && base.Subject.Email == email && base.Resource.Cluster == f.Value("cluster")
	if account != nil && !(same && f.Value("facts") == "then") {
		ip, _ := netip.ParseAddr(in.Request.SourceIP) // it has been checked
		in.Facts = s.Facts(account.ID, in.Resource.Cluster, ip)
	}
	return in
}

func readSubject(f *form, in *policy.Input, account *directory.Account, base *policy.Input) {
	if account != nil && (base == nil || base.Subject.Account != account.ID) {
		in.Subject = policy.Subject{Account: account.ID, Email: account.Email, Vendor: account.Vendor, Roles: account.Roles, Session: "trial"}
	}
	in.Subject.Credential = f.oneOf("credential", "how they prove who they are", []string{policy.CredentialSession, policy.CredentialToken, policy.CredentialAccessToken})
	if in.Subject.Credential == policy.CredentialAccessToken && in.Subject.TokenScope == nil {
		in.Subject.TokenScope = &policy.TokenScope{Access: policy.AccessWrite, Methods: []string{}, Paths: [][]string{{}}}
	}
	in.Subject.Factors = map[string]int64{}
	for _, factor := range tryFactors {
		name := "factor-" + factor.name
		s := strings.TrimSpace(f.Value(name))
		if s == "" {
			continue
		}
		age, err := strconv.ParseInt(s, 10, 64)
		if err != nil || age < 0 {
			f.fault(name, "Give a number of seconds, or leave it empty.")
			continue
		}
		in.Subject.Factors[factor.name] = age
	}
}

func readRequest(f *form, q *policy.Request) {
	at, err := time.Parse(instantLayout, strings.TrimSpace(f.Value("time")))
	if err != nil {
		if at, err = time.Parse("2006-01-02T15:04", strings.TrimSpace(f.Value("time"))); err != nil {
			f.fault("time", "Give a date and a time, such as 2026-01-31T14:30:00.")
		}
	}
	if q.TimeNS/int64(time.Second) != at.Unix() { // what was recorded is finer than the field
		q.TimeNS, q.Time = at.UnixNano(), at.UTC().Format(time.RFC3339Nano)
	}
	q.ID = cmp.Or(q.ID, "trial")
	q.Method = strings.ToUpper(f.line("method", "a method", 40, true))
	q.Protocol = f.oneOf("protocol", "a protocol", []string{"http", "websocket", "grpc"})
	if raw := f.line("path", "a path", 8000, true); raw != q.RawPath || q.Path == nil {
		q.RawPath = raw
		q.Path = segmentsOf(f, raw)
	}
	if _, err := netip.ParseAddr(strings.TrimSpace(f.Value("source"))); err != nil {
		f.fault("source", "Give an address, such as 192.0.2.1.")
	}
	q.SourceIP = strings.TrimSpace(f.Value("source"))
	q.Headers, q.Query = map[string]string{}, map[string][]string{}
	for _, line := range f.lines("headers") {
		name, value, ok := strings.Cut(line, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		if !ok || !slices.Contains(policy.InputHeaders, name) {
			f.fault("headers", "“{1}” is none of the headers that policies see: {2}.", clip(name, 80), strings.Join(policy.InputHeaders, ", "))
			break
		}
		q.Headers[name] = strings.TrimSpace(value)
	}
	for _, line := range f.lines("query") {
		name, value, _ := strings.Cut(line, "=")
		q.Query[name] = append(q.Query[name], value)
	}
}

// segmentsOf cuts a typed path as the gateway cuts that of a request.
func segmentsOf(f *form, raw string) []string {
	if !strings.HasPrefix(raw, "/") {
		f.fault("path", "A path begins with a slash.")
		return nil
	}
	parts := strings.Split(raw[1:], "/")
	for i, p := range parts {
		plain, err := url.PathUnescape(p)
		if err != nil {
			f.fault("path", "“{1}” cannot be read.", clip(p, 80))
			return nil
		}
		parts[i] = plain
	}
	return parts
}

// routeOf returns the name of the route with the longest prefix of a path.
func routeOf(c *directory.Cluster, path string) string {
	name, longest := "", -1
	for _, r := range c.Routes {
		prefix := strings.TrimSuffix(r.Path, "/")
		if len(prefix) > longest && (path == prefix || strings.HasPrefix(path, prefix+"/")) {
			name, longest = r.Name, len(prefix)
		}
	}
	return name
}

// inputText is an input as it is given to the policies.
func inputText(in *policy.Input) string {
	b, err := json.MarshalIndent(in, "", "  ")
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(b)
}
