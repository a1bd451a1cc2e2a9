package accesslog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

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
// nothing is changed. Of sealed segments the newest are read again, of older
// ones only what describes them; the rest is for [Verify].
func Open(ctx context.Context, cfg Config) (_ *Log, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("opening the access log: %w", err)
		}
	}()
	pen, err := cfg.fill()
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
	l := newLog(cfg, pen, lock)
	o := &opener{Log: l}
	if err := o.open(ctx); err != nil {
		l.c.tiles.close()
		if l.c.seg != nil {
			l.c.seg.f.Close()
		}
		lock.Close()
		return nil, err
	}
	return l, nil
}

func newLog(cfg Config, pen *pen, lock *os.File) *Log {
	l := &Log{
		cfg: cfg, pen: pen, lock: lock,
		queue: make(chan *item, cfg.Queue), kick: make(chan struct{}, 1), chore: make(chan struct{}, 1), look: make(chan struct{}, 1),
		keys: personalKeysOf(cfg.Dir),
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

func (o *opener) open(ctx context.Context) (err error) {
	if o.list, err = listFolder(o.cfg.Dir); err != nil {
		return err
	}
	if err := o.pen.adopt(o.cfg.Dir); err != nil {
		return err
	}
	if o.past, err = readPast(o.cfg.Dir, o.pen.ring); err != nil {
		return err
	}
	// Whoever can write to the folder can add a key to the list there.
	if n := len(o.past.by); n > 0 && !o.pen.signed(o.past.by[n-1]) {
		return &TamperedError{Index: o.past.newest().size, Segment: checkpointName, Offset: 0, What: "the checkpoint is not signed by the key in use"}
	}
	if len(o.list.segments) == 0 {
		err = o.create()
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
func (o *opener) create() error {
	if n := o.vouched(); n > 0 {
		return &TamperedError{Index: 0, Segment: checkpointName, Offset: -1,
			What: fmt.Sprintf("a checkpoint vouches for %d entries, and there is no segment", n)}
	}
	if err := o.cutHistory(); err != nil {
		return err
	}
	if err := o.cfg.disk.write(filepath.Join(o.cfg.Dir, keyName), []byte(o.pen.ring.String())); err != nil {
		return err
	}
	o.live.publish(nil, nil, &o.c.tree)
	if err := o.sign(false); err != nil {
		return err
	}
	o.clearUnfinished() // a first start that was cut off left what would be in the way
	return o.roll()
}

// clearUnfinished removes what earlier runs left half done.
func (o *opener) clearUnfinished() {
	for _, name := range o.list.tmp {
		o.cfg.disk.remove(filepath.Join(o.cfg.Dir, name))
	}
	o.list.tmp = nil
}

// cutHistory takes off what a crash left of a checkpoint at the history's end.
func (o *opener) cutHistory() error {
	if len(o.past.torn) == 0 {
		return nil
	}
	err := os.Truncate(filepath.Join(o.cfg.Dir, historyName), o.past.length)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// load reads the raw segments, of which there are one or two unless the
// writer could not compress, and finds where the log goes on.
func (o *opener) load(ctx context.Context) error {
	if o.past.last == nil {
		return &TamperedError{Index: 0, Segment: checkpointName, Offset: -1, What: "the last checkpoint is missing"}
	}
	if err := o.cutHistory(); err != nil {
		return err
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
	if n := o.past.newest().size; o.c.tree.n < n {
		return &TamperedError{Index: o.c.tree.n, Segment: o.c.seg.name, Offset: o.c.seg.off,
			What: fmt.Sprintf("the log ends here, but a checkpoint vouches for %d entries", n)}
	}
	if n := o.cfg.Vouched; o.c.tree.n < n {
		return fmt.Errorf("%w: it has %d entries, and that one vouches for %d", ErrBehind, o.c.tree.n, n)
	}
	if err := errors.Join(o.c.tiles.flush(), o.c.tiles.cut()); err != nil {
		return err
	}
	if err := o.checkRemoval(ctx); err != nil {
		return err
	}
	return o.sweep(o.list)
}

// checkSealed checks that the sealed segments follow one another up to next.
func (o *opener) checkSealed(next uint64) error {
	at := uint64(0)
	if o.list.removed != nil {
		at = o.list.removed.first
	}
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

// adoptSpares takes over what earlier runs prepared and removes what they left
// half done. A spare that is not all zero, or of another size, is made anew.
func (o *opener) adoptSpares() {
	o.clearUnfinished()
	for _, name := range o.list.spares {
		n, err := strconv.Atoi(strings.TrimPrefix(name, sparePrefix))
		if err == nil {
			o.keep.next = max(o.keep.next, n)
		}
		if (o.keep.count() < o.cfg.Spares || !o.keep.reserved()) && o.blank(name) {
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
	if o.keep.count() == 0 {
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
	start := &policy.Record{Type: policy.RecordLog, Action: ActionStart, Detail: map[string]string{"origin": o.cfg.Origin, "format": "1"}}
	if o.c.tree.n == 0 {
		if err := o.namePrevious(start.Detail); err != nil {
			return err
		}
		say = slices.Insert(say, 0, start)
	} else {
		say = append(say, start)
	}
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

// namePrevious adds what the first entry says of the log that was given up.
func (o *opener) namePrevious(detail map[string]string) error {
	if o.cfg.Previous == nil {
		return nil
	}
	was, err := (&Proof{Checkpoint: string(o.cfg.Previous)}).Point()
	if err != nil {
		return fmt.Errorf("naming the log that was given up: %w", err)
	}
	detail["previous_origin"], detail["previous_entries"], detail["previous_root"] = was.Origin, strconv.FormatUint(was.Size, 10), was.Root
	return nil
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
	indexes = slices.Compact(indexes)
	newest, err := o.newestOpen(ctx, indexes)
	if err != nil {
		return nil, fmt.Errorf("reading the open requests: %w", err)
	}
	for _, index := range indexes {
		e := newest[index]
		if e == nil {
			if e, err = Get(ctx, o.cfg.Dir, index); err != nil {
				return nil, fmt.Errorf("reading an open request: %w", err)
			}
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

// newestOpen reads those of the entries that are in the newest segment in one
// go: after a crash there may be thousands. Older ones are few.
func (o *opener) newestOpen(ctx context.Context, indexes []uint64) (map[uint64]*Entry, error) {
	from, _ := slices.BinarySearch(indexes, o.c.seg.first)
	if indexes = indexes[from:]; len(indexes) == 0 {
		return nil, nil
	}
	found := make(map[uint64]*Entry, len(indexes))
	err := readPayloads(ctx, o.cfg.Dir, indexes[0], indexes[len(indexes)-1]+1, func(index uint64, p []byte) error {
		if _, open := slices.BinarySearch(indexes, index); !open {
			return nil
		}
		e, err := decodeEntry(p)
		found[index] = e
		return err
	})
	return found, err
}
