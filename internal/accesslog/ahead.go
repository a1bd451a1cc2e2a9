package accesslog

import (
	"fmt"
	"time"
)

// A flight is a batch on its way to the disk while the next one is placed
// behind it. There is at most one: a batch is written only once the one before
// it was synced, or its mark would vouch for what may not be there.
type flight struct {
	buf   []byte
	batch []placed
	tree  tree
	last  time.Time
	start time.Time
	done  chan error
}

// maxAhead bounds the bytes that are placed behind a flight.
const maxAhead = 4 << 20

// commitAhead is commit for a log with relaxed records: it places them, which
// answers the relaxed ones, and leaves the syncing to a flight.
func (l *Log) commitAhead(batch []*item) error {
	if err := l.placeAll(batch); err != nil {
		return err
	}
	if l.c.flight != nil && len(l.c.buf) >= maxAhead {
		if err := l.land(); err != nil {
			return err
		}
	}
	return l.launch()
}

// launch sends the batch off unless one is on its way.
func (l *Log) launch() error {
	c := &l.c
	for c.flight == nil {
		if len(c.buf) == 0 && len(c.after) == 0 {
			return nil
		}
		if len(c.after) > 0 {
			after := c.after
			c.after = nil
			if err := l.placeAll(after); err != nil {
				return err
			}
			continue
		}
		f := &flight{buf: c.buf, batch: c.batch, tree: c.tree, last: c.last, start: time.Now(), done: make(chan error, 1)}
		seg, off := c.seg, c.seg.off
		c.seg.off += int64(len(c.buf))
		c.buf, c.batch, c.flight = nil, nil, f
		go func() { f.done <- seg.store(f.buf, off) }()
	}
	return nil
}

// landing is the channel that tells of the flight's end; without one it blocks.
func (c *committer) landing() <-chan error {
	if c.flight == nil {
		return nil
	}
	return c.flight.done
}

// land waits for the flight, if there is one.
func (l *Log) land() error {
	if l.c.flight == nil {
		return nil
	}
	return l.landed(<-l.c.flight.done)
}

// landed makes what the flight took public and answers its waiters.
func (l *Log) landed(err error) error {
	f := l.c.flight
	l.c.flight = nil
	if err != nil {
		return l.fail(err)
	}
	l.durable(f.buf, f.batch, &f.tree, f.last, f.start)
	return nil
}

// store writes and syncs a batch at off.
func (s *segment) store(b []byte, off int64) error {
	if _, err := s.f.WriteAt(b, off); err != nil {
		return fmt.Errorf("writing %s: %w", s.name, err)
	}
	if err := s.f.sync(); err != nil {
		return fmt.Errorf("syncing %s: %w", s.name, err)
	}
	return nil
}

// answerEarly answers a relaxed record that has its place in the batch. Beyond
// the bound, and where its caller gave up, it is left to the batch's end.
func (l *Log) answerEarly(p *placed) {
	c, it := &l.c, p.it
	if !it.relaxed || c.early >= l.cfg.Queue || !it.finish(p.index, nil) {
		return
	}
	p.it, p.early = nil, true
	c.early++
	l.counters.early.Add(1)
}
