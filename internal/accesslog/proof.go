package accesslog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// A Proof shows that an entry is in the log that a checkpoint signs. It is
// checked with [Proof.Check] and nothing but the verifier key, or by any
// implementation of RFC 6962.
type Proof struct {
	Index      uint64   `json:"index"`
	Payload    string   `json:"payload"` // the entry, exactly as hashed
	Hashes     []string `json:"hashes"`  // the audit path, from the leaf up, base64
	Checkpoint string   `json:"checkpoint"`
	// Opened are the entry's sealed personal fields, by account, for
	// [Entry.Open]: what of them had a key when the proof was made.
	Opened map[string]*Opening `json:"opened,omitempty"`
}

// Prove returns the proof that entry index is in the tree of the newest
// checkpoint in dir, checked with the key that lies there. It is [ErrNotFound] for an entry that no checkpoint covers yet.
func Prove(ctx context.Context, dir string, index uint64) (*Proof, error) {
	now, msg, vkey, err := newest(dir)
	if err != nil {
		return nil, fmt.Errorf("proving entry %d: %w", index, err)
	}
	return prove(ctx, dir, index, now, msg, vkey)
}

// ProveUnder is [Prove] under a checkpoint of this log that the caller has, such
// as one with cosignatures, instead of the newest one.
func ProveUnder(ctx context.Context, dir string, checkpoint []byte, index uint64) (*Proof, error) {
	keys, err := keysBeside(dir)
	if err != nil {
		return nil, fmt.Errorf("proving entry %d: %w", index, err)
	}
	at, err := parseCheckpoint(checkpoint, keys)
	if err != nil {
		return nil, fmt.Errorf("proving entry %d: %w", index, err)
	}
	return prove(ctx, dir, index, at, checkpoint, keys.String())
}

// ProveAll is [Prove] for several entries under one checkpoint. Entries that
// it does not cover yet are left out.
func ProveAll(ctx context.Context, dir string, indexes []uint64) (map[uint64]*Proof, error) {
	now, msg, vkey, err := newest(dir)
	if err != nil {
		return nil, fmt.Errorf("proving entries: %w", err)
	}
	all := make(map[uint64]*Proof, len(indexes))
	for _, i := range indexes {
		p, err := prove(ctx, dir, i, now, msg, vkey)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all[i] = p
	}
	return all, nil
}

func prove(ctx context.Context, dir string, index uint64, now point, msg []byte, vkey string) (*Proof, error) {
	if index >= now.size {
		return nil, fmt.Errorf("proving entry %d: the checkpoint covers %d: %w", index, now.size, ErrNotFound)
	}
	e, err := Get(ctx, dir, index)
	if err != nil {
		return nil, fmt.Errorf("proving entry %d: %w", index, err)
	}
	path, err := tlog.ProveRecord(int64(now.size), int64(index), hashReader(dir, now.size, now.root))
	if err != nil {
		return nil, fmt.Errorf("proving entry %d: %w", index, err)
	}
	p := &Proof{Index: index, Payload: string(e.Payload), Hashes: encodeHashes(path), Checkpoint: string(msg), Opened: e.Openings()}
	if err := p.Check(vkey); err != nil {
		return nil, err
	}
	return p, nil
}

// Check returns nil if the proof holds under vkey: the checkpoint is signed,
// and the payload is the entry with that index in its tree.
func (p *Proof) Check(vkey string) error {
	v, err := readLogKeys(vkey)
	if err != nil {
		return fmt.Errorf("checking the proof of entry %d: %w", p.Index, err)
	}
	now, err := parseCheckpoint([]byte(p.Checkpoint), v)
	if err == nil && p.Index >= now.size {
		err = errors.New("the checkpoint is of fewer entries")
	}
	if err == nil && !payloadIndex([]byte(p.Payload), p.Index) {
		err = errors.New("the payload is that of another index")
	}
	path, perr := decodeHashes(p.Hashes)
	if err == nil {
		err = perr
	}
	if err == nil {
		err = tlog.CheckRecord(path, int64(now.size), now.root, int64(p.Index), recordHash([]byte(p.Payload)))
	}
	if err != nil {
		return fmt.Errorf("checking the proof of entry %d: %w", p.Index, err)
	}
	return nil
}

// A ConsistencyProof shows that the log of a newer checkpoint begins with the
// entries of an older one.
type ConsistencyProof struct {
	Old    string   `json:"old"` // the older checkpoint, as kept by whoever asks
	New    string   `json:"new"`
	Hashes []string `json:"hashes"`
}

