package delivery

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ringfence/ringfence/internal/durable"
)

// A Refusal is an entry that a destination would not take for what it says.
type Refusal struct {
	Index  uint64    `json:"index"`
	Time   time.Time `json:"time"` // of the newest refusal, to the second
	Reason string    `json:"reason"`
}

// appendRefusals writes list as lines.
func appendRefusals(b []byte, list []Refusal) ([]byte, error) {
	for _, r := range list {
		line, err := json.Marshal(r)
		if err != nil {
			return nil, fmt.Errorf("keeping refused entries: %w", err)
		}
		b = append(append(b, line...), '\n')
	}
	return b, nil
}

// keepRefusals appends to the list and returns once that is durable.
func keepRefusals(path string, list []Refusal) error {
	b, err := appendRefusals(nil, list)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("keeping refused entries: %w", err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = durable.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("keeping refused entries: %w", err)
	}
	return nil
}

// replaceRefusals puts list in the place of the list at path.
func replaceRefusals(path string, list []Refusal) error {
	b, err := appendRefusals(nil, list)
	if err == nil {
		err = durable.WriteFile(path, b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keeping refused entries: %w", err)
	}
	return nil
}

// readRefusals returns the list by index, each entry once: a crash can leave
// one twice.
func readRefusals(path string) ([]Refusal, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading refused entries: %w", err)
	}
	byIndex := map[uint64]Refusal{}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		var r Refusal
		if json.Unmarshal(s.Bytes(), &r) == nil { // a torn last line is written again
			byIndex[r.Index] = r
		}
	}
	out := make([]Refusal, 0, len(byIndex))
	for _, r := range byIndex {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Refusal) int { return cmp.Compare(a.Index, b.Index) })
	return out, nil
}
