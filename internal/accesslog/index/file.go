package index

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/ringfence/ringfence/internal/accesslog"
)

const readBuffer = 256 << 10

// A file is one day file, opened. It is closed when the last user lets go of it.
type file struct {
	part
	f              *os.File
	info           os.FileInfo // at opening; another file may get the name
	groups         []*group    // oldest first
	oldest, newest int64
	users          atomic.Int64
	due            time.Time // when it is held against the log; the index's own, under its lock
}

// A group is a row group of a file.
type group struct {
	start   uint64
	n       int
	columns map[string]parquet.ColumnChunk
	file    *file

	mu    sync.Mutex
	times [2]int64 // of the oldest and newest row, once known
	known bool
}

// errUnusable: the file is damaged or of another log, and is to be made again.
var errUnusable = errors.New("the file is to be made again")

// openFile opens a file and checks that it is of the log in logDir.
func openFile(ctx context.Context, logDir, dir string, p part) (x *file, err error) {
	f, err := os.Open(filepath.Join(dir, p.name()))
	if err != nil {
		return nil, fmt.Errorf("opening the index: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			err = fmt.Errorf("opening the index: %s: %w", p.name(), err)
		}
	}()
	x = &file{part: p, f: f}
	x.users.Store(1)
	if x.info, err = f.Stat(); err != nil {
		return nil, err
	}
	pf, err := x.open()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnusable, err)
	}
	origin, leaf, err := accesslog.Leaf(ctx, logDir, p.next-1)
	if errors.Is(err, accesslog.ErrNotFound) {
		return nil, fmt.Errorf("%w: it holds more than the log", errUnusable)
	}
	if err != nil {
		return nil, err
	}
	if s, _ := pf.Lookup(keyOrigin); s != origin {
		return nil, fmt.Errorf("%w: it is of the log %q", errUnusable, s)
	}
	if s, _ := pf.Lookup(keyLeaf); s != base64.StdEncoding.EncodeToString(leaf[:]) {
		return nil, fmt.Errorf("%w: entry %d of the log is another one", errUnusable, p.next-1)
	}
	return x, nil
}

// open reads what the file says about itself. The reader of the files panics
// at some kinds of damage.
func (x *file) open() (pf *parquet.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			pf, err = nil, fmt.Errorf("it is damaged: %v", p)
		}
	}()
	if pf, err = parquet.OpenFile(x.f, x.info.Size(), parquet.SkipPageIndex(true), parquet.ReadBufferSize(readBuffer)); err != nil {
		return nil, err
	}
	if x.oldest, err = number(pf, keyOldest); err != nil {
		return nil, err
	}
	if x.newest, err = number(pf, keyNewest); err != nil {
		return nil, err
	}
	at := x.first
	for _, g := range pf.RowGroups() {
		y := &group{start: at, n: int(g.NumRows()), columns: map[string]parquet.ColumnChunk{}, file: x}
		chunks := g.ColumnChunks()
		for i, path := range pf.Schema().Columns() {
			y.columns[path[0]] = chunks[i]
		}
		x.groups = append(x.groups, y)
		at += uint64(y.n)
	}
	if at != x.next {
		return nil, fmt.Errorf("it has entries up to %d, not %d", at, x.next)
	}
	return pf, nil
}

func number(pf *parquet.File, key string) (int64, error) {
	s, ok := pf.Lookup(key)
	n, err := strconv.ParseInt(s, 10, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("it does not say %s", key)
	}
	return n, nil
}

// still reports whether the name is still this file's.
func (x *file) still(dir string) bool {
	now, err := os.Stat(filepath.Join(dir, x.name()))
	return err == nil && os.SameFile(now, x.info)
}

