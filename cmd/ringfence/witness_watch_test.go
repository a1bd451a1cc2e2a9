package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestGuardStreams: once there is no service for want of cosignatures, open
// requests are cut, again and again while that lasts, and the log says once
// that it began and once that it ended.
func TestGuardStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var fault error
		var told []string
		cuts := 0
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- guardStreams(ctx, func() error { mu.Lock(); defer mu.Unlock(); return fault },
				func(reason string) {
					if reason != unwitnessedReason {
						t.Errorf("cut for %q", reason)
					}
					cuts++
				},
				func(action, _ string) { told = append(told, action) })
		}()
		step := func(err error) {
			mu.Lock()
			fault = err
			mu.Unlock()
			time.Sleep(time.Second) // of the bubble's clock
			synctest.Wait()
		}
		step(nil)
		if cuts != 0 || told != nil {
			t.Errorf("while all is well: %d cuts, %v", cuts, told)
		}
		step(errors.New("no witness for an hour"))
		if cuts < 4 || !slices.Equal(told, []string{actionWitnessStopped}) {
			t.Errorf("without: %d cuts, %v", cuts, told)
		}
		before := cuts
		step(nil)
		if cuts != before || !slices.Equal(told, []string{actionWitnessStopped, actionWitnessResumed}) {
			t.Errorf("again: %d cuts, %v", cuts-before, told)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
