package accesslog

import (
	"bytes"
	"context"
	"errors"
	"time"
)

// tailEvery is how often Tail looks for new entries.
const tailEvery = 100 * time.Millisecond

// Tail yields the entries from index from on that f selects, oldest first, and
// waits for further ones until ctx is done, which is its error, or yield
// returns false. It reads files only, so it follows a writer in another
// process. Limit counts; Ascending, Before and After are ignored.
func Tail(ctx context.Context, dir string, f Filter, from uint64, yield func(*Entry) bool) error {
	f.Ascending, f.Before, f.After = true, 0, 0
	until := f.Until
	f.Until = time.Time{} // the end of the past is not the end of a tail
	q := newQuery(dir, f, func(e *Entry) bool {
		return !until.IsZero() && e.Time.After(until) || yield(e)
	})
	tick := time.NewTicker(tailEvery)
	defer tick.Stop()
	t := &follower{dir: dir, index: from}
	defer t.close()
	for {
		if err := t.read(ctx, q); err != nil || q.stopped {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// A follower remembers its place in the newest segment between two looks.
type follower struct {
	dir   string
	index uint64 // the next entry
	v     *view
	s     *scanner
}

func (t *follower) close() {
	if t.v != nil {
		t.v.close()
		t.v, t.s = nil, nil
	}
}

// read offers everything that is there.
func (t *follower) read(ctx context.Context, q *query) error {
	if t.v != nil {
		if err := t.drain(q); err != nil || q.stopped {
			return err
		}
		list, err := listFolder(t.dir)
		if err != nil {
			return err
		}
		if n := len(list.segments); n > 0 && list.segments[n-1].name == t.v.ref.name {
			return nil
		}
		t.close()
	}
	err := walk(ctx, t.dir, t.index, nil, func(index uint64, p []byte) (bool, error) {
		t.index = index + 1
		return q.offer(p)
	})
	if err != nil || q.stopped {
		return err
	}
	list, err := listFolder(t.dir)
	if err != nil {
		return err
	}
	v, err := openView(t.dir, list, len(list.segments)-1)
	if errors.Is(err, errStale) {
		return nil // next time
	}
	if err != nil {
		return err
	}
	if v.ref.sealed || v.ref.first > t.index { // the one before it got entries that walk has not come to
		v.close()
		return nil
	}
	t.v, t.s = v, newScanner(v.f, v.size, v.h)
	return t.drain(q)
}

// drain offers what has come in the newest segment.
func (t *follower) drain(q *query) error {
	t.s.forget()
	for {
		index := t.s.index
		p, err := t.s.entry()
		switch {
		case err == errEnd || err == errBad:
			return nil // not yet; or the segment is full, and walk takes over and judges
		case err != nil && t.v.gone():
			return nil // it was sealed, and its file is made ready for another use
		case err != nil:
			return err
		case index < t.index:
			continue
		}
		t.index = index + 1
		if more, err := q.offer(bytes.Clone(p)); !more {
			return err
		}
	}
}
