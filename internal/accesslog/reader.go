package accesslog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// errStale: the file was sealed and recycled while it was being read.
var errStale = errors.New("the segment has been sealed meanwhile")

// A view is a segment opened for reading, also while the writer runs.
type view struct {
	ref  segmentRef
	path string
	f    *os.File
	size int64
	h    *header
	foot *footer // of a sealed segment
	last bool    // the newest one
	next uint64  // where the segment after it begins
}

// openView opens segment i of a listing.
func openView(dir string, list *listing, i int) (*view, error) {
	v := &view{ref: list.segments[i], last: i == len(list.segments)-1}
	if !v.last {
		v.next = list.segments[i+1].first
	}
	v.path = filepath.Join(dir, v.ref.name)
	f, err := os.Open(v.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errStale
	}
	if err != nil {
		return nil, fmt.Errorf("reading the log: %w", err)
	}
	v.f = f
	if err := v.readHead(); err != nil {
		if v.gone() {
			err = errStale
		}
		f.Close()
		return nil, err
	}
	return v, nil
}

func (v *view) readHead() error {
	st, err := v.f.Stat()
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	v.size = st.Size()
	b := make([]byte, headerLen)
	if _, err := v.f.ReadAt(b, 0); err != nil && err != io.EOF {
		return fmt.Errorf("reading the log: %w", err)
	}
	if v.h, err = parseHeader(b); err != nil {
		return v.damaged(v.ref.first, 0, err.Error())
	}
	if v.h.first != v.ref.first || !v.ref.sealed && v.h.size != v.size {
		return v.damaged(v.ref.first, 0, "the file's name or length is not what its header says")
	}
	if v.ref.sealed {
		if v.foot, err = readFooter(v.f, v.size); err != nil {
			return v.damaged(v.ref.first, max(0, v.size-footerLen), err.Error())
		}
		if v.foot.first != v.h.first || !v.last && v.foot.first+v.foot.count != v.next {
			return v.damaged(v.foot.first+v.foot.count, v.size-footerLen, fmt.Sprintf("the segment's footer does not lead to entry %d, where the next one begins", v.next))
		}
	}
	return nil
}

func (v *view) damaged(index uint64, off int64, what string) error {
	return &TamperedError{Index: index, Segment: v.ref.name, Offset: off, What: what}
}

func (v *view) close() { v.f.Close() }

// gone reports whether the name now belongs to another file or to none, so
// that what was read of this one may have been overwritten.
func (v *view) gone() bool {
	now, err := os.Stat(v.path)
	if err != nil {
		return true
	}
	was, err := v.f.Stat()
	return err != nil || !os.SameFile(now, was)
}

// judge turns the end of a scan into nil where the segment may end there.
func (v *view) judge(s *scanner, end error) error {
	switch {
	case v.gone():
		return errStale
	case end != errEnd && end != errBad:
		return fmt.Errorf("reading %s: %w", v.ref.name, end)
	case !v.last && s.index != v.next:
		return v.damaged(s.index, s.off, fmt.Sprintf("the segment ends here, and the next one begins at entry %d", v.next))
	case !v.last || end == errEnd:
		return nil
	}
	// A batch that is being written, or damage that a later batch vouches against.
	mark, err := s.laterMark(s.off)
	if err != nil || mark < 0 {
		return err
	}
	s.forget()
	if s.next() == nil { // the writer had just not finished
		return nil
	}
	return v.damaged(s.index, s.off, fmt.Sprintf("the frame is damaged, and the batch at byte %d vouches for it", mark))
}

// A group is a run of entries that are read together.
type group struct {
	first uint64
	count int
	block *block // of a sealed segment
	off   int64  // of a raw one: the first frame
	seq   uint64
}

const groupEntries = 256

