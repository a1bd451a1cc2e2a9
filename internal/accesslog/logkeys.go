package accesslog

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// errNoPublicKey is what anything but public keys is.
var errNoPublicKey = errors.New("it holds no public key of a log, such as gate.example.com/node-1+1a2b3c4d+…")

// A logKeys is the log's public keys, oldest first: its first one, and those
// that took its place.
type logKeys struct {
	keys []ringKey
	list note.Verifiers
}

// A ringKey signs checkpoints of from to until entries.
type ringKey struct {
	note.Verifier
	vkey        string
	from, until uint64 // until 0: no end
}

// readLogKeys reads public keys, one a line: the key and, where it was not
// the log's first, the number of entries from which on it signs; behind that,
// where it no longer does, the last number.
func readLogKeys(text string) (*logKeys, error) {
	k := &logKeys{}
	var all []note.Verifier
	for line := range strings.Lines(strings.TrimSpace(text)) {
		key, err := readRingKey(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(k.keys, func(o ringKey) bool { return o.Name() != key.Name() || o.KeyHash() == key.KeyHash() }) {
			return nil, errors.New("its keys are of different logs, or one stands there twice")
		}
		k.keys, all = append(k.keys, key), append(all, key.Verifier)
	}
	if len(k.keys) == 0 {
		return nil, errNoPublicKey
	}
	k.list = note.VerifierList(all...)
	return k, nil
}

func readRingKey(line string) (ringKey, error) {
	fields := strings.Split(line, " ")
	v, err := note.NewVerifier(fields[0])
	if err != nil || len(fields) > 3 {
		return ringKey{}, errNoPublicKey
	}
	key := ringKey{Verifier: v, vkey: fields[0]}
	for i, to := range []*uint64{&key.from, &key.until} {
		if len(fields) > i+1 {
			if *to, err = strconv.ParseUint(fields[i+1], 10, 63); err != nil || strconv.FormatUint(*to, 10) != fields[i+1] {
				return ringKey{}, errNoPublicKey
			}
		}
	}
	if len(fields) == 3 && key.until < key.from {
		return ringKey{}, errNoPublicKey
	}
	return key, nil
}

// String is the text that readLogKeys reads, with a newline behind each line.
func (k *logKeys) String() string {
	var b strings.Builder
	for _, key := range k.keys {
		b.WriteString(key.vkey)
		if key.from > 0 || key.until > 0 {
			fmt.Fprintf(&b, " %d", key.from)
		}
		if key.until > 0 {
			fmt.Fprintf(&b, " %d", key.until)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Name is the log's name, which all of its keys bear.
func (k *logKeys) Name() string { return k.keys[0].Name() }

// covers reports whether the key signs checkpoints of size entries.
func (k *ringKey) covers(size uint64) bool {
	return size >= k.from && (k.until == 0 || size <= k.until)
}

// find returns the place of a key, -1 for none.
func (k *logKeys) find(vkey string) int {
	return slices.IndexFunc(k.keys, func(key ringKey) bool { return key.vkey == vkey })
}
