package query

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slowEngine takes a minute for each question, or until it is stopped.
type slowEngine struct {
	Engine
	now, most atomic.Int64
}

func (e *slowEngine) Count(ctx context.Context, _ Request) (int, error) {
	e.most.Store(max(e.most.Load(), e.now.Add(1)))
	defer e.now.Add(-1)
	select {
	case <-time.After(time.Minute):
		return 1, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// TestInTurn: one account that asks a hundred things at once takes its places
// and no more; others are answered meanwhile; who has waited too long is told.
func TestInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowEngine{}
		x := InTurn(slow, 4, 3)
		ctx, cancel := context.WithTimeout(For(t.Context(), "rae"), 90*time.Second)
		defer cancel()
		var all sync.WaitGroup
		var answered, late atomic.Int64
		for range 100 {
			all.Go(func() {
				if _, err := x.Count(ctx, Request{}); err == nil {
					answered.Add(1)
				} else if errors.Is(err, context.DeadlineExceeded) {
					late.Add(1)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		if n, err := x.Count(For(t.Context(), "ada"), Request{}); n != 1 || err != nil || time.Since(began) != time.Minute {
			t.Errorf("another account: %d, %v after %s", n, err, time.Since(began))
		}
		all.Wait()
		if slow.most.Load() != 4 || answered.Load() != 3 || late.Load() != 97 {
			t.Errorf("%d at once, %d answered, %d late", slow.most.Load(), answered.Load(), late.Load())
		}
		var leave [3]func()
		for i := range leave {
			var err error
			if leave[i], err = Turn(For(t.Context(), "api"), x); err != nil {
				t.Fatal(err)
			}
		}
		short, stop := context.WithTimeout(For(t.Context(), "api"), time.Second)
		defer stop()
		if _, err := x.Count(short, Request{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("beside three readings: %v", err)
		}
		for _, f := range leave {
			f()
		}
		if of := x.(*turns).of; len(of) != 0 {
			t.Errorf("%d accounts are remembered", len(of))
		}
	})
}