// take reports whether the file is still open, and keeps it so until release.
func (x *file) take() bool {
	for {
		n := x.users.Load()
		if n == 0 {
			return false
		}
		if x.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (x *file) release() {
	if x.users.Add(-1) == 0 {
		x.f.Close()
	}
}

func (g *group) first() uint64 { return g.start }
func (g *group) rows() int     { return g.n }

// span is that of the file where there are several groups and g's own is not known yet.
func (g *group) span() (oldest, newest int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known {
		return g.times[0], g.times[1]
	}
	return g.file.oldest, g.file.newest
}

func (g *group) column(name string) (parquet.ColumnChunk, error) {
	c, ok := g.columns[name]
	if !ok {
		return nil, fmt.Errorf("reading the index: %s has no column %s", g.file.name(), name)
	}
	return c, nil
}

func (g *group) absent(column, text string) bool {
	c, ok := g.columns[column]
	if !ok {
		return false
	}
	b := c.BloomFilter()
	if b == nil {
		return false
	}
	has, err := b.Check(parquet.ByteArrayValue([]byte(text)))
	return err == nil && !has
}

func (g *group) dict(column string) ([]string, bool, error) {
	c, err := g.column(column)
	if err != nil {
		return nil, false, err
	}
	pages := c.Pages()
	defer pages.Close()
	fp, ok := pages.(*parquet.FilePages)
	if !ok {
		return nil, false, nil
	}
	d, err := fp.ReadDictionary()
	if err != nil {
		return nil, false, g.damaged(column, err)
	}
	if d == nil {
		return nil, false, nil
	}
	values := d.Page().Data()
	data, offsets := values.ByteArray()
	text := string(data)
	out := make([]string, d.Len())
	for i := range out {
		out[i] = text[offsets[i]:offsets[i+1]]
	}
	return out, true, nil
}

// pages calls fn for each page of a column until it returns false.
func (g *group) pages(column string, fn func(p parquet.Page) (bool, error)) error {
	c, err := g.column(column)
	if err != nil {
		return err
	}
	pages := c.Pages()
	defer pages.Close()
	for {
		p, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return g.damaged(column, err)
		}
		more, err := fn(p)
		parquet.Release(p)
		if err != nil {
			return g.damaged(column, err)
		}
		if !more {
			return nil
		}
	}
}

func (g *group) damaged(column string, err error) error {
	return fmt.Errorf("reading the index: %s, column %s: %w", g.file.name(), column, err)
}

var errRows = errors.New("the column does not have as many values as the file has entries")

func (g *group) codes(column string) ([]int32, error) {
	out := make([]int32, 0, g.n)
	err := g.pages(column, func(p parquet.Page) (bool, error) {
		values := p.Data()
		out = append(out, values.Int32()...)
		return true, nil
	})
	if err == nil && len(out) != g.n {
		err = g.damaged(column, errRows)
	}
	return out, err
}

func (g *group) plain(column string, fn func(row int, data []byte, offsets []uint32) bool) error {
	row := 0
	return g.pages(column, func(p parquet.Page) (bool, error) {
		values := p.Data()
		data, offsets := values.ByteArray()
		at := row
		if row += len(offsets) - 1; row > g.n {
			return false, errRows
		}
		return fn(at, data, offsets), nil
	})
}

func (g *group) counts(column string) ([]int64, error) {
	out := make([]int64, 0, g.n)
	var list []int64
	err := g.pages(column, func(p parquet.Page) (bool, error) {
		values := p.Data()
		d := p.Dictionary()
		if d == nil {
			out = append(out, values.Int64()...)
			return true, nil
		}
		if list == nil {
			page := d.Page().Data()
			list = page.Int64()
		}
		for _, code := range values.Int32() {
			out = append(out, list[code])
		}
		return true, nil
	})
	if err == nil && len(out) != g.n {
		err = g.damaged(column, errRows)
	}
	if err == nil && column == timeColumn {
		g.mu.Lock()
		g.times, g.known = [2]int64{out[0], out[len(out)-1]}, true // times never fall
		g.mu.Unlock()
	}
	return out, err
}

// plainOf goes by what the file says about each page: request ids rise with
// time, so that few pages can have one.
func (g *group) plainOf(column, text string, fn func(row int, data []byte, offsets []uint32) bool) error {
	c, err := g.column(column)
	if err != nil {
		return err
	}
	bounds, berr := c.ColumnIndex()
	starts, serr := c.OffsetIndex()
	if berr != nil || serr != nil || bounds.NumPages() != starts.NumPages() {
		return g.plain(column, fn)
	}
	pages := c.Pages()
	defer pages.Close()
	for i := range bounds.NumPages() {
		low, high := bounds.MinValue(i).String(), bounds.MaxValue(i).String() // perhaps only how they begin
		if !bounds.NullPage(i) && (text < low || text[:min(len(text), len(high))] > high) {
			continue
		}
		row := int(starts.FirstRowIndex(i))
		if err := g.page(pages, column, row, func(data []byte, offsets []uint32) { fn(row, data, offsets) }); err != nil {
			return err
		}
	}
	return nil
}

// page reads the rest of a page from row on.
func (g *group) page(pages parquet.Pages, column string, row int, fn func(data []byte, offsets []uint32)) error {
	if err := pages.SeekToRow(int64(row)); err != nil {
		return g.damaged(column, err)
	}
	p, err := pages.ReadPage()
	if err != nil {
		return g.damaged(column, err)
	}
	defer parquet.Release(p)
	values := p.Data()
	data, offsets := values.ByteArray()
	if len(offsets) < 2 || row+len(offsets)-1 > g.n {
		return g.damaged(column, errRows)
	}
	fn(data, offsets)
	return nil
}

// pick reads the texts of a few rows, in rising order, page by page.
func (g *group) pick(column string, rows []int, out []string) error {
	c, err := g.column(column)
	if err != nil {
		return err
	}
	if _, err := c.OffsetIndex(); err != nil { // by it pages are found
		return g.damaged(column, err)
	}
	pages := c.Pages()
	defer pages.Close()
	for i := 0; i < len(rows); {
		first := rows[i]
		if err := g.page(pages, column, first, func(data []byte, offsets []uint32) {
			for ; i < len(rows) && rows[i]-first < len(offsets)-1; i++ {
				at := rows[i] - first
				out[i] = string(data[offsets[at]:offsets[at+1]])
			}
		}); err != nil {
			return err
		}
	}
	return nil
}

// sieve returns nil where the row group has none that can be read: it only saves time.
func (g *group) sieve() *sieve {
	texts, ok, err := g.dict(sieveColumn)
	if err != nil || !ok {
		return nil
	}
	for _, t := range texts {
		if s := readSieve(t, g.start, g.n); s != nil {
			return s
		}
	}
	return nil
}
