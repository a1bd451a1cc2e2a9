package accesslog

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// A KeyProof shows that a key of the log was named under one of before: the
// entry that names it, its audit path to a checkpoint that an older key signed,
// and that a newer checkpoint continues that one. Hashes are in base64.
type KeyProof struct {
	Index      uint64   `json:"index"`
	Payload    string   `json:"payload"`
	Hashes     []string `json:"hashes"`
	Checkpoint string   `json:"checkpoint"`
	Continued  []string `json:"continued"`
}

// KeyProofs returns a proof under the prover's checkpoint for each of the log's
// keys that took the place of another, by the key's place in the list.
func (p *Prover) KeyProofs(ctx context.Context) (map[int]*KeyProof, error) {
	ring, err := readLogKeys(p.vkey)
	if err != nil {
		return nil, err
	}
	out := map[int]*KeyProof{}
	for i, k := range ring.keys {
		if k.from == 0 {
			continue
		}
		if out[i], err = p.keyProof(ctx, ring, i); err != nil {
			return nil, fmt.Errorf("proving where key %d of the log was named: %w", i+1, err)
		}
	}
	return out, nil
}

func (p *Prover) keyProof(ctx context.Context, ring *logKeys, i int) (*KeyProof, error) {
	index := ring.keys[i].from - 1
	payload, err := keptPayload(ctx, p.dir, index)
	if err != nil {
		return nil, err
	}
	notes, err := readHistory(p.dir)
	if err != nil {
		return nil, err
	}
	for _, msg := range append(notes, p.msg) {
		at, by, err := openCheckpoint(msg, ring)
		if err != nil || at.size < ring.keys[i].from || at.size > p.at.size || !slices.ContainsFunc(by, func(j int) bool { return j < i }) {
			continue
		}
		under := &Prover{p.dir, msg, at, p.vkey}
		hashes, err := under.Path(index, payload)
		if err != nil {
			return nil, err
		}
		c, err := p.Consistency(ctx, msg)
		if err != nil {
			return nil, err
		}
		return &KeyProof{index, string(payload), hashes, string(msg), c.Hashes}, nil
	}
	return nil, errors.New("no checkpoint under a key of before covers the entry")
}

// Check returns nil if the proof shows, under the checkpoint now, that the key
// was named by a log whose checkpoints one of older, as keys lie beside a log, signed.
func (k *KeyProof) Check(older, vkey string, now *Checkpoint) error {
	at, err := ReadCheckpoint([]byte(k.Checkpoint), older)
	if err == nil {
		err = at.CheckPath(k.Index, []byte(k.Payload), k.Hashes)
	}
	if err == nil {
		err = now.Continues(at, k.Continued)
	}
	if err == nil && !keyNamed([]byte(k.Payload), ActionKey, vkey) {
		err = errors.New("the entry does not name the key")
	}
	if err != nil {
		return fmt.Errorf("checking where a key was named: %w", err)
	}
	return nil
}

// Replaces returns the key that the entry says the new one takes the place of.
func (k *KeyProof) Replaces() string {
	e, err := decodeEntry([]byte(k.Payload))
	if err != nil {
		return ""
	}
	return e.Detail["replaces"]
}

// A PublicRange is a public key of a log, and the checkpoints that it signs:
// those of From to Until entries; Until 0: no end.
type PublicRange struct {
	Key         string
	From, Until uint64
}

// ReadPublicKeys reads public keys as they lie beside a log, oldest first.
func ReadPublicKeys(text string) ([]PublicRange, error) {
	ring, err := readLogKeys(text)
	if err != nil {
		return nil, err
	}
	var out []PublicRange
	for _, k := range ring.keys {
		out = append(out, PublicRange{k.vkey, k.from, k.until})
	}
	return out, nil
}
