package accesslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
// open personal fields where [PersonalFolder] stands beside the folder.
func Unpack(to string, s SealedSegment, content []byte) error {
	if err := durable.Mkdir(to, 0o700); err != nil {
		return fmt.Errorf("unpacking a segment: %w", err)
	}
	if _, err := os.Stat(filepath.Join(to, checkpointName)); err == nil {
		return fmt.Errorf("unpacking a segment: %s is a log's own folder", to)
	}
	err := durable.WriteFile(filepath.Join(to, segmentName(s.First, sealedEnding)), content, 0o600)
	if err == nil {
		err = os.Remove(filepath.Join(to, removedName))
	}
	if err == nil || errors.Is(err, os.ErrNotExist) {
		err = beginAtFirst(to)
	}
	if err != nil {
		return fmt.Errorf("unpacking a segment: %w", err)
	}
	return nil
}

// beginAtFirst has a folder's first segment be its beginning.
func beginAtFirst(dir string) error {
	list, err := listFolder(dir)
	if err != nil || len(list.segments) == 0 || list.segments[0].first == 0 {
		return err
	}
	first := list.segments[0].first
	note := &removal{first: first, entry: first}
	return durable.WriteFile(filepath.Join(dir, removedName), []byte(note.String()), 0o600)
}
