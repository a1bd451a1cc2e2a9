package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/ringfence/ringfence/auth"
)

// PutNotice stores what an account's owner is told.
func (db *DB) PutNotice(ctx context.Context, n auth.Notice) error {
	detail, err := json.Marshal(n.Detail)
	if err != nil {
		return err
	}
	return db.write(ctx, func(tx *sql.Tx) error {
		if err := ensureAccount(ctx, tx, n.Account); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO notice (id, account, kind, at, ip, user_agent, detail, seen) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			n.ID, n.Account, string(n.Kind), column(n.At), n.IP, n.UserAgent, string(detail), column(n.Seen))
		return err
	})
}

// NoticesOf returns the account's newest notices.
func (db *DB) NoticesOf(ctx context.Context, account string, limit int) ([]auth.Notice, error) {
	return list(ctx, db, func(r scanner) (auth.Notice, error) {
		var n auth.Notice
		var kind, detail string
		err := r.Scan(&n.ID, &n.Account, &kind, (*instant)(&n.At), &n.IP, &n.UserAgent, &detail, (*instant)(&n.Seen))
		n.Kind = auth.NoticeKind(kind)
		if err == nil {
			err = json.Unmarshal([]byte(detail), &n.Detail)
		}
		return n, err
	}, `SELECT id, account, kind, at, ip, user_agent, detail, seen FROM notice WHERE account = ? ORDER BY at DESC, id LIMIT ?`, account, limit)
}

// SeeNotices marks the account's notices up to a time as seen.
func (db *DB) SeeNotices(ctx context.Context, account string, upTo, at time.Time) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE notice SET seen = ? WHERE account = ? AND seen IS NULL AND at <= ?`, column(at), account, column(upTo))
		return err
	})
}

// ExpireNotices removes notices made before a time.
func (db *DB) ExpireNotices(ctx context.Context, before time.Time) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM notice WHERE at < ?`, column(before))
		return err
	})
}
