package accesslog

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// checkedBlocks is how many of the newest sealed segments have the check sums of
// their blocks read at a start: about 20 ms each. Of older ones only header,
// index and footer are looked at; [Verify] reads everything.
const checkedBlocks = 8

// checkContents looks for damage inside the sealed segments as far as that is
// cheap: structure of all, check sums of the newest, and of the very newest the
// hash of each entry against the tree. next is the header of the segment after
// them, which signs for their root.
func (o *opener) checkContents(ctx context.Context, next *header) error {
	var sealed []segmentRef
	for _, ref := range o.list.segments {
		if ref.sealed {
			sealed = append(sealed, ref)
		}
	}
	for i, ref := range sealed {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		depth := len(sealed) - 1 - i // 0 is the newest
		if err := o.checkOne(ref, depth < checkedBlocks, depth == 0, next); err != nil {
			if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
				return err
			}
			if t, ok := errors.AsType[*TamperedError](err); ok {
				return t
			}
			return &TamperedError{Index: ref.first, Segment: ref.name, Offset: -1, What: err.Error()}
		}
	}
	return nil
}

func (o *opener) checkOne(ref segmentRef, sums, hashes bool, next *header) error {
	f, err := os.Open(filepath.Join(o.cfg.Dir, ref.name))
	if err != nil {
		return err
	}
	defer f.Close()
	foot, err := footerOf(f)
	if err != nil {
		return err
	}
	head := make([]byte, headerLen)
	if _, err := f.ReadAt(head, 0); err != nil {
		return err
	}
	h, err := parseHeader(head)
	if err != nil {
		return err
	}
	if h.first != ref.first || h.origin != o.cfg.Origin {
		return errors.New("the header is that of another segment")
	}
	blocks, err := readIndex(f, foot)
	if err != nil {
		return err
	}
	if !sums {
		return nil
	}
	for _, b := range blocks {
		sum := crc32.New(castagnoli)
		if _, err := io.Copy(sum, io.NewSectionReader(f, b.offset, int64(b.length))); err != nil {
			return err
		}
		if sum.Sum32() != b.sum {
			return &TamperedError{Index: b.first, Segment: ref.name, Offset: b.offset, What: errBlock.Error()}
		}
	}
	if hashes && next.first == foot.first+foot.count {
		return o.checkHashes(f, h, blocks, next)
	}
	return nil
}

// checkHashes adds the segment's entries to the tree before it, which must then
// be the one that the next segment's header names.
func (o *opener) checkHashes(f *os.File, h *header, blocks []block, next *header) error {
	t, err := loadTree(o.cfg.Dir, h.first, h.root)
	if err != nil {
		return nil // the kept hashes are made anew from the entries, which compares them
	}
	for _, b := range blocks {
		payloads, err := b.load(f)
		if err != nil {
			return fmt.Errorf("entries %d to %d: %w", b.first, b.first+uint64(b.count)-1, err)
		}
		for _, p := range payloads {
			t.add(recordHash(p), nil)
		}
	}
	if t.root() != next.root {
		return &TamperedError{Index: h.first, Segment: segmentName(h.first, sealedEnding), Offset: -1,
			What: fmt.Sprintf("its entries are not those that the segment from entry %d on continues", next.first)}
	}
	return nil
}

// CheckpointSize returns how many entries a checkpoint speaks of, 0 for an empty
// one. It checks no signature.
func CheckpointSize(msg []byte) (uint64, error) {
	if len(msg) == 0 {
		return 0, nil
	}
	lines := strings.SplitN(string(msg), "\n", 3)
	if len(lines) < 3 {
		return 0, errors.New("reading checkpoint: it has no size")
	}
	n, err := strconv.ParseUint(lines[1], 10, 63)
	if err != nil {
		return 0, errors.New("reading checkpoint: the size is not a number")
	}
	return n, nil
}
