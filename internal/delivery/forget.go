package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/durable"
)

// A Keeper is a [Sender] to a place where entries can be changed and removed
// later: it follows the log when an account is erased and when entries go by age.
type Keeper interface {
	Sender
	// Mentioning must return the indexes from from on, in order, of this log's
	// entries there that are about an account, of something that it did, or with
	// personal fields under its key.
	Mentioning(ctx context.Context, account string, from uint64) ([]uint64, error)
	// Replace must return once the batch has durably taken the place of what was
	// there under the same indexes.
	Replace(ctx context.Context, batch []*accesslog.Entry) error
	// Purge must return once no question finds what Replace replaced of an account.
	Purge(ctx context.Context, account string) error
	// Trim must return once this log's entries before index first are gone.
	Trim(ctx context.Context, first uint64) error
}

// A wish is that a destination forgets an account. It is a file by the account's
// id, so that whoever wishes and whoever carries it out write no file of the other.
type wish struct {
	// UpTo is the log's end when the account was erased: what comes later never
	// held anything of it.
	UpTo uint64 `json:"up_to"`
	// Begun: what the destination had before entry From is done. A batch that was
	// on its way then may have arrived since.
	Begun bool   `json:"begun,omitempty"`
	From  uint64 `json:"from,omitempty"`
}

const wishEnding = ".forget"

func wishFolder(dir, name string) string { return filepath.Join(dir, name+wishEnding) }

// Forget has every destination with a cursor in dir that is a [Keeper] forget an
// account whose key was destroyed ([accesslog.ErasePersonal]) while the log had
// upTo entries. It returns once that is durable; it is carried out while the
// gateway runs, and tried again until it is done. It may be repeated.
func Forget(dir, account string, upTo uint64) error {
	if !fileForm(account) {
		return fmt.Errorf("forgetting an account: %q is no account's id", account)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.cursor"))
	if err != nil {
		return fmt.Errorf("forgetting an account: %w", err)
	}
	for _, n := range names {
		folder := wishFolder(dir, strings.TrimSuffix(filepath.Base(n), ".cursor"))
		err := durable.Mkdir(folder, 0o700)
		if err == nil {
			err = wish{UpTo: upTo}.write(filepath.Join(folder, account))
		}
		if err != nil {
			return fmt.Errorf("forgetting an account: %w", err)
		}
	}
	return nil
}

func fileForm(account string) bool {
	return account != "" && account[0] != '.' && len(account) <= 128 && !strings.ContainsFunc(account, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	})
}

func (x wish) write(path string) error {
	b, err := json.Marshal(x)
	if err == nil {
		err = durable.WriteFile(path, append(b, '\n'), 0o600)
	}
	return err
}

// Forgetting returns the accounts that the destination of that name has yet to forget.
func Forgetting(dir, name string) ([]string, error) {
	names, err := os.ReadDir(wishFolder(dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading what a delivery is to forget: %w", err)
	}
	var out []string
	for _, n := range names {
		if fileForm(n.Name()) && !strings.HasSuffix(n.Name(), ".tmp") {
			out = append(out, n.Name())
		}
	}
	return out, nil
}

func readWish(path string) (x wish, err error) {
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &x)
	}
	return x, err
}

// Times of a Keeper's upkeep.
const (
	lookForRemoved = time.Minute      // how often removals are looked for
	upkeepTimeout  = 30 * time.Minute // of one account, or of one removal
)

// upkeep is what a worker with a Keeper remembers. The worker's goroutine
// alone uses it, or the one that waits on its behalf.
type upkeep struct {
	again   time.Time // not before
	tries   int
	looked  time.Time
	first   uint64 // that was not removed, when it was looked at
	trimmed uint64
}

// beginForgetting looks at what is to be forgotten, and drops it where nothing can be.
func (w *worker) beginForgetting() error {
	if !w.keeps {
		return wrap("dropping what cannot be forgotten", os.RemoveAll(wishFolder(w.cfg.Dir, w.d.Name)))
	}
	_, err := Forgetting(w.cfg.Dir, w.d.Name)
	return err
}

// upkeepDue reports whether the destination has something to forget or to remove.
func (w *worker) upkeepDue(ctx context.Context) bool {
	now := w.cfg.Now()
	if !w.keeps || now.Before(w.care.again) {
		return false
	}
	if now.Sub(w.care.looked) >= lookForRemoved || w.care.looked.IsZero() {
		w.care.looked = now
		first, err := accesslog.RemovedBefore(ctx, w.cfg.LogDir)
		if err == nil {
			w.care.first = first
		} else if ctx.Err() == nil {
			w.cfg.Logger.Warn("looking for what age removed from the log", "destination", w.d.Name, "err", err)
		}
	}
	return w.care.first > w.care.trimmed || len(w.wishesDue()) > 0
}

