package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"

	"github.com/ringfence/ringfence/auth"
)

const selectLanes = `SELECT lane, count, total, since, next, unseen, known, told, warned FROM code_failure WHERE account = ?`

// Failures returns the account's counts of wrong codes by lane.
func (db *DB) Failures(ctx context.Context, account string) (map[string]auth.Failures, error) {
	rows, err := db.read().QueryContext(ctx, selectLanes, account)
	if err != nil {
		return nil, fmt.Errorf("reading wrong codes: %w", busy(err))
	}
	return scanLanes(rows)
}

func scanLanes(rows *sql.Rows) (map[string]auth.Failures, error) {
	defer rows.Close()
	lanes := make(map[string]auth.Failures)
	for rows.Next() {
		var lane string
		var f auth.Failures
		err := rows.Scan(&lane, &f.Count, &f.Total, (*instant)(&f.Since), (*instant)(&f.Next), &f.Unseen, (*instant)(&f.Known), &f.Told, (*instant)(&f.Warned))
		if err != nil {
			return nil, fmt.Errorf("reading wrong codes: %w", err)
		}
		lanes[lane] = f
	}
	return lanes, rows.Err()
}

// EditFailures lets edit change the account's lanes within one transaction
// that holds the write lock from its start, so that no edit is lost.
func (db *DB) EditFailures(ctx context.Context, account string, edit func(map[string]auth.Failures)) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		if err := ensureAccount(ctx, tx, account); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, selectLanes, account)
		if err != nil {
			return err
		}
		was, err := scanLanes(rows)
		if err != nil {
			return err
		}
		is := maps.Clone(was)
		edit(is)
		return writeLanes(ctx, tx, account, was, is)
	})
}

func writeLanes(ctx context.Context, tx *sql.Tx, account string, was, is map[string]auth.Failures) error {
	for lane := range was {
		if _, ok := is[lane]; ok {
			continue
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM code_failure WHERE account = ? AND lane = ?`, account, lane); err != nil {
			return err
		}
	}
	for lane, f := range is {
		if old, ok := was[lane]; ok && old == f {
			continue
		}
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO code_failure (account, lane, count, total, since, next, unseen, known, told, warned)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			account, lane, f.Count, f.Total, column(f.Since), column(f.Next), f.Unseen, column(f.Known), f.Told, column(f.Warned))
		if err != nil {
			return err
		}
	}
	return nil
}

// ClearFailures forgets the account's wrong codes.
func (db *DB) ClearFailures(ctx context.Context, account string) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM code_failure WHERE account = ?`, account)
		return err
	})
}
