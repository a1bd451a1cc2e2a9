package accesslog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/ringfence/ringfence/policy"
)

// Actions of entries about the log's own keys, which the log records itself.
const (
	ActionKey        = "key"         // a further key signs from the next entry on; detail: key, replaces
	ActionKeyRetired = "key_retired" // a key no longer signs; detail: key
)

// A pen is what signs checkpoints. Guarded by signs.writing, but while the log opens.
type pen struct {
	signers []note.Signer // newest first
	own     []string      // their public keys, in the same order
	ring    *logKeys      // all keys that the log ever had
}

// readPen reads signer keys, one a line, the newest first.
func readPen(text string) (*pen, error) {
	p := &pen{}
	var public []string
	for line := range strings.Lines(strings.TrimSpace(text)) {
		skey := strings.TrimSpace(line)
		if len(p.signers) > 0 && !strings.HasPrefix(skey, secretPrefix) {
			continue // the public half of a key that was retired
		}
		s, err := note.NewSigner(skey)
		if err != nil {
			return nil, errors.New("the key is not a signer key") // the cause could quote it
		}
		vkey, err := verifierKey(skey)
		if err != nil {
			return nil, err
		}
		p.signers, p.own, public = append(p.signers, s), append(p.own, vkey), append(public, vkey)
	}
	slices.Reverse(public)
	var err error
	if p.ring, err = readLogKeys(strings.Join(public, "\n")); err != nil {
		return nil, errors.New("the keys that sign are none, of different logs, or one is there twice")
	}
	return p, nil
}

// adopt takes over what lies beside the log about keys of before, if it knows
// every key that signs. What it says is believed only under a checkpoint of
// one of those.
func (p *pen) adopt(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, keyName))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	ring, err := readLogKeys(string(b))
	if err != nil || slices.ContainsFunc(p.own, func(vkey string) bool { return ring.find(vkey) < 0 }) {
		return nil
	}
	p.ring = ring
	return nil
}

// signed reports whether one of the keys at these places of the ring is its own.
func (p *pen) signed(by []int) bool {
	return slices.ContainsFunc(by, func(i int) bool { return slices.Contains(p.own, p.ring.keys[i].vkey) })
}

// sign signs a text with every key.
func (p *pen) sign(text string) ([]byte, error) {
	return note.Sign(&note.Note{Text: text}, p.signers...)
}

// Keys returns the log's public keys as they lie beside it: one a line, oldest
// first, with the numbers of entries from which and up to which each signs
// where these are bounded.
func (l *Log) Keys() string {
	l.signs.writing.Lock()
	defer l.signs.writing.Unlock()
	return l.pen.ring.String()
}

// Rotate has a further key sign checkpoints beside those that do: skey of
// [GenerateKey] with the log's own name. It records an entry that names the
// key, signs a checkpoint of it with the keys of before, and then writes the
// list of public keys. The caller keeps skey before the first of Key's lines
// once Rotate has returned, and retires the older key once everybody knows the
// new one. Doing it again with the same key after an error or a crash is safe.
// Run must be started.
func (l *Log) Rotate(ctx context.Context, skey, actor string) error {
	next, err := readPen(skey)
	if err != nil || len(next.signers) != 1 || next.ring.Name() != l.cfg.Origin {
		return fmt.Errorf("rotating the log's key: it is no signer key of %s", l.cfg.Origin)
	}
	vkey := next.own[0]
	l.signs.writing.Lock()
	have, old := slices.Contains(l.pen.own, vkey), l.pen.own[0]
	known := l.pen.ring.find(vkey)
	l.signs.writing.Unlock()
	if have {
		return nil
	}
	if known < 0 {
		index, err := l.keyEntry(ctx, ActionKey, actor, map[string]string{"key": vkey, "replaces": old})
		if err != nil {
			return fmt.Errorf("rotating the log's key: %w", err)
		}
		if err := l.changeKeys(func(r *logKeys) {
			r.keys = append(r.keys, ringKey{Verifier: next.ring.keys[0].Verifier, vkey: vkey, from: index + 1})
		}); err != nil {
			return fmt.Errorf("rotating the log's key: %w", err)
		}
	}
	l.signs.writing.Lock()
	l.pen.signers, l.pen.own = append(next.signers, l.pen.signers...), append(next.own, l.pen.own...)
	l.signs.writing.Unlock()
	return l.sign(true)
}

// Retire ends the signing of every key but the newest, with an entry for each
// and a last checkpoint that they sign. The caller removes them from where
// secrets are kept once it has returned.
func (l *Log) Retire(ctx context.Context, actor string) error {
	l.signs.writing.Lock()
	old := slices.Clone(l.pen.own[1:])
	l.signs.writing.Unlock()
	for _, vkey := range old {
		index, err := l.keyEntry(ctx, ActionKeyRetired, actor, map[string]string{"key": vkey})
		if err == nil {
			err = l.changeKeys(func(r *logKeys) { r.keys[r.find(vkey)].until = max(index+1, l.signedSize()) })
		}
		if err != nil {
			return fmt.Errorf("retiring a key of the log: %w", err)
		}
	}
	l.signs.writing.Lock()
	l.pen.signers, l.pen.own = l.pen.signers[:1], l.pen.own[:1]
	l.signs.writing.Unlock()
	return l.sign(true)
}

func (l *Log) signedSize() uint64 {
	size, _ := l.signs.state()
	return size
}

// keyEntry records an entry about a key and has a checkpoint cover it.
func (l *Log) keyEntry(ctx context.Context, action, actor string, detail map[string]string) (uint64, error) {
	index, err := l.Record(ctx, &policy.Record{Type: policy.RecordLog, Action: action, Result: "ok", Actor: actor, Detail: detail})
	if err != nil {
		return 0, err
	}
	return index, l.sign(true)
}

// changeKeys writes the list of public keys anew. No checkpoint is signed meanwhile.
func (l *Log) changeKeys(change func(*logKeys)) error {
	l.signs.writing.Lock()
	defer l.signs.writing.Unlock()
	next := &logKeys{keys: slices.Clone(l.pen.ring.keys)}
	change(next)
	checked, err := readLogKeys(next.String())
	if err != nil {
		return err
	}
	if err := l.cfg.disk.write(filepath.Join(l.cfg.Dir, keyName), []byte(checked.String())); err != nil {
		return err
	}
	l.pen.ring = checked
	return nil
}

// keyNamed reports whether a payload is the entry of an action about a key.
func keyNamed(payload []byte, action, vkey string) bool {
	e, err := decodeEntry(payload)
	return err == nil && e.Type == policy.RecordLog && e.Action == action && e.Detail["key"] == vkey
}
