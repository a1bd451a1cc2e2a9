package store

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
)

// watch runs Watch and returns what it reports.
func watch(t *testing.T, db *DB, every time.Duration) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	got, done := make(chan string, 100), make(chan error, 1)
	go func() {
		done <- db.Watch(ctx, every, func(kinds map[string]bool) { got <- strings.Join(slices.Sorted(maps.Keys(kinds)), " ") })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch ended with %v", err)
		}
	})
	expect(t, got, "directory outbox policy session shadow") // at once, for whatever changed before
	return got
}

func expect(t *testing.T, got <-chan string, want string) {
	t.Helper()
	select {
	case k := <-got:
		if k != want {
			t.Fatalf("got %q, want %q", k, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("no word of %q", want)
	}
}

func TestWatch_OwnChangesAtOnce(t *testing.T) {
	db := filled(t)
	got := watch(t, db, time.Hour) // the poll never comes
	apply(t, db, &directory.Directory{Vendors: []directory.Vendor{{Name: "northwind", Title: "N", Owner: exampleFile(t).Vendors[0].Owner}}}, false)
	expect(t, got, "directory outbox")
	publishAlone(t, db, map[string]string{"all/a.rego": "b"})
	expect(t, got, "outbox policy")
}

func TestWatch_OtherProcess(t *testing.T) {
	db := filled(t)
	got := watch(t, db, time.Millisecond)
	other := open(t, Config{Path: path(t, db), Now: at(day)})
	if err := other.write(t.Context(), func(tx *sql.Tx) error { return other.notify(tx, KindSession, "s") }); err != nil {
		t.Fatal(err)
	}
	expect(t, got, "session")
}

// A watcher that has slept longer than changes are kept is told of every kind.
func TestWatch_MissedRows(t *testing.T) {
	db := open(t, Config{Now: at(day)})
	note := func(when time.Time) int64 {
		t.Helper()
		db.now = at(when)
		if err := db.write(t.Context(), func(tx *sql.Tx) error { return db.notify(tx, KindSession, "") }); err != nil {
			t.Fatal(err)
		}
		newest, _, err := db.changes(t.Context(), -1)
		if err != nil {
			t.Fatal(err)
		}
		return newest
	}
	seen := note(day)
	note(day.Add(time.Minute))
	if _, kinds, err := db.changes(t.Context(), seen); err != nil || len(kinds) != 1 || !kinds[KindSession] {
		t.Errorf("got %v, %v", kinds, err)
	}
	newest := note(day.Add(2 * keepChanges))
	var rows int
	if err := db.read().QueryRow(`SELECT count(*) FROM change`).Scan(&rows); err != nil || rows != 1 {
		t.Errorf("%d rows are kept, %v", rows, err)
	}
	if n, kinds, err := db.changes(t.Context(), seen); err != nil || len(kinds) != 5 || n != newest {
		t.Errorf("got %v, %v", kinds, err)
	}
	if _, kinds, err := db.changes(t.Context(), newest); err != nil || len(kinds) != 0 {
		t.Errorf("got %v, %v", kinds, err)
	}
	if _, kinds, err := db.changes(t.Context(), newest+5); err != nil || len(kinds) != 5 {
		t.Errorf("after a restored copy: got %v, %v", kinds, err)
	}
}
