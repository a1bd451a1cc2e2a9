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
// control characters. Of several keys the newest, which stands first, signs. It cannot become a checkpoint: a text that begins with
// the log's own name is refused.
func SignText(skey, text string) ([]byte, error) {
	first, _, _ := strings.Cut(strings.TrimSpace(skey), "\n")
	signer, err := note.NewSigner(strings.TrimSpace(first))
	if err != nil {
		return nil, errors.New("signing a text: the log's key is not a signer key")
	}
	if line, _, _ := strings.Cut(text, "\n"); line == signer.Name() {
		return nil, errors.New("signing a text: it begins as a checkpoint does")
	}
	msg, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return nil, fmt.Errorf("signing a text: %w", err)
	}
	return msg, nil
}

// OpenText returns the text of a signed note that has exactly one signature,
// which is that of vkey, or of one of several keys, one a line. Any other is [ErrSignature].
func OpenText(vkey string, msg []byte) (string, error) {
	keys, err := readLogKeys(vkey)
	if err != nil {
		return "", fmt.Errorf("reading the public key: %w", err)
	}
	n, err := note.Open(msg, keys.list)
	if err != nil || len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		return "", ErrSignature
	}
	// The lax decoder ignores the last bits, which would let a byte change unseen.
	if _, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64); err != nil {
		return "", ErrSignature
	}
	return n.Text, nil
}

// PublicKey returns the public half of the log's key; of several, of the
// newest, which stands first.
func PublicKey(skey string) (string, error) {
	first, _, _ := strings.Cut(strings.TrimSpace(skey), "\n")
	return verifierKey(strings.TrimSpace(first))
}

// PublicKeys returns the public halves of the log's keys as they are kept, and
// the public keys that stand there alone because they were retired: one a line,
// the newest first.
func PublicKeys(kept string) (string, error) {
	var out strings.Builder
	for line := range strings.Lines(strings.TrimSpace(kept)) {
		vkey := strings.TrimSpace(line)
		if strings.HasPrefix(vkey, secretPrefix) {
			var err error
			if vkey, err = verifierKey(vkey); err != nil {
				return "", err
			}
		}
		out.WriteString(vkey + "\n")
	}
	if _, err := readLogKeys(out.String()); err != nil {
		return "", fmt.Errorf("reading the log's keys: %w", err)
	}
	return out.String(), nil
}

// secretPrefix begins every key that signs.
const secretPrefix = "PRIVATE+KEY+"
