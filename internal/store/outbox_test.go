package store

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
)

func TestDrain_InOrder(t *testing.T) {
	db := open(t, Config{Now: at(day)})
	const n = drainBatch + 10
	for i := range n {
		if err := db.Enqueue(t.Context(), &policy.Record{Type: policy.RecordLog, Action: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := db.Pending(t.Context()); err != nil || got != n {
		t.Errorf("pending %d, %v", got, err)
	}
	for i, r := range drained(t, db) {
		if r.Action != fmt.Sprint(i) || !r.Time.Equal(day) {
			t.Fatalf("record %d: %+v", i, r)
		}
	}
	if got, err := db.Pending(t.Context()); err != nil || got != 0 {
		t.Errorf("pending %d, %v", got, err)
	}
}

// Log loss: what could not be recorded stays, with all that follows, and what
// was recorded is not handed over again.
func TestDrain_StopsAtFailure(t *testing.T) {
	db := open(t, Config{Now: at(day)})
	for i := range 5 {
		if err := db.Enqueue(t.Context(), &policy.Record{Action: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	full := errors.New("disk full")
	var got []string
	room := 2
	record := func(_ context.Context, r *policy.Record) (uint64, error) {
		if room == 0 {
			return 0, full
		}
		room--
		got = append(got, r.Action)
		return 1, nil
	}
	if n, err := db.Drain(t.Context(), record); n != 2 || !errors.Is(err, full) {
		t.Errorf("got %d, %v", n, err)
	}
	if n, err := db.Drain(t.Context(), record); n != 0 || !errors.Is(err, full) {
		t.Errorf("got %d, %v", n, err)
	}
	room = 10
	if n, err := db.Drain(t.Context(), record); n != 3 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if want := []string{"0", "1", "2", "3", "4"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

// A crash between recording and deleting hands the record over again, the same.
func TestDrain_AtLeastOnce(t *testing.T) {
	file := open(t, Config{Now: at(day)})
	if err := file.Enqueue(t.Context(), &policy.Record{Action: "a", Detail: map[string]string{"k": "v"}, CodeAge: policy.Int64(0)}); err != nil {
		t.Fatal(err)
	}
	var first *policy.Record
	func() {
		defer func() { recover() }()
		file.Drain(t.Context(), func(_ context.Context, r *policy.Record) (uint64, error) {
			first = r
			panic("killed")
		})
	}()
	again := drained(t, open(t, Config{Path: path(t, file), Now: at(day.Add(time.Hour))}))
	if len(again) != 1 || !reflect.DeepEqual(first, again[0]) {
		t.Errorf("got %+v, first %+v", again, first)
	}
}

// A record survives the outbox field by field.
func TestEnqueue_KeepsEveryField(t *testing.T) {
	db := open(t, Config{})
	want := &policy.Record{}
	v := reflect.ValueOf(want).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Interface().(type) {
		case string, policy.RecordType:
			f.SetString(v.Type().Field(i).Name)
		case int:
			f.SetInt(7)
		case *int64:
			f.Set(reflect.ValueOf(policy.Int64(0)))
		case []string:
			f.Set(reflect.ValueOf([]string{"a", "b"}))
		case map[string]int64:
			f.Set(reflect.ValueOf(map[string]int64{"totp": 0}))
		case map[string]string:
			f.Set(reflect.ValueOf(map[string]string{"k": "v"}))
		case *policy.Obligations:
			f.Set(reflect.ValueOf(&policy.Obligations{MaxResponseBytes: 1}))
		case *policy.RecordedInput:
			f.Set(reflect.ValueOf(&policy.RecordedInput{Version: 1, Headers: map[string]string{"origin": "https://a.example"}, Withheld: []string{"request.query"}}))
		case time.Time:
			f.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)))
		case *policy.Document: // never inside the entry
		default:
			t.Fatalf("field %s is of a type this test does not know", v.Type().Field(i).Name)
		}
	}
	if err := db.Enqueue(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if got := drained(t, db); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("got %+v, want %+v", got[0], want)
	}
}

// A record about a reading that has to wait does not hold up the changes
// behind it, and is not lost.
func TestDrain_PassesWhatHasToWait(t *testing.T) {
	db := open(t, Config{Now: at(day)})
	var want []string
	for i := range drainBatch + 10 { // more that wait than are read at once
		if err := db.Enqueue(t.Context(), &policy.Record{Type: policy.RecordLog, Action: fmt.Sprint("log.", i)}); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprint("log.", i))
	}
	if err := db.Enqueue(t.Context(), &policy.Record{Type: policy.RecordAdmin, Action: "account.disable"}); err != nil {
		t.Fatal(err)
	}
	var got []string
	later := func(_ context.Context, r *policy.Record) (uint64, error) {
		if r.Type == policy.RecordLog {
			return 0, fmt.Errorf("no room: %w", ErrLater)
		}
		got = append(got, r.Action)
		return 1, nil
	}
	for range 2 {
		if _, err := db.Drain(t.Context(), later); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(got, []string{"account.disable"}) {
		t.Fatalf("got %v", got)
	}
	got = nil
	for _, r := range drained(t, db) {
		got = append(got, r.Action)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %d records, the first %v", len(got), got[:min(3, len(got))])
	}
	// A change never has to wait in this way: what is behind it builds on it.
	if err := db.Enqueue(t.Context(), &policy.Record{Type: policy.RecordAdmin, Action: "account.disable"}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Drain(t.Context(), func(context.Context, *policy.Record) (uint64, error) { return 0, ErrLater }); !errors.Is(err, ErrLater) {
		t.Errorf("a change was passed over: %v", err)
	}
}
