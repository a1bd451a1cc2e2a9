package witness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// A Known is what a witness's folder says of one log.
type Known struct {
	Origin   string
	Size     uint64 // entries of the newest checkpoint
	Root     tlog.Hash
	Changed  time.Time // when it was last cosigned; zero when never
	Evidence []string  // names of files
}

// List reads what the witness in dir remembers, also while it serves.
func List(dir string) ([]Known, error) {
	homes, err := os.ReadDir(filepath.Join(dir, "logs"))
	if err != nil {
		return nil, fmt.Errorf("reading the witness's folder: %w", err)
	}
	var out []Known
	for _, h := range homes {
		home := filepath.Join(dir, "logs", h.Name())
		keys, err := readKeyFile(home, "")
		if err != nil {
			return nil, fmt.Errorf("reading the witness's folder: %w", err)
		}
		if len(keys) == 0 {
			continue
		}
		k := Known{Origin: keys[0].Name(), Root: emptyRoot}
		held, err := os.ReadFile(filepath.Join(home, "checkpoint"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reading the witness's folder: %w", err)
		}
		if err == nil {
			text, _, _ := strings.Cut(string(held), "\n\n")
			p, err := parseText(text + "\n")
			if err != nil {
				return nil, fmt.Errorf("reading the checkpoint of %s: %w", k.Origin, err)
			}
			k.Size, k.Root = p.Size, p.Root
			if st, err := os.Stat(filepath.Join(home, "checkpoint")); err == nil {
				k.Changed = st.ModTime()
			}
		}
		if k.Evidence, err = filepath.Glob(filepath.Join(home, "evidence", "*.json")); err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}
