package studio

import (
	"context"
	"errors"
	"sync"
)

// ErrBusy: whoever asks has more jobs waiting already than one person may have.
var ErrBusy = errors.New("too many trials of the same person wait already")

// maxWaiting is how many jobs of one person run or wait at most.
const maxWaiting = 8

type personKey struct{}

// For returns a context for jobs of one person, who has one place at a time of
// those that people share, so that a second person always finds one, and
// [ErrBusy] beyond a few that wait. Jobs of nobody wait for no turn.
func For(ctx context.Context, account string) context.Context {
	return context.WithValue(ctx, personKey{}, account)
}

// turns has each person's jobs run one after another.
type turns struct {
	mu  sync.Mutex
	all map[string]*turn
}

type turn struct {
	jobs int // that run or wait
	free chan struct{}
}

// take waits until no other job of the person in ctx runs. The caller must call
// what it returns when its own is done.
func (k *turns) take(ctx context.Context) (done func(), err error) {
	account, _ := ctx.Value(personKey{}).(string)
	if account == "" {
		return func() {}, nil
	}
	k.mu.Lock()
	t := k.all[account]
	if t == nil {
		if k.all == nil {
			k.all = map[string]*turn{}
		}
		t = &turn{free: make(chan struct{}, 1)}
		k.all[account] = t
	}
	if t.jobs >= maxWaiting {
		k.mu.Unlock()
		return nil, ErrBusy
	}
	t.jobs++
	k.mu.Unlock()
	leave := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if t.jobs--; t.jobs == 0 {
			delete(k.all, account)
		}
	}
	select {
	case t.free <- struct{}{}:
		return func() { <-t.free; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
