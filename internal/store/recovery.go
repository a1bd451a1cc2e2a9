package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/ringfence/ringfence/auth"
)

// ChangePassword puts a new password in place of the old one for a session that
// goes on, and ends what is to end, all or nothing.
func (db *DB) ChangePassword(ctx context.Context, c auth.PasswordChange) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		won, err := execOne(ctx, tx, `UPDATE credential SET password_hash = ?, password_set = ? WHERE account = ? AND password_hash = ? AND password_hash <> ''`,
			c.New, column(c.At), c.Account, c.Old)
		if err == nil && won {
			won, err = execOne(ctx, tx, `UPDATE session SET epoch = epoch + 1, password_at = ? WHERE id = ? AND account = ? AND epoch = ?`,
				column(c.At), c.Session, c.Account, c.Epoch)
		}
		if err != nil {
			return err
		}
		if !won {
			return auth.ErrNotFound
		}
		if err := execAll(ctx, tx, []string{`DELETE FROM login_flow WHERE account = ?`}, c.Account); err != nil {
			return err
		}
		if c.EndOthers {
			if _, err := tx.ExecContext(ctx, `DELETE FROM session WHERE account = ? AND id <> ?`, c.Account, c.Session); err != nil {
				return err
			}
			err := execAll(ctx, tx, []string{`DELETE FROM token WHERE account = ?`, `DELETE FROM machine WHERE account = ?`,
				`DELETE FROM device_grant WHERE account = ?`}, c.Account)
			if err != nil {
				return err
			}
		}
		return db.notify(tx, KindSession, c.Account)
	})
}

// ReplaceRecovery puts a set in place of every recovery code of the account.
func (db *DB) ReplaceRecovery(ctx context.Context, account string, set []auth.RecoveryCode) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		var one int
		err := tx.QueryRowContext(ctx, `SELECT 1 FROM credential WHERE account = ?1
			AND (password_hash <> '' OR EXISTS (SELECT 1 FROM totp_device WHERE account = ?1))`, account).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			return auth.ErrNotFound
		}
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM recovery_code WHERE account = ?`, account); err != nil {
			return err
		}
		for _, r := range set {
			_, err := tx.ExecContext(ctx, `INSERT INTO recovery_code (account, slot, hash, used) VALUES (?, ?, ?, ?)`, account, r.Slot, r.Hash, column(r.Used))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// AddRecovery adds a code above all others while the spent one still is there.
func (db *DB) AddRecovery(ctx context.Context, account string, spent auth.RecoveryCode, hash string) (added bool, err error) {
	err = db.write(ctx, func(tx *sql.Tx) error {
		added, err = execOne(ctx, tx, `INSERT INTO recovery_code (account, slot, hash)
			SELECT ?1, (SELECT max(slot) + 1 FROM recovery_code WHERE account = ?1), ?4
			WHERE EXISTS (SELECT 1 FROM recovery_code WHERE account = ?1 AND slot = ?2 AND hash = ?3)`, account, spent.Slot, spent.Hash, hash)
		return err
	})
	return added && err == nil, err
}

// TryInvitation counts a try of an invitation's second secret.
func (db *DB) TryInvitation(ctx context.Context, hash string, most int) (tries int, err error) {
	err = db.write(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `UPDATE invitation SET tries = tries + 1 WHERE hash = ? AND tries < ? RETURNING tries`, hash, most).Scan(&tries)
		if errors.Is(err, sql.ErrNoRows) {
			return auth.ErrNotFound
		}
		return err
	})
	return tries, err
}

// InvitedByPhone reports whether the account ever had an invitation with a second secret.
func (db *DB) InvitedByPhone(ctx context.Context, account string) (yes bool, err error) {
	err = db.read().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM phone_invited WHERE account = ?)`, account).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("reading how an account was invited: %w", busy(err))
	}
	return yes, nil
}
