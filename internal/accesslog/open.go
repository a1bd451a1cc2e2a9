package accesslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/ringfence/ringfence/internal/durable"
	"github.com/ringfence/ringfence/policy"
)

// Open makes the log in cfg.Dir ready for writing, or makes a new one there.
// It drops what a crash left unfinished, checks the newest entries against the
// last checkpoint, adds an outcome of kind interrupted for each allowed
// request that has none, and a record that says that it did all this. Run must
// be started for Record to return.
//
// It returns [ErrLocked] when somebody else writes the log, and a
// [TamperedError] when the log is not what it signed: shorter than its last
// checkpoint, damaged in what was synced, or without its checkpoints. Then
// nothing is changed.
func Open(ctx context.Context, cfg Config) (_ *Log, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("opening the access log: %w", err)
		}
	}()
	signer, err := cfg.fill()
	if err != nil {
		return nil, err
	}
	vkey, err := verifierKey(cfg.Key)
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, err
	}
	if err := durable.Mkdir(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := waitLock(ctx, filepath.Join(cfg.Dir, lockName))
	if err != nil {
		return nil, err
	}
	l := newLog(cfg, signer, verifier, lock)
	o := &opener{Log: l}
	if err := o.open(ctx, vkey); err != nil {
		l.c.tiles.close()
		if l.c.seg != nil {
			l.c.seg.f.Close()
		}
		lock.Close()
		return nil, err
	}
	return l, nil
}

func newLog(cfg Config, signer note.Signer, verifier note.Verifier, lock *os.File) *Log {
	l := &Log{
		cfg: cfg, signer: signer, verifier: verifier, lock: lock,
		queue: make(chan *item, cfg.Queue), kick: make(chan struct{}, 1), chore: make(chan struct{}, 1),
		stop: make(chan struct{}), dead: make(chan struct{}), ended: make(chan struct{}),
	}
	// An entry and the facts that it names must fit an empty segment together,
	// behind its header and the list of open requests.
	free := cfg.SegmentSize - reserveOf(cfg.SegmentSize) - headerLen - cfg.SegmentSize/carryPart - 1024
	l.maxPayload = int(min(MaxPayload, free/2))
	l.c.open = map[string]uint64{}
	l.c.tiles.dir = cfg.Dir
	l.live.ring = make([][]byte, cfg.Recent)
	l.live.news = make(chan struct{})
	return l
}

// An opener brings a log from its files into memory.
type opener struct {
	*Log
	past    *past
	list    *listing
	dropped int64    // bytes of an unfinished batch
	carried []uint64 // requests that the newest segment's list says were open
}

func (o *opener) open(ctx context.Context, vkey string) (err error) {
	if o.list, err = listFolder(o.cfg.Dir); err != nil {
		return err
	}
	if o.past, err = readPast(o.cfg.Dir, o.verifier); err != nil {
		return err
	}
	if len(o.list.segments) == 0 {
		err = o.create(vkey)
	} else {
		err = o.load(ctx)
	}
	if err != nil {
		return err
	}
	o.adoptSpares()
	o.live.publish(nil, nil, &o.c.tree)
	o.live.from = o.c.tree.n
	return o.begin(ctx)
}

// create makes a new log. Its first checkpoint, of no entries, comes before
// its first segment: a segment without a checkpoint is thus never innocent.
func (o *opener) create(vkey string) error {
	if n := o.past.newest().size; n > 0 {
		return &TamperedError{Index: 0, Segment: checkpointName, Offset: -1,
			What: fmt.Sprintf("a checkpoint vouches for %d entries, and there is no segment", n)}
	}
	if err := o.cfg.disk.write(filepath.Join(o.cfg.Dir, keyName), []byte(vkey+"\n")); err != nil {
		return err
	}
	o.live.publish(nil, nil, &o.c.tree)
	if err := o.sign(false); err != nil {
		return err
	}
	return o.roll()
}

