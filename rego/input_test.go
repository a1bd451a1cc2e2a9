package rego

import (
	"encoding/json"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

// TestBuildInput_Contract holds the three ways to the input against one
// another: the one of the request path, the reflected one, and JSON.
func TestBuildInput_Contract(t *testing.T) {
	inputs := allowedInputs()
	for name, in := range deniedInputs() {
		inputs[name] = in
	}
	inputs["bare"] = &policy.Input{Request: policy.Request{Path: []string{}}}
	for name, in := range inputs {
		b, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		if in.Facts != nil && (in.Facts.Facts().Account.Roles == nil || in.Facts.Facts().Assignment != nil && in.Facts.Facts().Assignment.Paths == nil) {
			continue // null in JSON, and empty for policies
		}
		want, err := jsonTerm(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := inputTerm(in); !got.Equal(want) {
			t.Errorf("%s: reflected:\n%v\nwant\n%v", name, got, want)
		}
		if got := (&set{reads: reads{all: true}}).buildInput(in); !got.Equal(want) {
			t.Errorf("%s: built:\n%v\nwant\n%v", name, got, want)
		}
	}
}

// TestReads demands that what a set reads is built, and shows what is not.
func TestReads(t *testing.T) {
	for _, c := range []struct {
		rule string
		all  bool
		more [][2]string
	}{
		{`deny contains x if { input.request.host == "h"; x := {"code": "a", "message": "b"} }`, false, [][2]string{{"request", "host"}}},
		{`deny contains x if { input.request.headers["x-ticket"] == input.subject.email; x := {"code": "a", "message": "b"} }`, false, [][2]string{{"request", "headers"}, {"subject", "email"}}},
		{`deny contains x if { r := input.request; r.host == "h"; x := {"code": "a", "message": "b"} }`, true, nil},
		{`deny contains x if { some k; input.request[k] == "h"; x := {"code": "a", "message": "b"} }`, true, nil},
		{`deny contains x if { f(input); x := {"code": "a", "message": "b"} }
f(i) if i.request.host == "h"`, true, nil},
		{`deny contains x if { input.facts.engagement.clusters[count(input.request.host)] == "h"; x := {"code": "a", "message": "b"} }`, false, [][2]string{{"request", "host"}}},
		{`deny contains x if { walk(input.request, [_, "h"]); x := {"code": "a", "message": "b"} }`, true, nil},
		{`deny contains x if { some k in ["host"]; object.get(input, ["request", k], "") == "h"; x := {"code": "a", "message": "b"} }`, true, nil},
	} {
		s, err := compile(Source{"all/a.rego": "package ringfence.all\n\nimport rego.v2\n\n" + c.rule + "\n"})
		if err != nil {
			t.Fatal(err)
		}
		if s.reads.all != c.all {
			t.Errorf("%s: all is %v", c.rule, s.reads.all)
		}
		for _, f := range append(c.more, [2]string{"request", "method"}, [2]string{"subject", "account"}) {
			if !s.reads.has(f[0], f[1]) {
				t.Errorf("%s: %v is not read", c.rule, f)
			}
		}
		if !c.all && s.reads.has("request", "raw_path") {
			t.Errorf("%s: reads raw_path", c.rule)
		}
	}
}

func TestInputTooLarge(t *testing.T) {
	e := newEngine(t, quiet)
	for name, edit := range map[string]func(*policy.Request){
		"path":    func(r *policy.Request) { r.Path = []string{string(make([]byte, maxInput))} },
		"query":   func(r *policy.Request) { r.Query = map[string][]string{"a": {string(make([]byte, maxInput))}} },
		"headers": func(r *policy.Request) { r.Headers = map[string]string{"accept": string(make([]byte, maxInput))} },
	} {
		in := trialInput("claims", noon)
		edit(&in.Request)
		d := e.Decide(t.Context(), in)
		if d.Effect != policy.Deny || d.Reasons[0].Code != policy.ReasonRequestTooLarge {
			t.Errorf("%s: %v", name, d)
		}
	}
}
