package accesslog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ringfence/ringfence/internal/durable"
)

const tileWidth = 1 << tileHeight

// A Publication shows a log as C2SP tlog-tiles: checkpoint, tile/L/N and
// tile/entries/N, with nothing that the checkpoint does not cover. Its methods
// are safe for concurrent use and work while the log is written.
type Publication struct {
	dir    string
	keys   func() (*logKeys, error)
	newest func() ([]byte, error)
}

// Publish returns what is to be shown of the log in dir, whose checkpoints are
// signed under vkey; empty: the keys beside the log, as they are then, so that
// one that takes another's place needs no new Publication. newest returns the
// checkpoint to show, such as one with cosignatures; nil shows the newest one
// in dir.
func Publish(dir, vkey string, newest func() ([]byte, error)) (*Publication, error) {
	p := &Publication{dir: dir, newest: newest, keys: func() (*logKeys, error) { return keysBeside(dir) }}
	if vkey != "" {
		v, err := readLogKeys(vkey)
		if err != nil {
			return nil, errors.New("publishing the log: the public key is not one of a log")
		}
		p.keys = func() (*logKeys, error) { return v, nil }
	}
	if newest == nil {
		p.newest = func() ([]byte, error) { return os.ReadFile(filepath.Join(dir, checkpointName)) }
	}
	return p, nil
}

// keysBeside reads the public keys that lie in the log's folder.
func keysBeside(dir string) (*logKeys, error) {
	b, err := os.ReadFile(filepath.Join(dir, keyName))
	if err != nil {
		return nil, fmt.Errorf("reading the public keys: %w", err)
	}
	return readLogKeys(string(b))
}

// Checkpoint returns the checkpoint that everything else is shown under.
func (p *Publication) Checkpoint() ([]byte, error) {
	msg, _, err := p.checkpoint()
	return msg, err
}

func (p *Publication) checkpoint() ([]byte, point, error) {
	msg, err := p.newest()
	if err != nil {
		return nil, point{}, fmt.Errorf("publishing the log: reading its checkpoint: %w", err)
	}
	keys, err := p.keys()
	if err != nil {
		return nil, point{}, fmt.Errorf("publishing the log: %w", err)
	}
	at, err := parseCheckpoint(msg, keys)
	if err != nil {
		return nil, point{}, fmt.Errorf("publishing the log: %w", err)
	}
	return msg, at, nil
}

// parseTile reads the path of a tile or, as level -1, of entries. It has one
// spelling for each.
func parseTile(path string) (tlog.Tile, bool) {
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok {
		return tlog.Tile{}, false
	}
	entries, isEntries := strings.CutPrefix(rest, "entries/")
	if isEntries {
		rest = "data/" + entries
	} else if strings.HasPrefix(rest, "data/") {
		return tlog.Tile{}, false
	}
	t, err := tlog.ParseTilePath(fmt.Sprintf("tile/%d/%s", tileHeight, rest))
	return t, err == nil
}

// tilePath is the path that parseTile reads.
func tilePath(t tlog.Tile) string {
	rest := strings.TrimPrefix(t.Path(), fmt.Sprintf("tile/%d/", t.H))
	if entries, ok := strings.CutPrefix(rest, "data/"); ok {
		rest = "entries/" + entries
	}
	return "tile/" + rest
}

// covers reports whether a log of size entries has all of tile t.
func covers(size uint64, t tlog.Tile) bool {
	return t.L < tileLevels && uint64(t.N) <= size && uint64(t.N)<<tileHeight+uint64(t.W) <= size>>(tileHeight*max(t.L, 0))
}

// Minimum returns the log's minimum index: bundles of entries that end there or
// before are not shown, because they were removed by age. Tiles of hashes all are.
func (p *Publication) Minimum() (uint64, error) {
	first, err := FirstHeld(p.dir)
	return (first + tileWidth - 1) &^ (tileWidth - 1), err
}

// Read returns what is shown at a path below the log's: a tile or a bundle of
// entries. It is [ErrNotFound] for what does not exist or the checkpoint does not cover.
func (p *Publication) Read(ctx context.Context, path string) ([]byte, error) {
	_, at, err := p.checkpoint()
	if err != nil {
		return nil, err
	}
	t, ok := parseTile(path)
	if !ok || !covers(at.size, t) {
		return nil, fmt.Errorf("publishing %s: %w", path, ErrNotFound)
	}
	return p.tile(ctx, t)
}

