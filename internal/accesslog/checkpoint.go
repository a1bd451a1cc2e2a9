package accesslog

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Names of files in the log's folder.
const (
	checkpointName = "checkpoint"
	historyName    = "checkpoints"
	keyName        = "log.pub"
	lockName       = "lock"
)

// GenerateKey makes a key pair for the log named origin, a schema-less URL
// such as gate.example.com/log: skey signs checkpoints and is secret, vkey is
// handed to reviewers. Both are lines of text in the formats of signed notes.
func GenerateKey(origin string) (skey, vkey string, err error) {
	if !validOrigin(origin) {
		return "", "", fmt.Errorf("making the log's key: origin %q has a space, a plus sign or nothing", origin)
	}
	skey, vkey, err = note.GenerateKey(rand.Reader, origin)
	if err != nil {
		return "", "", fmt.Errorf("making the log's key: %w", err)
	}
	return skey, vkey, nil
}

// verifierKey derives what reviewers need from a signer key.
func verifierKey(skey string) (string, error) {
	fields := strings.SplitN(skey, "+", 5)
	if len(fields) != 5 {
		return "", errors.New("the log's key is not a signer key")
	}
	raw, err := base64.StdEncoding.DecodeString(fields[4])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return "", errors.New("the log's key is not an Ed25519 signer key")
	}
	pub := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	return note.NewEd25519VerifierKey(fields[2], pub)
}

// A point is what a checkpoint says: so many entries have this root.
type point struct {
	size uint64
	root tlog.Hash
}

// checkpointText is the body of a C2SP checkpoint: origin, size, root.
func checkpointText(origin string, p point) string {
	return fmt.Sprintf("%s\n%d\n%s\n", origin, p.size, p.root)
}

// parseCheckpoint checks the signatures and reads the body. One by a key that
// signed checkpoints of that size must be there.
func parseCheckpoint(msg []byte, keys *logKeys) (point, error) {
	p, _, err := openCheckpoint(msg, keys)
	return p, err
}

// openCheckpoint also returns the places of the keys in the ring that signed.
func openCheckpoint(msg []byte, keys *logKeys) (p point, by []int, err error) {
	n, err := note.Open(msg, keys.list)
	if err != nil {
		return point{}, nil, fmt.Errorf("checking the checkpoint's signature: %w", err)
	}
	for _, sig := range slices.Concat(n.Sigs, n.UnverifiedSigs) {
		// The lax decoder ignores the last bits, which would let a byte change unseen.
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return point{}, nil, errors.New("reading checkpoint: a signature is not in its one encoding")
		}
	}
	if p, err = checkpointPoint(n.Text, keys.Name()); err != nil {
		return point{}, nil, err
	}
	for i := range keys.keys {
		signed := slices.ContainsFunc(n.Sigs, func(s note.Signature) bool { return s.Hash == keys.keys[i].KeyHash() })
		if signed && keys.keys[i].covers(p.size) {
			by = append(by, i)
		}
	}
	if by == nil {
		return point{}, nil, fmt.Errorf("checking the checkpoint's signature: the key did not sign checkpoints of %d entries", p.size)
	}
	return p, by, nil
}

func checkpointPoint(text, origin string) (point, error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) != 4 || lines[0] != origin {
		return point{}, fmt.Errorf("reading checkpoint: it is not one of %s", origin)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return point{}, errors.New("reading checkpoint: the size is not a number")
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil || root.String() != lines[2] {
		return point{}, errors.New("reading checkpoint: the root is not a hash")
	}
	return point{uint64(size), root}, nil
}

// splitHistory cuts the history file into notes. Each ends with the lines of
// its signatures; what follows the last whole note is torn.
func splitHistory(b []byte) (notes [][]byte, torn []byte) {
	const dash = "\u2014 "
	for {
		i := bytes.Index(b, []byte("\n\n"+dash))
		if i < 0 {
			return notes, b
		}
		end := i + 2
		for bytes.HasPrefix(b[end:], []byte(dash)) {
			j := bytes.IndexByte(b[end:], '\n')
			if j < 0 {
				break
			}
			end += j + 1
		}
		if end == i+2 {
			return notes, b
		}
		notes = append(notes, b[:end])
		b = b[end:]
	}
}

// readHistory returns the whole notes of the history, oldest first.
func readHistory(dir string) ([][]byte, error) {
	b, err := os.ReadFile(filepath.Join(dir, historyName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading checkpoints: %w", err)
	}
	notes, _ := splitHistory(b)
	return notes, nil
}

// A past is every checkpoint that the log's folder remembers.
type past struct {
	points []point // history in its order, then the newest checkpoint
	by     [][]int // for each, the keys that signed it
	last   []byte  // the newest checkpoint, as signed; nil when there is none
	torn   []byte  // bytes of a history record that a crash cut short
	length int64   // of the history's whole notes
}

// newest returns the point with the most entries.
func (p *past) newest() point {
	var n point
	for _, q := range p.points {
		if q.size >= n.size {
			n = q
		}
	}
	return n
}

// readPast reads and checks both files. Sizes must not fall, and one size has
// one root.
func readPast(dir string, v *logKeys) (*past, error) {
	p := &past{}
	hist, err := os.ReadFile(filepath.Join(dir, historyName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading checkpoints: %w", err)
	}
	notes, torn := splitHistory(hist)
	p.torn, p.length = torn, int64(len(hist)-len(torn))
	off := int64(0)
	for _, msg := range notes {
		if err := p.add(msg, v, historyName, off); err != nil {
			return nil, err
		}
		off += int64(len(msg))
	}
	// Read last: the writer appends to the history only what it has first made the checkpoint.
	p.last, err = os.ReadFile(filepath.Join(dir, checkpointName))
	if errors.Is(err, fs.ErrNotExist) {
		p.last = nil
		return p, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading checkpoint: %w", err)
	}
	return p, p.add(p.last, v, checkpointName, 0)
}

func (p *past) add(msg []byte, v *logKeys, name string, off int64) error {
	q, by, err := openCheckpoint(msg, v)
	if err != nil {
		return &TamperedError{Index: p.newest().size, Segment: name, Offset: off, What: err.Error()}
	}
	if last := p.newest(); q.size < last.size || q.size == last.size && len(p.points) > 0 && q.root != last.root {
		return &TamperedError{Index: q.size, Segment: name, Offset: off,
			What: fmt.Sprintf("a checkpoint of %d entries follows one of %d", q.size, last.size)}
	}
	p.points, p.by = append(p.points, q), append(p.by, by)
	return nil
}
