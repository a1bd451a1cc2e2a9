package accesslog

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// A Prover makes many proofs under one checkpoint. Its methods are safe for
// concurrent use and work while the log is written.
type Prover struct {
	dir  string
	msg  []byte
	at   point
	vkey string
}

// NewProver returns a prover under the newest checkpoint of the log in dir,
// checked with the key that lies there.
func NewProver(dir string) (*Prover, error) {
	now, msg, vkey, err := newest(dir)
	if err != nil {
		return nil, fmt.Errorf("proving entries: %w", err)
	}
	return &Prover{dir, msg, now, vkey}, nil
}

// Checkpoint returns the signed checkpoint that the proofs are under.
func (p *Prover) Checkpoint() []byte { return p.msg }

// Size returns how many entries the checkpoint covers.
func (p *Prover) Size() uint64 { return p.at.size }

// Keys returns the public keys that lie beside the log.
func (p *Prover) Keys() string { return p.vkey }

// Path returns the audit path of an entry, from the leaf up, base64, after
// checking that it leads from the payload to the checkpoint's root. It is
// [ErrNotFound] for an entry that the checkpoint does not cover, and a
// [TamperedError] for a payload that is not the entry's.
func (p *Prover) Path(index uint64, payload []byte) ([]string, error) {
	if index >= p.at.size {
		return nil, fmt.Errorf("proving entry %d: the newest checkpoint covers %d: %w", index, p.at.size, ErrNotFound)
	}
	path, err := tlog.ProveRecord(int64(p.at.size), int64(index), hashReader(p.dir, p.at.size, p.at.root))
	if err != nil {
		return nil, fmt.Errorf("proving entry %d: %w", index, err)
	}
	if err := tlog.CheckRecord(path, int64(p.at.size), p.at.root, int64(index), recordHash(payload)); err != nil {
		return nil, fmt.Errorf("proving entry %d: %w", index, &TamperedError{Index: index, Segment: "the log", Offset: -1, What: "the entry is not the one that the checkpoint covers"})
	}
	return encodeHashes(path), nil
}

// Consistency proves that the log of the prover's checkpoint continues that of
// an older one, as [ProveConsistency] does.
func (p *Prover) Consistency(ctx context.Context, old []byte) (*ConsistencyProof, error) {
	return proveConsistency(ctx, p.dir, p.at, p.msg, p.vkey, old)
}

// CheckPath returns nil if a payload is entry index in the tree of the
// checkpoint that was read before.
func (c *Checkpoint) CheckPath(index uint64, payload []byte, hashes []string) error {
	path, err := decodeHashes(hashes)
	switch {
	case err != nil:
	case index >= c.Size:
		err = errors.New("the checkpoint is of fewer entries")
	case !payloadIndex(payload, index):
		err = errors.New("the payload is that of another index")
	default:
		err = tlog.CheckRecord(path, int64(c.Size), c.root, int64(index), recordHash(payload))
	}
	if err != nil {
		return fmt.Errorf("checking the proof of entry %d: %w", index, err)
	}
	return nil
}

// A Checkpoint is what one says, read and checked by [ReadCheckpoint].
type Checkpoint struct {
	Origin string
	Size   uint64 // entries
	Root   string // of their tree, base64
	// By are the public keys of those that were given which signed it.
	By   []string
	root tlog.Hash
}

// Continues returns nil if the hashes prove that the log of c begins with the
// entries of an older checkpoint's.
func (c *Checkpoint) Continues(older *Checkpoint, hashes []string) error {
	path, err := decodeHashes(hashes)
	if err == nil {
		err = checkContinues(point{older.Size, older.root}, point{c.Size, c.root}, path)
	}
	if err != nil {
		return fmt.Errorf("checking consistency: %w", err)
	}
	return nil
}

// ReadCheckpoint reads a checkpoint that vkey, or one of several keys as they
// lie beside a log, has signed.
func ReadCheckpoint(msg []byte, vkey string) (*Checkpoint, error) {
	v, err := readLogKeys(vkey)
	if err != nil {
		return nil, fmt.Errorf("reading a checkpoint: %w", err)
	}
	p, by, err := openCheckpoint(msg, v)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{Origin: v.Name(), Size: p.size, Root: p.root.String(), root: p.root}
	for _, i := range by {
		c.By = append(c.By, v.keys[i].vkey)
	}
	return c, nil
}
