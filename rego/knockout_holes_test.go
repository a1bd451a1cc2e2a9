package rego

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// planted are the holes of testdata/holes: the rule, and fields without which
// it is silent, or, for allow, holds.
var planted = map[string][]string{
	"deny compared":         {"request.headers", "request.headers.user-agent"},
	"deny older":            {"subject.factors.password"},
	"deny local_name":       {"facts.zone"},
	"deny function":         {"request.source_ip"},
	"deny library":          {"request.headers", "request.headers.referer"},
	"deny library_function": {"request.headers", "request.headers.origin"},
	"deny default_value":    {"request.headers.x-purpose"},
	"deny interpolated":     {"subject.email"},
	"deny in_a_list":        {"facts.agreements[].accepted_ns"},
	"deny every_one":        {"request.query", "request.query.scope"},
	"deny comprehension":    {"request.query", "request.query.word"},
	"deny double_negation":  {"request.tls", "request.tls.version"},
	"deny member":           {"resource.classification"},
	"deny otherwise":        {"resource.route"},
	"deny default_rule":     {"request.headers.content-type"},
	"challenge challenged":  {"request.host"},
	"deny table":            {"request.headers.accept"},
	"deny pattern":          {"request.headers.x-ticket"},
	"deny soon_over":        {"facts.account.ends_ns"},
	"deny walked":           {"request.query", "request.query.sql"},
	"deny flag":             {"facts.engagement.trust_provider_factor"},
	"deny looked_through":   {"request.headers.content-length"},
	"deny of_a_person":      {"facts.vendor.owner", "facts.vendor.owner.email"},
	"deny computed":         {"request.query", "request.query.debug"},
	"obligations":           {"request.headers.x-purpose"},
	"allow":                 {"request.query", "request.query.mode"},
}

// TestKnockout_Planted: a hole of every kind is found, with the rule, the field
// and a repair; rules without a hole are left alone.
func TestKnockout_Planted(t *testing.T) {
	if testing.Short() {
		t.Skip("decides one after the other, many times")
	}
	src, err := ReadFolder("testdata/holes")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Check(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	r, err := Knockout(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	if r.Cut {
		t.Error("it was cut off")
	}
	got := map[string]map[string]Hole{}
	for _, h := range r.Holes {
		if got[h.Rule] == nil {
			got[h.Rule] = map[string]Hole{}
		}
		got[h.Rule][h.Field] = h
	}
	for rule, fields := range planted {
		for _, field := range fields {
			h, ok := got[rule][field]
			if !ok {
				t.Errorf("%s: no hole at %s, but at %v", rule, field, slices.Sorted(maps.Keys(got[rule])))
				continue
			}
			line := strings.Split(src[h.File], "\n")[h.Line-1]
			if name, _, _ := strings.Cut(rule, " "); !strings.HasPrefix(line, name) {
				t.Errorf("%s at %s: the line is %q", rule, field, line)
			}
			if h.Repair == "" {
				t.Errorf("%s at %s: no repair", rule, field)
			}
		}
	}
	for rule := range got {
		if planted[rule] == nil {
			t.Errorf("a hole in %s, which has none: %v", rule, got[rule])
		}
	}
	t.Logf("%d denials, %d fields, %d holes in %v", r.Denials, r.Fields, len(r.Holes), time.Since(begin))
}

// TestKnockout_Repairs: with every repair written down, nothing is left.
func TestKnockout_Repairs(t *testing.T) {
	if testing.Short() {
		t.Skip("decides one after the other, many times")
	}
	src, err := ReadFolder("testdata/holes")
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 { // a repair may show another hole
		r, err := Knockout(t.Context(), src)
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 && len(r.Holes) < len(planted) {
			t.Fatalf("%d holes to begin with", len(r.Holes))
		}
		done := map[string]bool{}
		for _, h := range r.Holes {
			if h.Repair == "" || done[h.Repair] {
				continue
			}
			done[h.Repair] = true
			if h.Rule == "allow" {
				src[h.File] = strings.Replace(src[h.File], "allow if ", "allow if {\n\t"+h.Repair+"\n\t", 1)
				src[h.File] = strings.TrimRight(src[h.File], "\n") + "\n}\n"
				break // its line has changed
			}
			src[h.File] += "\n" + h.Repair
		}
	}
	r, err := Knockout(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range r.Holes {
		t.Errorf("still: %s\n%s", h, h.Repair)
	}
}
