package retention

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/durable"
)

// NameOf is what an archive calls the segment that begins with an entry.
func NameOf(first uint64) string { return fmt.Sprintf("segments/%020d.sealed", first) }

// keep puts a segment into an archive, reads it back and proves it against the
// log: only then may the log let go of it.
func keep(ctx context.Context, a Archive, logDir string, first uint64, content []byte) error {
	name := NameOf(first)
	// A log that was given up has left its segments under the names of the next one's.
	have, err := a.Get(ctx, name)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("looking whether it is there already: %w", err)
	case err == nil && !bytes.Equal(have, content):
		seg, err := accesslog.CheckSegment(ctx, logDir, have)
		if err == nil && seg.First != first {
			err = fmt.Errorf("it begins with entry %d", seg.First)
		}
		if err != nil {
			return fmt.Errorf("%s is there already, give the archive another folder or prefix: %w", name, err)
		}
	}
	if err := a.Put(ctx, name, content); err != nil {
		return err
	}
	back, err := a.Get(ctx, name)
	if err != nil {
		return fmt.Errorf("reading it back: %w", err)
	}
	if !bytes.Equal(back, content) {
		return errors.New("what was read back is not what was put there")
	}
	_, err = accesslog.CheckSegment(ctx, logDir, back)
	return err
}

// Fetch gets the segment that begins with an entry out of an archive and proves
// that it is the log's: of exactly the entries whose hashes the log in logDir
// has kept, under its newest checkpoint. Nothing else is returned.
func Fetch(ctx context.Context, a Archive, logDir string, first uint64) (content []byte, seg accesslog.SealedSegment, err error) {
	content, err = a.Get(ctx, NameOf(first))
	if err == nil {
		if seg, err = accesslog.CheckSegment(ctx, logDir, content); err == nil && seg.First != first {
			err = fmt.Errorf("it begins with entry %d", seg.First)
		}
	}
	if err != nil {
		return nil, seg, fmt.Errorf("fetching the segment of entry %d from %s: %w", first, a, err)
	}
	return content, seg, nil
}

// Folder is an archive on a file system: another disk, or what is mounted.
type Folder struct {
	dir string
	at  string // of this log's segments
}

// NewFolder keeps segments of the log of that origin below dir, which must be
// there: a disk that is not mounted must not be taken for an empty one.
func NewFolder(dir, origin string) *Folder {
	return &Folder{dir, filepath.Join(dir, url.PathEscape(origin))}
}

// Put implements [Archive].
func (f *Folder) Put(_ context.Context, name string, content []byte) error {
	if _, err := os.Stat(f.dir); err != nil {
		return fmt.Errorf("looking for the archive's folder: %w", err)
	}
	path := filepath.Join(f.at, filepath.FromSlash(name))
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, content) {
		return nil
	}
	if err := durable.Mkdir(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(path, content, 0o600)
}

// Get implements [Archive].
func (f *Folder) Get(_ context.Context, name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(f.at, filepath.FromSlash(name)))
}

// String implements [Archive].
func (f *Folder) String() string { return f.dir }
