package accesslog

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

// CheckPublicKey reports whether vkey is a public key as GenerateKey makes it.
func CheckPublicKey(vkey string) error {
	if _, err := note.NewVerifier(vkey); err != nil {
		return errors.New("it holds no public key of a log, such as gate.example.com/node-1+1a2b3c4d+…")
	}
	return nil
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
