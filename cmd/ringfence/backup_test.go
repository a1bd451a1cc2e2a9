package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

// TestCopyLog_WhileWritten copies a log again and again while entries are
// written and checkpoints signed: every copy must verify.
func TestCopyLog_WhileWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	const origin = "gate.example.com/node-1"
	skey, vkey, err := accesslog.GenerateKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	l, err := accesslog.Open(t.Context(), accesslog.Config{Dir: dir, Node: "node-1", Origin: origin, Key: skey, SegmentSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	go func() { _ = l.Run(t.Context()) }()
	stop := make(chan struct{})
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			r := &policy.Record{Type: policy.RecordAdmin, Action: "test", Result: "ok", Actor: "operator", Object: fmt.Sprint(i)}
			if _, err := l.Record(t.Context(), r); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i := range 30 {
		to := filepath.Join(t.TempDir(), "copy")
		if err := copyLog(dir, to); err != nil {
			t.Fatal(err)
		}
		if _, err := accesslog.Verify(t.Context(), to, vkey, nil); err != nil {
			t.Fatalf("copy %d: %v", i, err)
		}
		if spare, err := filepath.Glob(filepath.Join(to, "spare-*")); err != nil || len(spare) > 0 {
			t.Fatalf("copy %d holds %v, %v", i, spare, err)
		}
	}
	close(stop)
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
