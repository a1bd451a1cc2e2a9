package accesslog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"
)

// spares checks that empty segments are empty.
func (r *verifier) spares(ctx context.Context) error {
	list, err := listFolder(r.dir)
	if err != nil {
		return err
	}
	for _, name := range list.spares {
		if err := r.spare(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// spare checks one. What the writer takes it gives a header first and a name next.
func (r *verifier) spare(ctx context.Context, name string) error {
	path := filepath.Join(r.dir, name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	from, err := firstNonZero(f)
	if err != nil || from < 0 {
		return err
	}
	v := &view{ref: segmentRef{name: name}, path: path, f: f}
	for tries := 0; !v.gone(); tries++ {
		if tries >= patience || !writerRuns(r.dir) {
			return v.damaged(r.tree.n, from, "an empty segment is not empty")
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
	return nil
}

func firstNonZero(f *os.File) (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	from, _, err := (&scanner{r: f, size: st.Size()}).nonZero(0)
	return from, err
}

// A tileCheck compares the kept hashes with those of the entries, in order.
type tileCheck struct {
	dir   string
	files [tileLevels]*os.File
	buf   [tileLevels][]byte
	count [tileLevels]int64
	short [tileLevels]bool // the file ends before the entries do
}

func (t *tileCheck) close() {
	for _, f := range t.files {
		if f != nil {
			f.Close()
		}
	}
}

// next reports whether the next kept hash of a level is h. A file that ends
// early is no fault: the writer has not come to it.
func (t *tileCheck) next(level int, h tlog.Hash) (bool, error) {
	at := t.count[level]
	t.count[level]++
	if t.short[level] {
		return true, nil
	}
	if len(t.buf[level]) == 0 {
		if err := t.fill(level, at); err != nil || t.short[level] {
			return true, err
		}
	}
	have := t.buf[level][:tlog.HashSize]
	t.buf[level] = t.buf[level][tlog.HashSize:]
	return bytes.Equal(have, h[:]), nil
}

func (t *tileCheck) fill(level int, at int64) (err error) {
	if t.files[level] == nil {
		t.files[level], err = os.Open(filepath.Join(t.dir, tileName(level)))
		if errors.Is(err, fs.ErrNotExist) {
			t.files[level], t.short[level] = nil, true
			return nil
		}
		if err != nil {
			return err
		}
	}
	buf := make([]byte, 1024*tlog.HashSize)
	n, err := t.files[level].ReadAt(buf, at*tlog.HashSize)
	if err != nil && err != io.EOF {
		return err
	}
	t.buf[level] = buf[:n-n%tlog.HashSize]
	t.short[level] = len(t.buf[level]) == 0
	return nil
}

// finish finds kept hashes of entries that there are not.
func (t *tileCheck) finish(n uint64) error {
	for level, f := range t.files {
		if f == nil {
			continue
		}
		st, err := f.Stat()
		if err != nil {
			return err
		}
		if st.Size()%tlog.HashSize != 0 {
			return &TamperedError{Index: n, Segment: tileName(level), Offset: st.Size(), What: "the file ends within a hash"}
		}
	}
	return nil
}
