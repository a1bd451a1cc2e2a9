package accesslog

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

// CheckPublicKey reports whether vkey holds public keys as GenerateKey makes
// them and as they lie beside a log: one a line, with the entries that each signs.
func CheckPublicKey(vkey string) error {
	_, err := readKeyring(vkey)
	return err
}

// CheckKeys reports whether skey and vkey belong together: whether what skey
// signs is what vkey vouches for.
func CheckKeys(skey, vkey string) error {
	signer, err := note.NewSigner(skey)
	if err != nil {
		return errors.New("the first holds no key that signs")
	}
	if err := CheckPublicKey(vkey); err != nil {
		return err
	}
	signed, err := note.Sign(&note.Note{Text: "ringfence\n"}, signer)
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	if _, err := note.Open(signed, note.VerifierList(verifier)); err != nil {
		return fmt.Errorf("they are keys of different logs: %w", err)
	}
	return nil
}
