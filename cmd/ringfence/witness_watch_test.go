package main

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/accesslogtest"
	"github.com/ringfence/ringfence/internal/witness"
	"github.com/ringfence/ringfence/policy"
)

// TestGuardStreams: once there is no service for want of cosignatures, open
// requests are cut, again and again while that lasts, and the log says once
// that it began and once that it ended.
func TestGuardStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var fault error
		var told []string
		cuts := 0
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- guardStreams(ctx, func() error { mu.Lock(); defer mu.Unlock(); return fault },
				func(reason string) {
					if reason != unwitnessedReason {
						t.Errorf("cut for %q", reason)
					}
					cuts++
				},
				func(action, _ string) { told = append(told, action) })
		}()
		step := func(err error) {
			mu.Lock()
			fault = err
			mu.Unlock()
			time.Sleep(time.Second) // of the bubble's clock
			synctest.Wait()
		}
		step(nil)
		if cuts != 0 || told != nil {
			t.Errorf("while all is well: %d cuts, %v", cuts, told)
		}
		step(errors.New("no witness for an hour"))
		if cuts < 4 || !slices.Equal(told, []string{actionWitnessStopped}) {
			t.Errorf("without: %d cuts, %v", cuts, told)
		}
		before := cuts
		step(nil)
		if cuts != before || !slices.Equal(told, []string{actionWitnessStopped, actionWitnessResumed}) {
			t.Errorf("again: %d cuts, %v", cuts-before, told)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestTellWitness_AnyProof: what a witness shows of another log is in the log,
// or which checkpoint it was; however long it is, the entry itself stands.
func TestTellWitness_AnyProof(t *testing.T) {
	l := accesslogtest.New(t, 0)
	tell := tellWitness(l.Log, func(err error) { t.Error(err) })
	for _, proof := range [][]byte{[]byte("short\n"), bytes.Repeat([]byte("\n"), 63<<10), bytes.Repeat([]byte{0xff}, 100), nil} {
		tell(witness.Event{Witness: "w1", Size: 20, Err: errors.New(strings.Repeat("é", 400)), Conflict: &witness.ConflictError{Witness: "w1", Have: 20, Seen: 30, Proof: proof}})
	}
	l.Add(t, &policy.Record{Type: policy.RecordLogin, Action: "login"})
	var got []*accesslog.Entry
	err := accesslog.Query(t.Context(), l.Dir, accesslog.Filter{Action: actionWitnessConflict, Ascending: true}, func(e *accesslog.Entry) bool {
		got = append(got, e)
		return true
	})
	if err != nil || len(got) != 4 {
		t.Fatalf("%d entries: %v", len(got), err)
	}
	for i, want := range []string{"short\n", "", "", ""} {
		d := got[i].Detail
		if d["seen"] != "30" || d["checkpoint"] != want || (d["checkpoint_sha256"] != "") != (i == 1 || i == 2) || !utf8.ValidString(d["error"]) {
			t.Errorf("entry %d: %v", i, d)
		}
	}
	if b := got[1].Detail["checkpoint_bytes"]; b != "64512" {
		t.Errorf("it had %s bytes", b)
	}
}
