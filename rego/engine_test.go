package rego

import (
	"context"
	"testing"
)

func TestSmoke(t *testing.T) {
	e := newEngine(t, Config{})
	in := trialInput("claims", noon)
	t.Logf("%+v", e.Decide(context.Background(), in))
	in.Resource.Cluster = "payroll"
	t.Logf("%+v", e.Decide(context.Background(), in))
	in.Resource.Cluster = "claims"
	in.Subject.Factors = nil
	t.Logf("%+v", e.Decide(context.Background(), in))
	in.Facts = nil
	t.Logf("%+v", e.Decide(context.Background(), in))
}

func TestExplainSmoke(t *testing.T) {
	e := newEngine(t, Config{})
	load(t, e, manyClusters(2))
	in := trialInput("c1", noon)
	for range 2 {
		d, lines, err := e.Explain(context.Background(), in)
		t.Logf("%v %v", d.Effect, err)
		for _, l := range lines {
			t.Log(l)
		}
		in.Facts.Facts().Vendor.Status = "suspended"
		in.Request.Method = "DELETE"
		in.Facts.Facts().Assignment.Paths = [][]string{{"x"}, {"y"}}
		in.Facts.UnmarshalJSON([]byte(`{"account":{"id":"trial","status":"active"},"vendor":{"name":"vendor","status":"suspended"},"agreements":[],"assignment":{"paths":[["x"],["y"]]}}`))
	}
}
