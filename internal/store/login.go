package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/ringfence/ringfence/auth"
)

// PutFlow stores a sign-in under way.
func (db *DB) PutFlow(ctx context.Context, f auth.Flow) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		if err := ensureAccount(ctx, tx, f.Account); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO login_flow (hash, account, password_at, expires, external_at, external_factor_at) VALUES (?, ?, ifnull(?, 0), ?, ?, ?)`,
			f.Hash, f.Account, column(f.PasswordAt), column(f.Expires), column(f.External.At), column(f.External.FactorAt))
		return err
	})
}

// Flow returns the sign-in with the hash, or [auth.ErrNotFound].
func (db *DB) Flow(ctx context.Context, hash string) (auth.Flow, error) {
	f := auth.Flow{Hash: hash}
	err := db.read().QueryRowContext(ctx, `SELECT account, nullif(password_at, 0), expires, external_at, external_factor_at FROM login_flow WHERE hash = ?`, hash).
		Scan(&f.Account, (*instant)(&f.PasswordAt), (*instant)(&f.Expires), (*instant)(&f.External.At), (*instant)(&f.External.FactorAt))
	if err != nil {
		return auth.Flow{}, missing(err, "reading sign-in")
	}
	return f, nil
}

// TakeFlow removes a sign-in and reports whether it was there.
func (db *DB) TakeFlow(ctx context.Context, hash string) (won bool, err error) {
	err = db.write(ctx, func(tx *sql.Tx) error {
		won, err = execOne(ctx, tx, `DELETE FROM login_flow WHERE hash = ?`, hash)
		return err
	})
	return won && err == nil, err
}

// Expire removes sign-ins, invitations and enrolments that expired before now,
// and shows in the directory when accounts last signed in.
func (db *DB) Expire(ctx context.Context, now time.Time) error {
	const late = `SELECT l.account FROM last_login l JOIN account a ON a.id = l.account WHERE a.last_login IS NOT l.at`
	var some bool
	err := db.read().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM login_flow WHERE expires < ?1) OR EXISTS (SELECT 1 FROM invitation WHERE expires < ?1)
		OR EXISTS (SELECT 1 FROM enrolment WHERE expires < ?1) OR EXISTS (SELECT 1 FROM totp_pending WHERE expires < ?1) 
		OR EXISTS (SELECT 1 FROM key_ceremony WHERE expires < ?1) OR EXISTS (SELECT 1 FROM key_allowance WHERE expires < ?1) OR EXISTS (`+late+`)`, now.UnixNano()).Scan(&some)
	if err != nil || !some {
		return busy(err)
	}
	accounts, err := list(ctx, db, func(r scanner) (id string, err error) { return id, r.Scan(&id) }, late)
	if err != nil {
		return err
	}
	return db.write(ctx, func(tx *sql.Tx) error {
		for _, id := range accounts {
			_, err := tx.ExecContext(ctx, `UPDATE account SET last_login = (SELECT at FROM last_login WHERE account = ?1) WHERE id = ?1`, id)
			if err != nil {
				return err
			}
			if err := db.notify(tx, KindDirectory, "account:"+id); err != nil {
				return err
			}
		}
		return execAll(ctx, tx, []string{
			`DELETE FROM login_flow WHERE expires < ?`,
			`DELETE FROM invitation WHERE expires < ?`,
			`DELETE FROM enrolment WHERE expires < ?`,
			`DELETE FROM key_ceremony WHERE expires < ?`,
			`DELETE FROM key_allowance WHERE expires < ?`,
			`DELETE FROM totp_pending WHERE expires < ?`,
		}, now.UnixNano())
	})
}
