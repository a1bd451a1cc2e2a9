package accesslog

import (
	"context"
	"errors"
	"fmt"
)

// Pick calls fn for the entries of the given indexes, in their order, until it
// returns an error, which Pick returns. Indexes that rise or fall are the
// quickest: what lies together is read once. It reads files only and is safe
// while the writer runs. [ErrNotFound]: the log does not have one of them.
func Pick(ctx context.Context, dir string, indexes []uint64, fn func(*Entry) error) error {
	r, keys := picker{dir: dir}, personalKeysOf(dir)
	defer r.close()
	for _, index := range indexes {
		p, err := r.payload(ctx, index)
		if err != nil {
			return err
		}
		e, err := keys.decode(p)
		if err == nil {
			err = fn(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A picker keeps the group of entries that it read last.
type picker struct {
	dir      string
	v        *view
	groups   []group
	first    uint64 // of payloads
	payloads [][]byte
}

func (r *picker) close() {
	if r.v != nil {
		r.v.close()
	}
	*r = picker{dir: r.dir}
}

func (r *picker) payload(ctx context.Context, index uint64) ([]byte, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if index >= r.first && index-r.first < uint64(len(r.payloads)) {
			return r.payloads[index-r.first], nil
		}
		err := r.read(index)
		if errors.Is(err, errStale) {
			r.close()
			continue
		}
		if err != nil {
			return nil, err
		}
	}
}

// read takes up the group with the entry.
func (r *picker) read(index uint64) error {
	if !r.covers(index) {
		if err := r.find(index); err != nil {
			return err
		}
	}
	for _, g := range r.groups {
		if index >= g.first && index < g.first+uint64(g.count) {
			payloads, err := r.v.load(g)
			if err != nil {
				return err
			}
			r.first, r.payloads = g.first, payloads
			return nil
		}
	}
	return fmt.Errorf("reading entry %d: %w", index, ErrNotFound)
}

func (r *picker) covers(index uint64) bool {
	n := len(r.groups)
	return n > 0 && index >= r.groups[0].first && index < r.groups[n-1].first+uint64(r.groups[n-1].count)
}

// find opens the segment with the entry.
func (r *picker) find(index uint64) error {
	r.close()
	list, err := listFolder(r.dir)
	if err != nil {
		return err
	}
	i := len(list.segments) - 1
	for i >= 0 && list.segments[i].first > index {
		i--
	}
	if i < 0 && list.removed != nil {
		return removedError(index, list.removed.first)
	}
	if i < 0 {
		return fmt.Errorf("reading entry %d: %w", index, ErrNotFound)
	}
	if r.v, err = openView(r.dir, list, i); err != nil {
		r.v = nil
		return err
	}
	r.groups, err = r.v.groups()
	return err
}
