package rego

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/ringfence/ringfence/policy"
)

// TestDecision runs the cases in testdata/decision: policies by their file
// names, input.json as a merge patch to a request that is allowed (null takes
// a field away), and decision.json, which is wanted.
func TestDecision(t *testing.T) {
	files, err := filepath.Glob("testdata/decision/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			src, patch, want := Source{}, map[string]any{}, []byte(nil)
			for _, f := range a.Files {
				switch f.Name {
				case "input.json":
					if err := json.Unmarshal(f.Data, &patch); err != nil {
						t.Fatal(err)
					}
				case "decision.json":
					want = f.Data
				default:
					src[f.Name] = string(f.Data)
				}
			}
			e := newEngine(t, quiet)
			load(t, e, src)
			d := e.Decide(context.Background(), patched(t, patch))
			d.Revision = ""
			got, err := json.MarshalIndent(map[string]any{"effect": d.Effect, "reasons": codesOf(d), "obligations": d.Obligations}, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			if !sameJSON(t, got, want) {
				t.Errorf("%s\ngot\n%s\nwant\n%s", a.Comment, got, want)
			}
		})
	}
}

// patched returns the trial's request with a merge patch (RFC 7396) applied.
func patched(t *testing.T, patch map[string]any) *policy.Input {
	t.Helper()
	b, err := json.Marshal(trialInput("claims", noon))
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	if b, err = json.Marshal(merge(doc, patch)); err != nil {
		t.Fatal(err)
	}
	in := new(policy.Input)
	if err := json.Unmarshal(b, in); err != nil {
		t.Fatal(err)
	}
	return in
}

func merge(doc, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	m, ok := doc.(map[string]any)
	if !ok {
		m = map[string]any{}
	}
	for k, v := range p {
		if v == nil {
			delete(m, k)
		} else {
			m[k] = merge(m[k], v)
		}
	}
	return m
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	x, err := jsonTerm(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := jsonTerm(b)
	if err != nil {
		t.Fatal(err)
	}
	return x.Equal(y)
}

// TestExamplePolicies takes fields away from requests that the example's
// policies deny: none may turn to allow.
func TestExamplePolicies(t *testing.T) {
	src, err := ReadFolder("testdata/policies")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Check(context.Background(), src)
	if err != nil || r.Tests < 36 || r.Failed != 0 {
		t.Fatalf("%+v %v", r, err)
	}
	e := newEngine(t, quiet)
	load(t, e, src)
	put := func(in *policy.Input) {
		in.Request.Method, in.Request.Headers = "PUT", map[string]string{"x-ticket": "CLM-1"}
	}
	for name, c := range map[string]struct {
		edit func(*policy.Input, *policy.Facts)
		want policy.Effect
		code string
	}{
		"reading":           {func(in *policy.Input, _ *policy.Facts) {}, policy.Allow, ""},
		"changing":          {func(in *policy.Input, _ *policy.Facts) { put(in) }, policy.Allow, ""},
		"no ticket":         {func(in *policy.Input, _ *policy.Facts) { put(in); in.Request.Headers = nil }, policy.Deny, policy.ReasonPolicyNotAllowed},
		"not a ticket":      {func(in *policy.Input, _ *policy.Facts) { put(in); in.Request.Headers["x-ticket"] = "please" }, policy.Deny, policy.ReasonPolicyNotAllowed},
		"sunday":            {func(in *policy.Input, _ *policy.Facts) { put(in); in.Request.TimeNS += 4 * 24 * 3600 * 1e9 }, policy.Deny, policy.ReasonPolicyNotAllowed},
		"stale code":        {func(in *policy.Input, _ *policy.Facts) { put(in); in.Subject.Factors["totp"] = 901 }, policy.Challenge, policy.ReasonCodeStale},
		"outside":           {func(in *policy.Input, f *policy.Facts) { in.Resource.Classification, f.Zone = "restricted", "home" }, policy.Deny, "outside_office"},
		"no classification": {func(in *policy.Input, f *policy.Facts) { in.Resource.Classification = "secret" }, policy.Deny, "classification_unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			in := edited(func(in *policy.Input, f *policy.Facts) {
				f.Assignment.EndsNS += 9 * 24 * 3600 * 1e9
				c.edit(in, f)
			})
			d := e.Decide(context.Background(), in)
			if d.Effect != c.want || c.code != "" && codesOf(d)[0] != c.code {
				t.Fatalf("got %v %v", d.Effect, d.Reasons)
			}
			if d.Effect != policy.Deny {
				return
			}
			for _, x := range append(drops(inputTerm(in)), retypes(inputTerm(in))...) {
				if judge(t, e, x.input).Effect == policy.Allow {
					t.Errorf("%s %s: allowed", x.field, at(x))
				}
			}
		})
	}
}
