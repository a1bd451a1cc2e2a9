package accesslog

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
)

// live is what readers in this process see: the newest durable entries.
type live struct {
	size atomic.Uint64 // durable entries

	mu      sync.Mutex
	ring    [][]byte // payloads; the one of index i stands at i modulo the length
	from    uint64   // the oldest index in the ring
	tree    tree     // of the durable entries
	waiting bool
	news    chan struct{} // closed at the next publication when somebody waits
}

func (v *live) publish(buf []byte, batch []placed, t *tree) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range batch {
		v.ring[p.index%uint64(len(v.ring))] = buf[p.start:p.end:p.end]
	}
	v.tree = *t
	v.size.Store(t.n)
	if n := uint64(len(v.ring)); t.n > n {
		v.from = max(v.from, t.n-n)
	}
	if v.waiting {
		close(v.news)
		v.news, v.waiting = make(chan struct{}), false
	}
}

// point returns the durable tree's size and root.
func (v *live) point() point {
	v.mu.Lock()
	t := v.tree
	v.mu.Unlock()
	return point{t.n, t.root()}
}

// get returns payloads from index from on, at most n of them, or none and the
// oldest index in memory when from is older than that.
func (v *live) get(from uint64, n int) (payloads [][]byte, oldest uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if from < v.from {
		return nil, v.from
	}
	for i := from; i < v.tree.n && len(payloads) < n; i++ {
		payloads = append(payloads, v.ring[i%uint64(len(v.ring))])
	}
	return payloads, v.from
}

// wait returns a channel that is closed once there are more than n entries.
func (v *live) wait(n uint64) <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.tree.n > n {
		c := make(chan struct{})
		close(c)
		return c
	}
	v.waiting = true
	return v.news
}

// Recent returns up to n of the newest durable entries, newest first, from memory.
func (l *Log) Recent(n int) ([]*Entry, error) {
	size := l.Size()
	l.live.mu.Lock()
	from := l.live.from
	l.live.mu.Unlock()
	if n < 0 {
		n = 0
	}
	if uint64(n) < size-from {
		from = size - uint64(n)
	}
	payloads, _ := l.live.get(from, int(size-from))
	out := make([]*Entry, 0, len(payloads))
	for i := len(payloads) - 1; i >= 0; i-- {
		e, err := l.keys.decode(payloads[i])
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// Get is the function [Get] on the log's own folder, from memory for the newest.
func (l *Log) Get(ctx context.Context, index uint64) (*Entry, error) {
	if payloads, _ := l.live.get(index, 1); len(payloads) == 1 {
		return l.keys.decode(payloads[0])
	}
	return Get(ctx, l.cfg.Dir, index)
}

// Subscribe yields every entry from index from on, each once and in order, as
// soon as it is durable. A from beyond the end waits for that entry. What is
// no longer in memory is read from the files, so a slow reader loses nothing
// and holds nobody up. What was removed by age is passed over: the indexes tell. The sequence ends with ctx, with a nil entry and an
// error when a file cannot be read, or when the log is closed.
func (l *Log) Subscribe(ctx context.Context, from uint64) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		for ctx.Err() == nil {
			payloads, oldest := l.live.get(from, 256)
			if from < oldest {
				ok := true
				err := readRange(ctx, l.cfg.Dir, from, oldest, func(e *Entry) bool {
					from = e.Index + 1
					ok = yield(e, nil)
					return ok
				})
				if err != nil && ok && errors.Is(err, ErrNotFound) {
					if first, ferr := FirstHeld(l.cfg.Dir); ferr == nil && first > from {
						from = first
						continue
					}
				}
				if err != nil && ctx.Err() == nil && ok {
					yield(nil, err)
					return
				}
				if !ok {
					return
				}
				continue
			}
			for _, p := range payloads {
				e, err := l.keys.decode(p)
				if !yield(e, err) || err != nil {
					return
				}
				from++
			}
			if len(payloads) > 0 {
				continue
			}
			select {
			case <-ctx.Done():
			case <-l.live.wait(from):
			case <-l.ended:
				if l.Size() <= from {
					return
				}
			}
		}
	}
}
