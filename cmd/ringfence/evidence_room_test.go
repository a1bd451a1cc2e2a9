package main

import (
	"context"
	"errors"
	"testing"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// TestWhileRoom: nobody's bundle of evidence takes the last of the log's disk.
func TestWhileRoom(t *testing.T) {
	level, told := accesslog.SpaceEnough, -1
	space := func() accesslog.Space { return accesslog.Space{Level: level} }
	ctx, progress, done := whileRoom(t.Context(), space, func(n int) { told = n })
	defer done()
	for _, level = range []string{accesslog.SpaceEnough, accesslog.SpaceLow} {
		if progress(7); told != 7 || ctx.Err() != nil {
			t.Fatalf("level %q: told %d, %v", level, told, ctx.Err())
		}
	}
	level = accesslog.SpaceCritical
	if progress(8); told != 8 || !errors.Is(context.Cause(ctx), errLittleRoom) {
		t.Errorf("it goes on: %v", context.Cause(ctx))
	}
	if ctx, _, done := whileRoom(t.Context(), space, func(int) {}); !errors.Is(context.Cause(ctx), errLittleRoom) {
		t.Error("one is begun")
	} else {
		done()
	}
}
