package index

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// Source is the log that is searched: [*accesslog.Log] in the process that
// writes it.
type Source interface {
	// Size returns the number of durable entries.
	Size() uint64
	// Scan calls fn for the durable entries from from up to but not including to.
	Scan(ctx context.Context, from, to uint64, fn func(*accesslog.Entry) error) error
}

// Config says what is searched.
type Config struct {
	Dir    string // the index's folder
	LogDir string // the log's folder
	// Log is the running log; nil reads the log's files.
	Log Source
	// Every is how often the files are brought up to date by Run. Default 10 s.
	Every  time.Duration
	Now    func() time.Time // default time.Now
	Logger *slog.Logger     // default slog.Default
}

var _ query.Engine = (*Index)(nil)

// An Index answers searches from files and memory. It is safe for concurrent use.
type Index struct {
	cfg Config

	mu    sync.Mutex // guards the rest
	files []*file    // oldest first, without gaps
	next  uint64     // the first entry that is in no file
	tail  []*memory  // the entries from next on, and perhaps some before it; oldest first
	seen  uint64     // the first entry that is not in tail
	stamp stamp      // of the log's files when they were last read to the end
}

// tailRows is how many entries one piece of the tail holds.
const tailRows = 1 << 14

// Open opens the index. Files that are missing are no error: what they would
// hold is read from the log and searched in memory, which is slow to begin with.
func Open(cfg Config) (*Index, error) {
	if cfg.Every == 0 {
		cfg.Every = 10 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	x := &Index{cfg: cfg}
	if err := x.Reload(); err != nil {
		return nil, err
	}
	return x, nil
}

// Close lets go of the files. Searches that are under way end as usual.
func (x *Index) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, f := range x.files {
		f.release()
	}
	x.files, x.tail, x.next, x.seen = nil, nil, 0, 0
	return nil
}

// Run brings the files up to date until ctx is done, and logs what goes wrong.
func (x *Index) Run(ctx context.Context) error {
	tick := time.NewTicker(x.cfg.Every)
	defer tick.Stop()
	for {
		err := Update(ctx, x.cfg.LogDir, x.cfg.Dir, nil)
		if err == nil {
			err = x.Reload()
		}
		if err == nil {
			err = x.follow(ctx)
		}
		if err != nil && ctx.Err() == nil {
			x.cfg.Logger.Warn("bringing the index of the access log up to date", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Reload takes up files that were written and lets go of those that are gone.
func (x *Index) Reload() error {
	for try := 0; ; try++ {
		parts, _, err := list(x.cfg.Dir)
		if err != nil {
			return err
		}
		err = x.reload(parts)
		if errors.Is(err, fs.ErrNotExist) && try < 5 {
			continue // replaced between the two looks
		}
		return err
	}
}

func (x *Index) reload(parts []part) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	have := map[part]*file{}
	for _, f := range x.files {
		have[f.part] = f
	}
	var files, opened []*file
	for _, p := range parts {
		f := have[p]
		if f == nil {
			var err error
			if f, err = openFile(x.cfg.Dir, p); err != nil {
				for _, o := range opened {
					o.release()
				}
				return err
			}
			opened = append(opened, f)
		}
		delete(have, p)
		files = append(files, f)
	}
	for _, f := range have {
		f.release()
	}
	x.files, x.next = files, 0
	if n := len(files); n > 0 {
		x.next = files[n-1].next
	}
	for len(x.tail) > 0 && x.tail[0].start+uint64(x.tail[0].n) <= x.next {
		x.tail = x.tail[1:]
	}
	if len(x.tail) == 0 {
		x.seen = x.next
	}
	if len(x.tail) > 0 && x.tail[0].start > x.next { // files were thrown away
		x.tail, x.seen = nil, x.next
	}
	return nil
}

// follow takes up what has come since.
func (x *Index) follow(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	add := func(e *accesslog.Entry) error {
		if e.Index != x.seen {
			return fmt.Errorf("reading the log's end: entry %d where %d was to come", e.Index, x.seen)
		}
		n := len(x.tail)
		if n == 0 || x.tail[n-1].n == tailRows {
			x.tail = append(x.tail, newMemory(x.seen))
			n++
		}
		x.tail[n-1].add(e)
		x.seen++
		return nil
	}
	if x.cfg.Log != nil {
		return x.cfg.Log.Scan(ctx, x.seen, x.cfg.Log.Size(), add)
	}
	looked := time.Now()
	name, written, err := accesslog.Stamp(x.cfg.LogDir)
	if err != nil {
		return fmt.Errorf("reading the log's end: %w", err)
	}
	if name != "" && x.stamp == (stamp{name, written, x.seen}) && looked.Sub(written) > coarse {
		return nil
	}
	if err := accesslog.Scan(ctx, x.cfg.LogDir, x.seen, ^uint64(0), add); err != nil {
		return err
	}
	x.stamp = stamp{name, written, x.seen}
	return nil
}

// A stamp is what the newest segment was when it was read to the end. Reading
// it again goes through all of it.
type stamp struct {
	name    string
	written time.Time
	seen    uint64
}

// coarse is more than the steps in which times of files rise.
const coarse = time.Second

// snapshot returns all chunks, newest first, and what lets go of them. In the
// chunk of the tail that overlaps the files, only rows from next on count.
func (x *Index) snapshot(ctx context.Context) (chunks []chunk, next uint64, release func(), err error) {
	if err := x.follow(ctx); err != nil {
		return nil, 0, nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := len(x.tail) - 1; i >= 0; i-- {
		chunks = append(chunks, x.tail[i].view())
	}
	files := x.files
	for i := len(files) - 1; i >= 0; i-- {
		files[i].take()
		for j := len(files[i].groups) - 1; j >= 0; j-- {
			chunks = append(chunks, files[i].groups[j])
		}
	}
	return chunks, x.next, func() {
		for _, f := range files {
			f.release()
		}
	}, nil
}
