package directory

import (
	"fmt"
	"time"
)

// ParseDate reads a date as directories give them: RFC 3339, or a day such as
// 2026-01-31, which means its first moment in UTC, or with end its last second.
func ParseDate(s string, end bool) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, s)
	switch {
	case err == nil && end:
		t = t.Add(lastSecond)
	case err != nil:
		if t, err = time.Parse(time.RFC3339, s); err != nil {
			return time.Time{}, fmt.Errorf("%q is no date: write it as 2026-01-31 or 2026-01-31T18:00:00Z", s)
		}
	}
	t = t.UTC()
	if y := t.Year(); y < firstYear || y > lastYear {
		return time.Time{}, fmt.Errorf("the year of %q must be between %d and %d", s, firstYear, lastYear)
	}
	return t, nil
}

// FormatDate writes a date so that [ParseDate] reads the same instant, as a day
// alone where it can.
func FormatDate(t time.Time, end bool) string {
	t = t.UTC()
	whole := t
	if end {
		whole = t.Add(-lastSecond)
	}
	if whole.Equal(whole.Truncate(24 * time.Hour)) {
		return whole.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339Nano)
}