// groups finds the segment's groups, oldest first.
func (v *view) groups() ([]group, error) {
	if v.foot != nil {
		blocks, err := readIndex(v.f, v.foot)
		if err != nil {
			return nil, v.damaged(v.h.first, v.foot.index, err.Error())
		}
		out := make([]group, len(blocks))
		for i := range blocks {
			out[i] = group{first: blocks[i].first, count: int(blocks[i].count), block: &blocks[i]}
		}
		return out, nil
	}
	var out []group
	s := newScanner(v.f, v.size, v.h)
	for {
		g := group{first: s.index, off: s.off, seq: s.seq}
		var err error
		for g.count < groupEntries && err == nil {
			if _, err = s.entry(); err == nil {
				g.count++
			}
		}
		if g.count > 0 {
			out = append(out, g)
		}
		if err != nil {
			return out, v.judge(s, err)
		}
	}
}

// load returns a group's payloads, in memory of their own.
func (v *view) load(g group) ([][]byte, error) {
	if g.block != nil {
		out, err := g.block.load(v.f)
		if err != nil {
			return nil, v.damaged(g.first, g.block.offset, err.Error())
		}
		return out, nil
	}
	s := newScanner(v.f, v.size, v.h)
	s.off, s.seq, s.index = g.off, g.seq, g.first
	out := make([][]byte, 0, g.count)
	for range g.count {
		p, err := s.entry()
		if err != nil {
			if v.gone() {
				return nil, errStale
			}
			return nil, v.damaged(s.index, s.off, "the frame is damaged")
		}
		out = append(out, bytes.Clone(p))
	}
	return out, nil
}

// each calls fn for the entries from index from on, in order, until it
// returns false. It reads a raw segment once.
func (v *view) each(from uint64, fn func(index uint64, payload []byte) (bool, error)) (bool, error) {
	if v.foot == nil {
		return v.eachRaw(from, fn)
	}
	groups, err := v.groups()
	if err != nil {
		return false, err
	}
	for _, g := range groups {
		if g.first+uint64(g.count) <= from {
			continue
		}
		payloads, err := v.load(g)
		if err != nil {
			return false, err
		}
		for i, p := range payloads {
			index := g.first + uint64(i)
			if index < from {
				continue
			}
			if more, err := fn(index, p); !more || err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

func (v *view) eachRaw(from uint64, fn func(index uint64, payload []byte) (bool, error)) (bool, error) {
	s := newScanner(v.f, v.size, v.h)
	for {
		index := s.index
		p, err := s.entry()
		if err != nil {
			return true, v.judge(s, err)
		}
		if index < from {
			continue
		}
		if more, err := fn(index, bytes.Clone(p)); !more || err != nil {
			return false, err
		}
	}
}

// walk calls fn for each payload from index from on, in order, until it
// returns false or the log ends. A segment that is sealed meanwhile is taken
// up again where it was left; entries that were removed by age are passed over.
func walk(ctx context.Context, dir string, from uint64, skip func(*view) bool, fn func(index uint64, payload []byte) (bool, error)) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		list, err := listFolder(dir)
		if err != nil {
			return err
		}
		start, _ := slices.BinarySearchFunc(list.segments, from, func(s segmentRef, n uint64) int {
			if s.first <= n {
				return -1
			}
			return 1
		})
		if start == 0 {
			if len(list.segments) == 0 {
				return fmt.Errorf("reading the log in %s: there is none", dir)
			}
			if err := list.missing(from); err != nil {
				return err
			}
			from, start = list.segments[0].first, 1
		}
		again := false
		for i := start - 1; i < len(list.segments) && !again; i++ {
			more, err := walkOne(ctx, dir, list, i, &from, skip, fn)
			if again = errors.Is(err, errStale); again {
				break
			}
			if err != nil || !more {
				return err
			}
		}
		if !again {
			return nil
		}
	}
}

func walkOne(ctx context.Context, dir string, list *listing, i int, from *uint64, skip func(*view) bool, fn func(uint64, []byte) (bool, error)) (bool, error) {
	v, err := openView(dir, list, i)
	if err != nil {
		return false, err
	}
	defer v.close()
	if skip != nil && skip(v) {
		return true, nil
	}
	return v.each(*from, func(index uint64, p []byte) (bool, error) {
		if index%groupEntries == 0 && ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		*from = index + 1
		return fn(index, p)
	})
}

// readPayloads calls fn for entries from up to but not including to.
func readPayloads(ctx context.Context, dir string, from, to uint64, fn func(index uint64, payload []byte) error) error {
	if from >= to {
		return nil
	}
	at := from
	err := walk(ctx, dir, from, nil, func(index uint64, p []byte) (bool, error) {
		if index > at {
			return false, removedError(at, index)
		}
		if index >= to {
			return false, nil
		}
		at = index + 1
		return at < to, fn(index, p)
	})
	if err == nil && at < to {
		return &TamperedError{Index: at, Segment: "the log", Offset: -1, What: "the log ends before this entry"}
	}
	return err
}

// readRange is readPayloads for entries, until fn returns false.
func readRange(ctx context.Context, dir string, from, to uint64, fn func(*Entry) bool) error {
	keys := personalKeysOf(dir)
	err := readPayloads(ctx, dir, from, to, func(_ uint64, p []byte) error {
		e, err := keys.decode(p)
		if err == nil && !fn(e) {
			err = errEnough
		}
		return err
	})
	if err == errEnough {
		return nil
	}
	return err
}

var errEnough = errors.New("enough")

// Get returns one entry from the log's files.
func Get(ctx context.Context, dir string, index uint64) (*Entry, error) {
	for {
		e, err := get(ctx, dir, index)
		if !errors.Is(err, errStale) {
			return e, err
		}
	}
}

func get(ctx context.Context, dir string, index uint64) (*Entry, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	list, err := listFolder(dir)
	if err != nil {
		return nil, err
	}
	for i := len(list.segments) - 1; i >= 0; i-- {
		if list.segments[i].first > index {
			continue
		}
		v, err := openView(dir, list, i)
		if err != nil {
			return nil, err
		}
		defer v.close()
		groups, err := v.groups()
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			if index < g.first || index >= g.first+uint64(g.count) {
				continue
			}
			payloads, err := v.load(g)
			if err != nil {
				return nil, err
			}
			return personalKeysOf(dir).decode(payloads[index-g.first])
		}
		break
	}
	if list.removed != nil && index < list.removed.first {
		return nil, removedError(index, list.removed.first)
	}
	return nil, fmt.Errorf("reading entry %d: %w", index, ErrNotFound)
}

