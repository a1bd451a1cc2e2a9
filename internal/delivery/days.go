package delivery

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/durable"
)

// Days are files with one day's entries each, and where they are kept.
type Days struct {
	// List must return the days that are over, oldest first. A day whose file
	// changes is kept anew under its name.
	List  func() ([]DayFile, error)
	Store FileStore
}

// A DayFile is a file with all entries of a day that the log has.
type DayFile struct {
	Date        string // 2006-01-02
	First, Next uint64 // indexes of its first entry and of the one behind its last
	Path        string
}

// A FileStore keeps files. It is used by one goroutine.
type FileStore interface {
	// PutFile must return nil once the content is kept under name, whatever was
	// there before. Its check sum is sum.
	PutFile(ctx context.Context, name string, content io.ReadSeeker, size int64, sum [sha256.Size]byte) error
	// Remove must return nil once nothing is kept under name.
	Remove(ctx context.Context, name string) error
	// Close must let go of connections.
	Close() error
}

// kept is what a destination has of one day, as the list of them beside the cursor says.
type kept struct {
	First   uint64    `json:"first"`
	Next    uint64    `json:"next"`
	SHA256  string    `json:"sha256"`
	Size    int64     `json:"size"`
	Written time.Time `json:"written"` // when the file was, so that it is not read in vain
}

// DayName is what the file of a day is called in a store.
func DayName(date string) string { return "days/" + date + ".parquet" }

func (w *worker) daysFile() string { return filepath.Join(w.cfg.Dir, w.d.Name+".days") }

// days keeps each day that is over, and again when its file has changed, until
// something fails or ctx ends. What age removed from the log goes there too.
func (w *worker) days(ctx context.Context, well func()) error {
	have, err := readDays(w.daysFile())
	if err != nil {
		return err
	}
	for {
		removed, err := w.removeDays(ctx, have)
		if err != nil {
			return err
		}
		list, err := w.d.Days.List()
		if err != nil {
			return wrap("looking for days", err)
		}
		for _, d := range list {
			k, known := have[d.Date]
			if d.Next <= w.cursor.Next && !known {
				continue // left out on purpose
			}
			if known && (d.First > max(k.First, removed) || d.Next < k.Next) {
				return fmt.Errorf("the log lacks entries of %s that nothing says were removed; what is kept of the day stays as it is", d.Date)
			}
			if err := w.day(ctx, d, k, have); err != nil {
				return err
			}
		}
		well()
		w.note(func(s *State) { s.Oldest, s.Fault, s.Since = time.Time{}, "", time.Time{} })
		if pause(ctx, lookForSegments) != nil {
			return nil
		}
	}
}

// day keeps a day unless the destination has it as it is.
func (w *worker) day(ctx context.Context, d DayFile, k kept, have map[string]kept) error {
	f, err := os.Open(d.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is being made again
	}
	if err != nil {
		return wrap("reading a day", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return wrap("reading a day", err)
	}
	fresh := d.Next > w.cursor.Next
	if !fresh && k.First == d.First && k.Next == d.Next && k.Size == st.Size() && k.Written.Equal(st.ModTime()) {
		return nil
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return wrap("reading a day", err)
	}
	sum := [sha256.Size]byte(hash.Sum(nil))
	now := kept{d.First, d.Next, hex.EncodeToString(sum[:]), st.Size(), st.ModTime().UTC()}
	if fresh || now.SHA256 != k.SHA256 {
		if err := w.putDay(ctx, d, f, now.Size, sum); err != nil {
			return err
		}
	}
	have[d.Date] = now
	if err := writeDays(w.daysFile(), have); err != nil || !fresh {
		return err
	}
	last, err := w.cfg.Source.Get(ctx, d.Next-1)
	if err != nil {
		return wrap("reading a day's last entry", err)
	}
	return w.advance(last, nil, d.Next-w.cursor.Next)
}

func (w *worker) putDay(ctx context.Context, d DayFile, f io.ReadSeeker, size int64, sum [sha256.Size]byte) error {
	if t, err := time.Parse(time.DateOnly, d.Date); err == nil {
		w.note(func(s *State) { s.Oldest = t })
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return wrap("reading a day", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*sendTimeout)
	defer cancel()
	return w.d.Days.Store.PutFile(ctx, DayName(d.Date), f, size, sum)
}

// removeDays takes away the days that age has removed from the log as a whole,
// and returns the first entry that it did not remove.
func (w *worker) removeDays(ctx context.Context, have map[string]kept) (first uint64, err error) {
	first, err = accesslog.RemovedBefore(ctx, w.cfg.LogDir)
	if err != nil {
		return 0, err
	}
	for _, date := range slices.Sorted(maps.Keys(have)) {
		if have[date].Next > first {
			continue
		}
		if err := w.d.Days.Store.Remove(ctx, DayName(date)); err != nil {
			return 0, err
		}
		delete(have, date)
		if err := writeDays(w.daysFile(), have); err != nil {
			return 0, err
		}
	}
	return first, nil
}

func readDays(path string) (map[string]kept, error) {
	out := map[string]kept{}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		return nil, fmt.Errorf("reading which days are kept: %w", err)
	}
	return out, nil
}

func writeDays(path string, have map[string]kept) error {
	b, err := json.Marshal(have)
	if err == nil {
		err = durable.WriteFile(path, append(b, '\n'), 0o600)
	}
	return wrap("noting which days are kept", err)
}
