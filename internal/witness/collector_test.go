package witness

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	cosign "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

func conflictOf(t *testing.T, err error) *ConflictError {
	t.Helper()
	c, ok := errors.AsType[*ConflictError](err)
	if !ok {
		t.Fatalf("no conflict: %v", err)
	}
	return c
}

func TestCollector_Publishes(t *testing.T) {
	l := newMemoryLog(t, testOrigin).add(3, "entry")
	a, b := newTestWitness(t, "a.example.org/w", l.vkey), newTestWitness(t, "b.example.org/w", l.vkey)
	c := newTestCollector(t, l, nil, Peer{Name: "a", URL: a.server.URL + "/", Key: a.vkey}, Peer{Name: "b", URL: b.server.URL, Key: b.vkey})
	for range 4 {
		if good, errs := c.Round(t.Context()); good != 2 {
			t.Fatalf("%d cosigned: %v", good, errs)
		}
		keys := []note.Verifier{c.log.all()[0], c.keys[0], c.keys[1]}
		n, err := note.Open(c.Cosigned(), note.VerifierList(keys...))
		if err != nil || len(n.Sigs) != 3 {
			t.Fatalf("%v\n%s", err, c.Cosigned())
		}
		l.add(300, "entry")
	}
	if s := c.Status(); s.Witnessed != 903 || s.Gap > time.Minute || s.Peers[0].Size != 903 || s.Stopped != nil {
		t.Errorf("%+v", s)
	}
}

