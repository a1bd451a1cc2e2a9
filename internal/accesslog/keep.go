package accesslog

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"
)

// errNoRoom: there is no spare segment and none can be made.
var errNoRoom = errors.New("there is no room for another segment")

// A keeper makes empty segments and compresses full ones.
type keeper struct {
	making sync.Mutex // held while a spare is made, so that two are not made at once

	mu      sync.Mutex
	spares  []string
	reserve string   // kept for those who make room when there is none
	retired []string // raw segments to compress, oldest first
	next    int      // number of the next spare's name
	retry   time.Time
}

func (k *keeper) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.spares)
}

func (k *keeper) pop() (string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := len(k.spares)
	if n == 0 {
		return "", false
	}
	name := k.spares[n-1]
	k.spares = k.spares[:n-1]
	return name, true
}

func (k *keeper) push(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.reserve == "" {
		k.reserve = name
		return
	}
	k.spares = append(k.spares, name)
}

// popReserve hands out the segment that is kept back, once.
func (k *keeper) popReserve() (string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	name := k.reserve
	k.reserve = ""
	return name, name != ""
}

func (k *keeper) reserved() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.reserve != ""
}

func (k *keeper) newName() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.next++
	return fmt.Sprintf("%s%d", sparePrefix, k.next)
}

func (k *keeper) retire(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.retired = append(k.retired, name)
}

// take returns an empty segment for the committer, making one if it must.
func (k *keeper) take(l *Log) (string, error) {
	if name, ok := k.pop(); ok {
		return name, nil
	}
	if p := l.full.Load(); p != nil {
		return "", *p // known already; the keeper goes on trying
	}
	k.making.Lock()
	defer k.making.Unlock()
	if name, ok := k.pop(); ok {
		return name, nil
	}
	name, err := k.makeSpare(l)
	if err != nil {
		l.setFull(err)
		return "", *l.full.Load()
	}
	return name, nil
}

// makeSpare is called with making held.
func (k *keeper) makeSpare(l *Log) (string, error) {
	name := k.newName()
	path := filepath.Join(l.cfg.Dir, name)
	if err := l.cfg.disk.create(path+tmpEnding, l.cfg.SegmentSize); err != nil {
		return "", err
	}
	if err := l.cfg.disk.rename(path+tmpEnding, path); err != nil {
		l.cfg.disk.remove(path + tmpEnding)
		return "", err
	}
	return name, nil
}

func (l *Log) setFull(cause error) {
	err := fmt.Errorf("%w: %w", errNoRoom, cause)
	if l.full.Swap(&err) == nil {
		l.cfg.Logger.Error("the access log has no room: nothing is served until there is", "err", err)
		l.doChores() // it goes on trying
		select {
		case l.look <- struct{}{}:
		default:
		}
	}
}

// setRoom lets records in again and has the committer write those held back.
func (l *Log) setRoom() {
	if l.full.Swap(nil) == nil {
		return
	}
	l.cfg.Logger.Info("the access log has room again")
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// doChores wakes the keeper.
func (l *Log) doChores() {
	select {
	case l.chore <- struct{}{}:
	default:
	}
}

const (
	fullRetry = 200 * time.Millisecond // how soon a full disk is looked at again
	sealRetry = 10 * time.Second       // how soon a segment that could not be compressed is tried again
)

// keepLoop compresses what is full and keeps spares at hand until told to stop.
func (l *Log) keepLoop() {
	tick := time.NewTicker(fullRetry)
	defer tick.Stop()
	for {
		l.keepOnce()
		wake := tick.C
		if l.full.Load() == nil && !l.keep.waiting() {
			wake = nil
		}
		select {
		case <-l.stop:
			return
		case <-l.dead:
			return
		case <-l.chore:
		case <-wake:
		}
	}
}

// waiting reports whether a segment waits for another attempt at compressing it.
func (k *keeper) waiting() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.retired) > 0
}

// keepOnce first makes the spares that the committer may be short of, then
// compresses. A recycled file counts as a spare.
func (l *Log) keepOnce() {
	l.topUp(min(1, l.cfg.Spares))
	for !l.ending() {
		name, ok := l.keep.oldest(time.Now())
		if !ok {
			break
		}
		if err := l.seal(name); err != nil {
			l.cfg.Logger.Warn("compressing a segment, which stays as it is", "segment", name, "err", err)
			l.keep.later(time.Now().Add(sealRetry))
			break
		}
		l.keep.sealed()
		l.counters.sealed.Add(1)
	}
	l.topUp(l.cfg.Spares)
}

func (l *Log) topUp(want int) {
	for !l.ending() && (l.keep.count() < want || !l.keep.reserved() || l.full.Load() != nil) {
		l.keep.making.Lock()
		if l.keep.count() > 0 && l.full.Load() != nil {
			l.keep.making.Unlock()
			l.setRoom()
			continue
		}
		name, err := l.keep.makeSpare(l)
		if err == nil {
			l.keep.push(name)
		}
		l.keep.making.Unlock()
		if err != nil {
			if l.full.Load() == nil {
				l.cfg.Logger.Warn("making a spare segment", "err", err)
			}
			return
		}
		if l.keep.count() > 0 { // the first may have become the reserve
			l.setRoom()
		}
	}
}

func (k *keeper) oldest(now time.Time) (string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.retired) == 0 || now.Before(k.retry) {
		return "", false
	}
	return k.retired[0], true
}

func (k *keeper) later(t time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.retry = t
}

func (k *keeper) sealed() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.retired = k.retired[1:]
	k.retry = time.Time{}
}

// recycle makes a raw file that is sealed into a spare, or removes it when
// there are enough. It is overwritten with zeros, so that nothing of the older
// entries stays behind and every byte of a segment can be checked.
func (l *Log) recycle(name string) error {
	path := filepath.Join(l.cfg.Dir, name)
	if l.keep.count() >= l.cfg.Spares && l.keep.reserved() {
		return l.cfg.disk.remove(path)
	}
	spare := l.keep.newName()
	tmp := filepath.Join(l.cfg.Dir, spare+tmpEnding)
	if err := l.cfg.disk.rename(path, tmp); err != nil {
		return err
	}
	if err := l.cfg.disk.zero(tmp, l.cfg.SegmentSize); err != nil {
		return l.cfg.disk.remove(tmp) // another size, or a fault: a new one will be made
	}
	if err := l.cfg.disk.rename(tmp, filepath.Join(l.cfg.Dir, spare)); err != nil {
		return err
	}
	l.keep.push(spare)
	return nil
}
