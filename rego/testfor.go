package rego

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/version"

	"github.com/ringfence/ringfence/policy"
)

// OPAVersion returns the version of OPA in this build.
func OPAVersion() string { return version.Version }

// TestFor makes a unit test of one input: a module of its own that holds while
// the policies decide as d says. Cluster is the scope that it is to stand in;
// empty: all. The name is that of its file. Sentences are not compared, so that
// they can be worded better without breaking it.
func TestFor(in *policy.Input, cluster string, d policy.Decision) (name, text string, err error) {
	if cluster != "" && !clusterName.MatchString(cluster) {
		return "", "", fmt.Errorf("%q is no name of a cluster", cluster)
	}
	b, err := json.Marshal(in)
	if err != nil {
		return "", "", fmt.Errorf("encoding the input: %w", err)
	}
	id := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(in.Request.ID))
	if id == "" {
		id = "request"
	}
	place, pkg := "all", "ringfence.all_test"
	if cluster != "" {
		place, pkg = "clusters/"+cluster, fmt.Sprintf("ringfence.clusters[%q]", cluster+"_test")
	}
	name = fmt.Sprintf("%s/recorded_%s_test.rego", place, id)
	text = fmt.Sprintf("# A recorded request: %s %s on %s at %s.\npackage %s\n\nimport rego.v2\n\ntest_recorded_%s if {\n\tdecision := data.ringfence.main.decision with input as %s\n%s}\n",
		commentLine(in.Request.Method), commentLine(in.Request.RawPath), commentLine(in.Resource.Cluster), commentLine(in.Request.Time), pkg, id, b, expected(d))
	out, err := Format(Source{name: text})
	if err != nil {
		return "", "", fmt.Errorf("writing the test: %w", err)
	}
	return name, out[name], nil
}

// expected returns the conditions of a test, a line each.
func expected(d policy.Decision) string {
	var codes []string
	fresh := false // demanded by an obligation, which the engine words after the policies
	for _, r := range d.Reasons {
		if d.Effect == policy.Challenge && (r.Code == policy.ReasonCodeStale || r.Code == policy.ReasonPhishingResistant) {
			fresh = true
			continue
		}
		codes = append(codes, fmt.Sprintf("%q", r.Code))
	}
	if d.Effect == policy.Challenge && fresh && len(codes) == 0 {
		return "\tdecision.effect != \"deny\"\n\tasks := [1 | some o in decision.obligations; o.max_code_age]\n\tcount(asks) + count(decision.reasons) > 0\n"
	}
	slices.Sort(codes)
	lines := fmt.Sprintf("\tdecision.effect == %q\n", d.Effect)
	switch {
	case fresh:
		return lines + fmt.Sprintf("\tevery code in {%s} { some r in decision.reasons; r.code == code }\n", strings.Join(codes, ", "))
	case len(codes) == 0:
		return lines
	}
	return lines + fmt.Sprintf("\t{r.code | some r in decision.reasons} == {%s}\n", strings.Join(slices.Compact(codes), ", "))
}

// commentLine makes text that a client chose fit for a comment.
func commentLine(s string) string {
	if len(s) > 200 {
		s = s[:200]
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
