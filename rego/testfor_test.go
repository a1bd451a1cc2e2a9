package rego

import (
	"strings"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

// TestTestFor_HoldsForWhatIsDecided: a test made of a request holds under the
// policies that decided it, and fails under others.
func TestTestFor_HoldsForWhatIsDecided(t *testing.T) {
	if testing.Short() {
		t.Skip("decides one after the other, many times")
	}
	const head = "package ringfence.all\n\nimport rego.v2\n\n"
	src := Source{"all/x.rego": head + `deny contains {"code": "no_deletes", "message": "Nothing is deleted here."} if input.request.method == "DELETE"

obligations contains {"max_code_age": 30} if input.request.method == "PUT"

challenge contains {"code": "ticket", "message": "Name a ticket."} if input.request.method in {"PATCH", "PUT"}

obligations contains {"max_code_age": 30} if input.request.method == "POST"
`}
	j, err := NewJudge(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	for method, other := range map[string]Source{
		"DELETE": nil, "POST": nil, "PATCH": nil, "PUT": nil,
		"GET": {"all/x.rego": head + `deny contains {"code": "closed", "message": "Closed."}` + "\n"},
	} {
		for _, cluster := range []string{"", "claims"} {
			t.Run(method+cluster, func(t *testing.T) {
				in := trialInput("claims", noon)
				in.Request.Method, in.Request.RawPath = method, "/a\n/b\u2028%22"
				name, text, err := TestFor(in, cluster, j.Decide(t.Context(), in))
				if err != nil {
					t.Fatal(err)
				}
				with := func(s Source) Source {
					out := Source{name: text}
					for n, m := range s {
						out[n] = m
					}
					return out
				}
				if r, err := Check(t.Context(), with(src)); err != nil {
					t.Fatalf("%v %+v\n%s", err, r, text)
				}
				if _, err := Check(t.Context(), with(other)); err == nil || !strings.Contains(err.Error(), "recorded_trial") {
					t.Errorf("it also holds under other policies: %v\n%s", err, text)
				}
			})
		}
	}
	if _, _, err := TestFor(trialInput("claims", noon), "../x", policy.Decision{}); err == nil {
		t.Error("a scope that is none was taken")
	}
}
