package index

import "github.com/ringfence/ringfence/internal/accesslog/query"

// A chunk is a run of entries by columns: a row group of a file, or a piece of
// the tail in memory. What it returns is not changed and, where not said
// otherwise, kept by nobody.
type chunk interface {
	// first is the index of row 0.
	first() uint64
	rows() int
	// span is the time of the oldest and of the newest row.
	span() (oldest, newest int64)
	// absent reports whether no row has the text in the column, where that can be
	// told without reading the column.
	absent(column, text string) bool
	// dict returns the column's distinct texts, or false if it has no such list.
	dict(column string) ([]string, bool, error)
	// codes returns each row's place in dict.
	codes(column string) ([]int32, error)
	// plain calls fn for runs of rows of a column without a list, until it
	// returns false: row row+i has data[offsets[i]:offsets[i+1]]. Both are valid during the call.
	plain(column string, fn func(row int, data []byte, offsets []uint32) bool) error
	// plainOf is plain for the runs of rows of which one may be the text.
	plainOf(column, text string, fn func(row int, data []byte, offsets []uint32) bool) error
	// sieve tells which texts are in no row; nil: there is none.
	sieve() *sieve
	// counts returns each row's number.
	counts(column string) ([]int64, error)
}

// textAt returns the texts of some rows, in rising order, of a column.
func textAt(c chunk, f query.Field, rows []int) ([]string, error) {
	column := f.Key()
	out := make([]string, len(rows))
	list, ok, err := c.dict(column)
	if err != nil {
		return nil, err
	}
	if ok {
		codes, err := c.codes(column)
		if err != nil {
			return nil, err
		}
		for i, r := range rows {
			out[i] = list[codes[r]]
		}
		return out, nil
	}
	if g, ok := c.(*group); ok && len(rows) < c.rows()/64 {
		return out, g.pick(column, rows, out)
	}
	i := 0
	err = c.plain(column, func(row int, data []byte, offsets []uint32) bool {
		for i < len(rows) && rows[i] < row+len(offsets)-1 {
			at := rows[i] - row
			out[i] = string(data[offsets[at]:offsets[at+1]])
			i++
		}
		return i < len(rows)
	})
	return out, err
}
