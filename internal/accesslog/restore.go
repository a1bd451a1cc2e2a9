package accesslog

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/durable"
)

// CheckSegment proves that content is a sealed segment of the log in dir, also
// one that the log no longer has: with the hashes that the log kept, its entries
// must give the tree that the newest checkpoint there signs. The log's public
// key is the one that lies there.
func CheckSegment(ctx context.Context, dir string, content []byte) (SealedSegment, error) {
	s, err := checkSegment(ctx, dir, content)
	if err != nil {
		return SealedSegment{}, fmt.Errorf("proving an archived segment: %w", err)
	}
	return s, nil
}

func checkSegment(ctx context.Context, dir string, content []byte) (s SealedSegment, err error) {
	now, _, vkey, err := newest(dir)
	if err != nil {
		return s, err
	}
	keys, err := readLogKeys(vkey)
	if err != nil {
		return s, err
	}
	r := bytes.NewReader(content)
	foot, err := readFooter(r, int64(len(content)))
	if err != nil {
		return s, err
	}
	h, err := parseHeader(content[:headerLen])
	if err != nil {
		return s, err
	}
	end := foot.first + foot.count
	switch {
	case h.origin != keys.Name():
		return s, fmt.Errorf("it is of the log %s", h.origin)
	case h.first != foot.first || end < foot.first:
		return s, errFooter
	case end > now.size:
		return s, fmt.Errorf("the newest checkpoint covers %d entries, and it ends with %d", now.size, end)
	}
	root, err := rootAt(dir, now.size, now.root, foot.first)
	if err != nil {
		return s, err
	}
	t, err := loadTree(dir, foot.first, root)
	if err != nil {
		return s, err
	}
	blocks, err := readIndex(r, foot)
	if err != nil {
		return s, err
	}
	for i := range blocks {
		if ctx.Err() != nil {
			return s, context.Cause(ctx)
		}
		payloads, err := blocks[i].load(r)
		if err != nil {
			return s, err
		}
		for _, p := range payloads {
			t.add(recordHash(p), nil)
		}
	}
	want, err := rootAt(dir, now.size, now.root, end)
	if err != nil {
		return s, err
	}
	if t.root() != want {
		return s, &TamperedError{Index: foot.first, Segment: segmentName(foot.first, sealedEnding), Offset: -1, What: "its entries are not those whose hashes the log kept"}
	}
	return SealedSegment{First: foot.first, Entries: foot.count, Oldest: time.Unix(0, foot.oldest).UTC(), Newest: time.Unix(0, foot.newest).UTC()}, nil
}

// Unpack puts a proven segment into a folder apart from the log, from which
// [Query], [Scan], [Get] and the other readers read it and its neighbours. They
// open personal fields where [PersonalFolder] stands beside the folder. After a
// stop in between, doing it again is safe.
func Unpack(to string, s SealedSegment, content []byte) error {
	err := durable.Mkdir(to, 0o700)
	if err == nil {
		if _, serr := os.Stat(filepath.Join(to, checkpointName)); serr == nil {
			err = fmt.Errorf("%s is a log's own folder", to)
		}
	}
	if err == nil {
		err = unpack(osDisk{to}, to, s, content)
	}
	if err != nil {
		return fmt.Errorf("unpacking a segment: %w", err)
	}
	return nil
}

// unpack has the folder begin with the first segment that is there, so that
// readers do not miss what stands before it.
func unpack(d disk, to string, s SealedSegment, content []byte) error {
	list, err := listFolder(to)
	if err != nil {
		return err
	}
	first := s.First
	for _, name := range list.gone {
		if n, err := strconv.ParseUint(strings.TrimSuffix(name, filepath.Ext(name)), 10, 63); err == nil {
			first = min(first, n)
		}
	}
	for _, ref := range list.segments {
		first = min(first, ref.first)
	}
	note := filepath.Join(to, removedName)
	if first == 0 && list.removed != nil {
		if err := d.remove(note); err != nil { // writing the segment makes it durable
			return err
		}
	}
	if err := d.write(filepath.Join(to, segmentName(s.First, sealedEnding)), content); err != nil {
		return err
	}
	if first == 0 || list.removed != nil && list.removed.first == first {
		return nil
	}
	return d.write(note, []byte((&removal{first: first, entry: first}).String()))
}
