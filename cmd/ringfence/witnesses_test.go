package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/witness"
	"github.com/ringfence/ringfence/policy"
)

// TestWitnessGap_StopsRequests: past the gap that the configuration allows no
// request is recorded, and so none is forwarded; what others record goes on.
func TestWitnessGap_StopsRequests(t *testing.T) {
	skey, vkey, err := accesslog.GenerateKey("gate.example.com/node-1")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "log")
	l, err := accesslog.Open(t.Context(), accesslog.Config{Dir: dir, Node: "node-1", Key: skey, SegmentSize: 1 << 20, CommitDeadline: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	go l.Run(context.Background())
	defer l.Close()
	_, wkey, err := witness.GenerateKey("w.example.org/1")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c, err := witness.New(witness.Config{
		Source:  witness.Source{Key: vkey, Checkpoint: l.Checkpoint, Older: accesslog.Older(dir, vkey)},
		Peers:   []witness.Peer{{Name: "gone", URL: "http://127.0.0.1:1", Key: wkey}},
		Require: 1, MaxGap: time.Minute, File: filepath.Join(t.TempDir(), "witnessed"), Now: func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Compare(t.Context()); err != nil {
		t.Errorf("a start while the witness cannot be reached: %v", err)
	}
	counted := countedLog{l, &effects{}, c}
	r := &policy.Record{Type: policy.RecordRequest, Time: now, Effect: "deny", RequestID: "r1"}
	if _, err := counted.Record(t.Context(), r); err != nil {
		t.Errorf("within the gap: %v", err)
	}
	now = now.Add(61 * time.Second)
	size := l.Size()
	if _, err := counted.Record(t.Context(), r); !errors.Is(err, accesslog.ErrUnavailable) || !errors.Is(err, witness.ErrUnwitnessed) {
		t.Errorf("past the gap: %v", err)
	}
	if l.Size() != size {
		t.Error("it was recorded all the same")
	}
	if _, err := l.Record(t.Context(), &policy.Record{Type: policy.RecordLogin, Time: now, Action: "login"}); err != nil {
		t.Errorf("a sign-in: %v", err)
	}
}
