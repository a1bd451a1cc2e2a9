package index

import (
	"context"
	"fmt"
	"math"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// memory is a chunk that grows. One goroutine adds; view gives others what is
// there at that time.
type memory struct {
	start uint64
	n     int
	texts []memoryTexts // as textFields
	nums  [][]int64     // as countFields, and the time
}

type memoryTexts struct {
	place map[string]int32 // used by whoever adds
	list  []string
	codes []int32
}

// placeOf is where a column is in texts or nums.
var placeOf = func() map[string]int {
	m := map[string]int{timeColumn: len(countFields)}
	for i, f := range textFields {
		m[f.Key()] = i
	}
	for i, f := range countFields {
		m[f.Key()] = i
	}
	return m
}()

func newMemory(start uint64) *memory {
	m := &memory{start: start, texts: make([]memoryTexts, len(textFields)), nums: make([][]int64, len(countFields)+1)}
	for i := range m.texts {
		m.texts[i].place = map[string]int32{}
	}
	return m
}

func (m *memory) add(e *accesslog.Entry) {
	for i, f := range textFields {
		t := &m.texts[i]
		s := textOf(f, e)
		if n := len(t.codes); n > 0 && t.list[t.codes[n-1]] == s { // often as in the row before
			t.codes = append(t.codes, t.codes[n-1])
			continue
		}
		code, ok := t.place[s]
		if !ok {
			code = int32(len(t.list))
			t.place[s] = code
			t.list = append(t.list, s)
		}
		t.codes = append(t.codes, code)
	}
	for i, f := range countFields {
		m.nums[i] = append(m.nums[i], countOf(f, e))
	}
	m.nums[len(countFields)] = append(m.nums[len(countFields)], e.Time.UnixNano())
	m.n++
}

// view returns what is there now. Adding never changes it.
func (m *memory) view() *memory {
	v := &memory{start: m.start, n: m.n, texts: make([]memoryTexts, len(m.texts)), nums: make([][]int64, len(m.nums))}
	for i := range m.texts {
		v.texts[i].list, v.texts[i].codes = m.texts[i].list, m.texts[i].codes
	}
	copy(v.nums, m.nums)
	return v
}

func (m *memory) first() uint64 { return m.start }
func (m *memory) rows() int     { return m.n }

func (m *memory) span() (oldest, newest int64) {
	t := m.nums[len(countFields)]
	return t[0], t[len(t)-1]
}

func (m *memory) text(column string) *memoryTexts { return &m.texts[placeOf[column]] }

func (m *memory) absent(column, text string) bool            { return false }
func (m *memory) dict(column string) ([]string, bool, error) { return m.text(column).list, true, nil }
func (m *memory) codes(column string) ([]int32, error)       { return m.text(column).codes, nil }
func (m *memory) counts(column string) ([]int64, error)      { return m.nums[placeOf[column]], nil }

func (m *memory) plain(string, func(int, []byte, []uint32) bool) error { return nil }

func (m *memory) plainOf(string, string, func(int, []byte, []uint32) bool) error { return nil }
func (m *memory) sieve() *sieve                                                  { return nil }

// lazyRows is how many entries are read at once from the log where no file has
// them: few, because a search for the newest ends early.
const lazyRows = 1 << 13

// A lazy is a run of entries that is in no file and is read from the log when a
// search comes to it, and then let go of. It only becomes a chunk by load.
type lazy struct {
	*memory
	dir            string
	from, to       uint64
	oldest, newest int64
}

func (l *lazy) first() uint64                { return l.from }
func (l *lazy) rows() int                    { return int(l.to - l.from) }
func (l *lazy) span() (oldest, newest int64) { return l.oldest, l.newest }

func (l *lazy) load(ctx context.Context) (chunk, error) {
	m := newMemory(l.from)
	err := accesslog.Scan(ctx, l.dir, l.from, l.to, func(e *accesslog.Entry) error {
		m.add(e)
		return nil
	})
	if err == nil && m.n != l.rows() {
		err = fmt.Errorf("reading the log: it has %d of the %d entries from %d on", m.n, l.rows(), l.from)
	}
	return m, err
}

// unindexed cuts a run of entries that are in no file, newest first.
func unindexed(dir string, from, to uint64) ([]chunk, error) {
	segments, err := accesslog.Sealed(dir, from)
	if err != nil {
		return nil, err
	}
	var out []chunk
	cut := func(from, to uint64, oldest, newest int64) {
		for to > from {
			start := max(from, (to-1)/lazyRows*lazyRows)
			out = append(out, &lazy{dir: dir, from: start, to: to, oldest: oldest, newest: newest})
			to = start
		}
	}
	for i := len(segments) - 1; i >= 0; i-- {
		s := segments[i]
		if end := s.First + s.Entries; end < to && i == len(segments)-1 {
			cut(max(from, end), to, math.MinInt64, math.MaxInt64)
		}
		cut(max(from, s.First), min(to, s.First+s.Entries), s.Oldest.UnixNano(), s.Newest.UnixNano())
	}
	if len(segments) == 0 {
		cut(from, to, math.MinInt64, math.MaxInt64)
	}
	return out, nil
}
