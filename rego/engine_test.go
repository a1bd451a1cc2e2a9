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
