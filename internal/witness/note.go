package witness

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	cosign "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// GenerateKey makes the key pair of a witness with the given name, a
// schema-less URL such as witness.example.org/w1. skey cosigns and is secret;
// vkey goes into the configuration of gateways.
func GenerateKey(name string) (skey, vkey string, err error) {
	skey, vkey, err = note.GenerateKey(rand.Reader, name)
	if err == nil {
		vkey, err = cosign.VKeyToCosignatureV1(vkey)
	}
	if err == nil {
		_, err = note.NewSigner(skey)
	}
	if err != nil {
		return "", "", fmt.Errorf("making the witness's key: %q is no name: write one without spaces and plus signs, such as witness.example.org/w1", name)
	}
	return skey, vkey, nil
}

// CheckKey reports whether vkey is the public key of a witness.
func CheckKey(vkey string) error {
	_, err := newVerifier(vkey)
	return err
}

// newVerifier reads a witness's public key. Some witnesses hand out the plain
// form of their Ed25519 key, which stands for the same one.
func newVerifier(vkey string) (note.Verifier, error) {
	vkey = strings.TrimSpace(vkey)
	if converted, err := cosign.VKeyToCosignatureV1(vkey); err == nil {
		vkey = converted
	}
	v, err := cosign.NewVerifierForCosignatureV1(vkey)
	if err != nil {
		return nil, errors.New("it is no public key of a witness, such as witness.example.org/w1+1a2b3c4d+…")
	}
	// The library leaves it to us that the number in the text is the key's.
	if fields := strings.SplitN(vkey, "+", 3); fields[1] != fmt.Sprintf("%08x", v.KeyHash()) {
		return nil, errors.New("its parts do not belong together: a character was lost or changed")
	}
	return v, nil
}

// A Point is what a checkpoint says: so many entries of the log Origin have
// this root.
type Point struct {
	Origin string
	Size   uint64
	Root   tlog.Hash
}

var emptyRoot = tlog.Hash(sha256.Sum256(nil))

// parseText reads the text of a checkpoint in its one encoding. Lines after
// the third, which other logs may have, are left alone.
func parseText(text string) (Point, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[len(lines)-1] != "" || lines[0] == "" {
		return Point{}, errors.New("the checkpoint has not the lines of one")
	}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	if err != nil || size > math.MaxInt64 || strconv.FormatUint(size, 10) != lines[1] {
		return Point{}, errors.New("the checkpoint's size is not a number")
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil || root.String() != lines[2] {
		return Point{}, errors.New("the checkpoint's root is not a hash")
	}
	for _, l := range lines[3 : len(lines)-1] {
		if l == "" {
			return Point{}, errors.New("the checkpoint has an empty line")
		}
	}
	return Point{lines[0], size, root}, nil
}

// errOutOfRange: a key of the log signed a checkpoint of a size for which it
// does not speak.
var errOutOfRange = errors.New("no key of the log that signs checkpoints of this size has signed it")

// openCheckpoint reads a checkpoint that one of the keys, all of the same log,
// has signed which signs checkpoints of that size. What others signed on it is
// dropped.
func openCheckpoint(msg []byte, keys []logKey) (Point, *note.Note, error) {
	p, n, err := openSigned(msg, keys)
	if err != nil {
		return Point{}, nil, err
	}
	n.Sigs = slices.DeleteFunc(n.Sigs, func(s note.Signature) bool {
		return !slices.ContainsFunc(keys, func(k logKey) bool { return k.KeyHash() == s.Hash && k.covers(p.Size) })
	})
	if len(n.Sigs) == 0 {
		return Point{}, nil, errOutOfRange
	}
	return p, n, nil
}

// openSigned is openCheckpoint whatever sizes the keys sign for.
func openSigned(msg []byte, keys []logKey) (Point, *note.Note, error) {
	var list []note.Verifier
	for i := range keys {
		list = append(list, keys[i].Verifier)
	}
	n, err := note.Open(msg, note.VerifierList(list...))
	if err != nil {
		return Point{}, nil, err
	}
	n.UnverifiedSigs = nil
	p, err := parseText(n.Text)
	if err != nil {
		return Point{}, nil, err
	}
	for i := range keys {
		if keys[i].Name() != p.Origin {
			return Point{}, nil, fmt.Errorf("the checkpoint is one of %s, the key one of %s", p.Origin, keys[i].Name())
		}
	}
	return p, n, nil
}

// signedOnly writes a checkpoint anew with the signatures that were checked.
func signedOnly(n *note.Note) ([]byte, error) {
	return note.Sign(&note.Note{Text: n.Text, Sigs: n.Sigs})
}

// originOf reads the name of the log from what may be a checkpoint, unchecked.
func originOf(msg []byte) string {
	origin, _, _ := strings.Cut(string(msg), "\n")
	return origin
}

// originHash names a log in paths and URLs.
func originHash(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:])
}

// cosignatures finds the newest cosignature of each key on a checkpoint.
func cosignatures(msg []byte, keys []note.Verifier) (map[string]cosignature, error) {
	n, err := note.Open(msg, note.VerifierList(keys...))
	if err != nil {
		return nil, err
	}
	out := make(map[string]cosignature, len(n.Sigs))
	for _, s := range n.Sigs {
		at, err := cosign.CoSigV1Timestamp(s)
		if err != nil {
			return nil, err
		}
		out[s.Name] = cosignature{line: fmt.Sprintf("\u2014 %s %s\n", s.Name, s.Base64), at: at}
	}
	return out, nil
}

// A Cosigner is a witness that vouches for a checkpoint.
type Cosigner struct {
	Key string    // its public key, as it was given
	At  time.Time // when it signed, as it says
}

// Cosigners returns which of the public keys of witnesses have cosigned a
// checkpoint, in the order given. A cosignature under one of them that does not
// hold is an error.
func Cosigners(checkpoint []byte, vkeys []string) ([]Cosigner, error) {
	var out []Cosigner
	for _, vkey := range vkeys {
		v, err := newVerifier(vkey)
		if err != nil {
			return nil, fmt.Errorf("reading the key of a witness: %w", err)
		}
		found, err := cosignatures(checkpoint, []note.Verifier{v})
		if _, unverified := errors.AsType[*note.UnverifiedNoteError](err); unverified {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("checking a cosignature: %w", err)
		}
		if c, ok := found[v.Name()]; ok {
			out = append(out, Cosigner{strings.TrimSpace(vkey), c.at})
		}
	}
	return out, nil
}

// A cosignature is one line below a checkpoint.
type cosignature struct {
	line string
	at   time.Time // as the witness says
}
