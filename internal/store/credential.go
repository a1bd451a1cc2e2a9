package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ringfence/ringfence/auth"
)

// Credential returns what the account proves itself with; the zero Credential
// when there is nothing.
func (db *DB) Credential(ctx context.Context, account string) (auth.Credential, error) {
	tx, err := db.read().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return auth.Credential{}, fmt.Errorf("reading credential: %w", busy(err))
	}
	defer tx.Rollback()
	var c auth.Credential
	err = tx.QueryRowContext(ctx, `SELECT password_hash, password_set FROM credential WHERE account = ?`, account).
		Scan(&c.PasswordHash, (*instant)(&c.PasswordSet))
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return auth.Credential{}, fmt.Errorf("reading credential: %w", busy(err))
	}
	err = tx.QueryRowContext(ctx, `SELECT at, ip FROM last_login WHERE account = ?`, account).Scan((*instant)(&c.LastLogin), &c.LastIP)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return auth.Credential{}, fmt.Errorf("reading last sign-in: %w", busy(err))
	}
	if c.Devices, err = devicesOf(ctx, tx, account); err != nil {
		return auth.Credential{}, fmt.Errorf("reading authenticators: %w", err)
	}
	if len(c.Devices) > 0 {
		c.Confirmed = c.Devices[0].Confirmed
	}
	var added time.Time
	if err := tx.QueryRowContext(ctx, `SELECT min(created) FROM security_key WHERE account = ?`, account).Scan((*instant)(&added)); err != nil {
		return auth.Credential{}, fmt.Errorf("reading keys: %w", busy(err))
	}
	if !added.IsZero() && (c.Confirmed.IsZero() || added.Before(c.Confirmed)) {
		c.Confirmed = added
	}
	rows, err := tx.QueryContext(ctx, `SELECT slot, hash, used FROM recovery_code WHERE account = ? ORDER BY slot`, account)
	if err != nil {
		return auth.Credential{}, fmt.Errorf("reading recovery codes: %w", busy(err))
	}
	defer rows.Close()
	for rows.Next() {
		var r auth.RecoveryCode
		if err := rows.Scan(&r.Slot, &r.Hash, (*instant)(&r.Used)); err != nil {
			return auth.Credential{}, fmt.Errorf("reading recovery codes: %w", err)
		}
		c.Recovery = append(c.Recovery, r)
	}
	return c, rows.Err()
}

// ReplacePassword renews a password's hash if it still is old.
func (db *DB) ReplacePassword(ctx context.Context, account, old, hash string) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE credential SET password_hash = ? WHERE account = ? AND password_hash = ? AND password_hash <> ''`, hash, account, old)
		return err
	})
}

// UseRecovery spends a recovery code: one conditional update, which of several
// callers one wins.
func (db *DB) UseRecovery(ctx context.Context, account string, slot int, at time.Time) (won bool, err error) {
	err = db.write(ctx, func(tx *sql.Tx) error {
		won, err = execOne(ctx, tx, `UPDATE recovery_code SET used = ? WHERE account = ? AND slot = ? AND used IS NULL`, column(at), account, slot)
		return err
	})
	return won && err == nil, err
}

// ResetCredential removes all that the account signs in and is signed in with.
func (db *DB) ResetCredential(ctx context.Context, account string) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		err := execAll(ctx, tx, []string{
			`DELETE FROM credential WHERE account = ?`,
			`DELETE FROM totp_device WHERE account = ?`,
			`DELETE FROM totp_pending WHERE account = ?`,
			`DELETE FROM totp_mark WHERE account = ?`,
			`DELETE FROM last_login WHERE account = ?`,
			`DELETE FROM recovery_code WHERE account = ?`,
			`DELETE FROM security_key WHERE account = ?`,
			`DELETE FROM key_ceremony WHERE account = ?`,
			`DELETE FROM key_allowance WHERE account = ?`,
			`DELETE FROM invitation WHERE account = ?`,
			`DELETE FROM enrolment WHERE account = ?`,
			`DELETE FROM code_failure WHERE account = ?`,
			`DELETE FROM provider_subject WHERE account = ?`,
			`UPDATE account SET enrolled_at = NULL WHERE id = ?`,
		}, account)
		if err != nil {
			return err
		}
		if err := db.notify(tx, KindDirectory, "account:"+account); err != nil {
			return err
		}
		return db.endAccount(ctx, tx, account)
	})
}

// endAccount removes what the account has open, within tx.
func (db *DB) endAccount(ctx context.Context, tx *sql.Tx, account string) error {
	err := execAll(ctx, tx, []string{
		`DELETE FROM session WHERE account = ?`,
		`DELETE FROM token WHERE account = ?`,
		`DELETE FROM login_flow WHERE account = ?`,
		`DELETE FROM machine WHERE account = ?`,
		`DELETE FROM device_grant WHERE account = ?`,
	}, account)
	if err != nil {
		return err
	}
	return db.notify(tx, KindSession, account)
}
