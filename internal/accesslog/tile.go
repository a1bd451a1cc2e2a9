package accesslog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileHeight = 8 // as in C2SP tlog-tiles
	tileLevels = 8 // enough for 2^64 entries
)

// tileName names the file with the hashes of one tile level, side by side.
func tileName(level int) string { return fmt.Sprintf("hashes-%d", level) }

// tiles keeps the tree's hashes in files, one a level: tile N of level L is
// the 256 hashes from N*256 on in file L. They can be made again from the
// entries, so they are synced only before a segment's raw file goes.
type tiles struct {
	dir     string
	files   [tileLevels]*os.File
	pending [tileLevels][]byte
	count   [tileLevels]uint64 // hashes in the file and pending
}

// reset makes the next hash written the one that follows a tree of n leaves.
func (t *tiles) reset(n uint64) {
	for l := range t.count {
		t.pending[l] = t.pending[l][:0]
		t.count[l] = n >> (l * tileHeight)
	}
}

// add is the function that [tree.add] tells of full subtrees.
func (t *tiles) add(level int, h tlog.Hash) {
	t.pending[level] = append(t.pending[level], h[:]...)
	t.count[level]++
}

// flush writes what is pending.
func (t *tiles) flush() error {
	for l := range t.pending {
		if len(t.pending[l]) == 0 {
			continue
		}
		if t.files[l] == nil {
			f, err := os.OpenFile(filepath.Join(t.dir, tileName(l)), os.O_CREATE|os.O_RDWR, 0o600)
			if err != nil {
				return fmt.Errorf("keeping hashes: %w", err)
			}
			t.files[l] = f
		}
		off := int64(t.count[l])*tlog.HashSize - int64(len(t.pending[l]))
		if _, err := t.files[l].WriteAt(t.pending[l], off); err != nil {
			return fmt.Errorf("keeping hashes: %w", err)
		}
		t.pending[l] = t.pending[l][:0]
	}
	return nil
}

// cut removes hashes that lie beyond what the tree holds, left by a crash.
func (t *tiles) cut() error {
	for l := range t.count {
		name := filepath.Join(t.dir, tileName(l))
		st, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if want := int64(t.count[l]) * tlog.HashSize; st.Size() > want {
			if err := os.Truncate(name, want); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tiles) close() {
	for l, f := range t.files {
		if f != nil {
			f.Close()
			t.files[l] = nil
		}
	}
}

// tileFolder reads the same files for tlog, which checks each tile against the
// root that it is given: a hash that it hands out is proven to be in the tree.
type tileFolder string

// Height implements [tlog.TileReader].
func (tileFolder) Height() int { return tileHeight }

// SaveTiles implements [tlog.TileReader].
func (tileFolder) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles implements [tlog.TileReader].
func (dir tileFolder) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(want))
	for i, t := range want {
		f, err := os.Open(filepath.Join(string(dir), tileName(t.L)))
		if err != nil {
			return nil, err
		}
		out[i] = make([]byte, t.W*tlog.HashSize)
		_, err = f.ReadAt(out[i], t.N<<tileHeight*tlog.HashSize)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", tileName(t.L), err)
		}
	}
	return out, nil
}

// hashReader reads proven hashes of the tree of n entries with the given root.
func hashReader(dir string, n uint64, root tlog.Hash) tlog.HashReader {
	return tlog.TileHashReader(tlog.Tree{N: int64(n), Hash: root}, tileFolder(dir))
}

// loadTree reads the right edge of the tree of n entries, proven against root.
func loadTree(dir string, n uint64, root tlog.Hash) (tree, error) {
	t := tree{n: n}
	if n == 0 {
		if empty := t.root(); empty != root {
			return tree{}, errors.New("the root of no entries is not that of the empty tree")
		}
		return t, nil
	}
	var at []int64
	var levels []int
	for level := 0; level < 64; level++ {
		if n>>level&1 == 1 {
			// The subtree at this level is the last full one of its size.
			at = append(at, tlog.StoredHashIndex(level, int64(n>>level)-1))
			levels = append(levels, level)
		}
	}
	hs, err := hashReader(dir, n, root).ReadHashes(at)
	if err != nil {
		return tree{}, err
	}
	for i, h := range hs {
		t.edge[levels[i]] = h
	}
	if t.root() != root {
		return tree{}, errors.New("the kept hashes do not give the root")
	}
	return t, nil
}
