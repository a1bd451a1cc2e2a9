package index

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
)

const (
	checkFirst = 10 * time.Minute // after a file was opened
	checkEvery = 24 * time.Hour
)

// Check makes each file in dir once more from the log in logDir, and returns the
// names of those that are not, byte for byte, what the log gives: somebody
// changed them, or another version of the program made them. It changes nothing.
func Check(ctx context.Context, logDir, dir string, progress Progress) (differ []string, err error) {
	base, err := accesslog.FirstHeld(logDir)
	if err != nil {
		return nil, err
	}
	parts, _, err := list(dir, base)
	if err != nil {
		return nil, err
	}
	b := newBuilder(logDir, dir, progress)
	for _, p := range parts {
		b.of += p.next - max(p.first, base)
	}
	for _, p := range parts {
		if p.first < base {
			continue // it is about to be made again from what is left
		}
		same, err := b.same(ctx, p)
		if err != nil {
			return differ, fmt.Errorf("checking the index: %w", err)
		}
		if !same {
			differ = append(differ, p.name())
		}
	}
	return differ, nil
}

// same reports whether a file is what the log gives.
func (b *builder) same(ctx context.Context, p part) (bool, error) {
	f, err := os.Open(filepath.Join(b.dir, p.name()))
	if err != nil {
		return false, err
	}
	defer f.Close()
	c := &comparer{r: bufio.NewReaderSize(f, readBuffer)}
	if err := b.write(ctx, c, p); errors.Is(err, errDiffers) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	_, err = c.r.ReadByte()
	if err == nil || errors.Is(err, io.EOF) {
		return err != nil, nil
	}
	return false, err
}

// A comparer takes only what its reader gives.
type comparer struct {
	r   *bufio.Reader
	buf []byte
}

var errDiffers = errors.New("it is not what the log gives")

func (c *comparer) Write(b []byte) (int, error) {
	if len(c.buf) < len(b) {
		c.buf = make([]byte, len(b))
	}
	_, err := io.ReadFull(c.r, c.buf[:len(b)])
	switch {
	case err == nil && bytes.Equal(c.buf[:len(b)], b):
		return len(b), nil
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return 0, errDiffers
	}
	return 0, err
}

// check holds the open file whose turn it is against the log, when nothing else
// wants the processor. One that differs is removed: searches read the log
// instead, until the file is made again.
func (x *Index) check(ctx context.Context) error {
	now := x.cfg.Now()
	x.mu.Lock()
	var turn *file
	for _, f := range x.files {
		if f.first >= x.base && !now.Before(f.due) && (turn == nil || f.due.Before(turn.due)) {
			turn = f
		}
	}
	if turn != nil {
		turn.due = now.Add(checkEvery)
	}
	x.mu.Unlock()
	if turn == nil {
		return nil
	}
	type answer struct {
		same bool
		err  error
	}
	done := make(chan answer, 1)
	go func() { // of its own: it gives up its thread's priority
		yieldToOthers()
		same, err := newBuilder(x.cfg.LogDir, x.cfg.Dir, nil).same(ctx, turn.part)
		done <- answer{same, err}
	}()
	a := <-done
	if !turn.still(x.cfg.Dir) {
		return nil // another has its place already
	}
	if a.err != nil || a.same {
		return a.err
	}
	x.cfg.Logger.Error("a file of the access log's index was not what the log gives, and is made again", "file", turn.name())
	unlock, err := lock(ctx, x.cfg.Dir, true)
	if err != nil {
		return err
	}
	err = osDisk{}.remove(x.cfg.Dir, turn.name())
	unlock()
	if err != nil {
		return err
	}
	return x.Reload()
}