// TestCollector_RolledBack: somebody with the key cuts the log and signs
// again. The witness finds it at once, after as many new entries, and after
// more; what it shows is signed by the log itself.
func TestCollector_RolledBack(t *testing.T) {
	l := newMemoryLog(t, testOrigin).add(20, "entry")
	w := newTestWitness(t, "witness.example.org/w1", l.vkey)
	if err := newTestCollector(t, l, nil, w.peer()).Compare(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, cut := range map[string]*memoryLog{
		"cut":                l.fork(15),
		"as long as it was":  l.fork(15).add(5, "made up"),
		"longer than it was": l.fork(15).add(50, "made up"),
		"begun anew":         l.fork(0).add(2, "made up"),
		"empty":              l.fork(0),
	} {
		t.Run(name, func(t *testing.T) {
			c := newTestCollector(t, cut, nil, w.peer())
			got := conflictOf(t, c.Compare(t.Context()))
			if p, _, err := openCheckpoint(got.Proof, c.log.all()); err != nil || p.Size != 20 || got.Seen != 20 {
				t.Errorf("no proof: %+v, %v", got, err)
			}
			if err := c.Serving(); !errors.Is(err, ErrUnwitnessed) {
				t.Errorf("service goes on: %v", err)
			}
		})
	}
	if err := newTestCollector(t, l.add(1, "entry"), nil, w.peer()).Compare(t.Context()); err != nil {
		t.Errorf("the true log afterwards: %v", err)
	}
}

// TestCollector_KeptCheckpoint: with the witness out of reach, what was kept
// beside the log shows a roll-back all the same.
func TestCollector_KeptCheckpoint(t *testing.T) {
	l := newMemoryLog(t, testOrigin).add(20, "entry")
	w := newTestWitness(t, "witness.example.org/w1", l.vkey)
	first := newTestCollector(t, l, nil, w.peer())
	if err := first.Compare(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone := w.peer()
	w.shut()
	same := func(cfg *Config) { cfg.File = first.cfg.File }
	if err := newTestCollector(t, l.fork(20).add(3, "entry"), same, gone).Compare(t.Context()); err != nil {
		t.Errorf("the true log, with no witness to be reached: %v", err)
	}
	for _, cut := range []*memoryLog{l.fork(19), l.fork(19).add(1, "other"), l.fork(19).add(30, "other")} {
		conflictOf(t, newTestCollector(t, cut, same, gone).Compare(t.Context()))
	}
	if err := os.WriteFile(first.cfg.File, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := first.cfg
	if _, err := New(cfg); err == nil {
		t.Error("a kept checkpoint that is none is passed over")
	}
}

// TestCollector_ForkedViews: two gateways sign different logs under one name.
func TestCollector_ForkedViews(t *testing.T) {
	l := newMemoryLog(t, testOrigin).add(20, "entry")
	w := newTestWitness(t, "witness.example.org/w1", l.vkey)
	mine, theirs := l.fork(20), l.fork(20)
	a, b := newTestCollector(t, mine, nil, w.peer()), newTestCollector(t, theirs, nil, w.peer())
	for _, c := range []*Collector{a, b} {
		if good, errs := c.Round(t.Context()); good != 1 {
			t.Fatal(errs)
		}
	}
	mine.add(5, "for the vendor")
	theirs.add(5, "for the reviewer")
	if good, errs := a.Round(t.Context()); good != 1 {
		t.Fatal(errs)
	}
	_, errs := b.Round(t.Context())
	if len(errs) != 1 || conflictOf(t, errs[0]).Proof == nil {
		t.Fatalf("%v", errs)
	}
	if b.Serving() == nil || a.Serving() != nil {
		t.Errorf("serving: %v, %v", a.Serving(), b.Serving())
	}
	if e := w.evidence(testOrigin); len(e[EvidenceFork])+len(e[EvidenceUnproven]) == 0 {
		t.Error("the witness kept no evidence")
	}
}

// TestCollector_GapStopsService: silence shows as a growing gap, stops service
// when the policy says so, and a restart does not begin it anew.
func TestCollector_GapStopsService(t *testing.T) {
	l := newMemoryLog(t, testOrigin).add(3, "entry")
	w := newTestWitness(t, "witness.example.org/w1", l.vkey)
	now := time.Now()
	peer := w.peer()
	c := newTestCollector(t, l, func(cfg *Config) { cfg.MaxGap, cfg.Now = time.Minute, func() time.Time { return now } }, peer)
	c.Round(t.Context())
	w.shut()
	now = now.Add(59 * time.Second)
	c.Round(t.Context())
	if err := c.Serving(); err != nil || c.Status().Gap < 59*time.Second {
		t.Errorf("after 59 s: %v, %+v", err, c.Status())
	}
	now = now.Add(3 * time.Second)
	if err := c.Serving(); !errors.Is(err, ErrUnwitnessed) {
		t.Errorf("after 62 s: %v", err)
	}
	again, err := New(c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Serving(); !errors.Is(err, ErrUnwitnessed) {
		t.Errorf("after a restart: %v", err)
	}
	c.cfg.MaxGap = 0
	if err := c.Serving(); err != nil {
		t.Errorf("without a policy: %v", err)
	}
}

// liar serves whatever answer it is given.
func liar(t *testing.T, answer http.HandlerFunc) string {
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return s.URL
}

// cosignAt is what a witness signs at a time of its choosing.
func cosignAt(t *testing.T, name string, text string, at time.Time) (vkey, line string) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := note.NewEd25519VerifierKey(name, pub)
	if err != nil {
		t.Fatal(err)
	}
	v, err := newVerifier(plain)
	if err != nil {
		t.Fatal(err)
	}
	sig := binary.BigEndian.AppendUint32(nil, v.KeyHash())
	sig = binary.BigEndian.AppendUint64(sig, uint64(at.Unix()))
	sig = append(sig, ed25519.Sign(priv, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at.Unix(), text))...)
	return plain, "\u2014 " + name + " " + base64.StdEncoding.EncodeToString(sig) + "\n"
}

// TestCollector_Liars: no answer of a witness makes a checkpoint count that
// it has not cosigned now, or stops a gateway that others vouch for.
func TestCollector_Liars(t *testing.T) {
	l := newMemoryLog(t, testOrigin).add(9, "entry")
	text, _, _ := strings.Cut(string(l.checkpoint()), "\n\n")
	text += "\n"
	key, good := cosignAt(t, "w.example.org", text, time.Now())
	oldKey, old := cosignAt(t, "w.example.org", text, time.Now().Add(-time.Hour))
	aheadKey, ahead := cosignAt(t, "w.example.org", text, time.Now().Add(time.Hour))
	otherKey, other := cosignAt(t, "w.example.org", strings.Replace(text, "\n9\n", "\n8\n", 1), time.Now())
	size := func(n string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Content-Type", "text/x.tlog.size")
			w.WriteHeader(http.StatusConflict)
			io.WriteString(w, n)
		}
	}
	say := func(status int, s string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status); io.WriteString(w, s) }
	}
	honest := newTestWitness(t, "honest.example.org/w", l.vkey)
	tests := []struct {
		name, key string
		answer    http.HandlerFunc
		cosigned  bool
		claims    bool // says that the log is not the one it was
	}{
		{"a cosignature", key, say(200, good), true, false},
		{"one of an hour ago", oldKey, say(200, old), false, false},
		{"one of the next hour", aheadKey, say(200, ahead), false, false},
		{"one of another checkpoint", otherKey, say(200, other), false, false},
		{"one of another key", oldKey, say(200, good), false, false},
		{"the log's own signature", key, say(200, strings.SplitAfterN(string(l.checkpoint()), "\n\n", 2)[1]), false, false},
		{"another text and its signature", key, say(200, "\n"+string(l.at(4))), false, false},
		{"nothing", key, say(200, ""), false, false},
		{"nonsense", key, say(200, "hello"), false, false},
		{"no end of signatures", key, say(200, strings.Repeat(good, 1000)), false, false},
		{"more than fits", key, say(200, strings.Repeat("x", 1<<20)), false, false},
		{"a size that is none", key, size("-1\n"), false, false},
		{"the size that it was given", key, size("0\n"), false, false},
		{"a size beyond the log", key, size("1000000\n"), false, true},
		{"a refusal", key, say(422, ""), false, true},
		{"elsewhere", key, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, honest.server.URL+r.URL.Path, http.StatusTemporaryRedirect)
		}, false, false},
		{"no answer at all", key, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or the server never sees that the client has gone
			<-r.Context().Done()
		}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := Peer{Name: "liar", URL: liar(t, tt.answer), Key: tt.key}
			wait := 10 * time.Second
			if tt.name == "no answer at all" {
				wait = 300 * time.Millisecond
			}
			quick := func(cfg *Config) { cfg.Timeout = wait }
			c := newTestCollector(t, l, quick, p)
			if good, errs := c.Round(t.Context()); good == 1 != tt.cosigned || (c.Cosigned() != nil) != tt.cosigned {
				t.Errorf("%d cosigned: %v", good, errs)
			}
			if err := c.Serving(); err != nil {
				t.Errorf("its word alone stops service: %v", err)
			}
			if err := c.Compare(t.Context()); (err != nil) != tt.claims {
				t.Errorf("a start: %v", err)
			}
			both := newTestCollector(t, l, func(cfg *Config) { cfg.Timeout, cfg.Require = max(wait, time.Second), 1 }, p, Peer{Name: "honest", URL: honest.server.URL, Key: honest.vkey})
			if err := both.Compare(t.Context()); err != nil {
				t.Errorf("a start that an honest one vouches for: %v", err)
			}
		})
	}
}

