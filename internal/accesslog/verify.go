package accesslog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// A Report says what [Verify] checked.
type Report struct {
	Origin      string    `json:"origin"`
	Entries     uint64    `json:"entries"` // all that were read
	Signed      uint64    `json:"signed"`  // how many of them the newest checkpoint vouches for
	Root        string    `json:"root"`    // of those, base64
	Segments    int       `json:"segments"`
	Checkpoints int       `json:"checkpoints"`    // in the history and the newest
	First       time.Time `json:"first,omitzero"` // time of the first entry; zero in a log without entries
	Last        time.Time `json:"last,omitzero"`  // time of the last entry, likewise
	// Removed is how many of the entries went by age: of them there are hashes
	// alone, and First is the time of the first one that is left.
	Removed uint64 `json:"removed,omitempty"`
	// Previous is the log that was given up before this one began, as its first
	// entry says. Nil: it says nothing, or it went by age and said nothing.
	Previous *Previous `json:"previous,omitempty"`
}

// Verify reads every byte of the log in dir and checks it against the
// checkpoints there and vkey, the verifier key that the reviewer was given: no
// entry altered, dropped, added or moved below the newest checkpoint, and
// nothing in the files that is not the log's. The first fault is a
// [TamperedError]. Entries that no checkpoint covers yet are read and counted,
// and only their check sums vouch for them.
//
// It works on a copy and, while the writer runs, on the log itself. In a copy
// of a log that was killed and not started since, the unfinished batch at the
// end is reported as a fault: it cannot be told from a change.
//
// What it cannot find: a log that was rolled back together with all of its
// checkpoints, or rewritten by whoever holds the key. For that compare with a
// checkpoint kept elsewhere, by [ProveConsistency].
//
// progress, which may be nil, is told how many of how many entries are done.
func Verify(ctx context.Context, dir, vkey string, progress func(done, total uint64)) (Report, error) {
	given, err := readLogKeys(vkey)
	if err != nil {
		return Report{}, fmt.Errorf("verifying the access log: %w", err)
	}
	r := &verifier{dir: dir, key: given, given: given, progress: progress}
	if err := r.run(ctx); err != nil {
		return Report{}, fmt.Errorf("verifying the access log: %w", err)
	}
	return r.report, nil
}

// A verifier goes through a log once, from the first entry to the last.
type verifier struct {
	dir      string
	key      *logKeys // all of the log's
	given    *logKeys // those of the reviewer
	named    map[uint64][]keyClaim
	progress func(done, total uint64)

	past    *past
	points  []point // of the past, by size, still to be compared
	signed  uint64
	tree    tree
	root    tlog.Hash // at signed
	vouched uint64    // up to here a root was found right
	differs *TamperedError
	prunes  []pruneClaim
	base    tlog.Hash // at report.Removed
	epoch   uint64    // of the segment that begins at begun
	begun   uint64
	last    time.Time
	tiles   tileCheck
	report  Report
}

func (r *verifier) run(ctx context.Context) error {
	if err := r.readKeys(); err != nil {
		return err
	}
	if err := r.readPast(ctx); err != nil {
		return err
	}
	r.tiles.dir = r.dir
	defer r.tiles.close()
	r.report.Origin = r.key.Name()
	r.report.Checkpoints = len(r.past.points)
	if err := r.segments(ctx); err != nil {
		return err
	}
	if r.tree.n < r.signed {
		if r.differs != nil {
			return r.blame(r.differs.Segment, 0, fmt.Sprintf("the log has %d entries, but a checkpoint vouches for %d", r.tree.n, r.signed))
		}
		return &TamperedError{Index: r.tree.n, Segment: checkpointName, Offset: -1,
			What: fmt.Sprintf("the log ends before this entry, but a checkpoint vouches for %d entries", r.signed)}
	}
	if r.differs != nil { // in entries that nothing vouches for yet
		return r.differs
	}
	if err := r.removals(); err != nil {
		return err
	}
	if err := r.tiles.finish(r.tree.n); err != nil {
		return err
	}
	if err := r.spares(ctx); err != nil {
		return err
	}
	r.report.Entries, r.report.Signed, r.report.Root, r.report.Last = r.tree.n, r.signed, r.root.String(), r.last
	if r.progress != nil {
		r.progress(r.tree.n, r.tree.n)
	}
	return nil
}

