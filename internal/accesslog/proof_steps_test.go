package accesslog

import (
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// Every step that is shown leads to the root that the library checks, in trees
// of every shape, and a hash more or less leads nowhere.
func TestProof_Walk(t *testing.T) {
	const most = 40
	stored := make([]tlog.Hash, 0, 2*most)
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			out[i] = stored[x]
		}
		return out, nil
	})
	payload := func(i int64) string { return fmt.Sprintf(`{"index":%d}`, i) }
	for size := int64(1); size <= most; size++ {
		hs, err := tlog.StoredHashes(size-1, []byte(payload(size-1)), read)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hs...)
		root, err := tlog.TreeHash(size, read)
		if err != nil {
			t.Fatal(err)
		}
		for i := range size {
			path, err := tlog.ProveRecord(size, i, read)
			if err != nil {
				t.Fatal(err)
			}
			p := Proof{Index: uint64(i), Payload: payload(i), Hashes: encodeHashes(path)}
			w, err := p.Walk(uint64(size))
			if err != nil || w.Root != root.String() || len(w.Steps) != len(path) {
				t.Fatalf("entry %d of %d: root %s (%v), want %s", i, size, w.Root, err, root)
			}
			if err := tlog.CheckRecord(path, size, root, i, recordHash([]byte(p.Payload))); err != nil {
				t.Fatal(err)
			}
			more := p
			more.Hashes = append(more.Hashes[:len(path):len(path)], root.String())
			if _, err := more.Walk(uint64(size)); err == nil {
				t.Errorf("entry %d of %d: a hash too many leads to a root", i, size)
			}
			if len(path) > 0 {
				p.Hashes = p.Hashes[1:]
				if w, err := p.Walk(uint64(size)); err == nil && w.Root == root.String() {
					t.Errorf("entry %d of %d: a hash too few leads to the root", i, size)
				}
			}
		}
	}
}
