package accesslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// Run commits, makes spare segments, compresses full ones and signs
// checkpoints. It returns nil after Close, or once ctx is done and what was
// queued is durable; from then on Record is refused, so end ctx after
// everything that records. It returns an error when a write or a sync of the
// log failed: that is never tried again, because the kernel may have dropped
// the pages; the process should end, and the next start recovers.
func (l *Log) Run(ctx context.Context) error {
	if !l.running.CompareAndSwap(false, true) {
		return errors.New("running the access log: it runs already")
	}
	defer l.endOnce.Do(func() { close(l.ended) })
	if l.ending() {
		return nil // Close, which came first, writes what is queued
	}
	detach := context.AfterFunc(ctx, l.halt)
	defer detach()
	var wg sync.WaitGroup
	wg.Go(l.keepLoop)
	wg.Go(l.signLoop)
	wg.Go(l.spaceLoop)
	err := l.commitLoop()
	if err != nil {
		l.fail(err)
	}
	wg.Wait()
	if err != nil {
		return fmt.Errorf("running the access log: %w", err)
	}
	return nil
}

func (l *Log) halt() { l.stopper.Do(func() { close(l.stop) }) }

// Close ends Run, makes what is queued durable, signs a last checkpoint and
// lets go of the folder. Records that come later are refused. It returns the
// first error; calling it again does nothing.
func (l *Log) Close() error {
	first := l.closing.CompareAndSwap(false, true)
	l.halt()
	if l.running.Load() {
		<-l.ended
	}
	if !first {
		return nil
	}
	l.endOnce.Do(func() { close(l.ended) })
	for !l.sending.TryLock() { // whoever is sending may be waiting for room in the queue
		if l.fatal.Load() == nil {
			l.drain() // an error is fatal, and senders see that
		}
		runtime.Gosched()
	}
	l.sending.Unlock()
	var err error
	if p := l.fatal.Load(); p != nil {
		err = *p
	} else if err = l.drain(); err == nil {
		err = errors.Join(l.syncTiles(), l.sign(true))
	}
	if n := len(l.c.backlog); n > 0 && err == nil {
		err = fmt.Errorf("%d entries that nobody waited for found no room", n)
	}
	l.c.tiles.close()
	if l.c.seg != nil {
		l.c.seg.f.Close()
	}
	l.lock.Close()
	if err != nil {
		return fmt.Errorf("closing the access log: %w", err)
	}
	return nil
}

// signs is what has been signed.
type signs struct {
	writing sync.Mutex // held while a checkpoint goes to disk
	written time.Time  // when the history was last appended to; guarded by writing

	mu   sync.Mutex // guards the rest, and is never held over a write
	last point
	at   time.Time // when
	msg  []byte
	err  error // why the last attempt failed
}

func (s *signs) state() (size uint64, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last.size, s.at
}

func (s *signs) fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Checkpoint returns the newest signed checkpoint, a signed note whose text is
// origin, number of entries and root.
func (l *Log) Checkpoint() []byte {
	l.signs.mu.Lock()
	defer l.signs.mu.Unlock()
	return bytes.Clone(l.signs.msg)
}

func (l *Log) signLoop() {
	tick := time.NewTicker(l.cfg.CheckpointEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-l.dead:
			return
		case <-tick.C:
		}
		size, at := l.signs.state()
		if l.Size() == size && time.Since(at) < idleCheckpoint {
			continue
		}
		if err := l.sign(false); err != nil {
			l.cfg.Logger.Warn("signing a checkpoint", "err", err)
		}
	}
}

// sign signs the durable tree and keeps the checkpoint: first as the newest,
// then, once a minute and at the last, in the history.
func (l *Log) sign(history bool) error {
	l.signs.writing.Lock()
	defer l.signs.writing.Unlock()
	err := l.signNow(history)
	l.signs.mu.Lock()
	l.signs.err = err
	l.signs.mu.Unlock()
	return err
}

func (l *Log) signNow(history bool) error {
	p := l.live.point()
	msg, err := l.pen.sign(checkpointText(l.cfg.Origin, p))
	if err != nil {
		return fmt.Errorf("signing a checkpoint: %w", err)
	}
	if err := l.cfg.disk.write(filepath.Join(l.cfg.Dir, checkpointName), msg); err != nil {
		return fmt.Errorf("keeping the checkpoint: %w", err)
	}
	l.signs.mu.Lock()
	l.signs.last, l.signs.at, l.signs.msg = p, time.Now(), msg
	l.signs.mu.Unlock()
	l.counters.waiting.Store(0)
	if l.Size() > p.size { // what came meanwhile, which may have looked before this was cleared
		l.counters.waiting.CompareAndSwap(0, sinceBorn())
	}
	if !history && time.Since(l.signs.written) < historyEvery {
		return nil
	}
	if err := l.cfg.disk.append(filepath.Join(l.cfg.Dir, historyName), msg); err != nil {
		return fmt.Errorf("keeping the checkpoint: %w", err)
	}
	l.signs.written = time.Now()
	return nil
}

// syncTiles makes the kept hashes durable.
func (l *Log) syncTiles() error {
	for level := range tileLevels {
		if err := l.cfg.disk.flush(filepath.Join(l.cfg.Dir, tileName(level))); err != nil {
			return err
		}
	}
	return nil
}
