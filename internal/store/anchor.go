package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/ringfence/ringfence/policy"
)

// Anchor returns the access log's checkpoint that was kept last, nil when none was.
func (db *DB) Anchor(ctx context.Context) ([]byte, error) {
	var checkpoint []byte
	err := db.read().QueryRowContext(ctx, `SELECT checkpoint FROM log_anchor WHERE id = 1`).Scan(&checkpoint)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the access log's anchor: %w", busy(err))
	}
	return checkpoint, nil
}

// SetAnchor keeps a checkpoint in place of the one before. The caller has
// checked that it continues that one.
func (db *DB) SetAnchor(ctx context.Context, checkpoint []byte) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO log_anchor (id, at, checkpoint) VALUES (1, ?, ?)`, db.now().UnixNano(), checkpoint)
		return err
	})
}

// DropAnchor forgets the checkpoint, so that another log can begin, and
// enqueues r before all records that wait: a log that begins says so first. Both
// or nothing.
func (db *DB) DropAnchor(ctx context.Context, r *policy.Record) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM log_anchor`); err != nil {
			return err
		}
		return db.enqueueFirst(tx, r)
	})
}
