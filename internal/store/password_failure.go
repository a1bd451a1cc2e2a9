package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ringfence/ringfence/auth"
)

const selectPasswordFailure = `SELECT count, next, seen, told FROM password_failure WHERE key = ?`

func scanPasswordFailure(r scanner) (auth.PasswordFailure, error) {
	var f auth.PasswordFailure
	err := r.Scan(&f.Count, (*instant)(&f.Next), (*instant)(&f.Seen), &f.Told)
	if errors.Is(err, sql.ErrNoRows) {
		return auth.PasswordFailure{}, nil
	}
	if err != nil {
		return auth.PasswordFailure{}, fmt.Errorf("reading wrong passwords: %w", busy(err))
	}
	return f, nil
}

// PasswordFailure returns the count of wrong passwords under a key.
func (db *DB) PasswordFailure(ctx context.Context, key string) (auth.PasswordFailure, error) {
	return scanPasswordFailure(db.read().QueryRowContext(ctx, selectPasswordFailure, key))
}

// EditPasswordFailure lets edit change the count under a key within one
// transaction that holds the write lock from its start, and keeps no more than
// most counts.
func (db *DB) EditPasswordFailure(ctx context.Context, key string, most int, edit func(auth.PasswordFailure) auth.PasswordFailure) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		was, err := scanPasswordFailure(tx.QueryRowContext(ctx, selectPasswordFailure, key))
		if err != nil {
			return err
		}
		is := edit(was)
		if is == (auth.PasswordFailure{}) {
			_, err := tx.ExecContext(ctx, `DELETE FROM password_failure WHERE key = ?`, key)
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO password_failure (key, count, next, seen, told) VALUES (?, ?, ?, ?, ?)`,
			key, is.Count, column(is.Next), is.Seen.UnixNano(), is.Told)
		if err != nil || was != (auth.PasswordFailure{}) {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM password_failure WHERE key IN (SELECT key FROM password_failure
			ORDER BY seen LIMIT max(0, (SELECT count(*) FROM password_failure) - ?))`, most)
		return err
	})
}

// ExpirePasswordFailures removes counts whose newest failure is before a time.
func (db *DB) ExpirePasswordFailures(ctx context.Context, before time.Time) error {
	return db.expire(ctx, `password_failure WHERE seen < ?`, before)
}

// expire removes rows that are older than before, and writes nothing when
// there are none.
func (db *DB) expire(ctx context.Context, rows string, before time.Time) error {
	var some bool
	err := db.read().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM `+rows+`)`, before.UnixNano()).Scan(&some)
	if err != nil || !some {
		return busy(err)
	}
	return db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM `+rows, before.UnixNano())
		return err
	})
}
