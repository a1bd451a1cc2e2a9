package rego

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

var sink policy.Decision

func BenchmarkDecide(b *testing.B) {
	e := newEngine(b, Config{})
	in := trialInput("claims", noon)
	denied := trialInput("claims", noon)
	denied.Resource.Cluster = "payroll"
	for name, in := range map[string]*policy.Input{"allowed": in, "denied": denied, "anonymous": {}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sink = e.Decide(context.Background(), in)
			}
		})
	}
}

func BenchmarkDecide_Clusters(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := newEngine(b, Config{})
			load(b, e, manyClusters(n))
			in := trialInput("c0", noon)
			b.ReportAllocs()
			for b.Loop() {
				sink = e.Decide(context.Background(), in)
			}
		})
	}
}

func BenchmarkBuildInput(b *testing.B) {
	e := newEngine(b, Config{})
	s, in := e.current.Load(), trialInput("claims", noon)
	b.ReportAllocs()
	for b.Loop() {
		s.buildInput(in)
	}
}

// manyClusters returns a policy for all clusters and one for each of n.
func manyClusters(n int) Source {
	s := Source{"all/base.rego": "package ringfence.all\n\nimport rego.v2\n\n" +
		`obligations contains {"strip_headers": ["server"]} if input.resource.classification != "public"` + "\n"}
	for i := range n {
		s[fmt.Sprintf("clusters/c%d/hours.rego", i)] = fmt.Sprintf(`package ringfence.clusters["c%d"]

import rego.v2

deny contains {"code": "no_deletes", "message": "Nothing is deleted here."} if input.request.method == "DELETE"

obligations contains {"max_response_bytes": 1048576}
`, i)
	}
	return s
}

func newEngine(tb testing.TB, c Config) *Engine {
	tb.Helper()
	e, err := NewEngine(c)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func load(tb testing.TB, e *Engine, s Source) string {
	tb.Helper()
	r, err := e.Load(context.Background(), s)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}
