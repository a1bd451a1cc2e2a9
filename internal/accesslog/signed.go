package accesslog

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// ErrSignature reports a signed text whose signature is not that of the key.
var ErrSignature = errors.New("the signature is not of this key, or the text was changed after it was signed")

// SignText signs a text under the log's key as a signed note, for statements
// that are handed out. text must end with a newline and be UTF-8 without other
// control characters. It cannot become a checkpoint: a text that begins with
// the log's own name is refused.
func SignText(skey, text string) ([]byte, error) {
	signer, err := note.NewSigner(strings.TrimSpace(skey))
	if err != nil {
		return nil, errors.New("signing a text: the log's key is not a signer key")
	}
	if first, _, _ := strings.Cut(text, "\n"); first == signer.Name() {
		return nil, errors.New("signing a text: it begins as a checkpoint does")
	}
	msg, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return nil, fmt.Errorf("signing a text: %w", err)
	}
	return msg, nil
}

// OpenText returns the text of a signed note that has exactly one signature,
// which is that of vkey. Any other is [ErrSignature].
func OpenText(vkey string, msg []byte) (string, error) {
	v, err := note.NewVerifier(strings.TrimSpace(vkey))
	if err != nil {
		return "", errors.New("reading the public key: it is not one of a log, such as gate.example.com/node-1+1a2b3c4d+…")
	}
	n, err := note.Open(msg, note.VerifierList(v))
	if err != nil || len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		return "", ErrSignature
	}
	// The lax decoder ignores the last bits, which would let a byte change unseen.
	if _, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64); err != nil {
		return "", ErrSignature
	}
	return n.Text, nil
}

// PublicKey returns the public half of the log's key.
func PublicKey(skey string) (string, error) { return verifierKey(strings.TrimSpace(skey)) }
