package accesslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ringfence/ringfence/policy"
)

// ActionPrune is the action of the entry, of type [policy.RecordLog], that says
// which entries were removed by age. Detail: from and first, the index of the
// first one that went and of the first one that stays; root, that of the tree
// of all before first; rule and archive, why and where they were put.
const ActionPrune = "prune"

// A Removal says which entries go by age, and why.
type Removal struct {
	Before  uint64 // index of the first entry that stays, at which a segment begins
	Rule    string // which rule it is, for the record
	Archive string // where the segments were put before; empty: nowhere
	Actor   string // account id, or the operator
	// Still is asked before the entry is recorded, and again before the first file
	// goes, whether they may: its error keeps them. An entry that stands by then
	// stays, and removes nothing. Nil: they may.
	Still func(context.Context) error
}

func (r *Removal) still(ctx context.Context) error {
	if r.Still == nil {
		return nil
	}
	return r.Still(ctx)
}

// Removable returns the index of the first entry that [Log.Prune] cannot remove
// now, whatever the rule: of a segment that is not sealed, not covered by a
// checkpoint, or has a request that still runs.
func (l *Log) Removable() (uint64, error) { return removable(l.cfg.Dir, l.signedSize()) }

// Removable is [Log.Removable] by the files of the log in dir.
func Removable(dir string) (uint64, error) {
	now, _, _, err := newest(dir)
	if err != nil {
		return 0, err
	}
	return removable(dir, now.size)
}

func removable(dir string, signed uint64) (uint64, error) {
	end, err := SealedUntil(dir)
	if err != nil {
		return 0, err
	}
	open, err := firstOpen(dir)
	if err != nil {
		return 0, err
	}
	limit := min(end, open, signed)
	list, err := listFolder(dir)
	if err != nil {
		return 0, err
	}
	at := uint64(0)
	for _, s := range list.segments {
		if s.first <= limit {
			at = s.first
		}
	}
	return at, nil
}

// firstOpen returns the index of the oldest request, of those before the
// newest segment, that had no outcome when it began.
func firstOpen(dir string) (uint64, error) {
	for {
		list, err := listFolder(dir)
		if err != nil || len(list.segments) == 0 {
			return 0, err
		}
		v, err := openView(dir, list, len(list.segments)-1)
		if errors.Is(err, errStale) {
			continue
		}
		if err != nil {
			return 0, err
		}
		low := v.h.first
		s := newScanner(v.f, v.size, v.h)
		for s.next() == nil && s.typ != frameEntry {
			if s.typ == frameCarry {
				low = min(low, slices.Min(append(carriedIndexes(s.payload), low)))
			}
		}
		stale := v.gone()
		v.close()
		if !stale {
			return low, nil
		}
	}
}

// Prune removes whole sealed segments from the log's beginning and keeps their
// hashes. It reads what goes once more and compares it with the hashes, records
// an entry of [ActionPrune], has a checkpoint cover that, and only then removes
// files: a stop in between leaves more than was to stay, never less. What
// deliveries, holds or archives need is for the caller to see to. Run must be started.
func (l *Log) Prune(ctx context.Context, r Removal) error {
	if err := l.prune(ctx, r); err != nil {
		return fmt.Errorf("removing entries before %d from the access log: %w", r.Before, err)
	}
	return nil
}

func (l *Log) prune(ctx context.Context, r Removal) error {
	l.pruning.Lock()
	defer l.pruning.Unlock()
	limit, err := l.Removable()
	if err != nil {
		return err
	}
	list, err := listFolder(l.cfg.Dir)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(list.segments, func(s segmentRef) bool { return s.first == r.Before })
	switch {
	case at < 0:
		return errors.New("no segment begins there")
	case r.Before > limit:
		return fmt.Errorf("what stands from entry %d on must stay for now", limit)
	case at == 0:
		return l.sweep(list)
	}
	if err := l.syncTiles(); err != nil {
		return err
	}
	root, kept, err := l.checkGoing(ctx, list, at)
	if err != nil {
		return err
	}
	note := &removal{first: r.Before, kept: kept}
	if list.removed != nil {
		note.kept = slices.Concat(list.removed.kept, kept)
	}
	detail := map[string]string{"from": strconv.FormatUint(list.segments[0].first, 10), "first": strconv.FormatUint(r.Before, 10), "root": root.String()}
	if r.Rule != "" {
		detail["rule"] = r.Rule
	}
	if r.Archive != "" {
		detail["archive"] = r.Archive
	}
	if err := r.still(ctx); err != nil {
		return err
	}
	if note.entry, err = l.keyEntry(ctx, ActionPrune, r.Actor, detail); err != nil {
		return err
	}
	if n := l.signedSize(); n <= note.entry {
		return fmt.Errorf("the checkpoint covers %d entries and not yet that of the removal", n)
	}
	if err := r.still(ctx); err != nil {
		return err
	}
	if err := l.cfg.disk.write(filepath.Join(l.cfg.Dir, removedName), []byte(note.String())); err != nil {
		return err
	}
	if list, err = listFolder(l.cfg.Dir); err != nil {
		return err
	}
	return l.sweep(list)
}

// sweep removes the files of segments that no longer count.
func (l *Log) sweep(list *listing) error {
	for _, name := range list.gone {
		if err := l.cfg.disk.remove(filepath.Join(l.cfg.Dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// checkGoing reads the segments before place at, compares every kept hash with
// them, and these with the newest checkpoint. It returns the root of all before
// and the payloads that verifying will need.
func (l *Log) checkGoing(ctx context.Context, list *listing, at int) (root tlog.Hash, kept [][]byte, err error) {
	from, to := list.segments[0].first, list.segments[at].first
	l.signs.mu.Lock()
	signed := l.signs.last
	l.signs.mu.Unlock()
	if root, err = rootAt(l.cfg.Dir, signed.size, signed.root, to); err != nil {
		return root, nil, err
	}
	before, err := rootAt(l.cfg.Dir, signed.size, signed.root, from)
	if err != nil {
		return root, nil, err
	}
	t, err := loadTree(l.cfg.Dir, from, before)
	if err != nil {
		return root, nil, err
	}
	have := tileCheck{dir: l.cfg.Dir}
	defer have.close()
	for level := range have.count {
		have.count[level] = int64(from >> (level * tileHeight))
	}
	var fault error
	err = readPayloads(ctx, l.cfg.Dir, from, to, func(index uint64, p []byte) error {
		t.add(recordHash(p), func(level int, h tlog.Hash) {
			ok, err := have.next(level, h)
			if err == nil && (!ok || have.short[level]) {
				err = &TamperedError{Index: index, Segment: tileName(level), Offset: (have.count[level] - 1) * tlog.HashSize, What: "the kept hash is not that of the entry"}
			}
			fault = errors.Join(fault, err)
		})
		if neededLater(p) {
			kept = append(kept, bytes.Clone(p))
		}
		return fault
	})
	if err == nil && t.root() != root {
		err = &TamperedError{Index: from, Segment: list.segments[0].name, Offset: -1, What: "the entries are not those that the checkpoint covers"}
	}
	return root, kept, err
}

// neededLater reports whether a payload says what verifying needs also when the
// entry has gone: about keys of the log, or about the log before this one.
func neededLater(p []byte) bool {
	if ReadPrevious(p) != nil {
		return true
	}
	if !bytes.Contains(p, []byte(`"action":"`+ActionKey)) {
		return false
	}
	e, err := decodeEntry(p)
	return err == nil && e.Type == policy.RecordLog && (e.Action == ActionKey || e.Action == ActionKeyRetired)
}
