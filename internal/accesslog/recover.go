package accesslog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/ringfence/ringfence/policy"
)

// loadRaw reads one raw segment. The tree of what comes before is taken from
// the kept hashes at the first, and must agree with the header at each.
func (o *opener) loadRaw(ctx context.Context, ref segmentRef, first, last bool) error {
	f, err := o.cfg.disk.open(filepath.Join(o.cfg.Dir, ref.name))
	if err != nil {
		return err
	}
	keep := false
	defer func() {
		if !keep {
			f.Close()
		}
	}()
	size, err := f.size()
	if err != nil {
		return err
	}
	h, err := o.readHeader(f, size, ref)
	if err != nil {
		return err
	}
	if first {
		if err := o.checkContents(ctx, h); err != nil {
			return err
		}
		if err := o.loadTree(ctx, h); err != nil {
			return err
		}
	}
	c := &o.c
	if c.tree.n != h.first || c.tree.root() != h.root {
		return &TamperedError{Index: h.first, Segment: ref.name, Offset: 0, What: "the header's root is not that of the entries before"}
	}
	if !h.last.IsZero() {
		c.last = h.last
	}
	c.seg = &segment{header: *h, name: ref.name, f: f, facts: map[string]bool{}}
	clear(c.open)
	o.carried = o.carried[:0]
	s := newScanner(f, size, h)
	if err := o.scan(s); err != nil {
		return err
	}
	if err := o.finishRaw(s, last); err != nil {
		return err
	}
	c.seg.off, c.seg.seq, c.epoch, keep = s.off, s.seq, h.epoch, last
	if !last {
		o.keep.retire(ref.name)
	}
	return nil
}

func (o *opener) readHeader(f file, size int64, ref segmentRef) (*header, error) {
	b := make([]byte, headerLen)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, err
	}
	h, err := parseHeader(b)
	switch {
	case err != nil:
		return nil, &TamperedError{Index: ref.first, Segment: ref.name, Offset: 0, What: err.Error()}
	case h.origin != o.cfg.Origin:
		return nil, fmt.Errorf("%s belongs to the log %s, not to %s", ref.name, h.origin, o.cfg.Origin)
	case h.first != ref.first || h.size != size:
		return nil, &TamperedError{Index: ref.first, Segment: ref.name, Offset: 0, What: "the file's name or length is not what its header says"}
	}
	return h, nil
}

