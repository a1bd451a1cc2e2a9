package index

import (
	"path/filepath"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// A Day is a file of the index with all entries of one day, in UTC, that the log
// has. It does not change but when an account is erased, when age removes
// entries from the log, and when the form of the index does.
type Day struct {
	Date        string // 2006-01-02
	First, Next uint64 // indexes of its first entry and of the one behind its last
	Path        string
}

// Days returns the days that are over, oldest first: those with one file, behind
// which entries of a later day are sealed. A file may go while it is looked at.
func Days(logDir, dir string) ([]Day, error) {
	base, err := accesslog.FirstHeld(logDir)
	if err != nil {
		return nil, err
	}
	parts, _, err := list(dir, base)
	if err != nil {
		return nil, err
	}
	sealed, err := accesslog.SealedUntil(logDir)
	if err != nil {
		return nil, err
	}
	var out []Day
	for i, p := range parts {
		alone := i == 0 || parts[i-1].day != p.day
		over := i+1 < len(parts) && parts[i+1].day > p.day && parts[i+1].first == p.next
		if i+1 == len(parts) && p.next < sealed {
			later, err := accesslog.FirstAt(logDir, time.Unix(0, (p.day+1)*nanosPerDay))
			if err != nil {
				return nil, err
			}
			over = later == p.next
		}
		if alone && over && p.first >= base {
			out = append(out, Day{dayName(p.day), p.first, p.next, filepath.Join(dir, p.name())})
		}
	}
	return out, nil
}
