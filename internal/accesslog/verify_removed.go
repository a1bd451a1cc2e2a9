package accesslog

import (
	"bytes"
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// skipRemoved takes the hashes of removed entries into the tree in their place,
// up to but not including entry to.
func (r *verifier) skipRemoved(ctx context.Context, list *listing, to uint64) error {
	kept := list.removed.kept
	for len(kept) > 0 && leadingIndex(kept[0]) < r.tree.n {
		kept = kept[1:] // read before it went
	}
	err := leaves(r.dir, r.tree.n, to, func(n uint64, h tlog.Hash) error {
		if n%groupEntries == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var named []byte
		if len(kept) > 0 && payloadIndex(kept[0], n) {
			if named, kept = kept[0], kept[1:]; recordHash(named) != h {
				return &TamperedError{Index: n, Segment: removedName, Offset: 0, What: "the entry that is kept here is not the one whose hash was kept"}
			}
		}
		if n == 0 {
			r.report.Previous = ReadPrevious(named)
		}
		for _, c := range r.named[n] {
			if !keyNamed(named, c.action, c.vkey) {
				return &TamperedError{Index: n, Segment: removedName, Offset: 0, What: "the list of keys says that a key changed here, and no entry that is kept does"}
			}
		}
		if err := r.add(h, n); err != nil {
			return err
		}
		return r.comparePoints(tileName(0), int64(n)*tlog.HashSize)
	})
	if err == nil && len(kept) > 0 && leadingIndex(kept[0]) < to {
		err = &TamperedError{Index: leadingIndex(kept[0]), Segment: removedName, Offset: 0, What: "the entries that are kept here are not in their order"}
	}
	return err
}

// leadingIndex reads the index that a payload begins with; none is 0.
func leadingIndex(p []byte) (n uint64) {
	rest, _ := bytes.CutPrefix(p, []byte(`{"index":`))
	for len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' {
		n, rest = n*10+uint64(rest[0]-'0'), rest[1:]
	}
	return n
}

// begins says where the log now begins; from there on what a segment's header
// says of the time before it is taken as given.
func (r *verifier) begins(ctx context.Context, list *listing, i int) error {
	to := list.segments[i].first
	if i > 0 || list.removed == nil || list.removed.first != to {
		return &TamperedError{Index: r.tree.n, Segment: segmentName(r.tree.n, rawEnding), Offset: -1,
			What: fmt.Sprintf("the segment that begins at entry %d is missing", r.tree.n)}
	}
	if err := r.skipRemoved(ctx, list, to); err != nil {
		return err
	}
	v, err := openView(r.dir, list, i)
	if err != nil {
		return err
	}
	defer v.close()
	r.last, r.begun = v.h.last, to
	r.report.Removed, r.base = to, v.h.root
	return nil
}

// removals sees to it that an entry that a checkpoint covers says what is missing.
func (r *verifier) removals() error {
	if r.report.Removed == 0 {
		return nil
	}
	for _, c := range r.prunes {
		if c.first == r.report.Removed && c.root == r.base.String() {
			return nil
		}
	}
	return &TamperedError{Index: 0, Segment: segmentName(0, sealedEnding), Offset: -1,
		What: fmt.Sprintf("the %d entries before are missing, and no entry that a checkpoint covers says that they were removed", r.report.Removed)}
}
