package accesslog

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Endings of the files in the log's folder.
const (
	rawEnding    = ".segment" // frames, the newest being written
	sealedEnding = ".sealed"  // the same entries compressed, never written again
	sparePrefix  = "spare-"   // zeros, ready to become a segment
	tmpEnding    = ".tmp"     // not finished, removed at the next start
)

// A segmentRef names one segment's file.
type segmentRef struct {
	name   string
	first  uint64
	sealed bool
}

func segmentName(first uint64, ending string) string { return fmt.Sprintf("%020d%s", first, ending) }

// A listing is what the log's folder holds.
type listing struct {
	segments []segmentRef // by first index; the sealed one where both are there
	twins    []string     // raw files that have been sealed
	spares   []string
	tmp      []string
	removed  *removal // nil: nothing went by age
	gone     []string // segments that did, and whose files are still there
}

func listFolder(dir string) (*listing, error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing the log's folder: %w", err)
	}
	// Read after the names: what is listed and was removed since is stale.
	l := &listing{}
	if l.removed, err = readRemoval(dir); err != nil {
		return nil, err
	}
	for _, n := range names {
		name := n.Name()
		switch ending := filepath.Ext(name); {
		case ending == tmpEnding:
			l.tmp = append(l.tmp, name)
		case strings.HasPrefix(name, sparePrefix):
			l.spares = append(l.spares, name)
		case ending == rawEnding || ending == sealedEnding:
			first, err := strconv.ParseUint(strings.TrimSuffix(name, ending), 10, 63)
			switch {
			case err != nil || segmentName(first, ending) != name:
			case l.removed != nil && first < l.removed.first:
				l.gone = append(l.gone, name)
			default:
				l.segments = append(l.segments, segmentRef{name, first, ending == sealedEnding})
			}
		}
	}
	slices.SortFunc(l.segments, func(a, b segmentRef) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.name, a.name))
	})
	kept := l.segments[:0]
	for _, s := range l.segments {
		// ".segment" sorts after ".sealed", so it is seen first and gives way.
		if n := len(kept); n > 0 && kept[n-1].first == s.first {
			l.twins = append(l.twins, kept[n-1].name)
			kept[n-1] = s
			continue
		}
		kept = append(kept, s)
	}
	l.segments = kept
	return l, nil
}

// A segment is the raw file that the committer writes to.
type segment struct {
	header
	name string
	f    file
	off  int64  // of the next frame
	seq  uint64 // of the next frame

	reserved bool  // begun when there was no room for another
	lent     int64 // bytes that went to [claimSome] while there was none

	facts map[string]bool // hashes of the documents recorded in this segment
}

// room returns how many bytes of frames fit, leaving the reserve alone unless spend.
func (s *segment) room(spend bool) int64 {
	if spend {
		return s.size - s.off
	}
	return s.size - reserveOf(s.size) - s.off
}

// lendable is how many bytes records of [claimSome] may take of what is kept back.
func (s *segment) lendable() int64 {
	kept := s.size
	if !s.reserved {
		kept = reserveOf(s.size)
	}
	return kept / 16
}

// reserveOf is the part of a segment that only what it takes to make room may
// fill when there is no space for another segment, so that someone can help.
func reserveOf(size int64) int64 { return size / 64 }
