package change

import "time"

// An Instant is a time as statements write it: UTC, to the nanosecond.
type Instant time.Time

// Time returns it as a time in UTC.
func (i Instant) Time() time.Time { return time.Time(i) }

// IsZero reports whether it is none.
func (i Instant) IsZero() bool { return time.Time(i).IsZero() }

// MarshalJSON writes RFC 3339.
func (i Instant) MarshalJSON() ([]byte, error) { return time.Time(i).UTC().MarshalJSON() }

// UnmarshalJSON reads it.
func (i *Instant) UnmarshalJSON(b []byte) error {
	var t time.Time
	if err := t.UnmarshalJSON(b); err != nil {
		return err
	}
	*i = Instant(t.UTC())
	return nil
}
