package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

func open(t testing.TB, c Config) *DB {
	t.Helper()
	if c.Path == "" {
		c.Path = filepath.Join(t.TempDir(), "ringfence.db")
		if err := os.WriteFile(c.Path, empty(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// empty is a database without anything in it, whose tables were made once:
// making them anew for each test takes most of the tests' time.
var empty = sync.OnceValue(func() []byte {
	dir, err := os.MkdirTemp("", "ringfence-store")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "ringfence.db")
	db, err := Open(context.Background(), Config{Path: path})
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		panic(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return b
})

func TestOpen_Pragmas(t *testing.T) {
	db := open(t, Config{})
	for _, q := range []struct{ pragma, want string }{
		{"journal_mode", "wal"}, {"synchronous", "2"}, {"foreign_keys", "1"}, {"busy_timeout", "10000"},
	} {
		var w, r string
		if err := db.writer.QueryRow("PRAGMA " + q.pragma).Scan(&w); err != nil {
			t.Fatal(err)
		}
		if err := db.read().QueryRow("PRAGMA " + q.pragma).Scan(&r); err != nil {
			t.Fatal(err)
		}
		if w != q.want || r != q.want {
			t.Errorf("%s: writer %s, reader %s, want %s", q.pragma, w, r, q.want)
		}
	}
	if _, err := db.read().Exec(`DELETE FROM change`); err == nil {
		t.Error("a reader wrote")
	}
	info, err := os.Stat(path(t, db))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// Names that mean something in a database address are only names.
func TestOpen_AwkwardPaths(t *testing.T) {
	if testing.Short() {
		t.Skip("makes many databases, one after the other")
	}
	dir := t.TempDir()
	for _, name := range []string{"a b.db", "a?mode=memory.db", "a#b.db", "a%20b.db", "a&b.db", "ä.db", "file:x.db"} {
		p := filepath.Join(dir, name)
		open(t, Config{Path: p})
		if info, err := os.Stat(p); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Chdir(dir)
	open(t, Config{Path: "relative ?.db"})
	if info, err := os.Stat("relative ?.db"); err != nil || info.Size() == 0 {
		t.Errorf("relative: %v", err)
	}
}

func TestOpen_Refuses(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a database", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := open(t, Config{})
	if _, err := newer.writer.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9000, 1)`); err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]string{
		"":                             "no path is given",
		filepath.Join(dir, "no", "db"): "no such file",
		garbage:                        "not a database",
		path(t, newer):                 "use the newer ringfence",
	} {
		if db, err := Open(t.Context(), Config{Path: p}); err == nil || db != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", p, err)
		}
	}
}

// A database that an older version made is brought up to date with what it
// holds, from every version there was.
func TestOpen_OlderDatabase(t *testing.T) {
	if testing.Short() {
		t.Skip("makes many databases, one after the other")
	}
	sub, err := fs.Sub(migrations, "migration")
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(sub, "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for version := 1; version <= len(names); version++ {
		p := filepath.Join(t.TempDir(), "old.db")
		old, err := sql.Open("sqlite", source(Config{Path: p}, ""))
		if err != nil {
			t.Fatal(err)
		}
		provider, err := goose.NewProvider(goose.DialectSQLite3, old, sub, goose.WithDisableGlobalRegistry(true))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := provider.UpTo(t.Context(), int64(version)); err != nil {
			t.Fatal(err)
		}
		if _, err := old.Exec(`INSERT INTO vendor (name, title, owner_name, owner_email) VALUES ('v', 'V', 'O', 'o@example.com')`); err != nil {
			t.Fatal(err)
		}
		old.Close()
		db := open(t, Config{Path: p})
		if v := stored(t, db).Vendors; len(v) != 1 || v[0].Name != "v" {
			t.Errorf("from version %d: %+v", version, v)
		}
		have := 0
		if err := db.read().QueryRow(`SELECT max(version_id) FROM goose_db_version`).Scan(&have); err != nil || have < len(names) {
			t.Errorf("from version %d: at %d, %v", version, have, err)
		}
	}
}

// A gateway and a command that start on a new folder at the same moment both get through.
func TestOpen_AtTheSameTime(t *testing.T) {
	p := filepath.Join(t.TempDir(), "ringfence.db")
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() {
			db, err := Open(t.Context(), Config{Path: p})
			if err == nil {
				err = db.Close()
			}
			errs[i] = err
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

// Another process that holds the write lock never blocks reading; writing waits
// and then says what to do.
func TestBusy(t *testing.T) {
	db := filled(t)
	other := open(t, Config{Path: path(t, db), BusyTimeout: 50 * time.Millisecond, Now: at(day)})
	tx, err := db.writer.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec(`UPDATE vendor SET title = 'held'`); err != nil {
		t.Fatal(err)
	}
	if d := stored(t, other); d.Vendors[0].Title == "held" || len(d.Accounts) != 6 {
		t.Errorf("got %+v", d.Vendors)
	}
	if _, err := other.Preview(t.Context(), func(*directory.Directory) error { return nil }); err != nil {
		t.Error(err)
	}
	_, err = other.Change(t.Context(), operator, func(d *directory.Directory) error { d.Vendors[0].Title = "x"; return nil })
	if !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
	if err := other.Enqueue(t.Context(), &policy.Record{}); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
	tx.Rollback()
	if _, err := other.Change(t.Context(), operator, func(d *directory.Directory) error { d.Vendors[0].Title = "x"; return nil }); err != nil {
		t.Error(err)
	}
}

// A write that waits for another process goes on when that ends within the time.
func TestBusy_Waits(t *testing.T) {
	db := filled(t)
	other := open(t, Config{Path: path(t, db), Now: at(day)})
	tx, err := db.writer.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- other.Enqueue(t.Context(), &policy.Record{}) }()
	select {
	case err := <-done:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	tx.Rollback()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Every write that fails on its way leaves everything as it was: rows, records
// and notes stand or fall together.
func TestChange_IsAtomic(t *testing.T) {
	statements := map[string]string{
		"row of a vendor":      `CREATE TRIGGER fault BEFORE UPDATE ON vendor BEGIN SELECT RAISE(ABORT, 'injected'); END`,
		"row of an assignment": `CREATE TRIGGER fault BEFORE INSERT ON assignment BEGIN SELECT RAISE(ABORT, 'injected'); END`,
		"deletion":             `CREATE TRIGGER fault BEFORE DELETE ON account BEGIN SELECT RAISE(ABORT, 'injected'); END`,
		"record":               `CREATE TRIGGER fault BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'injected'); END`,
		"last record":          `CREATE TRIGGER fault BEFORE INSERT ON outbox WHEN (SELECT count(*) FROM outbox) = 2 BEGIN SELECT RAISE(ABORT, 'injected'); END`,
		"note":                 `CREATE TRIGGER fault BEFORE INSERT ON change WHEN new.kind = 'directory' BEGIN SELECT RAISE(ABORT, 'injected'); END`,
		"version":              `CREATE TRIGGER fault BEFORE UPDATE ON directory_state BEGIN SELECT RAISE(ABORT, 'injected'); END`,
	}
	for name, statement := range statements {
		db := filled(t)
		before, _ := stored(t, db).YAML()
		rows := count(t, db)
		if _, err := db.writer.Exec(statement); err != nil {
			t.Fatal(err)
		}
		edit := func(d *directory.Directory) error {
			d.Vendors[0].Title = "Changed"
			a := d.Assignments[len(d.Assignments)-1]
			for i := range d.Assignments {
				if d.Assignments[i].Account == kim && d.Assignments[i].Cluster == "source" {
					a = d.Assignments[i]
				}
			}
			a.Account = "amara@northwind.example"
			a.Ends = of(d, a.Account).Ends
			d.Assignments = append(d.Assignments, a)
			for i := range d.Accounts {
				if d.Accounts[i].Email == "rosa.lindqvist@example.com" {
					d.Accounts = append(d.Accounts[:i], d.Accounts[i+1:]...)
					break
				}
			}
			return nil
		}
		if _, err := db.Change(t.Context(), operator, edit); err == nil || !strings.Contains(err.Error(), "injected") {
			t.Errorf("%s: got %v", name, err)
		}
		other := open(t, Config{Path: path(t, db), Now: at(day)})
		for _, x := range []*DB{db, other} {
			if after, _ := stored(t, x).YAML(); string(after) != string(before) || count(t, x) != rows {
				t.Errorf("%s: something was written: %s, before %s", name, count(t, x), rows)
			}
		}
		if _, err := db.writer.Exec(`DROP TRIGGER fault`); err != nil {
			t.Fatal(err)
		}
		if c, err := db.Change(t.Context(), operator, edit); err != nil || len(c) != 3 {
			t.Errorf("%s: afterwards got %v, %v", name, c, err)
		}
	}
}

// count tells how many rows there are where a change leaves traces.
func count(t testing.TB, db *DB) string {
	t.Helper()
	var outbox, change, version int
	if err := db.read().QueryRow(`SELECT (SELECT count(*) FROM outbox), (SELECT max(id) FROM change), (SELECT version FROM directory_state)`).Scan(&outbox, &change, &version); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(outbox, change, version)
}

// A process that ends in the middle of a transaction leaves nothing of it: the
// file as it is at that moment, with its log, opens in the state before.
func TestCrash_InTheMiddle(t *testing.T) {
	db := filled(t)
	before, _ := stored(t, db).YAML()
	crash := errors.New("killed here")
	for step := range 3 {
		err := db.write(t.Context(), func(tx *sql.Tx) error {
			if _, err := tx.Exec(`UPDATE vendor SET title = 'half'`); err != nil {
				return err
			}
			if step > 0 {
				if err := db.enqueue(tx, &policy.Record{Action: "half"}); err != nil {
					return err
				}
			}
			if step > 1 {
				if err := db.notify(tx, KindDirectory, ""); err != nil {
					return err
				}
			}
			copied := copyFiles(t, path(t, db))
			after, _ := stored(t, copied).YAML()
			if n, err := copied.Pending(context.Background()); err != nil || n != 0 || string(after) != string(before) {
				t.Errorf("step %d: %d records, %v", step, n, err)
			}
			return crash
		})
		if !errors.Is(err, crash) {
			t.Fatal(err)
		}
	}
}

// copyFiles opens a copy of the database's files as they are on disk now.
func copyFiles(t *testing.T, from string) *DB {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy.db")
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(from + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return open(t, Config{Path: to, Now: at(day)})
}
