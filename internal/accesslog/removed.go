package accesslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ringfence/ringfence/policy"
)

// removedName is the file that says which entries went by age. What it says is
// believed only under the entry that it names.
const removedName = "removed"

const removedTitle = "ringfence access log removed v1\n"

// A removal is what that file says.
type removal struct {
	first uint64   // the first entry that the log still has
	entry uint64   // the one that says so
	kept  [][]byte // payloads of removed entries that verifying needs: those that name keys, or a log before this one
}

func (r *removal) String() string {
	b := fmt.Appendf(nil, "%sfirst %d\nentry %d\n", removedTitle, r.first, r.entry)
	for _, p := range r.kept {
		b = append(append(b, p...), '\n')
	}
	return string(b)
}

// readRemoval returns nil where nothing was removed.
func readRemoval(dir string) (*removal, error) {
	b, err := os.ReadFile(filepath.Join(dir, removedName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what was removed from the log: %w", err)
	}
	r := &removal{}
	lines := bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
	if len(lines) >= 3 {
		_, _ = fmt.Sscanf(string(lines[1]), "first %d", &r.first)
		_, _ = fmt.Sscanf(string(lines[2]), "entry %d", &r.entry)
		r.kept = lines[3:]
	}
	if r.String() != string(b) || r.first == 0 || r.entry < r.first {
		return nil, &TamperedError{Index: 0, Segment: removedName, Offset: 0, What: "it does not say what was removed"}
	}
	return r, nil
}

// removedError tells that an entry went by age.
func removedError(index, first uint64) error {
	return fmt.Errorf("reading entry %d: it was removed by age, as all before entry %d: %w", index, first, ErrNotFound)
}

// missing judges that a listing's first segment does not have entry index: nil
// where it went by age.
func (l *listing) missing(index uint64) error {
	s := l.segments[0]
	if l.removed != nil && s.first == l.removed.first {
		return nil
	}
	return &TamperedError{Index: index, Segment: s.name, Offset: -1, What: "the segment with this entry is missing"}
}

// A pruneClaim is what an entry of action prune says.
type pruneClaim struct {
	first uint64
	root  string
}

// pruneOf reads one from a payload; ok is false for other entries.
func pruneOf(payload []byte) (c pruneClaim, ok bool) {
	if !bytes.Contains(payload, []byte(`"action":"`+ActionPrune+`"`)) {
		return c, false
	}
	e, err := decodeEntry(payload)
	if err != nil || e.Type != policy.RecordLog || e.Action != ActionPrune {
		return c, false
	}
	c.first, err = strconv.ParseUint(e.Detail["first"], 10, 63)
	c.root = e.Detail["root"]
	return c, err == nil && c.first <= e.Index
}

// checkRemoval holds what is missing at the log's beginning against the entry
// that says so, which the tree and the newest checkpoint must cover.
func (o *opener) checkRemoval(ctx context.Context) error {
	r := o.list.removed
	if r == nil {
		return nil
	}
	damage := func(what string) error {
		return &TamperedError{Index: r.first, Segment: removedName, Offset: 0, What: what}
	}
	t := &o.c.tree
	if r.entry >= o.past.newest().size {
		return damage(fmt.Sprintf("no checkpoint covers entry %d, which is to say that older ones were removed", r.entry))
	}
	leaf, err := hashReader(o.cfg.Dir, t.n, t.root()).ReadHashes([]int64{tlog.StoredHashIndex(0, int64(r.entry))})
	if err != nil {
		return err
	}
	return readPayloads(ctx, o.cfg.Dir, r.entry, r.entry+1, func(_ uint64, p []byte) error {
		if c, ok := pruneOf(p); !ok || c.first != r.first || recordHash(p) != leaf[0] {
			return damage(fmt.Sprintf("entry %d does not say that those before entry %d were removed", r.entry, r.first))
		}
		return nil
	})
}

// leaves calls fn for the kept hashes of entries from up to but not including to.
func leaves(dir string, from, to uint64, fn func(index uint64, h tlog.Hash) error) error {
	f, err := os.Open(filepath.Join(dir, tileName(0)))
	if err != nil {
		return fmt.Errorf("reading the kept hashes: %w", err)
	}
	defer f.Close()
	buf := make([]byte, 1024*tlog.HashSize)
	for from < to {
		n, err := f.ReadAt(buf[:min(uint64(len(buf)), (to-from)*tlog.HashSize)], int64(from)*tlog.HashSize)
		if n < tlog.HashSize {
			return &TamperedError{Index: from, Segment: tileName(0), Offset: int64(from) * tlog.HashSize,
				What: fmt.Sprintf("the kept hash of a removed entry is missing: %v", err)}
		}
		for b := buf[:n-n%tlog.HashSize]; len(b) > 0; b = b[tlog.HashSize:] {
			if err := fn(from, tlog.Hash(b[:tlog.HashSize])); err != nil {
				return err
			}
			from++
		}
	}
	return nil
}

// regrow makes the tree of the removed entries from their kept hashes, which
// must give the root that the first segment names.
func (o *opener) regrow(first uint64) error {
	if first == 0 {
		return nil
	}
	err := leaves(o.cfg.Dir, 0, first, func(_ uint64, h tlog.Hash) error {
		o.c.tree.add(h, func(level int, h tlog.Hash) {
			if level == 0 {
				o.c.tiles.count[0]++ // it is where it was read
				return
			}
			o.c.tiles.add(level, h)
		})
		return nil
	})
	if err != nil {
		return err
	}
	v, err := openView(o.cfg.Dir, o.list, 0)
	if err != nil {
		return err
	}
	defer v.close()
	if o.c.tree.root() != v.h.root {
		return &TamperedError{Index: 0, Segment: tileName(0), Offset: -1,
			What: fmt.Sprintf("the kept hashes of the removed entries are not those that the segment from entry %d on continues", first)}
	}
	return nil
}
