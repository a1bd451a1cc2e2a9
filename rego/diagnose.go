package rego

import (
	"context"

	"github.com/ringfence/ringfence/policy"
)

// Diagnose compiles src, tests included, and returns what is wrong with it; it
// runs nothing. The error is for what is no fault of src, such as the end of ctx.
func Diagnose(ctx context.Context, src Source) ([]policy.Diagnostic, error) {
	if _, err := compileWithin(ctx, src); err != nil {
		return diagnosticsOf(err), unlessCompile(err)
	}
	_, err := within(ctx, func() (struct{}, error) {
		_, err := compileTests(src, false)
		return struct{}{}, err
	})
	return diagnosticsOf(err), unlessCompile(err)
}

func unlessCompile(err error) error {
	if diagnosticsOf(err) != nil {
		return nil
	}
	return err
}
