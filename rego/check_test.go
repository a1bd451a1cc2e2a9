package rego

import (
	"context"
	"errors"
	"testing"
)

func TestStockPolicies(t *testing.T) {
	r, err := Check(context.Background(), nil)
	if failed, ok := errors.AsType[*TestError](err); ok {
		for _, f := range failed.Failures {
			t.Error(f)
		}
	} else if err != nil {
		t.Fatal(err)
	}
	if r.Tests < 30 {
		t.Errorf("only %d tests ran", r.Tests)
	}
}
