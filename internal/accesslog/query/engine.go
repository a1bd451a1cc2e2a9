package query

import (
	"context"
	"errors"
	"time"
)

// An Engine answers searches of the access log. Implementers must be safe for
// concurrent use, must evaluate [Request.Where] exactly as [Filter.Match] does,
// must stop soon after ctx is done, and must return an error rather than a
// result that leaves something out.
type Engine interface {
	// Search returns the newest entries that r selects, newest first.
	Search(ctx context.Context, r Request) ([]Row, error)
	// Count returns how many entries r selects.
	Count(ctx context.Context, r Request) (int, error)
	// Histogram counts what r selects by a text field and stretches of time of
	// length step, which begin at multiples of it since 1970. Cells are by time,
	// then value; those without entries are left out.
	Histogram(ctx context.Context, r Request, by Field, step time.Duration) ([]Cell, error)
	// Top returns the values of a text field that most of the entries that r
	// selects have, the most frequent first, at most n of them; 0: all.
	Top(ctx context.Context, r Request, by Field, n int) ([]Tally, error)
	// Distinct returns, for each value of the text field by, how many distinct
	// values of the text field of the entries that r selects have, the most
	// first. Entries without a value of either are left out.
	Distinct(ctx context.Context, r Request, of, by Field) ([]Tally, error)
}

// ErrField: the field cannot be counted by, because it is no text.
var ErrField = errors.New("entries cannot be counted by this field")

// A Request says what is asked for.
type Request struct {
	Where Node // nil: everything
	// Now is when spans such as since:7d end. Default: the present.
	Now time.Time
	// Before selects entries with a smaller index, for further pages. 0: all.
	Before uint64
	// BeforeOrigin is the log that Before is an index of, where several are
	// searched together. Default: this gateway's own.
	BeforeOrigin string
	// Limit is the most rows to return. 0: all.
	Limit int
	// Fields are those that rows have values of.
	Fields []Field
}

// A Row is an entry as an engine knows it. The entry itself, for proofs, is in
// the log under the same index.
type Row struct {
	Origin string // the log that it is in; "" where there is only one
	Index  uint64
	Time   time.Time
	Values []string // of the request's fields; lists one element a line; "" where there is none
}

// A Cell counts entries with one value in one stretch of time.
type Cell struct {
	Value string
	Start time.Time
	N     int
}

// A Tally counts entries, or distinct values, of one value.
type Tally struct {
	Value string
	N     int
}
