package store

import (
	"path/filepath"
	"testing"
)

func open(t testing.TB, c Config) *DB {
	t.Helper()
	if c.Path == "" {
		c.Path = filepath.Join(t.TempDir(), "ringfence.db")
	}
	db, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

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
}
