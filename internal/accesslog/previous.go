package accesslog

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ringfence/ringfence/policy"
)

// A Previous is the log that another took the place of when it was given up,
// as the first entry of that one says: the newest checkpoint that was known.
type Previous struct {
	Origin  string `json:"origin"`
	Entries uint64 `json:"entries"`
	Root    string `json:"root"` // base64
}

// Is reports whether a checkpoint is the one that p names. Both logs can have
// one name and one key: nothing but the tree tells them apart.
func (p *Previous) Is(c *Checkpoint) bool {
	return p != nil && p.Origin == c.Origin && p.Entries == c.Size && p.Root == c.Root
}

// ReadPrevious reads which log an entry says was given up. It returns nil for
// one that says nothing of it, which is every one but a log's first.
func ReadPrevious(payload []byte) *Previous {
	if !payloadIndex(payload, 0) {
		return nil
	}
	e, err := decodeEntry(payload)
	if err != nil || e.Type != policy.RecordLog || e.Action != ActionStart || e.Detail["previous_origin"] == "" {
		return nil
	}
	p := &Previous{Origin: e.Detail["previous_origin"], Root: e.Detail["previous_root"]}
	if p.Entries, err = strconv.ParseUint(e.Detail["previous_entries"], 10, 63); err != nil {
		return nil
	}
	if _, err := tlog.ParseHash(p.Root); err != nil {
		return nil
	}
	return p
}

// FirstPayload returns the payload of the first entry of the log in dir, also
// where it was removed by age and names another log, for which it is kept; nil
// where it is gone or there is none yet. A proof must show that it is the entry's.
func FirstPayload(ctx context.Context, dir string) ([]byte, error) {
	p, err := keptPayload(ctx, dir, 0)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the log's first entry: %w", err)
	}
	return p, nil
}

// keptPayload reads an entry's payload: the entry itself, or what was kept of a
// removed one because verifying needs it.
func keptPayload(ctx context.Context, dir string, index uint64) ([]byte, error) {
	e, err := Get(ctx, dir, index)
	if err == nil {
		return e.Payload, nil
	}
	if !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	gone, rerr := readRemoval(dir)
	if rerr != nil {
		return nil, rerr
	}
	if gone != nil {
		for _, p := range gone.kept {
			if payloadIndex(p, index) {
				return p, nil
			}
		}
	}
	return nil, err
}