// ProveConsistency proves that the log in dir, as of its newest checkpoint,
// continues the one that the older checkpoint signs. An older checkpoint that
// is not of this log, or of more entries than it now has, is a [TamperedError].
func ProveConsistency(ctx context.Context, dir string, old []byte) (*ConsistencyProof, error) {
	now, msg, vkey, err := newest(dir)
	if err != nil {
		return nil, fmt.Errorf("proving consistency: %w", err)
	}
	return proveConsistency(ctx, dir, now, msg, vkey, old)
}

func proveConsistency(ctx context.Context, dir string, now point, msg []byte, vkey string, old []byte) (*ConsistencyProof, error) {
	v, err := readLogKeys(vkey)
	if err != nil {
		return nil, fmt.Errorf("proving consistency: %w", err)
	}
	was, err := parseCheckpoint(old, v)
	if err != nil {
		return nil, fmt.Errorf("proving consistency: %w", err)
	}
	if was.size > now.size {
		return nil, fmt.Errorf("proving consistency: %w", &TamperedError{Index: now.size, Segment: checkpointName, Offset: -1,
			What: fmt.Sprintf("the log has %d entries and had %d", now.size, was.size)})
	}
	p := &ConsistencyProof{Old: string(old), New: string(msg), Hashes: []string{}}
	if was.size > 0 && was.size < now.size {
		path, err := tlog.ProveTree(int64(now.size), int64(was.size), hashReader(dir, now.size, now.root))
		if err != nil {
			return nil, fmt.Errorf("proving consistency: %w", err)
		}
		p.Hashes = encodeHashes(path)
	}
	if err := p.Check(vkey); err != nil {
		return nil, fmt.Errorf("%w: %w", err, &TamperedError{Index: 0, Segment: checkpointName, Offset: -1, What: "the older checkpoint is not of this log"})
	}
	return p, ctx.Err()
}

// Check returns nil if the proof holds under vkey.
func (p *ConsistencyProof) Check(vkey string) error {
	v, err := readLogKeys(vkey)
	if err != nil {
		return fmt.Errorf("checking consistency: %w", err)
	}
	was, err := parseCheckpoint([]byte(p.Old), v)
	if err != nil {
		return fmt.Errorf("checking consistency: the older one: %w", err)
	}
	now, err := parseCheckpoint([]byte(p.New), v)
	if err != nil {
		return fmt.Errorf("checking consistency: the newer one: %w", err)
	}
	path, err := decodeHashes(p.Hashes)
	if err != nil {
		return fmt.Errorf("checking consistency: %w", err)
	}
	if err := checkContinues(was, now, path); err != nil {
		return fmt.Errorf("checking consistency: %w", err)
	}
	return nil
}

// checkContinues checks a consistency proof. Where nothing is to be proven it
// must have no hashes.
func checkContinues(was, now point, path []tlog.Hash) error {
	empty := (&tree{}).root()
	switch {
	case was.size > now.size:
		return errors.New("the newer checkpoint is of fewer entries")
	case was.size == 0 && was.root != empty, was.size == now.size && was.root != now.root:
		return errors.New("the roots differ")
	case was.size > 0 && was.size < now.size:
		return tlog.CheckTree(path, int64(now.size), now.root, int64(was.size), was.root)
	case len(path) > 0:
		return errors.New("there are hashes where nothing is to be proven")
	}
	return nil
}

// newest reads the newest checkpoint of a log's folder, and the verifier key
// there: a proof shows nothing until whoever gets it has checked it with their own.
func newest(dir string) (p point, msg []byte, vkey string, err error) {
	b, err := os.ReadFile(filepath.Join(dir, keyName))
	if err != nil {
		return point{}, nil, "", fmt.Errorf("reading the verifier key: %w", err)
	}
	vkey = strings.TrimSpace(string(b))
	v, err := readLogKeys(vkey)
	if err != nil {
		return point{}, nil, "", err
	}
	past, err := readPast(dir, v)
	if err != nil {
		return point{}, nil, "", err
	}
	if past.last == nil {
		return point{}, nil, "", errors.New("there is no checkpoint")
	}
	return past.points[len(past.points)-1], past.last, vkey, nil
}

func encodeHashes(hs []tlog.Hash) []string {
	out := make([]string, len(hs))
	for i, h := range hs {
		out[i] = h.String()
	}
	return out
}

func decodeHashes(in []string) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(in))
	for i, s := range in {
		var err error
		if out[i], err = tlog.ParseHash(s); err != nil {
			return nil, err
		}
	}
	return out, nil
}
