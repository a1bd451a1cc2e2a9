package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/ringfence/ringfence/auth"
)

// PutWarning stores a warning that is to be passed on.
func (db *DB) PutWarning(ctx context.Context, w auth.Warning) error {
	detail, err := json.Marshal(w.Detail)
	if err != nil {
		return err
	}
	return db.write(ctx, func(tx *sql.Tx) error {
		if err := ensureAccount(ctx, tx, w.Account); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO warning (id, account, email, vendor, kind, at, ip, user_agent, detail, passed, passed_by)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			w.ID, w.Account, w.Email, w.Vendor, string(w.Kind), column(w.At), w.IP, w.UserAgent, string(detail), column(w.Passed), w.PassedBy)
		return err
	})
}

// OpenWarnings returns the warnings that were not passed on, the newest first.
func (db *DB) OpenWarnings(ctx context.Context, limit int) ([]auth.Warning, error) {
	return list(ctx, db, func(r scanner) (auth.Warning, error) {
		var w auth.Warning
		var kind, detail string
		err := r.Scan(&w.ID, &w.Account, &w.Email, &w.Vendor, &kind, (*instant)(&w.At), &w.IP, &w.UserAgent, &detail)
		w.Kind = auth.NoticeKind(kind)
		if err == nil {
			err = json.Unmarshal([]byte(detail), &w.Detail)
		}
		return w, err
	}, `SELECT id, account, email, vendor, kind, at, ip, user_agent, detail FROM warning WHERE passed IS NULL ORDER BY at DESC, id LIMIT ?`, limit)
}

// PassWarning notes that a warning was passed on, if it was not yet.
func (db *DB) PassWarning(ctx context.Context, id, by string, at time.Time) (won bool, err error) {
	err = db.write(ctx, func(tx *sql.Tx) error {
		won, err = execOne(ctx, tx, `UPDATE warning SET passed = ?, passed_by = ? WHERE id = ? AND passed IS NULL`, column(at), by, id)
		return err
	})
	return won && err == nil, err
}

// ExpireWarnings removes warnings made before a time.
func (db *DB) ExpireWarnings(ctx context.Context, before time.Time) error {
	return db.expire(ctx, `warning WHERE at < ?`, before)
}
