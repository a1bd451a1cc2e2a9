package accesslog

import (
	"errors"
	"fmt"
)

// Errors that callers match with [errors.Is].
var (
	// ErrLocked: another process, or another Log in this one, writes this log.
	ErrLocked = errors.New("the log is in use by another process")
	// ErrUnavailable: nothing can be recorded now. After a full disk it passes
	// once there is room; after a failed write or sync only a new start helps.
	ErrUnavailable = errors.New("the access log cannot record")
	// ErrDeadline: the entry was not durable within [Config.CommitDeadline].
	ErrDeadline = errors.New("the access log did not become durable in time")
	// ErrTooLarge: the record's encoding is longer than [MaxPayload] or than a segment holds.
	ErrTooLarge = errors.New("the record is too large")
	// ErrBehind: the log is whole, and shorter than a checkpoint that is kept
	// elsewhere says ([Config.Vouched]): an older state of it was put back.
	ErrBehind = errors.New("it does not continue the checkpoint that was kept apart")
	// ErrReserved, beside [ErrUnavailable]: there is no room, and what is kept
	// back is kept for those who can make some.
	ErrReserved = errors.New("what is left is kept for administrators")
	// ErrNotFound: the log holds no entry with that index.
	ErrNotFound = errors.New("no such entry")
)

// A TamperedError says that the log's files are not what was written: the
// first index at which that shows, and where. Index is the first entry that
// cannot be vouched for; where one byte of a compressed block was changed,
// that is the first entry of the block.
type TamperedError struct {
	Index   uint64
	Segment string // file name within the log's folder
	Offset  int64  // in that file; -1 when no place in it can be named
	What    string
}

// Error returns a sentence that names entry, file, offset and fault.
func (e *TamperedError) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("entry %d, %s: %s", e.Index, e.Segment, e.What)
	}
	return fmt.Sprintf("entry %d, %s at byte %d: %s", e.Index, e.Segment, e.Offset, e.What)
}
