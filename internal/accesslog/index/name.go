package index

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	version = 1
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

// list returns the files that count, without gaps from index 0 on, oldest
// first, and the names of those that do not. A folder that is not there is empty.
func list(dir string) (parts []part, stale []string, err error) {
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
	slices.SortFunc(all, func(a, b part) int {
		switch {
		case a.first != b.first:
			return compare(a.first, b.first)
		default:
			return compare(b.next, a.next) // the larger first
		}
	})
	next := uint64(0)
	for _, p := range all {
		if p.first != next {
			stale = append(stale, p.name())
			continue
		}
		parts = append(parts, p)
		next = p.next
	}
	return parts, stale, nil
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func remove(dir string, names []string) error {
	for _, n := range names {
		if err := os.Remove(filepath.Join(dir, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("tidying the index: %w", err)
		}
	}
	return nil
}
