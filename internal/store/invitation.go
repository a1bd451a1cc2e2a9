package store

import (
	"context"
	"database/sql"

	"github.com/ringfence/ringfence/auth"
)

// PutInvitation stores an invitation in place of any other of the account.
func (db *DB) PutInvitation(ctx context.Context, inv auth.Invitation) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		if err := ensureAccount(ctx, tx, inv.Account); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO invitation (account, hash, created, expires, invited_by, phone, tries) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (account) DO UPDATE SET hash = excluded.hash, created = excluded.created, expires = excluded.expires, invited_by = excluded.invited_by,
			phone = excluded.phone, tries = excluded.tries`,
			inv.Account, inv.Hash, column(inv.Created), column(inv.Expires), inv.By, inv.Phone, inv.Tries)
		if err != nil || inv.Phone == "" {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT OR IGNORE INTO phone_invited (account) VALUES (?)`, inv.Account)
		return err
	})
}

// Invitation returns the invitation with the hash, or [auth.ErrNotFound].
func (db *DB) Invitation(ctx context.Context, hash string) (auth.Invitation, error) {
	inv := auth.Invitation{Hash: hash}
	err := db.read().QueryRowContext(ctx, `SELECT account, created, expires, invited_by, phone, tries FROM invitation WHERE hash = ?`, hash).
		Scan(&inv.Account, (*instant)(&inv.Created), (*instant)(&inv.Expires), &inv.By, &inv.Phone, &inv.Tries)
	if err != nil {
		return auth.Invitation{}, missing(err, "reading invitation")
	}
	return inv, nil
}

// AcceptInvitation turns an invitation into a password and an enrolment. Of
// several callers one wins; the others get [auth.ErrNotFound].
func (db *DB) AcceptInvitation(ctx context.Context, hash, passwordHash string, e auth.Enrolment) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		won, err := execOne(ctx, tx, `DELETE FROM invitation WHERE hash = ? AND account = ?`, hash, e.Account)
		if err != nil {
			return err
		}
		if !won {
			return auth.ErrNotFound
		}
		var set any // none without a password
		if passwordHash != "" {
			set = column(e.PasswordSet)
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO credential (account, password_hash, password_set) VALUES (?, ?, ?)
			ON CONFLICT (account) DO UPDATE SET password_hash = excluded.password_hash, password_set = excluded.password_set`,
			e.Account, passwordHash, set)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO enrolment (account, hash, step, sealed_totp, sealed_recovery, password_set, confirmed, expires, external_at, external_factor_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			e.Account, e.Hash, e.Step, e.Secret, e.Recovery, column(e.PasswordSet), column(e.Confirmed), column(e.Expires),
			column(e.External.At), column(e.External.FactorAt))
		return err
	})
}

// Enrolment returns the enrolment with the hash, or [auth.ErrNotFound].
func (db *DB) Enrolment(ctx context.Context, hash string) (auth.Enrolment, error) {
	e := auth.Enrolment{Hash: hash}
	err := db.read().QueryRowContext(ctx, `SELECT account, step, sealed_totp, sealed_recovery, password_set, confirmed, expires,
		external_at, external_factor_at FROM enrolment WHERE hash = ?`, hash).
		Scan(&e.Account, &e.Step, &e.Secret, &e.Recovery, (*instant)(&e.PasswordSet), (*instant)(&e.Confirmed), (*instant)(&e.Expires),
			(*instant)(&e.External.At), (*instant)(&e.External.FactorAt))
	if err != nil {
		return auth.Enrolment{}, missing(err, "reading enrolment")
	}
	return e, nil
}

// ConfirmEnrolment makes the enrolment's factor the account's. Of several
// callers one wins; the others get [auth.ErrNotFound].
func (db *DB) ConfirmEnrolment(ctx context.Context, e auth.Enrolment, factor auth.Credential) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		won, err := execOne(ctx, tx, `UPDATE enrolment SET step = ?, sealed_recovery = ?, confirmed = ? WHERE hash = ? AND account = ? AND step = ?`,
			auth.StepRecovery, e.Recovery, column(e.Confirmed), e.Hash, e.Account, auth.StepTOTP)
		if err != nil {
			return err
		}
		if !won {
			return auth.ErrNotFound
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM totp_device WHERE account = ?`, e.Account); err != nil {
			return err
		}
		for _, d := range factor.Devices {
			if err := insertTOTP(ctx, tx, d); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM recovery_code WHERE account = ?`, e.Account); err != nil {
			return err
		}
		for _, r := range factor.Recovery {
			_, err := tx.ExecContext(ctx, `INSERT INTO recovery_code (account, slot, hash, used) VALUES (?, ?, ?, ?)`, e.Account, r.Slot, r.Hash, column(r.Used))
			if err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `UPDATE account SET enrolled_at = ? WHERE id = ?`, column(e.Confirmed), e.Account); err != nil {
			return err
		}
		return db.notify(tx, KindDirectory, "account:"+e.Account)
	})
}

// EndEnrolment removes an enrolment whose recovery codes were shown. Of several
// callers one wins; the others get [auth.ErrNotFound].
func (db *DB) EndEnrolment(ctx context.Context, hash string) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		won, err := execOne(ctx, tx, `DELETE FROM enrolment WHERE hash = ? AND step = ?`, hash, auth.StepRecovery)
		if err == nil && !won {
			err = auth.ErrNotFound
		}
		return err
	})
}
