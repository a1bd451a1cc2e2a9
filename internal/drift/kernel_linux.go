package drift

import "golang.org/x/sys/unix"

// kernel asks whether the clock is kept: adjtimex(2) without changing
// anything, which needs no privilege.
func kernel() Sync {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	switch {
	case err != nil: // such as in a sandbox that knows no such call
		return Unknown
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		return Unsynchronised
	}
	return Synchronised
}