// TestCollector_ForeignKeys: cosignatures of other makers count, in ML-DSA-44 too.
func TestCollector_ForeignKeys(t *testing.T) {
	l := newMemoryLog(t, testOrigin).add(9, "entry")
	skey, vkey, err := cosign.GenerateMLDSAKey("pq.example.org/w")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := cosign.NewSignerForCosignatureV1(skey)
	if err != nil {
		t.Fatal(err)
	}
	url := liar(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		req, err := parseRequest(b)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		text, _, _ := strings.Cut(string(req.note), "\n\n")
		signed, err := note.Sign(&note.Note{Text: text + "\n"}, signer)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, lines, _ := strings.Cut(string(signed), "\n\n")
		io.WriteString(w, lines)
	})
	c := newTestCollector(t, l, nil, Peer{Name: "pq", URL: url, Key: vkey})
	if good, errs := c.Round(t.Context()); good != 1 || !strings.Contains(string(c.Cosigned()), "\u2014 pq.example.org/w ") {
		t.Errorf("%v", errs)
	}
}

func TestCheckKey(t *testing.T) {
	_, vkey, err := GenerateKey("w.example.org/1")
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckKey(vkey + "\n"); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "x", "a+b", strings.Replace(vkey, "/1+", "/2+", 1), vkey[:len(vkey)-5]} {
		if CheckKey(bad) == nil {
			t.Errorf("%q passes", bad)
		}
	}
	if _, _, err := GenerateKey("with space"); err == nil {
		t.Error("a name with a space passes")
	}
}

// TestCollector_Tells: whoever asks is told once that a witness is lost, once
// that it is back, and once that it remembers another log.
func TestCollector_Tells(t *testing.T) {
	l := newMemoryLog(t, testOrigin).add(20, "entry")
	w := newTestWitness(t, "witness.example.org/w1", l.vkey)
	var told []Event
	peer := w.peer()
	c := newTestCollector(t, l, func(c *Config) { c.Tell = func(e Event) { told = append(told, e) } }, peer)
	c.Round(t.Context())
	base := c.peers[0].base
	c.peers[0].base = "http://127.0.0.1:1"
	c.Round(t.Context())
	c.Round(t.Context())
	c.peers[0].base = base
	c.Round(t.Context())
	if len(told) != 2 || told[0].Err == nil || told[0].Conflict != nil || told[1].Err != nil || told[1].Size != 20 {
		t.Fatalf("%+v", told)
	}
	cut := newTestCollector(t, l.fork(10), func(c *Config) { c.Tell = func(e Event) { told = append(told, e) } }, w.peer())
	cut.Round(t.Context())
	cut.Round(t.Context())
	if len(told) != 3 || told[2].Conflict == nil || told[2].Conflict.Seen != 20 || told[2].Conflict.Proof == nil {
		t.Errorf("%+v", told)
	}
}