// loadTree takes the tree before the first raw segment from the kept hashes,
// making them anew from the sealed segments when they do not give its root.
func (o *opener) loadTree(ctx context.Context, h *header) error {
	t, err := loadTree(o.cfg.Dir, h.first, h.root)
	o.c.tiles.reset(h.first)
	if err == nil {
		o.c.tree = t
		return o.checkOldPoint(h)
	}
	o.cfg.Logger.Warn("the kept hashes are not those of the log; making them anew", "err", err)
	o.c.tiles.reset(0)
	o.c.tree = tree{}
	first := o.list.segments[0].first
	if err := o.regrow(first); err != nil {
		return err
	}
	err = readPayloads(ctx, o.cfg.Dir, first, h.first, func(_ uint64, p []byte) error {
		o.c.tree.add(recordHash(p), o.c.tiles.add)
		if o.c.tree.n%blockEntries == 0 {
			return o.c.tiles.flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := o.c.tiles.flush(); err != nil {
		return err
	}
	return o.checkOldPoint(h)
}

// checkOldPoint compares the last checkpoint with the kept hashes when it is
// of fewer entries than those that are about to be read.
func (o *opener) checkOldPoint(h *header) error {
	p := o.past.newest()
	if p.size >= h.first || p.size == 0 || o.c.tree.root() != h.root {
		return nil
	}
	t, err := rootAt(o.cfg.Dir, h.first, h.root, p.size)
	if err != nil {
		return err
	}
	if t != p.root {
		return &TamperedError{Index: p.size, Segment: checkpointName, Offset: -1, What: "the last checkpoint is of another log"}
	}
	return nil
}

// scan reads entries until the first frame that is not one.
func (o *opener) scan(s *scanner) error {
	c := &o.c
	want := o.past.newest()
	for {
		if c.tree.n == want.size && c.tree.root() != want.root {
			return &TamperedError{Index: s.index, Segment: c.seg.name, Offset: s.off,
				What: fmt.Sprintf("the root of the %d entries before is not the one that the checkpoint signs", want.size)}
		}
		at := s.off
		switch err := s.next(); {
		case err == errEnd || err == errBad:
			return nil
		case err != nil:
			return fmt.Errorf("reading %s: %w", c.seg.name, err)
		}
		switch s.typ {
		case frameCarry:
			o.carried = append(o.carried, carriedIndexes(s.payload)...)
		case frameEntry:
			if err := o.entry(s, at); err != nil {
				return err
			}
		}
	}
}

func (o *opener) entry(s *scanner, at int64) error {
	c := &o.c
	e, err := decodeEntry(bytes.Clone(s.payload))
	if err == nil && e.Index != c.tree.n {
		err = fmt.Errorf("it says that it is entry %d", e.Index)
	}
	if err != nil {
		return &TamperedError{Index: c.tree.n, Segment: c.seg.name, Offset: at, What: err.Error()}
	}
	c.tree.add(recordHash(s.payload), c.tiles.add)
	c.last = e.Time
	switch {
	case e.Type == policy.RecordLog && e.Action == ActionFacts:
		c.seg.facts[e.Facts] = true
	case e.Type == policy.RecordRequest && e.Effect == "allow" && e.RequestID != "":
		c.open[e.RequestID] = e.Index
	case e.Type == policy.RecordOutcome:
		delete(c.open, e.RequestID)
		c.open[closedKey+e.RequestID] = 0
	}
	return nil
}

// closedKey marks, while a segment is read, request ids that have an outcome
// in it, so that the list of open requests can be compared with them. No
// request id holds a zero byte.
const closedKey = "\x00"

// finishRaw judges what follows the last good frame: zeros; or, in the newest
// segment, what a crash left of a batch that nobody was told is durable. All
// else is damage and is never cut away.
func (o *opener) finishRaw(s *scanner, last bool) error {
	from, to, err := s.nonZero(s.off)
	if err != nil {
		return err
	}
	damage := func(what string) error {
		return &TamperedError{Index: s.index, Segment: o.c.seg.name, Offset: s.off, What: what}
	}
	if !last {
		next := o.list.segments[len(o.list.segments)-1].first
		for _, ref := range o.list.segments {
			if ref.first > o.c.seg.first {
				next = ref.first
				break
			}
		}
		if s.index != next || from >= 0 {
			return damage(fmt.Sprintf("the segment ends here, and the next one begins at entry %d", next))
		}
		return nil
	}
	if from < 0 {
		return nil
	}
	if n := o.vouched(); s.index < n {
		return damage(fmt.Sprintf("the frame is damaged, and a checkpoint vouches for %d entries", n))
	}
	mark, err := s.laterMark(s.off)
	if err != nil {
		return err
	}
	if mark >= 0 {
		return damage(fmt.Sprintf("the frame is damaged, and the batch at byte %d vouches for it", mark))
	}
	o.dropped = to + 1 - s.off
	return wipe(o.c.seg.f, s.off, to+1)
}

// vouched returns how many entries are known to have been durable: by the
// folder's own checkpoints, or by one that is kept elsewhere.
func (o *opener) vouched() uint64 { return max(o.past.newest().size, o.cfg.Vouched) }

// wipe overwrites a torn tail, so that nothing of it can ever be read as a frame.
func wipe(f file, from, to int64) error {
	for off := from; off < to; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), to-off)], off); err != nil {
			return fmt.Errorf("dropping an unfinished batch: %w", err)
		}
	}
	if err := f.sync(); err != nil {
		return fmt.Errorf("dropping an unfinished batch: %w", err)
	}
	return nil
}
