package index

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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
	base  uint64     // the first entry that the log has
	files []*file    // oldest first
	next  uint64     // the first entry that is in no file and after all of them
	tail  []*memory  // entries up to seen, perhaps some before next too; oldest first
	seen  uint64     // the first entry that is not in tail
	stamp stamp      // of the log's files when they were last read to the end

	remembered remembered

	forgotten os.FileInfo // of the file that says when memory was let go of
}

const (
	tailRows = 1 << 14 // entries that one piece of the tail holds
	maxTail  = 1 << 18 // entries in memory; older ones in sealed segments are read at each search
)

// Open opens the index. Where files are missing, are damaged or are of another
// log, searches read the log itself, which is slow and right.
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
	x.files, x.tail = nil, nil
	return nil
}

// Run brings the files up to date until ctx is done, when nothing else wants
// the processor, and logs what goes wrong. Each file is held against the log ten
// minutes after it was opened and once a day: who can write to the folder could
// otherwise have searches leave entries out for good.
func (x *Index) Run(ctx context.Context) error {
	tick := time.NewTicker(x.cfg.Every)
	defer tick.Stop()
	for {
		if err := x.round(ctx); err != nil && ctx.Err() == nil {
			x.cfg.Logger.Warn("bringing the index of the access log up to date", "err", err)
		}
		if err := x.check(ctx); err != nil && ctx.Err() == nil {
			x.cfg.Logger.Warn("checking the index of the access log", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (x *Index) round(ctx context.Context) error {
	b := newBuilder(x.cfg.LogDir, x.cfg.Dir, nil)
	b.workers, b.quiet, b.trusted = 1, true, x.holds
	err := b.update(ctx, false)
	if errors.Is(err, errBusy) {
		err = nil // somebody else sees to it
	}
	if rerr := x.Reload(); err == nil {
		err = rerr
	}
	if ferr := x.follow(ctx); err == nil {
		err = ferr
	}
	return err
}

// holds reports whether the file is open here, and so was looked at.
func (x *Index) holds(p part) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, f := range x.files {
		if f.part == p {
			return f.still(x.cfg.Dir)
		}
	}
	return false
}

// Forget is the function [Forget] on the index's own folders. Once it returns,
// nothing of the account's is in memory either.
func (x *Index) Forget(ctx context.Context, account string) error {
	if err := Forget(ctx, x.cfg.LogDir, x.cfg.Dir, account, nil); err != nil {
		return err
	}
	defer x.remembered.forget() // questions may name the account
	return x.Reload()
}

// Reload takes up files that were written and lets go of those that are gone.
func (x *Index) Reload() error {
	for try := 0; ; try++ {
		base, err := accesslog.FirstHeld(x.cfg.LogDir)
		if err != nil {
			return err
		}
		parts, _, err := list(x.cfg.Dir, base)
		if err != nil {
			return err
		}
		if x.reload(parts, base) || try == 5 {
			return nil
		}
	}
}

// reload reports false when a file went away between the two looks. What it has
// then is right all the same: what is in no file is read from the log.
func (x *Index) reload(parts []part, base uint64) (settled bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	have := map[part]*file{}
	for _, f := range x.files {
		have[f.part] = f
	}
	var files []*file
	var unusable error
	left := 0
	settled = true
	for _, p := range parts {
		f := have[p]
		if f == nil || !f.still(x.cfg.Dir) {
			var err error
			if f, err = openFile(context.Background(), x.cfg.LogDir, x.cfg.Dir, p); err != nil {
				if errors.Is(err, fs.ErrNotExist) {
					settled = false
					continue
				}
				unusable = err
				left++
				continue
			}
			f.due = x.cfg.Now().Add(checkFirst)
		} else {
			delete(have, p)
		}
		files = append(files, f)
	}
	if left > 0 {
		x.cfg.Logger.Warn("searches read the access log itself instead of files of its index", "files", left, "err", unusable)
	}
	for _, f := range have {
		f.release()
	}
	if len(have) > 0 {
		x.remembered.forget() // it is of row groups that are gone
	}
	x.base, x.files, x.next = base, files, base
	if n := len(files); n > 0 {
		x.next = files[n-1].next
	}
	if forgotten, _ := os.Stat(filepath.Join(x.cfg.Dir, forgottenName)); forgotten != nil {
		if x.forgotten == nil || !os.SameFile(forgotten, x.forgotten) || !forgotten.ModTime().Equal(x.forgotten.ModTime()) {
			x.tail, x.forgotten = nil, forgotten
		}
	}
	for len(x.tail) > 0 && x.tail[0].start+uint64(x.tail[0].n) <= x.next {
		x.tail = x.tail[1:]
	}
	return settled
}

// follow takes up what has come since.
func (x *Index) follow(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.tail) == 0 {
		x.seen = x.next
		sealed, err := accesslog.SealedUntil(x.cfg.LogDir)
		if err != nil {
			return fmt.Errorf("reading the log's end: %w", err)
		}
		if sealed > x.next+tailRows {
			x.seen = sealed
		}
	}
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
	defer x.trim()
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

// trim lets go of the oldest in memory when there is too much and it can be read
// again.
func (x *Index) trim() {
	for len(x.tail)*tailRows > maxTail {
		sealed, err := accesslog.SealedUntil(x.cfg.LogDir)
		if err != nil || x.tail[0].start+tailRows > sealed {
			return
		}
		x.tail = x.tail[1:]
	}
}

// A snapshot is all of the log at one moment.
type snapshot struct {
	chunks  []chunk // newest first
	base    uint64  // rows before it do not count
	next    uint64  // rows of memory before it do not count
	release func()
}

func (x *Index) snapshot(ctx context.Context) (*snapshot, error) {
	if err := x.follow(ctx); err != nil {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	s := &snapshot{base: x.base, next: x.next}
	for i := len(x.tail) - 1; i >= 0; i-- {
		s.chunks = append(s.chunks, x.tail[i].view())
	}
	at := x.seen // everything from here on is in chunks
	if len(x.tail) > 0 {
		at = x.tail[0].start
	}
	files := x.files
	for _, f := range files {
		f.take()
	}
	s.release = func() {
		for _, f := range files {
			f.release()
		}
	}
	for i := len(files) - 1; i >= -1; i-- {
		below := x.base
		if i >= 0 {
			below = files[i].next
		}
		if below < at {
			more, err := unindexed(x.cfg.LogDir, below, at)
			if err != nil {
				s.release()
				return nil, err
			}
			s.chunks = append(s.chunks, more...)
		}
		if i < 0 {
			break
		}
		for _, g := range slices.Backward(files[i].groups) {
			s.chunks = append(s.chunks, g)
		}
		at = files[i].first
	}
	return s, nil
}
