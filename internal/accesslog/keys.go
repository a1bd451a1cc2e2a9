package accesslog

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

// CheckPublicKey reports whether vkey holds public keys as GenerateKey makes
// them and as they lie beside a log: one a line, with the entries that each signs.
func CheckPublicKey(vkey string) error {
	_, err := readLogKeys(vkey)
	return err
}

// CheckKeys reports whether skey and vkey belong together: whether what each
// key of skey signs is what vkey vouches for.
func CheckKeys(skey, vkey string) error {
	pen, err := readPen(skey)
	if err != nil {
		return errors.New("the first holds no key that signs")
	}
	keys, err := readLogKeys(vkey)
	if err != nil {
		return err
	}
	for _, s := range pen.signers {
		signed, err := note.Sign(&note.Note{Text: "ringfence\n"}, s)
		if err != nil {
			return err
		}
		if _, err := note.Open(signed, keys.list); err != nil {
			return fmt.Errorf("they are keys of different logs: %w", err)
		}
	}
	return nil
}
