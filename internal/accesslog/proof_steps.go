package accesslog

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Step is one hashing on the way from an entry to the root of a tree:
// SHA-256 of a byte 0x01, the left hash and the right one.
type Step struct {
	Other  string // the hash that the proof gives, base64
	IsLeft bool   // Other stands on the left
	Result string // base64
}

// Walk is the computation that [Proof.Check] does, laid open for whoever wants
// to follow it: the leaf hash of the payload, which is SHA-256 of a byte 0x00
// and the payload, each step from there, and the root that comes out. The
// checkpoint's root must be the same; Walk does not compare them.
type Walk struct {
	Leaf  string // base64
	Steps []Step
	Root  string // base64
}

// Walk computes the way from the payload to the root of a tree of size
// entries, as RFC 9162 section 2.1.3.2 lays it out.
func (p *Proof) Walk(size uint64) (Walk, error) {
	path, err := decodeHashes(p.Hashes)
	if err != nil {
		return Walk{}, fmt.Errorf("walking the proof of entry %d: %w", p.Index, err)
	}
	if p.Index >= size {
		return Walk{}, fmt.Errorf("walking the proof of entry %d: the tree has %d entries", p.Index, size)
	}
	at := recordHash([]byte(p.Payload))
	w := Walk{Leaf: at.String()}
	place, last := p.Index, size-1
	for _, other := range path {
		if last == 0 {
			return Walk{}, fmt.Errorf("walking the proof of entry %d: %w", p.Index, errLongProof)
		}
		left := place&1 == 1 || place == last
		if left {
			at = joined(other, at)
			for place&1 == 0 && place > 0 { // alone on its levels, it moves up as it is
				place, last = place>>1, last>>1
			}
		} else {
			at = joined(at, other)
		}
		place, last = place>>1, last>>1
		w.Steps = append(w.Steps, Step{Other: other.String(), IsLeft: left, Result: at.String()})
	}
	if last != 0 {
		return Walk{}, fmt.Errorf("walking the proof of entry %d: it has too few hashes", p.Index)
	}
	w.Root = at.String()
	return w, nil
}

var errLongProof = errors.New("it has too many hashes")

func joined(left, right tlog.Hash) tlog.Hash {
	var b [1 + 2*tlog.HashSize]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+tlog.HashSize:], right[:])
	return sha256.Sum256(b[:])
}

// A SignedPoint is a checkpoint taken apart for people. It proves nothing by
// itself: see [Proof.Check].
type SignedPoint struct {
	Origin     string
	Size       uint64
	Root       string   // base64
	Text       string   // what is signed
	Signatures []string // a line each: the log's own first, then those of witnesses
}

// Point takes the proof's checkpoint apart.
func (p *Proof) Point() (SignedPoint, error) {
	text, signatures, ok := strings.Cut(p.Checkpoint, "\n\n")
	lines := strings.SplitN(text, "\n", 4)
	if !ok || len(lines) < 3 {
		return SignedPoint{}, errors.New("reading checkpoint: it is no signed note of a tree")
	}
	size, err := strconv.ParseUint(lines[1], 10, 63)
	if err != nil {
		return SignedPoint{}, errors.New("reading checkpoint: the size is not a number")
	}
	return SignedPoint{Origin: lines[0], Size: size, Root: lines[2], Text: text + "\n", Signatures: strings.Split(strings.TrimSuffix(signatures, "\n"), "\n")}, nil
}

// KeyOf returns which of the verifier keys that lie in a log's folder made the
// checkpoint's first signature. Whoever relies on it compares it with the key
// that they were given: what lies there, whoever can write there could replace.
func KeyOf(dir string, at SignedPoint) (vkey string, err error) {
	b, err := os.ReadFile(filepath.Join(dir, keyName))
	if err != nil {
		return "", fmt.Errorf("reading the verifier key: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		for word := range strings.FieldsSeq(line) {
			v, err := note.NewVerifier(word)
			if err != nil {
				continue
			}
			if _, err := note.Open([]byte(at.Text+"\n"+strings.Join(at.Signatures, "\n")+"\n"), note.VerifierList(v)); err == nil {
				return word, nil
			}
		}
	}
	return "", errors.New("reading the verifier key: none in the log's folder made this checkpoint")
}
