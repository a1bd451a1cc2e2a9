package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

// prune fills the log until segments are sealed, and removes the first of them.
func (w *world) prune() (first uint64) {
	w.t.Helper()
	for i := range 1500 {
		if err := w.log.Append(&policy.Record{Type: policy.RecordRequest, Time: time.Now(), RequestID: fmt.Sprintf("f%06d", i), Account: "acc-lee", Method: "GET",
			Path: "/" + strings.Repeat("x", 200), Effect: "deny", Reasons: []string{"not_assigned"}}); err != nil {
			w.t.Fatal(err)
		}
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		sealed, err := accesslog.Sealed(w.dir, 0)
		if err != nil {
			w.t.Fatal(err)
		}
		can, err := w.log.Removable()
		if err == nil && len(sealed) > 2 && can >= sealed[2].First {
			first = sealed[2].First
			break
		}
		if time.Now().After(end) {
			w.t.Fatalf("nothing can be removed: %d, %v", can, err)
		}
	}
	if err := w.log.Prune(w.t.Context(), accesslog.Removal{Before: first, Rule: "default 30 days", Actor: "operator"}); err != nil {
		w.t.Fatal(err)
	}
	return first
}

// TestBundle_Removed: of a log whose first entries went by age, with a key and
// a log before it named among those, the rest is bundled and proven as before.
func TestBundle_Removed(t *testing.T) {
	before := newWorld(t)
	before.close()
	last := before.log.Checkpoint()
	was, err := accesslog.ReadCheckpoint(last, before.vkey)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldAfter(t, last)
	older := w.log.Checkpoint()
	next, vkey, err := accesslog.GenerateKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.log.Rotate(t.Context(), next, "operator"); err != nil {
		t.Fatal(err)
	}
	w.skey = next
	w.settle()
	if good, errs := w.witness.Round(t.Context()); good != 1 {
		t.Fatal(errs)
	}
	first := w.prune()
	kim := w.request(0)
	w.settle()
	if err := w.witness.SetKeys(w.log.Keys()); err != nil {
		t.Fatal(err)
	}
	// The witness takes what is left for what continues what it knows.
	known := w.witness.Cosigned()
	if good, errs := w.witness.Round(t.Context()); good != 1 {
		t.Fatal(errs)
	}
	if err := w.witness.Compare(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.src.Older = [][]byte{older}
	b, m := w.bundle(func(e *accesslog.Entry) bool { return e.Index >= kim-3 })
	for _, trust := range []Trust{{}, {Keys: w.vkey, Witnesses: []string{w.witnessKey}, Older: [][]byte{older}}, {Keys: vkey}} {
		r, err := verify(t, b, trust)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Previous.Is(was) || r.First != kim-3 || r.Cosigned == 0 || r.Cosigned <= first || m.Entries < 4 {
			t.Errorf("%+v", r)
		}
	}
	// Under a checkpoint that was cosigned before the removal it is no worse.
	w.settle()
	w.src.Cosigned = known
	var out bytes.Buffer
	if _, err := Write(t.Context(), &out, w.src, Question{Match: func(e *accesslog.Entry) bool { return e.Index >= kim }, Now: day}, nil); err != nil {
		t.Fatal(err)
	}
	if r, err := verify(t, out.Bytes(), Trust{Keys: w.vkey}); err != nil || r.Cosigned >= first {
		t.Errorf("cosigned before: %+v, %v", r, err)
	}
	// All of it is all that is left.
	all, m := w.bundle(nil)
	if r, err := verify(t, all, Trust{Keys: w.vkey}); err != nil || r.First != first || !r.Dense || uint64(m.Entries) != m.Size-first || r.Manifest.Begins != first {
		t.Errorf("all that is left: %+v, %v", r, err)
	}
	if _, err := Write(t.Context(), io.Discard, w.src, Question{Match: func(e *accesslog.Entry) bool { return e.Index < first }, First: 1, Last: first - 1, Now: day}, nil); !errors.Is(err, ErrNothing) {
		t.Errorf("only what has gone: %v", err)
	}
	// Whoever has the key cannot have the bundle speak of another log.
	var names []string
	var files map[string][]byte
	for _, change := range []func(){
		func() {
			files[beginName] = []byte(strings.Replace(string(files[beginName]), `"previous_entries":"`, `"previous_entries":"1`, 1))
		},
		func() { files[beginName], files[beginProofs] = files[entriesName], files[entriesProofs] },
		func() { files[beginName], files[beginProofs] = []byte{}, []byte{} },
	} {
		names, files = unpack(t, b)
		change()
		var fault *FaultError
		if _, err := verify(t, repack(t, names, files, next), Trust{Keys: w.vkey}); !errors.As(err, &fault) {
			t.Errorf("a changed beginning: %v", err)
		}
	}
}
