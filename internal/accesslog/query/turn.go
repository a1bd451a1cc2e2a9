package query

import (
	"context"
	"sync"
	"time"
)

// InTurn returns an engine over e that answers at most atOnce questions at a
// time, and at most each of one account; others wait until their context ends.
// Searching takes all processors there are, and the machine has others to serve.
func InTurn(e Engine, atOnce, each int) Engine {
	return &turns{Engine: e, all: make(chan struct{}, atOnce), each: each, of: map[string]*turn{}}
}

type accountKey struct{}

// For says on whose behalf an engine is asked.
func For(ctx context.Context, account string) context.Context {
	return context.WithValue(ctx, accountKey{}, account)
}

type turns struct {
	Engine
	all  chan struct{}
	each int

	mu sync.Mutex
	of map[string]*turn // of accounts that ask or wait
}

type turn struct {
	busy chan struct{}
	n    int // who asks or waits
}

// Turn waits for a place among those who ask e, for what reads the log itself,
// until ctx ends. Leave gives it back. Without [InTurn] there is always one.
func Turn(ctx context.Context, e Engine) (leave func(), err error) {
	if t, ok := e.(*turns); ok {
		return t.enter(ctx)
	}
	return func() {}, nil
}

// enter waits for a place, which leave gives back.
func (t *turns) enter(ctx context.Context) (leave func(), err error) {
	account, _ := ctx.Value(accountKey{}).(string)
	mine := t.join(account)
	if err := wait(ctx, mine.busy); err != nil {
		t.quit(account, mine)
		return nil, err
	}
	if err := wait(ctx, t.all); err != nil {
		<-mine.busy
		t.quit(account, mine)
		return nil, err
	}
	return func() { <-t.all; <-mine.busy; t.quit(account, mine) }, nil
}

func wait(ctx context.Context, places chan struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t *turns) join(account string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.of[account]
	if x == nil {
		x = &turn{busy: make(chan struct{}, t.each)}
		t.of[account] = x
	}
	x.n++
	return x
}

func (t *turns) quit(account string, x *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x.n--; x.n == 0 {
		delete(t.of, account)
	}
}

func (t *turns) Search(ctx context.Context, r Request) ([]Row, error) {
	leave, err := t.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return t.Engine.Search(ctx, r)
}

func (t *turns) Count(ctx context.Context, r Request) (int, error) {
	leave, err := t.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	return t.Engine.Count(ctx, r)
}

func (t *turns) Histogram(ctx context.Context, r Request, by Field, step time.Duration) ([]Cell, error) {
	leave, err := t.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return t.Engine.Histogram(ctx, r, by, step)
}

func (t *turns) Top(ctx context.Context, r Request, by Field, n int) ([]Tally, error) {
	leave, err := t.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return t.Engine.Top(ctx, r, by, n)
}

func (t *turns) Distinct(ctx context.Context, r Request, of, by Field) ([]Tally, error) {
	leave, err := t.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return t.Engine.Distinct(ctx, r, of, by)
}