func (p *Publication) tile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	if t.L >= 0 {
		got, err := tileFolder(p.dir).ReadTiles([]tlog.Tile{t})
		if err != nil {
			return nil, fmt.Errorf("publishing %s: %w", tilePath(t), err)
		}
		return got[0], nil
	}
	var out []byte
	first := uint64(t.N) << tileHeight
	err := readPayloads(ctx, p.dir, first, first+uint64(t.W), func(_ uint64, payload []byte) error {
		out = appendBundled(out, payload)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("publishing %s: %w", tilePath(t), err)
	}
	return out, nil
}

func appendBundled(out, payload []byte) []byte {
	return append(binary.BigEndian.AppendUint16(out, uint16(len(payload))), payload...)
}

// ServeHTTP answers GET for paths from the root of the log on. It asks nobody
// who they are: that is for whoever serves it.
func (p *Publication) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "The log can only be read.", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	path := strings.TrimPrefix(r.URL.Path, "/")
	if path == checkpointName {
		msg, err := p.Checkpoint()
		if err != nil {
			http.Error(w, "There is no checkpoint to show.", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(msg) // the client is gone
		return
	}
	b, err := p.Read(r.Context(), path)
	if errors.Is(err, ErrNotFound) {
		http.NotFound(w, r)
		return
	}
	if err != nil {
		http.Error(w, "This part of the log cannot be read.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	_, _ = w.Write(b) // the client is gone
}

// WriteTo writes the log into a folder that any server of files can show.
// What stands there of an earlier call is left, but for what was incomplete.
// The checkpoint is written last, so that what it covers is always there.
func (p *Publication) WriteTo(ctx context.Context, out string, step func(done, of uint64)) error {
	msg, at, err := p.checkpoint()
	if err != nil {
		return err
	}
	from, err := p.published(out, at)
	if err != nil {
		return err
	}
	put := func(t tlog.Tile, b []byte) error {
		name := filepath.Join(out, filepath.FromSlash(tilePath(t)))
		if err := durable.Mkdir(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		return durable.WriteFile(name, b, 0o644)
	}
	least, err := p.Minimum()
	if err != nil {
		return err
	}
	var bundle []byte
	first := max(least, from&^(tileWidth-1))
	err = readPayloads(ctx, p.dir, first, at.size, func(index uint64, payload []byte) error {
		bundle = appendBundled(bundle, payload)
		if done := index + 1; done%tileWidth == 0 || done == at.size {
			if step != nil {
				step(done, at.size)
			}
			w := int(index%tileWidth) + 1
			b := bundle
			bundle = nil
			return put(tlog.Tile{H: tileHeight, L: -1, N: int64(index >> tileHeight), W: w}, b)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("publishing the log: %w", err)
	}
	for level := 0; at.size>>(tileHeight*level) > 0 && level < tileLevels; level++ {
		n := at.size >> (tileHeight * level)
		for i := from >> (tileHeight * (level + 1)); i<<tileHeight < n; i++ {
			t := tlog.Tile{H: tileHeight, L: level, N: int64(i), W: int(min(n-i<<tileHeight, tileWidth))}
			b, err := p.tile(ctx, t)
			if err == nil {
				err = put(t, b)
			}
			if err != nil {
				return fmt.Errorf("publishing the log: %w", err)
			}
		}
	}
	return durable.WriteFile(filepath.Join(out, checkpointName), msg, 0o644)
}

// published returns how many entries stand in a folder already. One that
// holds another log, or more of this one, is refused.
func (p *Publication) published(out string, at point) (uint64, error) {
	msg, err := os.ReadFile(filepath.Join(out, checkpointName))
	if errors.Is(err, os.ErrNotExist) {
		return 0, durable.Mkdir(out, 0o755)
	}
	if err != nil {
		return 0, fmt.Errorf("publishing the log: %w", err)
	}
	keys, err := p.keys()
	if err != nil {
		return 0, fmt.Errorf("publishing the log: %w", err)
	}
	was, err := parseCheckpoint(msg, keys)
	if err != nil {
		return 0, fmt.Errorf("publishing the log into %s: %w", out, err)
	}
	if was.size <= at.size {
		root, err := rootAt(p.dir, at.size, at.root, was.size)
		if err != nil {
			return 0, fmt.Errorf("publishing the log: %w", err)
		}
		if root == was.root {
			return was.size, nil
		}
	}
	return 0, fmt.Errorf("publishing the log into %s: %w", out, &TamperedError{Index: min(was.size, at.size), Segment: checkpointName, Offset: -1,
		What: fmt.Sprintf("the checkpoint published there, of %d entries, is not one that this log continues", was.size)})
}
