package index

import (
	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
)

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
	// counts returns each row's number.
	counts(column string) ([]int64, error)
}

// memory is a chunk that grows. One goroutine adds; view gives others what is
// there at that time.
type memory struct {
	start uint64
	n     int
	texts map[string]*memoryTexts
	nums  map[string][]int64
}

type memoryTexts struct {
	place map[string]int32 // used by whoever adds
	list  []string
	codes []int32
}

func newMemory(start uint64) *memory {
	m := &memory{start: start, texts: map[string]*memoryTexts{}, nums: map[string][]int64{}}
	for _, f := range textFields {
		m.texts[columnOf(f)] = &memoryTexts{place: map[string]int32{}}
	}
	return m
}

func (m *memory) add(e *accesslog.Entry) {
	for _, f := range textFields {
		t := m.texts[columnOf(f)]
		s := textOf(f, e)
		code, ok := t.place[s]
		if !ok {
			code = int32(len(t.list))
			t.place[s] = code
			t.list = append(t.list, s)
		}
		t.codes = append(t.codes, code)
	}
	for _, f := range countFields {
		m.nums[columnOf(f)] = append(m.nums[columnOf(f)], countOf(f, e))
	}
	m.nums[timeColumn] = append(m.nums[timeColumn], e.Time.UnixNano())
	m.n++
}

// view returns what is there now. Adding never changes it.
func (m *memory) view() *memory {
	v := &memory{start: m.start, n: m.n, texts: make(map[string]*memoryTexts, len(m.texts)), nums: make(map[string][]int64, len(m.nums))}
	for c, t := range m.texts {
		v.texts[c] = &memoryTexts{list: t.list, codes: t.codes}
	}
	for c, n := range m.nums {
		v.nums[c] = n
	}
	return v
}

func (m *memory) first() uint64 { return m.start }
func (m *memory) rows() int     { return m.n }

func (m *memory) span() (oldest, newest int64) {
	t := m.nums[timeColumn]
	return t[0], t[len(t)-1]
}

func (m *memory) absent(column, text string) bool            { return false }
func (m *memory) dict(column string) ([]string, bool, error) { return m.texts[column].list, true, nil }
func (m *memory) codes(column string) ([]int32, error)       { return m.texts[column].codes, nil }
func (m *memory) counts(column string) ([]int64, error)      { return m.nums[column], nil }

func (m *memory) plain(string, func(int, []byte, []uint32) bool) error { return nil }

// textAt returns the texts of some rows, in rising order, of a column.
func textAt(c chunk, f query.Field, rows []int) ([]string, error) {
	column := columnOf(f)
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
