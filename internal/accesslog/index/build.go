package index

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/durable"
)

const (
	groupRows   = 1 << 17 // rows that are compressed together
	bloomBits   = 10      // for each request id
	batchRows   = 512
	minPartRows = 1 << 12 // fewer sealed entries than this wait in memory, unless their day is over
)

// Progress tells how far a build has come: entries done, of how many.
type Progress func(done, of uint64)

// Update brings the files in dir up to the sealed segments of the log in logDir
// and makes one of the files of each day that is over. One process may do so at
// a time; searches go on meanwhile.
func Update(ctx context.Context, logDir, dir string, progress Progress) error {
	if err := durable.Mkdir(dir, 0o700); err != nil {
		return err
	}
	parts, stale, err := list(dir)
	if err != nil {
		return err
	}
	if err := remove(dir, stale); err != nil {
		return err
	}
	sealed, err := accesslog.SealedUntil(logDir)
	if err != nil {
		return fmt.Errorf("indexing the log: %w", err)
	}
	todo, err := plan(ctx, logDir, parts, sealed)
	if err != nil {
		return fmt.Errorf("indexing the log: %w", err)
	}
	if err := (&builder{log: logDir, dir: dir, progress: progress}).run(ctx, todo); err != nil {
		return fmt.Errorf("indexing the log: %w", err)
	}
	return nil
}

// Rebuild throws the files in dir away and makes them again.
func Rebuild(ctx context.Context, logDir, dir string, progress Progress) error {
	parts, stale, err := list(dir)
	if err != nil {
		return err
	}
	for _, p := range parts {
		stale = append(stale, p.name())
	}
	if err := remove(dir, stale); err != nil {
		return err
	}
	return Update(ctx, logDir, dir, progress)
}

// plan returns the files to write: one for each finished day that has several
// or is not whole, and one for what is new of the last day.
func plan(ctx context.Context, logDir string, parts []part, sealed uint64) ([]part, error) {
	covered := uint64(0)
	if n := len(parts); n > 0 {
		covered = parts[n-1].next
	}
	var todo []part
	if covered > sealed {
		return nil, errors.New("the index holds more than the log; it is of another log and must be rebuilt")
	}
	for from := covered; from < sealed; {
		e, err := accesslog.Get(ctx, logDir, from)
		if err != nil {
			return nil, err
		}
		day := dayOf(e.Time.UnixNano())
		to, err := accesslog.FirstAt(logDir, time.Unix(0, (day+1)*nanosPerDay))
		if err != nil {
			return nil, err
		}
		if to = min(to, sealed); to == sealed && to-from < minPartRows {
			break
		}
		todo = append(todo, part{day, from, to})
		from = to
	}
	return merge(parts, todo), nil
}

// merge replaces the new file of a day by one for all of the day, where a later
// day has begun and there are earlier files of it.
func merge(parts, todo []part) []part {
	all := append(append([]part(nil), parts...), todo...)
	var out []part
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].day == all[i].day {
			j++
		}
		switch {
		case j < len(all) && j-i > 1:
			out = append(out, part{all[i].day, all[i].first, all[j-1].next})
		default:
			out = append(out, all[max(i, len(parts)):max(j, len(parts))]...)
		}
		i = j
	}
	return out
}

type builder struct {
	log, dir string
	progress Progress

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
	room := make(chan struct{}, runtime.GOMAXPROCS(0))
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

// one writes a file and, when those before it are in place, gives it its name.
func (b *builder) one(ctx context.Context, p part, before <-chan struct{}) (err error) {
	f, err := os.CreateTemp(b.dir, "."+p.name()+"-*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
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
	if err := os.Rename(f.Name(), filepath.Join(b.dir, p.name())); err != nil {
		return err
	}
	if err := durable.SyncDir(b.dir); err != nil {
		return err
	}
	return b.replaced()
}

// replaced removes what the new file holds as well.
func (b *builder) replaced() error {
	parts, _, err := list(b.dir)
	if err != nil {
		return err
	}
	kept := map[string]bool{}
	for _, p := range parts {
		kept[p.name()] = true
	}
	names, err := filepath.Glob(filepath.Join(b.dir, "v*"+ending))
	if err != nil {
		return err
	}
	var stale []string
	for _, n := range names {
		if p, ok := parseName(filepath.Base(n)); ok && !kept[p.name()] && len(parts) > 0 && p.next <= parts[len(parts)-1].next {
			stale = append(stale, p.name())
		}
	}
	return remove(b.dir, stale)
}

// Keys of what a file says about itself.
const (
	keyOldest = "ringfence.oldest"
	keyNewest = "ringfence.newest"
)

func (b *builder) write(ctx context.Context, f *os.File, p part) error {
	w := parquet.NewGenericWriter[row](f, parquet.Compression(&parquet.Zstd), parquet.MaxRowsPerRowGroup(groupRows),
		parquet.BloomFilters(parquet.SplitBlockFilter(bloomBits, "request_id")), parquet.SkipPageBounds("path"), parquet.SkipPageBounds("request_id"))
	buf := make([]row, 0, batchRows)
	var oldest, newest int64
	flush := func() error {
		_, err := w.Write(buf)
		b.advance(uint64(len(buf)))
		buf = buf[:0]
		return err
	}
	next := p.first
	err := accesslog.Scan(ctx, b.log, p.first, p.next, func(e *accesslog.Entry) error {
		if next++; next == p.first+1 {
			oldest = e.Time.UnixNano()
		}
		newest = e.Time.UnixNano()
		buf = buf[:len(buf)+1]
		buf[len(buf)-1].fill(e)
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
