package rego

import (
	"strings"
	"testing"
)

// TestKnockout plants holes beside rules that have none.
func TestKnockout(t *testing.T) {
	const head = "package ringfence.all\n\nimport rego.v2\n\n"
	const testHead = "package ringfence.all_test\n\nimport rego.v2\n\nimport data.ringfence.all\n\n"
	reason := func(code string) string {
		return `{"code": "` + code + `", "message": "This is not allowed.", "help": "Ask somebody."}`
	}
	for _, c := range []struct {
		name, rules, test string
		holes             []string // fields
		denials           int
	}{
		{"a missing header is silent",
			"deny contains " + reason("ticket") + ` if not startswith(input.request.headers["x-ticket"], "OPS-")` +
				"\n\ndeny contains " + reason("agent") + ` if input.request.headers["user-agent"] == "curl"`,
			`test_agent if count(all.deny) == 2 with input as {"request": {"headers": {"user-agent": "curl", "x-ticket": "X"}}}`, nil, 1},
		{"the same alone",
			"deny contains " + reason("agent") + ` if input.request.headers["user-agent"] == "curl"`,
			`test_agent if count(all.deny) == 1 with input as {"request": {"headers": {"user-agent": "curl"}}}`, []string{"request.headers", "request.headers.user-agent"}, 1},
		{"written positively",
			"deny contains " + reason("agent") + " if not known_agent\n\nknown_agent if input.request.headers[\"user-agent\"] != \"curl\"",
			`test_agent if count(all.deny) == 1 with input as {"request": {"headers": {"user-agent": "curl"}}}`, nil, 1},
		{"a zone",
			"deny contains " + reason("zone") + ` if input.facts.zone != "office"`,
			`test_zone if count(all.deny) == 1 with input as {"facts": {"zone": "home"}}`, []string{"facts.zone"}, 1},
		{"a challenge",
			"challenge contains " + reason("class") + ` if input.resource.classification == "restricted"`,
			`test_class if count(all.challenge) == 1 with input as {"resource": {"classification": "restricted"}}`, []string{"resource.classification"}, 1},
		{"what the guardrails demand is no hole",
			"deny contains " + reason("delete") + ` if input.request.method == "DELETE"`,
			`test_delete if count(all.deny) == 1 with input as {"request": {"method": "DELETE"}}`, nil, 1},
		{"several inputs in one test",
			"deny contains " + reason("route") + ` if input.resource.route == "admin"`,
			`test_route if every method in ["GET", "PUT"] { count(all.deny) == 1 with input as {"request": {"method": method}, "resource": {"route": "admin"}} }`, []string{"resource.route"}, 2},
		{"through allow",
			"allow if input.request.method == \"GET\"",
			`test_put if not all.allow with input as {"request": {"method": "PUT"}}`, nil, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := Knockout(t.Context(), Source{"all/it.rego": head + c.rules + "\n", "all/it_test.rego": testHead + c.test + "\n"})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, h := range r.Holes {
				got = append(got, h.Field)
				if h.Line < 5 || h.File != "all/it.rego" || !strings.Contains(h.Message, "input."+h.Field) {
					t.Errorf("hole %+v says too little", h)
				}
			}
			if strings.Join(got, " ") != strings.Join(c.holes, " ") || r.Denials != c.denials || r.Unjudged != 0 {
				t.Errorf("%d denials, %d unjudged, holes %v, want %v", r.Denials, r.Unjudged, got, c.holes)
			}
		})
	}
}

// TestKnockout_Scopes looks at the tests of a cluster under that cluster.
func TestKnockout_Scopes(t *testing.T) {
	r, err := Knockout(t.Context(), Source{
		"clusters/claims/a.rego": "package ringfence.clusters[\"claims\"]\n\nimport rego.v2\n\ndeny contains {\"code\": \"x\", \"message\": \"This is not allowed.\", \"help\": \"Ask.\"} if input.request.headers[\"x-purpose\"] == \"play\"\n",
		"clusters/claims/a_test.rego": "package ringfence.clusters[\"claims\"]\n\nimport rego.v2\n\n" +
			"test_it if count(deny) == 1 with input as {\"request\": {\"headers\": {\"x-purpose\": \"play\"}}}\n\n" +
			"test_other if count(deny) == 1 with input as {\"subject\": {\"vendor\": \"acme\"}, \"facts\": {\"vendor\": {\"name\": \"other\"}}, \"request\": {\"headers\": {\"x-purpose\": \"play\"}}}\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Denials != 1 || r.Unjudged != 1 || len(r.Holes) != 2 || r.Holes[0].Rule != "deny x" {
		t.Errorf("%+v", r)
	}
}
