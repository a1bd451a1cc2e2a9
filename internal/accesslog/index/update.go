package index

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/durable"
)

// minPartRows: fewer sealed entries than this wait, unless their day is over.
const minPartRows = 1 << 12

// Progress tells how far a build has come: entries done, of how many.
type Progress func(done, of uint64)

// Update brings the files in dir up to the sealed segments of the log in
// logDir: it makes what is missing, replaces what is damaged or of another log,
// makes one of the files of each day that is over, and removes what the log
// does not have any more. Only one process does so at a time, and others wait;
// searches go on meanwhile, also in other processes.
func Update(ctx context.Context, logDir, dir string, progress Progress) error {
	return newBuilder(logDir, dir, progress).update(ctx, true)
}

// Rebuild makes all files in dir again, each taking the place of the one before
// when it is finished. Searches go on meanwhile.
func Rebuild(ctx context.Context, logDir, dir string, progress Progress) error {
	b := newBuilder(logDir, dir, progress)
	b.again = func(*file) bool { return true }
	return b.update(ctx, true)
}

// Prune removes the entries before an index from the files in dir, after they
// were taken out of the log. [Update] does the same by itself.
func Prune(ctx context.Context, logDir, dir string, before uint64) error {
	b := newBuilder(logDir, dir, nil)
	b.base = before
	return b.update(ctx, true)
}

// Forget makes again, from the log, each file with an entry that is about an
// account, of something that the account did, or with personal fields under the
// account's key, and has indexes that are open,
// in other processes too, let go of what they hold in memory. To be called
// once the log itself no longer gives the account's personal data; from
// Forget's return on no file holds it.
func Forget(ctx context.Context, logDir, dir, account string, progress Progress) error {
	b := newBuilder(logDir, dir, progress)
	b.again = func(f *file) bool { return f.mentions(account) }
	if err := b.update(ctx, true); err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, forgottenName), []byte(time.Now().UTC().Format(time.RFC3339Nano)+"\n"), 0o600)
}

// forgottenName is a file that is written anew when memory must be let go of.
const forgottenName = "forgotten"

// mentions reports whether an entry has to do with the account, or that cannot be told.
func (x *file) mentions(account string) bool {
	for _, g := range x.groups {
		for _, column := range []string{"account", "actor", personalColumn} {
			texts, ok, err := g.dict(column)
			if err != nil || !ok || slices.ContainsFunc(texts, func(s string) bool { return slices.Contains(split(s), account) }) {
				return true
			}
		}
	}
	return false
}

func newBuilder(logDir, dir string, progress Progress) *builder {
	return &builder{log: logDir, dir: dir, disk: osDisk{}, workers: runtime.GOMAXPROCS(0), progress: progress}
}

// update does what [Update] says; without wait it returns errBusy while another process does.
func (b *builder) update(ctx context.Context, wait bool) error {
	if err := durable.Mkdir(b.dir, 0o700); err != nil {
		return err
	}
	unlock, err := lock(ctx, b.dir, wait)
	if err != nil {
		return err
	}
	defer unlock()
	todo, err := b.plan(ctx)
	if err == nil {
		err = b.run(ctx, todo)
	}
	if err != nil {
		return fmt.Errorf("indexing the log: %w", err)
	}
	return nil
}

// plan tidies the folder and returns the files to write, oldest first.
func (b *builder) plan(ctx context.Context) ([]part, error) {
	base, err := accesslog.FirstHeld(b.log)
	if err != nil {
		return nil, err
	}
	base = max(base, b.base)
	sealed, err := accesslog.SealedUntil(b.log)
	if err != nil {
		return nil, err
	}
	parts, stale, err := list(b.dir, base)
	if err != nil {
		return nil, err
	}
	for _, name := range stale {
		if err := b.disk.remove(b.dir, name); err != nil {
			return nil, err
		}
	}
	var good, todo []part
	for _, p := range parts {
		keep, again, err := b.inspect(ctx, p)
		if err != nil {
			return nil, err
		}
		if !keep || p.first < base { // of the latter, the rest is made again, and then it goes
			continue
		}
		if good = append(good, p); again {
			todo = append(todo, p)
		}
	}
	for _, h := range holes(good, base, sealed) {
		more, err := b.days(ctx, h[0], h[1], sealed)
		if err != nil {
			return nil, err
		}
		todo = append(todo, more...)
	}
	return merge(good, todo), nil
}

// inspect reports whether a file can be kept and whether it is to be made again.
// One that is damaged or of another log is removed: it must not answer anything.
func (b *builder) inspect(ctx context.Context, p part) (keep, again bool, err error) {
	if b.again == nil && b.trusted != nil && b.trusted(p) {
		return true, false, nil
	}
	f, err := openFile(ctx, b.log, b.dir, p)
	switch {
	case err == nil:
		defer f.release()
		return true, b.again != nil && b.again(f), nil
	case ctx.Err() != nil:
		return false, false, context.Cause(ctx)
	case errors.Is(err, errUnusable):
		return false, false, b.disk.remove(b.dir, p.name())
	case errors.Is(err, fs.ErrNotExist):
		return false, false, nil
	}
	return false, false, err
}

// holes returns what of base up to but not including sealed is in no part.
func holes(parts []part, base, sealed uint64) (out [][2]uint64) {
	at := base
	for _, p := range parts {
		if p.first > at {
			out = append(out, [2]uint64{at, p.first})
		}
		at = p.next
	}
	if at < sealed {
		out = append(out, [2]uint64{at, sealed})
	}
	return out
}

// days cuts a run of entries into days.
func (b *builder) days(ctx context.Context, from, to, sealed uint64) (out []part, err error) {
	for from < to {
		e, err := accesslog.Get(ctx, b.log, from)
		if err != nil {
			return nil, err
		}
		day := dayOf(e.Time.UnixNano())
		next, err := accesslog.FirstAt(b.log, time.Unix(0, (day+1)*nanosPerDay))
		if err != nil {
			return nil, err
		}
		if next = min(next, to); next == sealed && next-from < minPartRows {
			break
		}
		out = append(out, part{day, from, next})
		from = next
	}
	return out, nil
}

// merge makes one file of those of a day where a later day has begun. Todo are
// to be written anyway; some may be among parts.
func merge(parts, todo []part) []part {
	fresh := map[part]bool{}
	for _, p := range todo {
		fresh[p] = true
	}
	all := slices.Concat(parts, todo)
	slices.SortFunc(all, compareParts)
	all = slices.Compact(all)
	var out []part
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].day == all[i].day && (j == i || all[j].first == all[j-1].next) {
			j++
		}
		if j < len(all) && j-i > 1 {
			out = append(out, part{all[i].day, all[i].first, all[j-1].next})
		} else {
			for _, p := range all[i:j] {
				if fresh[p] {
					out = append(out, p)
				}
			}
		}
		i = j
	}
	return out
}
