package store

import (
	"context"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

// What says that a log was given up comes before all that waits for the next
// one, however often, and is not lost while others are being recorded.
func TestDropAnchor_ComesFirst(t *testing.T) {
	db := open(t, Config{Now: at(day)})
	drop := func(action string) {
		t.Helper()
		if err := db.SetAnchor(t.Context(), []byte("checkpoint")); err != nil {
			t.Fatal(err)
		}
		if err := db.DropAnchor(t.Context(), &policy.Record{Type: policy.RecordLog, Action: action}); err != nil {
			t.Fatal(err)
		}
		if got, err := db.Anchor(t.Context()); got != nil || err != nil {
			t.Errorf("kept: %q, %v", got, err)
		}
	}
	enqueue := func(action string) {
		t.Helper()
		if err := db.Enqueue(t.Context(), &policy.Record{Type: policy.RecordLog, Action: action}); err != nil {
			t.Fatal(err)
		}
	}
	drop("alone")
	enqueue("a")
	enqueue("b")
	drop("one")
	enqueue("c")
	drop("two")
	if r, err := db.NextRecord(t.Context()); err != nil || r.Action != "two" {
		t.Errorf("next is %+v, %v", r, err)
	}
	var got string
	if _, err := db.Drain(t.Context(), func(_ context.Context, r *policy.Record) (uint64, error) {
		if r.Action == "b" { // while others are on their way to the log
			drop("three")
			enqueue("d")
		}
		got += r.Action + " "
		return 0, nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := "two one alone a b c three d "; got != want {
		t.Errorf("recorded in the order %q, want %q", got, want)
	}
	if r, err := db.NextRecord(t.Context()); r != nil || err != nil {
		t.Errorf("next of none is %+v, %v", r, err)
	}
	if n, err := db.Pending(t.Context()); n != 0 || err != nil {
		t.Errorf("%d wait, %v", n, err)
	}
}
