package accesslog

import (
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// SecondVerify is set by the external test package: the verifier that shares
// no code with this one.
var SecondVerify func(dir, vkey string) (int, error)

func testCheckpoint(t testing.TB, skey, vkey string) (*logKeys, []byte) {
	t.Helper()
	s, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	v, err := readLogKeys(vkey)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := note.Sign(&note.Note{Text: checkpointText(testOrigin, point{5, (&tree{}).root()})}, s)
	if err != nil {
		t.Fatal(err)
	}
	return v, msg
}

func testVerifier(t testing.TB, vkey string) *logKeys {
	t.Helper()
	v, err := readLogKeys(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