// wishesDue returns the accounts that there is something to do about now.
func (w *worker) wishesDue() (out []string) {
	all, err := Forgetting(w.cfg.Dir, w.d.Name)
	if err != nil {
		return nil // told at the start; the folder is looked at again
	}
	next := w.State().Next
	for _, account := range all {
		x, werr := readWish(filepath.Join(wishFolder(w.cfg.Dir, w.d.Name), account))
		if werr != nil || !x.Begun || next >= x.UpTo { // an unreadable one is carried out as if it were new
			out = append(out, account)
		}
	}
	return out
}

// keepUp lets the destination follow the log. A fault does not hold up delivery:
// it is shown, and tried again after a pause.
func (w *worker) keepUp(ctx context.Context) {
	k, ok := w.d.Sender.(Keeper)
	if !ok || !w.upkeepDue(ctx) {
		return
	}
	err := w.trim(ctx, k)
	for _, account := range w.wishesDue() {
		if err == nil {
			err = w.forget(ctx, k, account)
		}
	}
	if ctx.Err() != nil {
		return // the next start begins it again
	}
	if err == nil {
		w.care.tries = 0
		w.note(func(s *State) { s.UpkeepFault, s.UpkeepSince = "", time.Time{} })
		return
	}
	w.care.tries++
	pause := backOff(w.care.tries, 0)
	w.care.again = w.cfg.Now().Add(pause)
	w.cfg.Logger.Warn("a destination does not let go of what was erased or removed, and is asked again", "destination", w.d.Name, "err", clip(err.Error()), "again_in", pause.String())
	w.note(func(s *State) {
		s.UpkeepFault = clip(err.Error())
		if s.UpkeepSince.IsZero() {
			s.UpkeepSince = w.cfg.Now().UTC()
		}
	})
}

func (w *worker) trim(ctx context.Context, k Keeper) error {
	if w.care.first <= w.care.trimmed {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, upkeepTimeout)
	defer cancel()
	if err := k.Trim(ctx, w.care.first); err != nil {
		return wrap("removing what the log no longer has", err)
	}
	w.care.trimmed = w.care.first
	return nil
}

// forget puts an account's entries there as the log gives them now, without
// what was erased. It runs between batches, so that none on its way was read before.
func (w *worker) forget(ctx context.Context, k Keeper, account string) error {
	path := filepath.Join(wishFolder(w.cfg.Dir, w.d.Name), account)
	x, err := readWish(path)
	if err != nil {
		x = wish{UpTo: w.cfg.Source.Size()} // as if it were new
	}
	ctx, cancel := context.WithTimeout(ctx, upkeepTimeout)
	defer cancel()
	list, err := k.Mentioning(ctx, account, x.From)
	if err == nil {
		err = w.replace(ctx, k, list)
	}
	if err == nil && len(list) > 0 {
		err = k.Purge(ctx, account)
	}
	if err == nil && w.cursor.Next >= x.UpTo {
		if err = os.Remove(path); err == nil {
			w.cfg.Logger.Info("a destination forgot an erased account", "destination", w.d.Name, "account", account, "entries", len(list))
			err = durable.SyncDir(filepath.Dir(path))
		}
	} else if err == nil {
		x.Begun, x.From = true, w.cursor.Next
		err = x.write(path)
	}
	return wrap("forgetting an erased account", err)
}

// replace reads the entries of a list, by index, and hands them over.
func (w *worker) replace(ctx context.Context, k Keeper, list []uint64) error {
	var batch []*accesslog.Entry
	hand := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := k.Replace(ctx, batch)
		batch = batch[:0]
		return err
	}
	for len(list) > 0 {
		// Runs of entries are read at once; between them, whole segments are passed by.
		n, end := 0, list[0]+1
		for n < len(list) && list[n] < end+replaceGap {
			end, n = list[n]+1, n+1
		}
		at := 0
		err := accesslog.Scan(ctx, w.cfg.LogDir, list[0], end, func(e *accesslog.Entry) error {
			if at == n || e.Index != list[at] {
				return nil
			}
			at++
			if batch = append(batch, e); len(batch) < w.d.Batch {
				return nil
			}
			return hand()
		})
		if err == nil && at < n {
			err = fmt.Errorf("the log has no entry %d, which is there", list[at])
		}
		if err != nil {
			return err
		}
		list = list[n:]
	}
	return hand()
}

// replaceGap is how many entries are read in vain rather than looked for anew.
const replaceGap = 4096
