package witness

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/mod/sumdb/note"
)

// A logKey is one of a log's public keys and the checkpoints that it signs:
// those of from to until entries. A key that was retired could be stolen, and
// what it signs beyond its end is not the log's word.
type logKey struct {
	note.Verifier
	vkey        string
	from, until uint64 // until 0: no end
}

// covers reports whether the key signs checkpoints of size entries.
func (k *logKey) covers(size uint64) bool {
	return size >= k.from && (k.until == 0 || size <= k.until)
}

// String is the line that readLogKey reads.
func (k *logKey) String() string {
	switch {
	case k.until > 0:
		return fmt.Sprintf("%s %d %d", k.vkey, k.from, k.until)
	case k.from > 0:
		return fmt.Sprintf("%s %d", k.vkey, k.from)
	}
	return k.vkey
}

// narrow takes over what another line says of the same key: a bound that was
// not known before. One that says otherwise is an error, so that an older list
// never lets a retired key sign again.
func (k *logKey) narrow(other logKey) error {
	for _, b := range []struct {
		have *uint64
		said uint64
	}{{&k.from, other.from}, {&k.until, other.until}} {
		switch {
		case b.said == 0 || *b.have == b.said:
		case *b.have == 0:
			*b.have = b.said
		default:
			return fmt.Errorf("it was said to sign checkpoints of %d entries, and now of %d", *b.have, b.said)
		}
	}
	if k.until > 0 && k.until < k.from {
		return errNoLogKey
	}
	return nil
}

var errNoLogKey = errors.New("it is no public key of a log, such as gate.example.com/node-1+1a2b3c4d+…")

// readLogKey reads a line of a log's public keys: the key, where it is bounded
// the number of entries from which on it signs, and the last number.
func readLogKey(line string) (logKey, error) {
	fields := strings.Fields(line)
	if len(fields) == 0 || len(fields) > 3 {
		return logKey{}, errNoLogKey
	}
	v, err := note.NewVerifier(fields[0])
	if err != nil {
		return logKey{}, errNoLogKey
	}
	k := logKey{Verifier: v, vkey: fields[0]}
	for i, to := range []*uint64{&k.from, &k.until} {
		if len(fields) > i+1 {
			if *to, err = parseSize(fields[i+1]); err != nil {
				return logKey{}, errNoLogKey
			}
		}
	}
	if len(fields) == 3 && k.until < max(k.from, 1) {
		return logKey{}, errNoLogKey
	}
	return k, nil
}

// readLogKeys reads public keys as they lie beside a log, one a line.
func readLogKeys(text string) ([]logKey, error) {
	var all []logKey
	for line := range strings.Lines(strings.TrimSpace(text)) {
		k, err := readLogKey(line)
		if err != nil {
			return nil, err
		}
		if len(all) > 0 && all[0].Name() != k.Name() {
			return nil, errors.New("they are public keys of different logs")
		}
		all = append(all, k)
	}
	if len(all) == 0 {
		return nil, errNoLogKey
	}
	return all, nil
}

// logKeys are a log's public keys, which change while checkpoints are taken to
// witnesses.
type logKeys struct {
	p atomic.Pointer[[]logKey]
}

// set takes over public keys as they lie beside a log.
func (k *logKeys) set(text string) error {
	all, err := readLogKeys(text)
	if err != nil {
		return fmt.Errorf("reading the log's public keys: %w", err)
	}
	k.p.Store(&all)
	return nil
}

func (k *logKeys) all() []logKey { return *k.p.Load() }
