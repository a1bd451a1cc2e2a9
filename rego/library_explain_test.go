package rego

import (
	"slices"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego/library"
)

// TestLibrary_Explained: the denial of every rule of the library names a
// condition with what it looked at.
func TestLibrary_Explained(t *testing.T) {
	monday := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	cases := map[string]struct {
		module string
		edit   edit
		value  string // that some condition must name
	}{
		"working_hours":       {"working_hours", func(in *policy.Input, _ *policy.Facts) { in.Request.TimeNS += int64(9 * time.Hour) }, "time_zone"},
		"network_zones":       {"network_zones", func(_ *policy.Input, f *policy.Facts) { f.Zone = "home" }, "zone"},
		"network_zones_write": {"network_zones", func(in *policy.Input, f *policy.Facts) { f.Zone, in.Request.Method = "vpn", "PUT" }, "method"},
		"change_freeze":       {"change_freeze", func(in *policy.Input, _ *policy.Facts) { in.Request.Method = "PUT" }, "method"},
		"read_only_hours": {"read_only_hours", func(in *policy.Input, _ *policy.Facts) {
			in.Request.Method = "PUT"
			in.Request.TimeNS += int64(9 * time.Hour)
		}, "method"},
		"separation_of_duties": {"separation_of_duties", func(in *policy.Input, f *policy.Facts) {
			f.Account.Clusters = append(f.Account.Clusters, policy.ClusterFacts{Name: "payroll", StartsNS: 1, EndsNS: in.Request.TimeNS + 1})
		}, "cluster"},
		"stated_purpose":      {"stated_purpose", func(in *policy.Input, _ *policy.Facts) { in.Request.Headers["x-ticket"] = "none" }, "x-ticket"},
		"vendor_rules_method": {"vendor_rules", func(in *policy.Input, f *policy.Facts) { in.Request.Method = "PUT" }, "method"},
		"vendor_rules_path":   {"vendor_rules", func(in *policy.Input, f *policy.Facts) { in.Request.Path = []string{"v2"} }, "path"},
		"vendor_rules_zone":   {"vendor_rules", func(_ *policy.Input, f *policy.Facts) { f.Zone = "home" }, "zone"},
	}
	for code, c := range cases {
		t.Run(code, func(t *testing.T) {
			m := library.Named(c.module)
			files, err := m.Files(library.Place{}, m.Sample())
			if err != nil {
				t.Fatal(err)
			}
			e := newEngine(t, quiet)
			load(t, e, Source(files))
			in := trialInput("claims", monday)
			f := *in.Facts.Facts()
			account, vendor := *f.Account, *f.Vendor
			f.Account, f.Vendor = &account, &vendor
			in.Subject.Vendor, f.Vendor.Name, in.Request.Method = "northwind", "northwind", "GET"
			in.Request.Path = []string{"v1"}
			c.edit(in, &f)
			if in.Facts, err = policy.NewDocument(f); err != nil {
				t.Fatal(err)
			}
			x := e.Explain(t.Context(), in)
			if x.Decision.Effect != policy.Deny || !slices.ContainsFunc(x.Decision.Reasons, func(r policy.Reason) bool { return r.Code == code }) {
				t.Fatalf("got %+v", x.Decision)
			}
			if rules := x.Of(code); len(rules) == 0 || !says(rules, "", c.value) {
				t.Errorf("nothing names %s in\n%s", c.value, tellAll(rules))
			}
		})
	}
}
