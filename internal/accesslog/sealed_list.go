package accesslog

import (
	"errors"
	"time"
)

// A SealedSegment is a compressed segment, which is never written again.
type SealedSegment struct {
	Path           string
	First, Entries uint64    // index of the first entry, and how many there are
	Oldest, Newest time.Time // of the entries
}

// Sealed lists the sealed segments with an entry from index from on, oldest
// first and without a gap: it ends at the first one that is not sealed yet.
func Sealed(dir string, from uint64) ([]SealedSegment, error) {
	for {
		out, err := sealedFrom(dir, from)
		if !errors.Is(err, errStale) {
			return out, err
		}
	}
}

func sealedFrom(dir string, from uint64) (out []SealedSegment, err error) {
	list, err := listFolder(dir)
	if err != nil {
		return nil, err
	}
	for i, s := range list.segments {
		if i+1 < len(list.segments) && list.segments[i+1].first <= from {
			continue
		}
		if !s.sealed {
			break
		}
		v, err := openView(dir, list, i)
		if err != nil {
			return nil, err
		}
		v.close()
		if v.foot.first+v.foot.count <= from {
			continue
		}
		out = append(out, SealedSegment{Path: v.path, First: v.foot.first, Entries: v.foot.count,
			Oldest: time.Unix(0, v.foot.oldest).UTC(), Newest: time.Unix(0, v.foot.newest).UTC()})
	}
	return out, nil
}
