package witness

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// withKey returns the same log, signed with another key.
func (l *memoryLog) withKey() (vkey string, c *memoryLog) {
	l.t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, l.signer.Name())
	if err != nil {
		l.t.Fatal(err)
	}
	d := *l
	if d.signer, err = note.NewSigner(skey); err != nil {
		l.t.Fatal(err)
	}
	d.vkey = vkey
	return vkey, &d
}

// showing serves a witness that claims a log of size entries and shows held.
func showing(t *testing.T, size int64, held []byte) string {
	return liar(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = w.Write(held)
			return
		}
		w.Header().Set("Content-Type", "text/x.tlog.size")
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, fmt.Sprintf("%d\n", size))
	})
}

// TestCollector_RetiredKey: what a key signs for sizes that are not its own is
// no proof against the log: whoever stole a retired one cannot stop service.
func TestCollector_RetiredKey(t *testing.T) {
	old := newMemoryLog(t, testOrigin).add(20, "entry")
	vkey, now := old.withKey()
	_, wkey, err := GenerateKey("witness.example.org/w1")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		list   string
		held   *memoryLog
		proven bool
	}{
		{"the retired one beyond its end", old.vkey + " 0 15\n" + vkey + " 11\n", old.fork(10).add(20, "made up"), false},
		{"the retired one up to its end", old.vkey + " 0 15\n" + vkey + " 11\n", old.fork(10).add(5, "made up"), true},
		{"the newer one before its beginning", old.vkey + "\n" + vkey + " 21\n", now.fork(10).add(3, "made up"), false},
		{"the newer one", old.vkey + " 0 15\n" + vkey + " 11\n", now.fork(10).add(20, "made up"), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := now
			if !strings.Contains(tt.list, " 0 15") {
				l = old // the newer one does not sign yet
			}
			url := showing(t, max(tt.held.size, 21), tt.held.checkpoint())
			c := newTestCollector(t, l, func(c *Config) { c.Source.Key = tt.list }, Peer{Name: "w", URL: url, Key: wkey})
			_, errs := c.Round(t.Context())
			if len(errs) != 1 {
				t.Fatal(errs)
			}
			if got := conflictOf(t, errs[0]); (got.Proof != nil) != tt.proven {
				t.Errorf("proof: %q", got.Proof)
			}
			if (c.Serving() != nil) != tt.proven {
				t.Errorf("service: %v", c.Serving())
			}
		})
	}
}

// TestCollector_OwnRange: a list that says the log's key does not sign what it
// signs is noticed before anybody is asked.
func TestCollector_OwnRange(t *testing.T) {
	l := newMemoryLog(t, testOrigin).add(20, "entry")
	w := newTestWitness(t, "witness.example.org/w1", l.vkey)
	c := newTestCollector(t, l, func(c *Config) { c.Source.Key = l.vkey + " 0 10\n" }, w.peer())
	if err := c.Compare(t.Context()); err == nil {
		t.Error("a key beyond its end is taken to witnesses")
	}
	if err := c.SetKeys(l.vkey + "\n"); err != nil {
		t.Fatal(err)
	}
	if err := c.Compare(t.Context()); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "x", l.vkey + " -1", l.vkey + " 5 4", l.vkey + " 05", l.vkey + " 1 2 3", l.vkey + "\n" + newMemoryLog(t, "other.example.com/log").vkey} {
		if c.SetKeys(bad) == nil {
			t.Errorf("%q is taken for keys", bad)
		}
	}
}

// TestCollector_PaddedProof: a witness that pads the checkpoint which it shows
// does not fill the entry that tells of it.
func TestCollector_PaddedProof(t *testing.T) {
	l := newMemoryLog(t, testOrigin).add(20, "entry")
	held := l.fork(10).add(20, "made up").checkpoint()
	padded := bytes.Clone(held)
	for i := range 60 {
		sig := append([]byte{0, 0, 0, byte(i)}, bytes.Repeat([]byte{byte(i)}, 700)...)
		padded = fmt.Appendf(padded, "\u2014 padding.example.org/%d %s\n", i, base64.StdEncoding.EncodeToString(sig))
	}
	if len(padded) < 55<<10 || len(padded) > maxAnswer {
		t.Fatalf("%d bytes", len(padded))
	}
	_, wkey, err := GenerateKey("witness.example.org/w1")
	if err != nil {
		t.Fatal(err)
	}
	c := newTestCollector(t, l, nil, Peer{Name: "w", URL: showing(t, 30, padded), Key: wkey})
	_, errs := c.Round(t.Context())
	if len(errs) != 1 || !bytes.Equal(conflictOf(t, errs[0]).Proof, held) {
		t.Errorf("shown as proof: %v", errs)
	}
}

// TestWitness_KeyRange: a witness cosigns nothing that a key signs beyond its
// end, which may be told while it serves and is never lifted again.
func TestWitness_KeyRange(t *testing.T) {
	old := newMemoryLog(t, testOrigin).add(10, "entry")
	w := newTestWitness(t, "witness.example.org/w1", old.vkey)
	if code, body := w.post(old.request(0).encode()); code != 200 {
		t.Fatal(code, body)
	}
	old.add(10, "entry")
	vkey, now := old.withKey()
	for _, line := range []string{vkey + " 11", old.vkey + " 0 12", old.vkey, vkey + "\n"} {
		if _, err := Trust(w.dir, line); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	}
	if _, err := Trust(w.dir, old.vkey+" 0 40"); err == nil {
		t.Error("the end of a key is put off")
	}
	if code, body := w.post(old.request(10).encode()); code != http.StatusForbidden {
		t.Errorf("a retired key: %d %s", code, body)
	}
	if code, body := w.post(now.request(10).encode()); code != 200 {
		t.Errorf("the newer one: %d %s", code, body)
	}
	w.shut()
	w.open()
	if code, body := w.post(old.request(20).encode()); code != http.StatusForbidden {
		t.Errorf("a retired key after a start: %d %s", code, body)
	}
	if code, body := w.post(now.add(5, "entry").request(20).encode()); code != 200 {
		t.Errorf("the newer one after a start: %d %s", code, body)
	}
	logs, err := List(w.dir)
	if err != nil || len(logs) != 1 || logs[0].Size != 25 || logs[0].Origin != testOrigin {
		t.Errorf("%+v, %v", logs, err)
	}
}

// TestWitness_LateRange: a bound that is told after the retired key was misused
// stops what comes; the witness still starts with what it holds.
func TestWitness_LateRange(t *testing.T) {
	old := newMemoryLog(t, testOrigin).add(30, "entry")
	w := newTestWitness(t, "witness.example.org/w1", old.vkey)
	if code, _ := w.post(old.request(0).encode()); code != 200 {
		t.Fatal(code)
	}
	if _, err := Trust(w.dir, old.vkey+" 0 12"); err != nil {
		t.Fatal(err)
	}
	w.shut()
	w.open()
	if code, _ := w.post(old.add(1, "entry").request(30).encode()); code != http.StatusForbidden {
		t.Errorf("it goes on: %d", code)
	}
}
