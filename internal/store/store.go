// Package store keeps Ringfence's state in one SQLite file: the directory,
// accounts and how they sign in, published policies, the outbox of records
// that wait for the access log, and a table of changes that tells every
// process when to read again.
//
// The gateway and the commands are separate processes on the same file. Writes
// go through one connection a process, each in a transaction that takes the
// write lock at its start; readers never wait for a writer. Nothing here is on
// the path of a proxied request, which reads what the gateway keeps in memory.
//
// Start with [Open]; [DB.Change] edits the directory, [DB.Drain] hands records
// to the access log and [DB.Watch] tells of changes.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrBusy reports that another process held the database's write lock for
// longer than the busy timeout. Nothing was changed.
var ErrBusy = errors.New("the database is in use by another process: wait for the other ringfence command to end, then try again")

// Config says which database to open and how.
type Config struct {
	Path string // the SQLite file; made with mode 0600 when absent. Its folder must exist.
	// GateHost is the gate's own host, which no cluster may use. Empty: not checked.
	GateHost string
	// BusyTimeout is how long a write waits for another process; default 10 s.
	BusyTimeout time.Duration
	Now         func() time.Time // default time.Now
	Logger      *slog.Logger     // default slog.Default()
}

// A DB is an open database. Its methods are safe for concurrent use.
type DB struct {
	writer, reader *sql.DB // one connection; several
	gateHost       string
	now            func() time.Time
	log            *slog.Logger

	drain   sync.Mutex // one Drain at a time, so that order holds
	wake    wake
	secrets Secrets // nil: none can be sealed
	cache   cache

	compacted sync.Map // accounts after whose erasure the file was written anew
}

// Open opens or makes the database and brings its tables up to date. It
// refuses a database that a newer version of Ringfence has written.
func Open(ctx context.Context, c Config) (*DB, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.BusyTimeout <= 0 {
		c.BusyTimeout = 10 * time.Second
	}
	if err := ensureFile(c.Path); err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	db := &DB{gateHost: c.GateHost, now: c.Now, log: c.Logger}
	var err error
	if db.writer, err = sql.Open("sqlite", source(c, "")); err != nil {
		return nil, fmt.Errorf("opening database %s: %w", c.Path, err)
	}
	db.writer.SetMaxOpenConns(1)
	if err := migrate(ctx, db.writer); err != nil {
		db.writer.Close()
		return nil, fmt.Errorf("opening database %s: %w", c.Path, busy(err))
	}
	if db.reader, err = sql.Open("sqlite", source(c, "&_pragma=query_only(1)")); err != nil {
		db.writer.Close()
		return nil, fmt.Errorf("opening database %s: %w", c.Path, err)
	}
	db.reader.SetMaxOpenConns(4)
	db.reader.SetMaxIdleConns(4)
	return db, nil
}

// Close closes the database once running calls are done.
func (db *DB) Close() error {
	return errors.Join(db.reader.Close(), db.writer.Close())
}

// source returns the driver's name for the database. Every pragma is set on
// each connection. _txlock=immediate takes the write lock at the start of a
// transaction: a lock taken later, after a read, could only fail.
func source(c Config, more string) string {
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(c.Path)}
	if !filepath.IsAbs(c.Path) {
		u = url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(c.Path)}).EscapedPath()}
	}
	if more == "" {
		more = "&_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=secure_delete(1)" // what is removed is overwritten: it may be personal
	}
	return fmt.Sprintf("%s?_pragma=busy_timeout(%d)%s&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)",
		u.String(), c.BusyTimeout.Milliseconds(), more)
}

// ensureFile makes the file readable by its owner alone; SQLite gives its
// companion files the same mode.
func ensureFile(path string) error {
	if path == "" || strings.Contains(path, "\x00") {
		return errors.New("no path is given")
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// read returns the pool for queries, which never waits for a writer.
func (db *DB) read() *sql.DB { return db.reader }

// write runs fn in one transaction that holds the write lock from its start,
// and wakes this process's watchers once it is committed. When fn or the commit fails
// nothing is changed. fn must use tx alone: the pool has no second connection.
func (db *DB) write(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := db.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning transaction: %w", busy(err))
	}
	defer tx.Rollback()
	if err := fn(tx); err != nil {
		return busy(err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing: %w", busy(err))
	}
	db.wake.all()
	return nil
}

// busy turns SQLite's word for a lock that was not had in time into [ErrBusy].
func busy(err error) error {
	var e *sqlite.Error
	if errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY {
		return ErrBusy
	}
	return err
}
