package evidence

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/statement"
	"github.com/ringfence/ringfence/internal/witness"
	"github.com/ringfence/ringfence/policy"
)

const origin = "gate.example.com/node-1"

var (
	day     = time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)
	modules = map[string]string{"claims.rego": "package claims\n\ndeny contains \"x\" if false\n", "ringfence/main.rego": "package ringfence.main\n"}
	stock   = policy.Revision(modules)
)

// A world is a log with requests of two people, its keys, a witness and what
// stands beside a log in a deployment.
type world struct {
	t          *testing.T
	dir        string
	log        *accesslog.Log
	skey, vkey string
	witnessKey string
	witness    *witness.Collector
	src        Source
	previous   []byte // checkpoint of the log before this one
	close      func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldAfter(t, nil)
}

// newWorldAfter is newWorld of a log that begins where another was given up.
func newWorldAfter(t *testing.T, previous []byte) *world {
	t.Helper()
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "log"), previous: previous}
	var err error
	if w.skey, w.vkey, err = accesslog.GenerateKey(origin); err != nil {
		t.Fatal(err)
	}
	w.open(w.skey)
	for i := range 40 {
		w.request(i)
	}
	w.witnessed()
	w.src = Source{Log: w.dir, Gate: "https://gate.example.com", Organisation: "Northwind Mutual", Witnesses: []string{w.witnessKey}, Temp: t.TempDir(),
		Policies: w.policies, Agreements: w.agreements, Sign: func(text string) ([]byte, error) { return accesslog.SignText(w.skey, text) }}
	return w
}

func (w *world) open(skey string) {
	w.t.Helper()
	l, err := accesslog.Open(w.t.Context(), accesslog.Config{Dir: w.dir, Node: "node-1", Key: skey, SegmentSize: 64 << 10, CommitDeadline: time.Minute,
		CheckpointEvery: 5 * time.Millisecond, Previous: w.previous, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- l.Run(context.Background()) }()
	closed := false
	w.close = func() {
		if closed {
			return
		}
		closed = true
		if err := l.Close(); err != nil {
			w.t.Error(err)
		}
		<-done
	}
	w.t.Cleanup(w.close)
	w.log = l
}

// request records a decision on one of two people, and facts about them.
func (w *world) request(i int) uint64 {
	w.t.Helper()
	who := []string{"acc-kim", "acc-lee"}[i%2]
	doc, err := policy.NewDocument(policy.Facts{Zone: "office", Account: &policy.AccountFacts{ID: who, Email: who + "@northwind.example", Status: "active"}})
	if err != nil {
		w.t.Fatal(err)
	}
	index, err := w.log.Record(w.t.Context(), &policy.Record{Type: policy.RecordRequest, Time: time.Now(), RequestID: fmt.Sprintf("r%06d", i), Account: who, Email: who + "@northwind.example",
		Vendor: "northwind", Cluster: "claims", Method: "GET", Host: "claims.example.com", Path: fmt.Sprintf("/api/claims/%d", i), SourceIP: "192.0.2.7",
		Effect: "deny", Reasons: []string{"not_assigned"}, Revision: stock, Document: doc})
	if err != nil {
		w.t.Fatal(err)
	}
	return index
}

// settle waits until a checkpoint covers everything.
func (w *world) settle() {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if c, err := accesslog.ReadCheckpoint(w.log.Checkpoint(), w.log.Keys()); err == nil && c.Size == w.log.Size() {
			return
		}
		if time.Now().After(end) {
			w.t.Fatal("no checkpoint covers the log")
		}
	}
}

func (w *world) witnessed() {
	w.t.Helper()
	dir := w.t.TempDir()
	var err error
	if w.witnessKey, err = witness.Init(dir, "witness.example.org/w1"); err != nil {
		w.t.Fatal(err)
	}
	if _, err := witness.Trust(dir, w.vkey); err != nil {
		w.t.Fatal(err)
	}
	server, err := witness.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatal(err)
	}
	s := httptest.NewServer(server.Handler())
	w.t.Cleanup(func() { s.Close(); server.Close() })
	w.settle()
	w.witness, err = witness.New(witness.Config{Source: witness.Source{Key: w.vkey, Checkpoint: w.log.Checkpoint, Older: accesslog.Older(w.dir, w.vkey)},
		Peers: []witness.Peer{{Name: "w1", URL: s.URL, Key: w.witnessKey}}, Require: 1, File: filepath.Join(w.t.TempDir(), "witnessed"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	if good, errs := w.witness.Round(w.t.Context()); good != 1 {
		w.t.Fatal(errs)
	}
}

func (w *world) policies(_ context.Context, revision string) (map[string]string, []byte, error) {
	if revision != stock {
		return nil, nil, nil
	}
	own := map[string]string{"claims.rego": modules["claims.rego"], "claims_test.rego": "package claims_test\n"}
	r := change.Revision{ID: 3, Hash: policy.Revision(own), Published: day, Title: "First", Authors: []change.Person{{Account: "acc-ada", At: day}},
		Approver: change.Person{Account: "acc-eve", At: day}, Modules: own}
	text, err := r.State()
	if err != nil {
		return nil, nil, err
	}
	signed, err := accesslog.SignText(w.skey, text)
	return modules, signed, err
}

func (w *world) agreements(_ context.Context, account string) ([]byte, error) {
	if account != "acc-kim" {
		return nil, nil
	}
	const text = "# Secrecy\n\nKeep it to yourself.\n"
	return statement.Sign(&statement.Statement{Gate: "https://gate.example.com", Made: day, MadeFor: "operator",
		Texts: []statement.Text{{Agreement: "nda", Version: 1, Title: "Secrecy", Created: day, Hash: directory.TextHash(text), Text: text}},
		Acceptances: []statement.Acceptance{{Agreement: "nda", Version: 1, Hash: directory.TextHash(text), Account: account, Email: "kim@northwind.example",
			TypedName: "Kim", At: day}}}, w.skey)
}

// bundle makes one of what match selects.
func (w *world) bundle(match func(*accesslog.Entry) bool) ([]byte, *Manifest) {
	w.t.Helper()
	w.settle()
	w.src.Cosigned = w.witness.Cosigned()
	var out bytes.Buffer
	m, err := Write(w.t.Context(), &out, w.src, Question{Query: "account:acc-kim", Match: match, MadeFor: "ada@example.com", Now: day}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if left, err := os.ReadDir(w.src.Temp); err != nil || len(left) > 0 {
		w.t.Errorf("left behind: %v, %v", left, err)
	}
	return out.Bytes(), m
}

func ofKim(e *accesslog.Entry) bool {
	return e.Account == "acc-kim" && e.Type == policy.RecordRequest
}

func verify(t *testing.T, b []byte, trust Trust) (*Report, error) {
	t.Helper()
	return Verify(t.Context(), bytes.NewReader(b), int64(len(b)), trust)
}
