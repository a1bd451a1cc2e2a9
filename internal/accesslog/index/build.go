package index

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/parquet-go/parquet-go"

	"github.com/ringfence/ringfence/internal/accesslog"
)

const (
	groupRows = 1 << 17 // rows that are compressed together
	bloomBits = 10      // for each request id
	batchRows = 512
)

// A builder writes files.
type builder struct {
	log, dir string
	disk     disk
	workers  int  // how many files are written at the same time
	quiet    bool // whether other work on the machine goes first
	progress Progress

	base    uint64           // entries before it are left out, beside what the log does not have
	again   func(*file) bool // whether a file that is fine is made again; nil: none is
	trusted func(part) bool  // whether a file was looked at before; nil: none was

	mu   sync.Mutex
	done uint64
	of   uint64
}

// run writes the files, some at the same time. An earlier one is always in its
// place before a later one is.
func (b *builder) run(ctx context.Context, todo []part) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	for _, p := range todo {
		b.of += p.next - p.first
	}
	turn := make(chan struct{}) // closed when the file before is in its place
	close(turn)
	room := make(chan struct{}, b.workers)
	var wg sync.WaitGroup
	for _, p := range todo {
		room <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		before, mine := turn, make(chan struct{})
		turn = mine
		wg.Go(func() {
			defer func() { <-room }()
			if err := b.one(ctx, p, before); err != nil {
				stop(err)
				return
			}
			close(mine)
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// one writes a file and, when those before it are in place, gives it its name
// and removes what it holds as well.
func (b *builder) one(ctx context.Context, p part, before <-chan struct{}) (err error) {
	if b.quiet {
		yieldToOthers()
	}
	f, err := b.disk.create(b.dir, p.name())
	if err != nil {
		return err
	}
	tmp := filepath.Base(f.Name())
	defer func() {
		if err != nil {
			f.Close()
			b.disk.remove(b.dir, tmp)
		}
	}()
	if err := b.write(ctx, f, p); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	select {
	case <-before:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := b.disk.rename(b.dir, tmp, p.name()); err != nil {
		return err
	}
	names, err := filepath.Glob(filepath.Join(b.dir, "v*"+ending))
	if err != nil {
		return err
	}
	for _, n := range names {
		if q, ok := parseName(filepath.Base(n)); ok && q != p && q.overlaps(p) {
			if err := b.disk.remove(b.dir, q.name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// Keys of what a file says about itself.
const (
	keyOldest = "ringfence.oldest"
	keyNewest = "ringfence.newest"
	keyOrigin = "ringfence.origin" // of the log
	keyLeaf   = "ringfence.leaf"   // of the last entry, base64
)

func (b *builder) write(ctx context.Context, f io.Writer, p part) error {
	w := parquet.NewGenericWriter[row](f, parquet.Compression(&parquet.Zstd), parquet.MaxRowsPerRowGroup(groupRows),
		parquet.BloomFilters(parquet.SplitBlockFilter(bloomBits, "request_id")), parquet.SkipPageBounds("path"), parquet.SkipPageBounds(sieveColumn))
	buf := make([]row, 0, batchRows)
	var oldest, newest int64
	flush := func() error {
		_, err := w.Write(buf)
		b.advance(uint64(len(buf)))
		buf = buf[:0]
		return err
	}
	next, begun := p.first, p.first
	runs := newSieveMaker()
	err := accesslog.Scan(ctx, b.log, p.first, p.next, func(e *accesslog.Entry) error {
		if next++; next == p.first+1 {
			oldest = e.Time.UnixNano()
		}
		newest = e.Time.UnixNano()
		buf = buf[:len(buf)+1]
		buf[len(buf)-1].fill(e)
		if runs.add(e); next == p.next || next-begun == groupRows {
			buf[len(buf)-1].Sieve = runs.finish(begun)
			begun = next
		}
		if len(buf) == cap(buf) {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return err
	}
	if next != p.next {
		return fmt.Errorf("the log ends at entry %d, before entry %d", next, p.next)
	}
	origin, leaf, err := accesslog.Leaf(ctx, b.log, p.next-1)
	if err != nil {
		return err
	}
	w.SetKeyValueMetadata(keyOrigin, origin)
	w.SetKeyValueMetadata(keyLeaf, base64.StdEncoding.EncodeToString(leaf[:]))
	w.SetKeyValueMetadata(keyOldest, strconv.FormatInt(oldest, 10))
	w.SetKeyValueMetadata(keyNewest, strconv.FormatInt(newest, 10))
	return w.Close()
}

func (b *builder) advance(n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done += n
	if b.progress != nil {
		b.progress(b.done, b.of)
	}
}
