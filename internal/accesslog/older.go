package accesslog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"
)

// Older returns what a witness asks of the log in dir: a function that returns
// the root of the first size entries, and the proof that the log of a
// checkpoint, signed under vkey (empty: the keys beside the log, as they are
// then), continues them. The proof is empty where
// nothing is to be proven: for no entries, and for all of them. Every hash was
// proven to belong to the checkpoint's tree.
func Older(dir, vkey string) func(ctx context.Context, checkpoint []byte, size uint64) (proof []tlog.Hash, root tlog.Hash, err error) {
	return func(ctx context.Context, checkpoint []byte, size uint64) ([]tlog.Hash, tlog.Hash, error) {
		return older(ctx, dir, vkey, checkpoint, size)
	}
}

func older(ctx context.Context, dir, vkey string, checkpoint []byte, size uint64) (proof []tlog.Hash, root tlog.Hash, err error) {
	if vkey == "" {
		b, err := os.ReadFile(filepath.Join(dir, keyName))
		if err != nil {
			return nil, root, fmt.Errorf("proving consistency: reading the public keys: %w", err)
		}
		vkey = string(b)
	}
	v, err := readLogKeys(vkey)
	if err != nil {
		return nil, root, errors.New("proving consistency: the public key is not one of a log")
	}
	now, err := parseCheckpoint(checkpoint, v)
	if err != nil {
		return nil, root, fmt.Errorf("proving consistency: %w", err)
	}
	if size > now.size {
		return nil, root, fmt.Errorf("proving consistency: the checkpoint is of %d entries, fewer than %d", now.size, size)
	}
	if root, err = rootAt(dir, now.size, now.root, size); err != nil {
		return nil, root, fmt.Errorf("proving consistency: %w", err)
	}
	if size > 0 && size < now.size {
		if proof, err = tlog.ProveTree(int64(now.size), int64(size), hashReader(dir, now.size, now.root)); err != nil {
			return nil, root, fmt.Errorf("proving consistency: %w", err)
		}
	}
	return proof, root, ctx.Err()
}
