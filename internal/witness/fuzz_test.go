package witness

import (
	"bytes"
	"fmt"
	"testing"
)

// FuzzRequest: what is read as a request is written the same way.
func FuzzRequest(f *testing.F) {
	l := newMemoryLog(f, testOrigin).add(7, "entry")
	for _, old := range []int64{0, 3, 7} {
		f.Add(l.request(old).encode())
	}
	f.Add([]byte("old 1\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRequest(b)
		if err != nil {
			if r != nil {
				t.Fatal("a request beside an error")
			}
			return
		}
		if !bytes.Equal(r.encode(), b) {
			t.Fatalf("%q is written as %q", b, r.encode())
		}
	})
}

// FuzzCheckpointText: what is read as the text of a checkpoint has one encoding.
func FuzzCheckpointText(f *testing.F) {
	l := newMemoryLog(f, testOrigin).add(7, "entry")
	f.Add(testOrigin + "\n7\n" + l.root(7).String() + "\n")
	f.Add(testOrigin + "\n0\n" + emptyRoot.String() + "\nmore\n")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parseText(s)
		if err != nil {
			return
		}
		if q, err := parseText(p.Origin + "\n" + fmt.Sprint(p.Size) + "\n" + p.Root.String() + "\n"); err != nil || q != p {
			t.Fatalf("%q is %+v, and read again %+v, %v", s, p, q, err)
		}
	})
}
