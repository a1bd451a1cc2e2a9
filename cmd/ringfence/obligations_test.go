package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestGateway_MaskAndBudgetOverRestart publishes a policy that blanks a field
// and gives so many bytes a day: the field never comes through, the budget is
// spent once, and a restart gives no second one.
func TestGateway_MaskAndBudgetOverRestart(t *testing.T) {
	slow(t)
	data := t.TempDir()
	p := startDemo(t, "--data", data)
	folder := filepath.Join(t.TempDir(), "policy")
	if err := os.MkdirAll(filepath.Join(folder, "clusters", "claims"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "clusters", "claims", "kept.rego"), []byte(`package ringfence.clusters.claims

import rego.v2

obligations contains {"mask": ["SYSTEM"], "egress_budget": 150000}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	b := p.signIn(t, "kim@northwind.example", 0)
	claims := p.cluster(t, "claims")
	b.get(claims + "/") // as a page, which signs in there
	b.accept = "application/json"
	if pg := b.get(claims + "/claims/CL-20418"); pg.status != http.StatusOK || !strings.Contains(pg.body, `"system":"`) {
		t.Fatalf("unmasked: %d %s", pg.status, pg.body)
	}
	ringfence(t, "policy", "publish", folder, "--reason", "to try it out", "--data", data)
	eventually(t, 10*time.Second, "the policy is in force", func() bool {
		return strings.Contains(b.get(claims+"/claims/CL-20418").body, `"system":null`)
	})
	spent := func(pg page) bool {
		return pg.status == http.StatusForbidden && strings.Contains(pg.body, `"egress_budget_spent"`)
	}
	got := int64(0) // beside the one above
	for range 400 {
		pg, err := b.try(http.MethodGet, claims+"/claims/CL-20418", nil)
		if err != nil { // cut where the budget ends
			continue
		}
		if spent(pg) {
			break
		}
		if pg.status != http.StatusOK || !strings.Contains(pg.body, `"system":null`) || strings.Contains(pg.body, `"system":"`) {
			t.Fatalf("masked: %d %s", pg.status, pg.body)
		}
		got += int64(len(pg.body))
	}
	if got == 0 || got > 150000 {
		t.Fatalf("%d further bytes came through a budget of 150000", got)
	}
	if pg := b.get(claims + "/claims/CL-20418"); !spent(pg) {
		t.Fatalf("spent: %d %s", pg.status, pg.body)
	}
	p.stop(t)
	b.p = startDemo(t, "--data", data, "--listen", "127.0.0.1:"+mustURL(t, p.ready.Gate).Port())
	b.client.Transport = b.p.transport(t)
	if pg := b.get(claims + "/claims/CL-20418"); !spent(pg) {
		t.Fatalf("after a restart: %d %s", pg.status, pg.body)
	}
	if rows := b.p.entries(t, "--effect", "deny", "--account", "kim@northwind.example"); len(rows) < 2 {
		t.Errorf("%d denials are recorded", len(rows))
	}
}
