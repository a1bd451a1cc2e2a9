package delivery

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// A SegmentSender keeps files of the log elsewhere. It is used by one goroutine.
type SegmentSender interface {
	// Put must return nil once the file's bytes are kept under name, whatever
	// was there before.
	Put(ctx context.Context, name string, content []byte) error
	// Close must let go of connections.
	Close() error
}

// lookForSegments is how often newly sealed segments are looked for.
const lookForSegments = 5 * time.Second

// segments sends sealed segments, each followed by the newest checkpoint, until
// something fails or ctx ends.
func (w *worker) segments(ctx context.Context, well func()) error {
	for {
		list, err := accesslog.Sealed(w.cfg.LogDir, w.cursor.Next)
		if err != nil {
			return err
		}
		for _, s := range list {
			if s.First > w.cursor.Next {
				return fmt.Errorf("%w: the segment with entry %d is missing", errMisfit, w.cursor.Next)
			}
			if err := w.segment(ctx, s); err != nil {
				return err
			}
			well()
		}
		if pause(ctx, lookForSegments) != nil {
			return nil
		}
	}
}

func (w *worker) segment(ctx context.Context, s accesslog.SealedSegment) error {
	w.note(func(st *State) { st.Oldest = s.Oldest })
	content, err := os.ReadFile(s.Path)
	if err != nil {
		return wrap("reading a segment", err)
	}
	checkpoint, err := os.ReadFile(filepath.Join(w.cfg.LogDir, "checkpoint"))
	if err != nil {
		return wrap("reading the checkpoint", err)
	}
	last, err := w.cfg.Source.Get(ctx, s.First+s.Entries-1)
	if err != nil {
		return wrap("reading a segment's last entry", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*sendTimeout)
	defer cancel()
	// The checkpoint covers the segment, or the next one does: one is signed every second.
	sum := sha256.Sum256(checkpoint)
	name := fmt.Sprintf("checkpoints/%020d-%s", s.First, hex.EncodeToString(sum[:4]))
	if err := w.d.Segments.Put(ctx, "segments/"+filepath.Base(s.Path), content); err != nil {
		return err
	}
	if err := w.d.Segments.Put(ctx, name, checkpoint); err != nil {
		return err
	}
	return w.advance(last, nil, last.Index+1-w.cursor.Next)
}
