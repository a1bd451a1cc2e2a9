package delivery

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/durable"
)

// A cursor says how far one destination has come.
type cursor struct {
	Version int    `json:"version"`
	Origin  string `json:"origin"`
	Next    uint64 `json:"next"` // the first entry that was not delivered
	// Last is the hash of the entry before, so that another log with as many
	// entries is not taken for this one. Empty at the beginning.
	Last string `json:"last,omitempty"`
}

const cursorVersion = 1

func payloadHash(e *accesslog.Entry) string {
	sum := sha256.Sum256(e.Payload)
	return hex.EncodeToString(sum[:])
}

// readCursor reports whether there is one.
func readCursor(path string) (c cursor, found bool, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, false, nil
	}
	if err != nil {
		return c, false, fmt.Errorf("reading the cursor: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil || c.Version != cursorVersion || c.Origin == "" {
		return c, false, fmt.Errorf("reading the cursor: %s is damaged or of a newer version: put a copy back, or remove it to deliver everything again", path)
	}
	return c, true, nil
}

func (c cursor) write(path string) error {
	c.Version = cursorVersion
	b, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("keeping the cursor: %w", err)
	}
	if err := durable.WriteFile(path, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("keeping the cursor: %w", err)
	}
	return nil
}

// errMisfit: the cursor is of another log, or of another state of it.
var errMisfit = errors.New("the cursor does not fit the log")

// fits compares the cursor with the log.
func (c cursor) fits(ctx context.Context, cfg *Config) error {
	switch size := cfg.Source.Size(); {
	case c.Origin != cfg.Origin:
		return fmt.Errorf("%w: it is of the log %s", errMisfit, c.Origin)
	case c.Next > size:
		return fmt.Errorf("%w: %d entries were delivered and the log has %d", errMisfit, c.Next, size)
	case c.Next == 0 || c.Last == "":
		return nil
	}
	e, err := cfg.Source.Get(ctx, c.Next-1)
	if err != nil {
		return fmt.Errorf("comparing the cursor with the log: %w", err)
	}
	if payloadHash(e) != c.Last {
		return fmt.Errorf("%w: entry %d is not the one that was delivered", errMisfit, e.Index)
	}
	return nil
}

// Position returns the first entry that the destination of that name has not
// taken, by its cursor in dir, and whether there is a cursor.
func Position(dir, name string) (next uint64, found bool, err error) {
	if !nameForm.MatchString(name) {
		return 0, false, fmt.Errorf("reading the cursor: %q is not the name of a delivery", name)
	}
	c, found, err := readCursor(filepath.Join(dir, name+".cursor"))
	return c.Next, found, err
}
