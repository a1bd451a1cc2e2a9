package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/ringfence/ringfence/auth"
)

const selectTOTP = `SELECT id, account, name, sealed, legacy, created, confirmed, last_step, last_used, last_offset FROM totp_device `

func scanTOTP(r scanner) (auth.TOTPDevice, error) {
	var d auth.TOTPDevice
	err := r.Scan(&d.ID, &d.Account, &d.Name, &d.Sealed, &d.Legacy, (*instant)(&d.Created), (*instant)(&d.Confirmed), &d.LastStep, (*instant)(&d.LastUsed), &d.LastOffset)
	return d, err
}

// devicesOf returns the account's devices within tx, oldest first.
func devicesOf(ctx context.Context, tx *sql.Tx, account string) ([]auth.TOTPDevice, error) {
	rows, err := tx.QueryContext(ctx, selectTOTP+`WHERE account = ? ORDER BY confirmed, id`, account)
	if err != nil {
		return nil, busy(err)
	}
	defer rows.Close()
	var all []auth.TOTPDevice
	for rows.Next() {
		d, err := scanTOTP(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, rows.Err()
}

// AllTOTP returns every account's authenticator apps.
func (db *DB) AllTOTP(ctx context.Context) ([]auth.TOTPDevice, error) {
	return list(ctx, db, scanTOTP, selectTOTP+`ORDER BY account, confirmed, id`)
}

// PutPendingTOTP stores a secret that waits for its first code, in place of
// any other of the account.
func (db *DB) PutPendingTOTP(ctx context.Context, p auth.PendingTOTP) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		if err := ensureAccount(ctx, tx, p.Account); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO totp_pending (account, id, owner, name, sealed, created, expires) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			p.Account, p.ID, p.Owner, p.Name, p.Sealed, column(p.Created), column(p.Expires))
		return err
	})
}

// PendingTOTP returns the account's secret that waits, or [auth.ErrNotFound].
func (db *DB) PendingTOTP(ctx context.Context, account string) (auth.PendingTOTP, error) {
	p := auth.PendingTOTP{Account: account}
	err := db.read().QueryRowContext(ctx, `SELECT id, owner, name, sealed, created, expires FROM totp_pending WHERE account = ?`, account).
		Scan(&p.ID, &p.Owner, &p.Name, &p.Sealed, (*instant)(&p.Created), (*instant)(&p.Expires))
	if err != nil {
		return auth.PendingTOTP{}, missing(err, "reading new authenticator")
	}
	return p, nil
}

// DeletePendingTOTP removes the account's secret that waits, if it has the id.
func (db *DB) DeletePendingTOTP(ctx context.Context, account, id string) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM totp_pending WHERE account = ? AND id = ?`, account, id)
		return err
	})
}

// AddTOTP makes a secret that waits a device. Of several callers one wins.
func (db *DB) AddTOTP(ctx context.Context, d auth.TOTPDevice) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		won, err := execOne(ctx, tx, `DELETE FROM totp_pending WHERE account = ? AND id = ?`, d.Account, d.ID)
		if err != nil {
			return err
		}
		if !won {
			return auth.ErrNotFound
		}
		var have int
		var mark int64
		err = tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM totp_device WHERE account = ?1), coalesce((SELECT step FROM totp_mark WHERE account = ?1), 0)`, d.Account).
			Scan(&have, &mark)
		switch {
		case err != nil:
			return err
		case have >= auth.MaxTOTP:
			return auth.ErrTooMany
		case d.LastStep <= mark:
			return auth.ErrCodeSpent
		}
		return insertTOTP(ctx, tx, d)
	})
}

func insertTOTP(ctx context.Context, tx *sql.Tx, d auth.TOTPDevice) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO totp_device (id, account, name, sealed, legacy, created, confirmed, last_step, last_used, last_offset) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		d.ID, d.Account, d.Name, d.Sealed, d.Legacy, column(d.Created), column(d.Confirmed), d.LastStep, column(d.LastUsed), d.LastOffset)
	return err
}

// SpendTOTP spends the steps that a code matched: conditional updates in one
// transaction, which of several callers one wins.
func (db *DB) SpendTOTP(ctx context.Context, account string, at time.Time, spends []auth.Spend) (won bool, err error) {
	err = db.write(ctx, func(tx *sql.Tx) error {
		won = len(spends) > 0
		for _, s := range spends {
			one, err := execOne(ctx, tx, `UPDATE totp_device SET last_step = ?1, last_used = ?2, last_offset = ?3 WHERE id = ?4 AND account = ?5 AND last_step < ?1`,
				s.Step, column(at), s.Offset, s.Device, account)
			if err != nil {
				return err
			}
			if !one {
				return errLost // takes back the others
			}
		}
		return nil
	})
	if errors.Is(err, errLost) {
		return false, nil
	}
	return won && err == nil, err
}

// errLost rolls a transaction back that another caller has forestalled.
var errLost = errors.New("another was first")

// RenameTOTP names the account's device, or returns [auth.ErrNotFound].
func (db *DB) RenameTOTP(ctx context.Context, account, id, name string) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		won, err := execOne(ctx, tx, `UPDATE totp_device SET name = ? WHERE id = ? AND account = ?`, name, id, account)
		if err == nil && !won {
			err = auth.ErrNotFound
		}
		return err
	})
}

// RemoveTOTP removes the account's device unless it is the last factor, and keeps the
// newest step that it had spent.
func (db *DB) RemoveTOTP(ctx context.Context, account, id string) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		all, err := devicesOf(ctx, tx, account)
		if err != nil {
			return err
		}
		for _, d := range all {
			if d.ID != id {
				continue
			}
			if len(all) == 1 {
				var keys bool
				err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM security_key WHERE account = ?)`, account).Scan(&keys)
				if err == nil && !keys {
					err = auth.ErrLastFactor
				}
				if err != nil {
					return err
				}
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO totp_mark (account, step) VALUES (?, ?) ON CONFLICT (account) DO UPDATE SET step = max(step, excluded.step)`, account, d.LastStep)
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, `DELETE FROM totp_device WHERE id = ? AND account = ?`, id, account)
			return err
		}
		return auth.ErrNotFound
	})
}

// ResealTOTP replaces a device's sealed secret if it still is was.
func (db *DB) ResealTOTP(ctx context.Context, id string, was, sealed []byte) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE totp_device SET sealed = ?, legacy = 0 WHERE id = ? AND sealed = ?`, sealed, id, was)
		return err
	})
}
