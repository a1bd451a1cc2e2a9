package index

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	version = 3 // 2 had no column mode
	ending  = ".parquet"
)

// A part is one file.
type part struct {
	day         int64  // since 1970
	first, next uint64 // indexes
}

func (p part) name() string {
	return fmt.Sprintf("v%d-%s-%020d-%020d%s", version, dayName(p.day), p.first, p.next, ending)
}

const nanosPerDay = int64(24 * time.Hour)

func dayName(day int64) string { return time.Unix(day*86400, 0).UTC().Format(time.DateOnly) }

func dayOf(ns int64) int64 {
	d := ns / nanosPerDay
	if ns%nanosPerDay < 0 {
		d--
	}
	return d
}

func parseName(name string) (part, bool) {
	var v int
	var date string
	var p part
	if _, err := fmt.Sscanf(strings.TrimSuffix(name, ending), "v%d-%10s-%d-%d", &v, &date, &p.first, &p.next); err != nil {
		return part{}, false
	}
	t, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return part{}, false
	}
	p.day = dayOf(t.UnixNano())
	return p, p.name() == name && p.first < p.next
}

// list returns the files that count, oldest first, and the names of those that
// do not. Those count that hold entries from base on; of two that overlap it is
// the one that begins earlier or is larger. There may be gaps. A folder that is
// not there is empty.
func list(dir string, base uint64) (parts []part, stale []string, err error) {
	names, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("listing the index: %w", err)
	}
	var all []part
	for _, n := range names {
		if p, ok := parseName(n.Name()); ok {
			all = append(all, p)
		} else if strings.HasSuffix(n.Name(), ending) || strings.HasSuffix(n.Name(), ".tmp") {
			stale = append(stale, n.Name())
		}
	}
	slices.SortFunc(all, compareParts)
	next := base
	for _, p := range all {
		if p.next <= next || p.first < next && len(parts) > 0 {
			stale = append(stale, p.name())
			continue
		}
		parts = append(parts, p)
		next = p.next
	}
	return parts, stale, nil
}

func (p part) overlaps(q part) bool { return p.first < q.next && q.first < p.next }

// compareParts orders by beginning; of those that begin together the larger is first.
func compareParts(a, b part) int {
	return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.next, a.next))
}
