package witness

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const testOrigin = "gate.example.com/node-1"

// A memoryLog is a log whose key is in hand: it can be copied, cut and forked.
type memoryLog struct {
	t      testing.TB
	vkey   string
	signer note.Signer
	hashes []tlog.Hash
	size   int64
}

func newMemoryLog(t testing.TB, origin string) *memoryLog {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return &memoryLog{t: t, vkey: vkey, signer: s}
}

func (l *memoryLog) ReadHashes(at []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(at))
	for i, n := range at {
		if n >= int64(len(l.hashes)) {
			return nil, fmt.Errorf("hash %d is not there", n)
		}
		out[i] = l.hashes[n]
	}
	return out, nil
}

// add appends entries made of text.
func (l *memoryLog) add(n int, text string) *memoryLog {
	l.t.Helper()
	for range n {
		h, err := tlog.StoredHashes(l.size, fmt.Appendf(nil, "%s %d", text, l.size), l)
		if err != nil {
			l.t.Fatal(err)
		}
		l.hashes = append(l.hashes, h...)
		l.size++
	}
	return l
}

// fork returns a log with the same key and the first size entries.
func (l *memoryLog) fork(size int64) *memoryLog {
	c := *l
	c.size, c.hashes = size, l.hashes[:tlog.StoredHashCount(size):tlog.StoredHashCount(size)]
	return &c
}

func (l *memoryLog) root(size int64) tlog.Hash {
	l.t.Helper()
	if size == 0 {
		return emptyRoot
	}
	h, err := tlog.TreeHash(size, l)
	if err != nil {
		l.t.Fatal(err)
	}
	return h
}

func (l *memoryLog) sign(text string) []byte {
	l.t.Helper()
	msg, err := note.Sign(&note.Note{Text: text}, l.signer)
	if err != nil {
		l.t.Fatal(err)
	}
	return msg
}

func (l *memoryLog) at(size int64) []byte {
	return l.sign(fmt.Sprintf("%s\n%d\n%s\n", l.signer.Name(), size, l.root(size)))
}

func (l *memoryLog) checkpoint() []byte { return l.at(l.size) }

func (l *memoryLog) older(_ context.Context, checkpoint []byte, size uint64) (proof []tlog.Hash, root tlog.Hash, err error) {
	keys, err := readLogKeys(l.vkey)
	if err != nil {
		return nil, root, err
	}
	p, _, err := openSigned(checkpoint, keys)
	if err != nil {
		return nil, root, err
	}
	if size > 0 && size < p.Size {
		proof, err = tlog.ProveTree(int64(p.Size), int64(size), l)
	}
	return proof, l.root(int64(size)), err
}

func (l *memoryLog) source() Source {
	return Source{Key: l.vkey, Checkpoint: l.checkpoint, Older: l.older}
}

// request is what an honest log would ask a witness that knows old entries.
func (l *memoryLog) request(old int64) *request {
	l.t.Helper()
	r := &request{old: uint64(old), note: l.checkpoint()}
	if old > 0 && old < l.size {
		proof, err := tlog.ProveTree(l.size, old, l)
		if err != nil {
			l.t.Fatal(err)
		}
		r.proof = proof
	}
	return r
}

// A testWitness is a witness that serves and can be started again.
type testWitness struct {
	*Witness
	t         testing.TB
	dir, vkey string
	server    *httptest.Server
}

func newTestWitness(t testing.TB, name string, trust ...string) *testWitness {
	t.Helper()
	w := &testWitness{t: t, dir: filepath.Join(t.TempDir(), "witness")}
	var err error
	if w.vkey, err = Init(w.dir, name); err != nil {
		t.Fatal(err)
	}
	for _, k := range trust {
		if _, err := Trust(w.dir, k); err != nil {
			t.Fatal(err)
		}
	}
	w.open()
	t.Cleanup(func() { w.shut() })
	return w
}

func (w *testWitness) open() {
	w.t.Helper()
	var err error
	if w.Witness, err = Open(w.dir, slog.New(slog.DiscardHandler)); err != nil {
		w.t.Fatal(err)
	}
	w.server = httptest.NewServer(w.Handler())
}

func (w *testWitness) shut() {
	if w.Witness != nil {
		w.server.Close()
		_ = w.Witness.Close()
		w.Witness = nil
	}
}

func (w *testWitness) peer() Peer { return Peer{Name: "east", URL: w.server.URL, Key: w.vkey} }

func newTestCollector(t testing.TB, l *memoryLog, change func(*Config), peers ...Peer) *Collector {
	t.Helper()
	cfg := Config{Source: l.source(), Peers: peers, Require: len(peers), File: filepath.Join(t.TempDir(), "cosigned"), Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
