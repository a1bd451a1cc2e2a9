package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"
)

// Kinds of changes, as [DB.Watch] reports them.
const (
	KindDirectory = "directory"
	KindSession   = "session"
	KindPolicy    = "policy"
	KindOutbox    = "outbox"
)

// keepChanges is how long a row of the change table stays at least.
const keepChanges = time.Hour

// notify adds to the change table, within the change's own transaction, that
// something of the kind changed; ref names it. Kind [KindDirectory] also ends
// what every process has cached of the directory.
func (db *DB) notify(tx *sql.Tx, kind, ref string) error {
	now := db.now()
	if _, err := tx.Exec(`INSERT INTO change (at, kind, ref) VALUES (?, ?, ?)`, now.UnixNano(), kind, ref); err != nil {
		return fmt.Errorf("noting change: %w", err)
	}
	if kind == KindDirectory {
		if _, err := tx.Exec(`UPDATE directory_state SET version = version + 1`); err != nil {
			return fmt.Errorf("noting change: %w", err)
		}
	}
	// The newest row stays, so that a watcher can tell that it missed some.
	_, err := tx.Exec(`DELETE FROM change WHERE at < ? AND id < (SELECT max(id) FROM change)`, now.Add(-keepChanges).UnixNano())
	if err != nil {
		return fmt.Errorf("pruning changes: %w", err)
	}
	return nil
}

// Watch calls changed at once with every kind, so that nothing is missed
// between loading and watching, and then with the kinds that have changed, by
// whichever process: at the latest after every (default 200 ms), at once for
// changes of this process. Calls do not overlap. A database that cannot be
// read is logged and tried again. Watch returns when ctx ends, with its error.
func (db *DB) Watch(ctx context.Context, every time.Duration, changed func(kinds map[string]bool)) error {
	if every <= 0 {
		every = 200 * time.Millisecond
	}
	woken := db.wake.add()
	defer db.wake.remove(woken)
	tick := time.NewTicker(every)
	defer tick.Stop()
	last, failing := int64(-1), false
	for {
		next, kinds, err := db.changes(ctx, last)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			if !failing {
				db.log.ErrorContext(ctx, "cannot read changes", "err", err)
			}
			failing = true
		case len(kinds) > 0:
			last, failing = next, false
			changed(kinds)
		default:
			last, failing = next, false
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-woken:
		case <-tick.C:
		}
	}
}

// changes returns the newest change's id and the kinds changed since the id
// last; every kind when last is negative or rows after it are gone.
func (db *DB) changes(ctx context.Context, last int64) (int64, map[string]bool, error) {
	every := map[string]bool{KindDirectory: true, KindSession: true, KindPolicy: true, KindOutbox: true, KindShadow: true}
	tx, err := db.read().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return 0, nil, err
	}
	defer tx.Rollback()
	var oldest, newest sql.NullInt64
	if err := tx.QueryRowContext(ctx, `SELECT (SELECT min(id) FROM change), (SELECT max(id) FROM change)`).Scan(&oldest, &newest); err != nil {
		return 0, nil, err
	}
	switch {
	case last < 0:
		return newest.Int64, every, nil
	case newest.Int64 == last:
		return last, nil, nil
	case newest.Int64 < last || oldest.Int64 > last+1:
		return newest.Int64, every, nil // restored from a copy, or pruned
	}
	rows, err := tx.QueryContext(ctx, `SELECT DISTINCT kind FROM change WHERE id > ?`, last)
	if err != nil {
		return 0, nil, err
	}
	defer rows.Close()
	kinds := map[string]bool{}
	for rows.Next() {
		var k string
		if err := rows.Scan(&k); err != nil {
			return 0, nil, err
		}
		kinds[k] = true
	}
	return newest.Int64, kinds, rows.Err()
}

// wake tells the watchers of this process that something was committed.
type wake struct {
	mu       sync.Mutex
	watchers map[chan struct{}]bool
}

func (w *wake) add() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watchers == nil {
		w.watchers = map[chan struct{}]bool{}
	}
	ch := make(chan struct{}, 1)
	w.watchers[ch] = true
	return ch
}

func (w *wake) remove(ch chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.watchers, ch)
}

func (w *wake) all() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.watchers {
		select {
		case ch <- struct{}{}:
		default: // it is to look already
		}
	}
}
