package witness

import (
	"errors"
	"strings"
	"sync/atomic"

	"golang.org/x/mod/sumdb/note"
)

// logKeys are a log's public keys, which change while checkpoints are taken to
// witnesses.
type logKeys struct {
	p atomic.Pointer[[]note.Verifier]
}

// set takes over public keys as they lie beside a log: one a line, what stands
// behind a space left alone.
func (k *logKeys) set(text string) error {
	var all []note.Verifier
	for line := range strings.Lines(text) {
		vkey, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if vkey == "" {
			continue
		}
		v, err := note.NewVerifier(vkey)
		if err != nil {
			return errors.New("the log's public key is none")
		}
		all = append(all, v)
	}
	if len(all) == 0 {
		return errors.New("the log's public key is none")
	}
	k.p.Store(&all)
	return nil
}

func (k *logKeys) all() []note.Verifier { return *k.p.Load() }
