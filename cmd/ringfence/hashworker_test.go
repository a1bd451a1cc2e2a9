package main

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
)

// TestHashWorker gets the same keys from the process as from this one, before
// it runs, while it runs, and after it was killed under those who wait.
func TestHashWorker(t *testing.T) {
	t.Setenv(asRingfence, "1")
	h := &hashWorker{logger: slog.New(slog.DiscardHandler)}
	salt := []byte("0123456789abcdef")
	want, err := auth.Argon2id(t.Context(), []byte("pepper"), salt, 1, 1024, 32)
	if err != nil {
		t.Fatal(err)
	}
	derive := func() ([]byte, error) { return h.Derive(t.Context(), []byte("pepper"), salt, 1, 1024, 32) }
	same := func(when string) {
		t.Helper()
		if got, err := derive(); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v", when, got, err)
		}
	}
	same("without the process")

	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	running := func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.asks != nil
	}
	eventually(t, 20*time.Second, "the process runs", running)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { same("by the process") })
	}
	wg.Wait()

	failed := make(chan error, 1)
	go func() {
		_, err := h.Derive(t.Context(), []byte("pepper"), salt, 500, 64<<10, 32) // longer than anybody waits
		failed <- err
	}()
	eventually(t, 20*time.Second, "a hash is under way", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.waiting) == 1
	})
	h.mu.Lock()
	if err := h.process.Kill(); err != nil {
		t.Error(err)
	}
	h.mu.Unlock()
	if err := <-failed; err == nil {
		t.Error("a hash whose process was killed has a result")
	}
	eventually(t, 20*time.Second, "another process runs", running)
	same("by the second process")

	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := h.Derive(gone, []byte("pepper"), salt, 1, 1024, 32); err == nil {
		t.Error("somebody who left was waited for")
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	same("after the process")
}
