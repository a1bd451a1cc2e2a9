package witness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// post sends a request and returns status and body.
func (w *testWitness) post(body []byte) (int, string) {
	w.t.Helper()
	res, err := http.Post(w.server.URL+"/add-checkpoint", "text/plain", bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func (w *testWitness) evidence(origin string) map[string][]Evidence {
	w.t.Helper()
	names, _ := filepath.Glob(filepath.Join(w.dir, "logs", originHash(origin), "evidence", "*.json"))
	out := map[string][]Evidence{}
	for _, n := range names {
		b, err := os.ReadFile(n)
		var e Evidence
		if err == nil {
			err = json.Unmarshal(b, &e)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		out[e.Kind] = append(out[e.Kind], e)
	}
	return out
}

// TestWitness_Protocol goes through every answer that the protocol names.
func TestWitness_Protocol(t *testing.T) {
	l := newMemoryLog(t, testOrigin).add(5, "entry")
	w := newTestWitness(t, "witness.example.org/w1", l.vkey)
	if code, _ := w.post(l.request(0).encode()); code != 200 {
		t.Fatalf("the first checkpoint: %d", code)
	}
	status, body := w.post(l.request(5).encode())
	v, err := newVerifier(w.vkey)
	if err != nil {
		t.Fatal(err)
	}
	if status != 200 {
		t.Fatalf("the same checkpoint again: %d %s", status, body)
	}
	if _, err := note.Open([]byte(string(l.checkpoint())+body), note.VerifierList(v)); err != nil {
		t.Fatalf("the answer is no cosignature: %v\n%s", err, body)
	}
	later := l.fork(5).add(8, "entry")
	proven := later.request(5)
	badProof := later.request(5)
	badProof.proof[0][3] ^= 1
	other := newMemoryLog(t, testOrigin).add(5, "entry") // same name, another key
	forged := bytes.Replace(l.checkpoint(), []byte("\n5\n"), []byte("\n6\n"), 1)
	emptyWrong := &request{note: l.sign(testOrigin + "\n0\n" + l.root(5).String() + "\n")}
	tests := []struct {
		name string
		body []byte
		want int
		say  string
	}{
		{"nothing", nil, 400, ""},
		{"no old size", append([]byte("\n"), l.checkpoint()...), 400, ""},
		{"a sign", append([]byte("old +5\n\n"), l.checkpoint()...), 400, ""},
		{"a leading zero", append([]byte("old 05\n\n"), l.checkpoint()...), 400, ""},
		{"a size beyond all", append([]byte("old 9223372036854775808\n\n"), l.checkpoint()...), 400, ""},
		{"carriage returns", append([]byte("old 5\r\n\r\n"), l.checkpoint()...), 400, ""},
		{"a proof that is no hash", append([]byte("old 5\nAAAA\n\n"), l.checkpoint()...), 400, ""},
		{"a hash with loose bits", append([]byte("old 5\n"+strings.Repeat("A", 42)+"B=\n\n"), l.checkpoint()...), 400, ""},
		{"64 lines of proof", append([]byte("old 5\n"+strings.Repeat(strings.Repeat("A", 43)+"=\n", 64)+"\n"), l.checkpoint()...), 400, ""},
		{"a checkpoint cut short", (&request{old: 5, note: l.checkpoint()[:40]}).encode(), 400, ""},
		{"a text that is none", (&request{old: 5, note: l.sign(testOrigin + "\nhello\n")}).encode(), 400, ""},
		{"an unknown log", (&request{note: newMemoryLog(t, "other.example.com/log").checkpoint()}).encode(), 404, ""},
		{"a log that names a path", (&request{note: newMemoryLog(t, "../../x").checkpoint()}).encode(), 404, ""},
		{"another key of that name", (&request{old: 5, note: other.checkpoint()}).encode(), 403, ""},
		{"a text changed after it was signed", (&request{old: 5, note: forged}).encode(), 403, ""},
		{"an old size beyond the checkpoint", (&request{old: 6, note: l.checkpoint()}).encode(), 400, ""},
		{"an old size that is not held", l.request(3).encode(), 409, "5\n"},
		{"an old request again", l.fork(3).request(0).encode(), 409, "5\n"},
		{"an empty log with entries", emptyWrong.encode(), 409, "5\n"},
		{"a proof of nothing", (&request{old: 5, proof: proven.proof, note: l.checkpoint()}).encode(), 422, ""},
		{"no proof", (&request{old: 5, note: later.checkpoint()}).encode(), 422, ""},
		{"a wrong proof", badProof.encode(), 422, ""},
		{"a proof with more than it needs", (&request{old: 5, proof: append(proven.proof[:len(proven.proof):len(proven.proof)], proven.proof[0]), note: later.checkpoint()}).encode(), 422, ""},
		{"too much", bytes.Repeat([]byte("old 5\n"), maxRequest), 413, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, body := w.post(tt.body)
			if status != tt.want || tt.say != "" && body != tt.say {
				t.Errorf("answered %d %q, want %d %q", status, body, tt.want, tt.say)
			}
			if held, _, _ := strings.Cut(string(w.Latest(originHash(testOrigin))), "\n\n"); !strings.Contains(held, "\n5\n") {
				t.Fatalf("the witness now remembers %q", held)
			}
		})
	}
	if status, body := w.post(proven.encode()); status != 200 {
		t.Fatalf("with its proof: %d %s", status, body)
	}
}

// TestWitness_Remembers starts the witness anew and damages what it remembers.
func TestWitness_Remembers(t *testing.T) {
	l := newMemoryLog(t, testOrigin).add(5, "entry")
	w := newTestWitness(t, "witness.example.org/w1", l.vkey)
	if code, _ := w.post(l.request(0).encode()); code != 200 {
		t.Fatal(code)
	}
	if _, err := Open(w.dir, nil); err != ErrLocked {
		t.Errorf("a second process: %v", err)
	}
	w.shut()
	w.open()
	if code, body := w.post(l.fork(4).request(0).encode()); code != 409 || body != "5\n" {
		t.Errorf("a shorter log after a new start: %d %q", code, body)
	}
	res, err := http.Get(w.server.URL + "/" + originHash(testOrigin) + "/checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	held, _ := io.ReadAll(res.Body)
	res.Body.Close()
	lv, _ := note.NewVerifier(l.vkey)
	wv, _ := newVerifier(w.vkey)
	n, err := note.Open(held, note.VerifierList(lv, wv))
	if err != nil || len(n.Sigs) != 2 {
		t.Fatalf("the checkpoint shown: %v\n%s", err, held)
	}
	w.shut()
	name := filepath.Join(w.dir, "logs", originHash(testOrigin), "checkpoint")
	for what, b := range map[string][]byte{"emptied": {}, "cut": held[:len(held)/2], "of the log alone": l.at(3)} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if x, err := Open(w.dir, nil); err == nil {
			x.Close()
			t.Errorf("a memory that was %s is taken for one", what)
		}
	}
}

// TestWitness_Evidence: what the log signed and cannot stand by is kept, each
// once, and what anybody could have sent is bounded.
func TestWitness_Evidence(t *testing.T) {
	l := newMemoryLog(t, testOrigin).add(10, "entry")
	w := newTestWitness(t, "witness.example.org/w1", l.vkey)
	w.post(l.request(0).encode())
	fork := l.fork(8).add(2, "other")
	longer := l.fork(8).add(5, "other")
	for range 3 {
		if code, _ := w.post(fork.request(10).encode()); code != 422 {
			t.Errorf("a fork of the same size: %d", code)
		}
		if code, _ := w.post(longer.request(10).encode()); code != 422 {
			t.Errorf("a longer fork: %d", code)
		}
		if code, _ := w.post(l.fork(8).request(8).encode()); code != 409 {
			t.Errorf("a log rolled back: %d", code)
		}
	}
	got := w.evidence(testOrigin)
	if len(got[EvidenceFork]) != 1 || len(got[EvidenceUnproven]) != 1 || len(got[EvidenceBehind]) != 1 {
		t.Fatalf("kept %v", got)
	}
	// The fork speaks for itself: two texts of one size, both signed by the log.
	e := got[EvidenceFork][0]
	lv, err := readLogKeys(l.vkey)
	if err != nil {
		t.Fatal(err)
	}
	req, err := parseRequest([]byte(e.Request))
	if err != nil {
		t.Fatal(err)
	}
	a, _, errA := openCheckpoint([]byte(e.Held), lv)
	b, _, errB := openCheckpoint(req.note, lv)
	if errA != nil || errB != nil || a.Size != b.Size || a.Root == b.Root {
		t.Errorf("the evidence does not prove a fork: %+v %v, %+v %v", a, errA, b, errB)
	}
	for i := range maxEvidence + 5 {
		w.post(l.fork(9).add(1, fmt.Sprint("fork ", i)).request(10).encode())
	}
	if n := len(w.evidence(testOrigin)[EvidenceFork]); n != maxEvidence {
		t.Errorf("%d pieces of evidence are kept", n)
	}
}

// TestWitness_Race sends two continuations that exclude each other at once:
// only one of them is ever cosigned.
func TestWitness_Race(t *testing.T) {
	l := newMemoryLog(t, testOrigin).add(4, "entry")
	w := newTestWitness(t, "witness.example.org/w1", l.vkey)
	w.post(l.request(0).encode())
	for round := range 10 {
		size := l.size
		a, b := l.fork(size).add(3, fmt.Sprint("a", round)), l.fork(size).add(3, fmt.Sprint("b", round))
		codes := make([]int, 2)
		bodies := [][]byte{a.request(size).encode(), b.request(size).encode()}
		var wg sync.WaitGroup
		for i := range bodies {
			wg.Go(func() { codes[i], _ = w.post(bodies[i]) })
		}
		wg.Wait()
		if codes[0]+codes[1] != 200+409 {
			t.Fatalf("answered %v", codes)
		}
		if l = a; codes[1] == 200 {
			l = b
		}
	}
}

// TestWitness_NewKeyAndForget: a log's next key is trusted while the witness
// serves; a log that is given up begins anew only by the operator's word.
func TestWitness_NewKeyAndForget(t *testing.T) {
	l := newMemoryLog(t, testOrigin).add(5, "entry")
	w := newTestWitness(t, "witness.example.org/w1", l.vkey)
	w.post(l.request(0).encode())
	next := newMemoryLog(t, testOrigin)
	rotated := l.fork(5).add(1, "entry")
	rotated.signer = next.signer
	if code, _ := w.post(rotated.request(5).encode()); code != 403 {
		t.Errorf("a key that is not trusted: %d", code)
	}
	if _, err := Trust(w.dir, next.vkey); err != nil {
		t.Fatal(err)
	}
	if code, body := w.post(rotated.request(5).encode()); code != 200 {
		t.Errorf("the new key: %d %s", code, body)
	}
	if err := Forget(w.dir, testOrigin, "disk lost", time.Now()); err != ErrLocked {
		t.Errorf("forgetting while it serves: %v", err)
	}
	w.shut()
	if err := Forget(w.dir, testOrigin, "disk lost", time.Now()); err != nil {
		t.Fatal(err)
	}
	w.open()
	if kept, _ := filepath.Glob(filepath.Join(w.dir, "logs", "*", "forgotten-*")); len(kept) != 1 {
		t.Errorf("the former checkpoint is not set aside: %v", kept)
	}
	if code, _ := w.post(newFrom(l, next).request(0).encode()); code != 200 {
		t.Errorf("the log that begins: %d", code)
	}
}

// newFrom is an empty log with a few other entries, under key's key.
func newFrom(l, key *memoryLog) *memoryLog {
	x := l.fork(0).add(2, "anew")
	x.signer = key.signer
	return x
}

// TestWitness_CannotRemember: what cannot be written down is not cosigned, and
// afterwards the witness goes on from what it had.
func TestWitness_CannotRemember(t *testing.T) {
	l := newMemoryLog(t, testOrigin).add(5, "entry")
	w := newTestWitness(t, "witness.example.org/w1", l.vkey)
	w.post(l.request(0).encode())
	name := filepath.Join(w.dir, "logs", originHash(testOrigin), "checkpoint")
	if err := os.Rename(name, name+".aside"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(name, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	longer := l.fork(5).add(1, "entry")
	if code, body := w.post(longer.request(5).encode()); code != 500 || strings.Contains(body, "\u2014") {
		t.Errorf("answered %d %q", code, body)
	}
	if err := os.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
	if code, _ := w.post(l.fork(5).add(2, "other").request(5).encode()); code != 200 {
		t.Errorf("another continuation of what was cosigned: %d", code)
	}
}
