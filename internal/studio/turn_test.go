package studio

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestTurns: whatever one person asks for takes one place at a time, and beyond
// a few it is refused; nobody else waits for it.
func TestTurns(t *testing.T) {
	var k turns
	ada, bea := For(t.Context(), "ada"), For(t.Context(), "bea")
	done, err := k.take(ada)
	if err != nil {
		t.Fatal(err)
	}
	late, cancel := context.WithTimeout(ada, time.Millisecond)
	defer cancel()
	if _, err := k.take(late); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second one beside the first: %v", err)
	}
	for _, ctx := range []context.Context{bea, t.Context(), t.Context()} {
		other, err := k.take(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer other()
	}
	turn := make(chan func())
	for range maxWaiting - 1 {
		go func() {
			next, err := k.take(ada)
			if err != nil {
				t.Error(err)
			}
			turn <- next
		}()
	}
	waits := func() int {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.all["ada"].jobs
	}
	for waits() < maxWaiting {
		time.Sleep(time.Millisecond)
	}
	if _, err := k.take(ada); !errors.Is(err, ErrBusy) {
		t.Errorf("one more than may wait: %v", err)
	}
	done()
	for range maxWaiting - 1 {
		(<-turn)()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.all["ada"] != nil {
		t.Error("somebody without jobs is remembered")
	}
}

// TestVet_WaitsForNobody: what is approved, or rolled back to, is vetted while
// drafts of other people have every place.
func TestVet_WaitsForNobody(t *testing.T) {
	r := New(Config{})
	for range cap(r.short) {
		r.short <- struct{}{}
	}
	for range cap(r.long) {
		r.long <- struct{}{}
	}
	set := map[string]string{"all/a.rego": "package ringfence.all\n\nimport rego.v2\n"}
	late, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := r.Check(late, CheckRequest{Modules: set}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a check without a place: %v", err)
	}
	if res, err := r.Vet(t.Context(), CheckRequest{Modules: set}); err != nil || !res.Publishable() {
		t.Errorf("%+v, %v", res, err)
	}
}
