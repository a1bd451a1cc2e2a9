package accesslog

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"time"
)

// SealedUntil returns the index after the last entry that is in sealed segments
// without a gap from the log's beginning, and 0 where nothing is sealed. What
// stands there is never written again.
func SealedUntil(dir string) (uint64, error) {
	for {
		list, err := listFolder(dir)
		if err != nil {
			return 0, err
		}
		n := 0
		for n < len(list.segments) && list.segments[n].sealed {
			n++
		}
		if n < len(list.segments) {
			return list.segments[n].first, nil
		}
		if n == 0 {
			return 0, nil
		}
		v, err := openView(dir, list, n-1)
		if errors.Is(err, errStale) {
			continue
		}
		if err != nil {
			return 0, err
		}
		v.close()
		return v.foot.first + v.foot.count, nil
	}
}

// FirstAt returns the index of the first entry in sealed segments whose time is
// at or after t, or what [SealedUntil] returns where there is none.
func FirstAt(dir string, t time.Time) (uint64, error) {
	list, err := listFolder(dir)
	if err != nil {
		return 0, err
	}
	end := uint64(0)
	for i := range list.segments {
		if !list.segments[i].sealed {
			return list.segments[i].first, nil
		}
		v, err := openView(dir, list, i)
		if err != nil {
			return 0, err
		}
		end = v.foot.first + v.foot.count
		if v.foot.newest < t.UnixNano() {
			v.close()
			continue
		}
		index, err := v.firstAt(t.UnixNano())
		v.close()
		return index, err
	}
	return end, nil
}

// firstAt is asked only where the newest entry is not older than ns.
func (v *view) firstAt(ns int64) (uint64, error) {
	groups, err := v.groups()
	if err != nil {
		return 0, err
	}
	i := sort.Search(len(groups), func(i int) bool { return groups[i].block.newest >= ns })
	if i == len(groups) {
		return v.foot.first + v.foot.count, nil
	}
	payloads, err := v.load(groups[i])
	if err != nil {
		return 0, err
	}
	for j, p := range payloads {
		at, err := payloadTime(p)
		if err != nil {
			return 0, err
		}
		if at >= ns {
			return groups[i].first + uint64(j), nil
		}
	}
	return groups[i].first + uint64(len(payloads)), nil
}

// Stamp names the segment that is written and when that was last done, for
// readers that look again only if something has come. Times of files are coarse:
// a stamp says nothing about what came a moment before it was taken.
func Stamp(dir string) (name string, written time.Time, err error) {
	list, err := listFolder(dir)
	if err != nil || len(list.segments) == 0 {
		return "", time.Time{}, err
	}
	name = list.segments[len(list.segments)-1].name
	st, err := os.Stat(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", time.Time{}, nil // sealed between the two looks
	}
	if err != nil {
		return "", time.Time{}, err
	}
	return name, st.ModTime(), nil
}

// Scan calls fn for the entries from index from up to but not including to, or
// to the log's end, oldest first, until fn returns an error, which it returns.
// It reads files only and is safe while the writer runs; it may then meet an
// entry shortly before that is durable.
func Scan(ctx context.Context, dir string, from, to uint64, fn func(*Entry) error) error {
	if from >= to {
		return nil
	}
	keys := personalKeysOf(dir)
	return walk(ctx, dir, from, nil, func(index uint64, p []byte) (bool, error) {
		if index >= to {
			return false, nil
		}
		e, err := keys.decode(p)
		if err == nil {
			err = fn(e)
		}
		return index+1 < to, err
	})
}

// Scan is the function [Scan] on the durable entries of the log, from memory
// where they are still there.
func (l *Log) Scan(ctx context.Context, from, to uint64, fn func(*Entry) error) error {
	to = min(to, l.Size())
	for from < to {
		payloads, oldest := l.live.get(from, int(min(to-from, 1024)))
		if from < oldest {
			until := min(oldest, to)
			if err := Scan(ctx, l.cfg.Dir, from, until, fn); err != nil {
				return err
			}
			from = until
			continue
		}
		for _, p := range payloads {
			e, err := l.keys.decode(p)
			if err == nil {
				err = fn(e)
			}
			if err != nil {
				return err
			}
			from++
		}
	}
	return nil
}

// FirstHeld returns the index of the first entry that the log's folder has: 0
// unless older segments were taken out of it.
func FirstHeld(dir string) (uint64, error) {
	list, err := listFolder(dir)
	if err != nil || len(list.segments) == 0 {
		return 0, err
	}
	return list.segments[0].first, nil
}

// Leaf returns the log's origin and the leaf hash of entry index, which
// together say of which log something was made. [ErrNotFound]: the log ends before it.
func Leaf(ctx context.Context, dir string, index uint64) (origin string, leaf [32]byte, err error) {
	r := picker{dir: dir}
	defer r.close()
	payload, err := r.payload(ctx, index)
	if err != nil {
		return "", leaf, err
	}
	return r.v.h.origin, recordHash(payload), nil
}