// readPast reads the checkpoints. A history record that is just being written
// is whole a moment later.
func (r *verifier) readPast(ctx context.Context) (err error) {
	for try := 0; ; try++ {
		r.past, err = readPast(r.dir, r.key)
		if err != nil {
			return err
		}
		if len(r.past.torn) == 0 {
			break
		}
		if try == patience || !writerRuns(r.dir) {
			return &TamperedError{Index: r.past.newest().size, Segment: historyName, Offset: r.past.length, What: "bytes that are no checkpoint"}
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
	if r.past.last == nil {
		return &TamperedError{Index: 0, Segment: checkpointName, Offset: -1, What: "the newest checkpoint is missing"}
	}
	r.points = slices.Clone(r.past.points)
	slices.SortStableFunc(r.points, func(a, b point) int { return int(int64(a.size) - int64(b.size)) })
	r.signed = r.past.newest().size
	if err := r.trustKeys(); err != nil {
		return err
	}
	return r.comparePoints(checkpointName, 0)
}

// How long a read that met a batch half written is repeated.
const (
	patience = 40
	pauseFor = 5 * time.Millisecond
)

func pause(ctx context.Context) error {
	t := time.NewTimer(pauseFor)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// segments reads every segment. One that is sealed meanwhile is read again
// from where it was left.
func (r *verifier) segments(ctx context.Context) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		list, err := listFolder(r.dir)
		if err != nil {
			return err
		}
		if len(list.segments) == 0 {
			return &TamperedError{Index: 0, Segment: segmentName(0, rawEnding), Offset: -1, What: "there is no segment"}
		}
		again := false
		for i, ref := range list.segments {
			if i+1 < len(list.segments) && list.segments[i+1].first <= r.tree.n && r.report.Segments > i {
				continue // done before
			}
			var err error
			if ref.first > r.tree.n {
				err = r.begins(ctx, list, i)
			}
			if err == nil {
				err = r.segment(ctx, list, i)
			}
			if again = errors.Is(err, errStale); again {
				break
			}
			if err != nil {
				return err
			}
			r.report.Segments = i + 1
		}
		if !again {
			return nil
		}
	}
}

func (r *verifier) segment(ctx context.Context, list *listing, i int) error {
	v, err := openView(r.dir, list, i)
	if err != nil {
		return err
	}
	defer v.close()
	if v.h.origin != r.key.Name() {
		return v.damaged(v.h.first, 0, fmt.Sprintf("the segment belongs to the log %s", v.h.origin))
	}
	if r.tree.n == v.h.first {
		if err := r.header(v, i); err != nil {
			return err
		}
	}
	r.epoch, r.begun = v.h.epoch, v.h.first
	if v.foot != nil {
		if v.last { // the writer starts the next one before it seals one
			return v.damaged(v.foot.first+v.foot.count, -1, "the segment after this sealed one is missing")
		}
		return r.sealed(ctx, v)
	}
	return r.raw(ctx, v)
}

func (r *verifier) header(v *view, i int) error {
	if v.h.root != r.tree.root() {
		return r.blame(v.ref.name, 0, "the root in the segment's header is not that of the entries before")
	}
	if r.vouched = r.tree.n; r.differs != nil {
		return r.differs
	}
	again := r.begun == v.h.first // nothing of it was read before it was sealed
	if i > 0 && !again && v.h.epoch <= r.epoch || !v.h.last.Equal(r.last) && !(r.tree.n == 0 && v.h.last.IsZero()) {
		return v.damaged(v.h.first, 0, "the header does not continue the segment before")
	}
	return nil
}

// blame names the first entry that can be wrong when a root is not what it
// should be: the first whose kept hash differs, or else the first that no root
// has vouched for.
func (r *verifier) blame(name string, off int64, what string) error {
	if r.differs != nil && r.differs.Index >= r.vouched {
		return &TamperedError{Index: r.differs.Index, Segment: name, Offset: r.differs.Offset,
			What: what + ": the entry is not the one whose hash was kept"}
	}
	return &TamperedError{Index: r.vouched, Segment: name, Offset: off,
		What: fmt.Sprintf("%s: something in entries %d to %d was changed", what, r.vouched, r.tree.n)}
}

// fault names entry n, or an earlier one whose kept hash differs.
func (r *verifier) fault(v *view, n uint64, off int64, what string) error {
	if r.differs != nil && r.differs.Index < n {
		return r.blame(v.ref.name, off, what)
	}
	return v.damaged(n, off, what)
}

// comparePoints compares the checkpoints of the tree's present size.
func (r *verifier) comparePoints(name string, off int64) error {
	for len(r.points) > 0 && r.points[0].size == r.tree.n {
		root := r.tree.root()
		if r.points[0].root != root {
			return r.blame(name, off, fmt.Sprintf("the checkpoint of %d entries has another root", r.tree.n))
		}
		if r.tree.n == r.signed {
			r.root = root
		}
		r.points = r.points[1:]
		if r.vouched = r.tree.n; r.differs != nil {
			return r.differs // the entries are right, and the kept hashes are not
		}
	}
	return nil
}

// entry takes the next entry into the tree.
func (r *verifier) entry(ctx context.Context, v *view, p []byte, off int64) error {
	l := leafOf(p, r.tree.n)
	return r.leaf(ctx, v, &l, off)
}

// leaf takes the next entry into the tree, of which what is slow was done.
func (r *verifier) leaf(ctx context.Context, v *view, l *leaf, off int64) error {
	n := r.tree.n
	if !l.placed {
		return r.fault(v, n, off, "the entry has another index: one was dropped, added or moved")
	}
	if l.err != nil {
		return r.fault(v, n, off, l.err.Error())
	}
	t := time.Unix(0, l.at).UTC()
	if t.Before(r.last) {
		return r.fault(v, n, off, "the entry's time is before that of the entry before")
	}
	if n == 0 || r.report.First.IsZero() {
		r.report.First = t
	}
	r.last = t
	if n == 0 {
		r.report.Previous = ReadPrevious(l.payload)
	}
	if c, ok := pruneOf(l.payload); ok && n < r.signed {
		r.prunes = append(r.prunes, c)
	}
	for _, c := range r.named[n] {
		if !keyNamed(l.payload, c.action, c.vkey) {
			return r.fault(v, n, off, "the list of keys says that a key changed here, and the entry does not")
		}
	}
	if err := r.add(l.hash, n); err != nil {
		return err
	}
	if r.tree.n%groupEntries == 0 {
		if r.progress != nil {
			r.progress(r.tree.n, max(r.signed, r.tree.n))
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return r.comparePoints(v.ref.name, off)
}

// add takes the hash of entry n into the tree and compares the kept hashes.
func (r *verifier) add(h tlog.Hash, n uint64) (fault error) {
	r.tree.add(h, func(level int, h tlog.Hash) {
		ok, err := r.tiles.next(level, h)
		if err != nil {
			fault = err
		}
		if !ok && r.differs == nil && n < r.signed { // beyond that the writer may be at work on them
			r.differs = &TamperedError{Index: n, Segment: tileName(level), Offset: (r.tiles.count[level] - 1) * tlog.HashSize,
				What: "the kept hash is not that of the entry"}
		}
	})
	return fault
}

func (r *verifier) sealed(ctx context.Context, v *view) error {
	blocks, err := readIndex(v.f, v.foot)
	if err != nil {
		return v.damaged(r.tree.n, v.foot.index, err.Error())
	}
	left := blocks
	for len(left) > 0 && left[0].first+uint64(left[0].count) <= r.tree.n {
		left = left[1:] // done before the segment was sealed
	}
	if err := eachBlock(v, left, func(b *block, leaves []leaf, err error) error {
		return r.block(ctx, v, b, leaves, err)
	}); err != nil {
		return err
	}
	if n := len(blocks); n > 0 && (v.foot.oldest != blocks[0].oldest || v.foot.newest != blocks[n-1].newest) {
		return v.damaged(v.h.first, v.size-footerLen, "the footer has other times than the index")
	}
	return nil
}

// raw reads a raw segment. In the newest one a writer may be at work, and what
// looks like damage is a batch half written: then every byte that was seen
// must in the end turn out to be part of a frame.
func (r *verifier) raw(ctx context.Context, v *view) error {
	s := newScanner(v.f, v.size, v.h)
	seen := int64(-1) // the last byte that was seen behind the frames
	for tries, first := 0, true; ; tries, first = tries+1, false {
		off := s.off
		if err := r.frames(ctx, v, s); err != nil {
			return err
		}
		if v.gone() {
			return errStale
		}
		if seen < 0 {
			from, to, err := s.nonZero(s.off)
			if v.gone() {
				return errStale
			}
			if err != nil {
				return err
			}
			if seen = to; from < 0 {
				return r.ended(v, s)
			}
		}
		live := v.last && writerRuns(r.dir)
		switch {
		case s.off > seen:
			return r.ended(v, s)
		case s.off > off && !first:
			tries = 0
		case !first && (!live || tries >= patience):
			return v.damaged(r.tree.n, s.off, "the frame is damaged, or bytes follow that are no frame")
		}
		if s.forget(); live {
			if err := pause(ctx); err != nil {
				return err
			}
		}
	}
}

// frames takes entries into the tree up to the first frame that is not one.
func (r *verifier) frames(ctx context.Context, v *view, s *scanner) error {
	for {
		p, err := s.entry()
		if err == errEnd || err == errBad {
			return nil
		}
		if err != nil && v.gone() {
			return errStale
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", v.ref.name, err)
		}
		if s.index <= r.tree.n {
			continue // taken before the segment was sealed and read again
		}
		if err := r.entry(ctx, v, p, s.off-int64(len(p))-frameHead); err != nil {
			if v.gone() {
				return errStale
			}
			return err
		}
	}
}

func (r *verifier) ended(v *view, s *scanner) error {
	if !v.last && s.index != v.next {
		return v.damaged(s.index, s.off, fmt.Sprintf("the segment ends here, and the next one begins at entry %d", v.next))
	}
	return nil
}
