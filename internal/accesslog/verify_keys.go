package accesslog

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// A keyClaim is what the list of keys says of an entry.
type keyClaim struct{ action, vkey string }

// readKeys takes over the list of keys beside the log. It must hold each key
// that the reviewer was given, and say the same of it: a retirement may be news.
func (r *verifier) readKeys() error {
	b, err := os.ReadFile(filepath.Join(r.dir, keyName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	ring, err := readLogKeys(string(b))
	if err != nil || ring.String() != string(b) {
		return &TamperedError{Index: 0, Segment: keyName, Offset: 0, What: "it is no list of keys"}
	}
	for _, g := range r.given.keys {
		i := ring.find(g.vkey)
		if i < 0 {
			return &TamperedError{Index: 0, Segment: keyName, Offset: 0, What: "the key in the log's folder is not the one given"}
		}
		have := ring.keys[i]
		if g.from > 0 && g.from != have.from || g.until > 0 && (g.from != have.from || g.until != have.until) {
			return &TamperedError{Index: 0, Segment: keyName, Offset: 0, What: "the list says otherwise than the one given from when to when a key signed"}
		}
	}
	r.key = ring
	r.named = map[uint64][]keyClaim{}
	for _, k := range ring.keys {
		if k.from > 0 {
			r.named[k.from-1] = append(r.named[k.from-1], keyClaim{ActionKey, k.vkey})
		}
	}
	return nil
}

// trustKeys sees to it that the newest checkpoint is signed by a key that the
// reviewer was given, or by one that such a key leads to: a checkpoint that a
// trusted key signed covers the entry that names it.
func (r *verifier) trustKeys() error {
	trusted := make([]bool, len(r.key.keys))
	for i, k := range r.key.keys {
		trusted[i] = r.given.find(k.vkey) >= 0
	}
	for again := true; again; {
		again = false
		for i, k := range r.key.keys {
			if trusted[i] || k.from == 0 {
				continue
			}
			for j, p := range r.past.points {
				if p.size >= k.from && slices.ContainsFunc(r.past.by[j], func(by int) bool { return trusted[by] }) {
					trusted[i], again = true, true
					break
				}
			}
		}
	}
	if last := r.past.by[len(r.past.by)-1]; !slices.ContainsFunc(last, func(by int) bool { return trusted[by] }) {
		return &TamperedError{Index: r.signed, Segment: checkpointName, Offset: 0,
			What: "the newest checkpoint is signed by a key that the one given does not lead to"}
	}
	return nil
}