// load reads the raw segments, of which there are one or two unless the
// writer could not compress, and finds where the log goes on.
func (o *opener) load(ctx context.Context) error {
	if o.past.last == nil {
		return &TamperedError{Index: 0, Segment: checkpointName, Offset: -1, What: "the last checkpoint is missing"}
	}
	if o.past.torn != nil {
		if err := os.Truncate(filepath.Join(o.cfg.Dir, historyName), o.past.length); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	raws := o.list.segments
	for len(raws) > 0 && raws[0].sealed {
		raws = raws[1:]
	}
	if len(raws) == 0 {
		last := o.list.segments[len(o.list.segments)-1]
		return &TamperedError{Index: last.first, Segment: last.name, Offset: -1, What: "the segment after this sealed one is missing"}
	}
	if err := o.checkSealed(raws[0].first); err != nil {
		return err
	}
	for i, ref := range raws {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if ref.sealed {
			return &TamperedError{Index: ref.first, Segment: ref.name, Offset: -1, What: "a sealed segment follows one that is not sealed"}
		}
		if err := o.loadRaw(ctx, ref, i == 0, i == len(raws)-1); err != nil {
			return err
		}
	}
	if p := o.past.newest(); o.c.tree.n < p.size {
		return &TamperedError{Index: o.c.tree.n, Segment: o.c.seg.name, Offset: o.c.seg.off,
			What: fmt.Sprintf("the log ends here, but a checkpoint vouches for %d entries", p.size)}
	}
	return errors.Join(o.c.tiles.flush(), o.c.tiles.cut())
}

// checkSealed checks that the sealed segments follow one another up to next.
func (o *opener) checkSealed(next uint64) error {
	at := uint64(0)
	for _, ref := range o.list.segments {
		if ref.first != at {
			return &TamperedError{Index: at, Segment: ref.name, Offset: -1, What: fmt.Sprintf("the segment that begins at entry %d is missing", at)}
		}
		if !ref.sealed {
			return nil
		}
		f, err := os.Open(filepath.Join(o.cfg.Dir, ref.name))
		if err != nil {
			return err
		}
		foot, err := footerOf(f)
		f.Close()
		if err != nil || foot.first != ref.first {
			return &TamperedError{Index: ref.first, Segment: ref.name, Offset: -1, What: errFooter.Error()}
		}
		at += foot.count
	}
	return nil
}

func footerOf(f *os.File) (*footer, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return readFooter(f, st.Size())
}

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
	err = readPayloads(ctx, o.cfg.Dir, 0, h.first, func(_ uint64, p []byte) error {
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
	if n := o.past.newest().size; s.index < n {
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

// adoptSpares takes over what earlier runs prepared and removes what they left
// half done. A spare that is not all zero, or of another size, is made anew.
func (o *opener) adoptSpares() {
	for _, name := range o.list.tmp {
		o.cfg.disk.remove(filepath.Join(o.cfg.Dir, name))
	}
	for _, name := range o.list.spares {
		n, err := strconv.Atoi(strings.TrimPrefix(name, sparePrefix))
		if err == nil {
			o.keep.next = max(o.keep.next, n)
		}
		if o.keep.count() < o.cfg.Spares && o.blank(name) {
			o.keep.push(name)
			continue
		}
		o.cfg.disk.remove(filepath.Join(o.cfg.Dir, name))
	}
	for _, name := range o.list.twins {
		if err := o.recycle(name); err != nil {
			o.cfg.Logger.Warn("recycling a segment", "segment", name, "err", err)
		}
	}
	if o.keep.count() == 0 && o.cfg.Spares > 0 {
		if name, err := o.keep.makeSpare(o.Log); err != nil {
			o.cfg.Logger.Warn("making a spare segment", "err", err)
		} else {
			o.keep.push(name)
		}
	}
}

func (o *opener) blank(name string) bool {
	f, err := o.cfg.disk.open(filepath.Join(o.cfg.Dir, name))
	if err != nil {
		return false
	}
	defer f.Close()
	size, err := f.size()
	if err != nil || size != o.cfg.SegmentSize {
		return false
	}
	from, _, err := (&scanner{r: f, size: size}).nonZero(0)
	return err == nil && from < 0
}

// begin records that the log was opened and what that brought to light.
func (o *opener) begin(ctx context.Context) error {
	var say []*policy.Record
	if o.dropped > 0 {
		o.cfg.Logger.Warn("dropped an unfinished batch of the access log", "bytes", o.dropped)
		say = append(say, &policy.Record{Type: policy.RecordLog, Action: ActionRecovered,
			Detail: map[string]string{"bytes_dropped": strconv.FormatInt(o.dropped, 10)}})
	}
	say = append(say, &policy.Record{Type: policy.RecordLog, Action: ActionStart,
		Detail: map[string]string{"origin": o.cfg.Origin, "format": "1"}})
	open, err := o.interrupted(ctx)
	if err != nil {
		return err
	}
	if !o.c.last.IsZero() {
		o.c.wall = o.c.last.UnixNano()
	}
	for chunk := range slices.Chunk(append(say, open...), 512) {
		var batch []*item
		for _, r := range chunk {
			it, err := o.newItem(r, false)
			if err != nil {
				return err
			}
			batch = append(batch, it)
		}
		if err := o.commit(batch); err != nil {
			return err
		}
	}
	if p := o.full.Load(); p != nil && len(o.c.backlog) > 0 {
		o.cfg.Logger.Warn("the access log has no room for its own records", "err", *p)
	}
	return o.sign(true)
}

// interrupted returns an outcome for every allowed request without one.
func (o *opener) interrupted(ctx context.Context) ([]*policy.Record, error) {
	c := &o.c
	var indexes []uint64
	for id, index := range c.open {
		if !strings.HasPrefix(id, closedKey) {
			indexes = append(indexes, index)
		}
	}
	indexes = append(indexes, o.carried...)
	var out []*policy.Record
	open := map[string]uint64{}
	slices.Sort(indexes)
	for _, index := range indexes {
		e, err := Get(ctx, o.cfg.Dir, index)
		if err != nil {
			return nil, fmt.Errorf("reading an open request: %w", err)
		}
		if _, closed := c.open[closedKey+e.RequestID]; closed && index < c.seg.first {
			continue
		}
		open[e.RequestID] = index
		out = append(out, outcomeOf(e, EndedInterrupted))
	}
	c.open = open
	return out, nil
}