func recordHash(payload []byte) tlog.Hash {
	var room [2048]byte // keeps a usual entry off the heap
	return leafHash(append(append(room[:0], 0), payload...))
}

func carriedIndexes(payload []byte) []uint64 {
	var out []uint64
	for ; len(payload) >= 8; payload = payload[8:] {
		out = append(out, binary.LittleEndian.Uint64(payload))
	}
	return out
}

// rootAt returns the root of the first size entries of the tree of n entries.
func rootAt(dir string, n uint64, root tlog.Hash, size uint64) (tlog.Hash, error) {
	if size == n {
		return root, nil
	}
	if size == 0 {
		t := tree{}
		return t.root(), nil
	}
	return tlog.TreeHash(int64(size), hashReader(dir, n, root))
}

// payloadTime reads an entry's time without reading the rest. The first such
// key is the one: what stands before it is a number and a quoted name.
func payloadTime(p []byte) (int64, error) {
	_, rest, ok := bytes.Cut(p, []byte(`,"time":"`))
	text, _, end := bytes.Cut(rest, []byte{'"'})
	if ok && end {
		if t, err := time.Parse(time.RFC3339Nano, string(text)); err == nil {
			return t.UnixNano(), nil
		}
	}
	return 0, errors.New("reading entry: it has no time")
}

// payloadIndex reports whether a payload begins as that of entry index does.
func payloadIndex(p []byte, index uint64) bool {
	var b [48]byte
	want := append(strconv.AppendUint(append(b[:0], `{"index":`...), index, 10), ',')
	return bytes.HasPrefix(p, want)
}
