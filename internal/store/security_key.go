package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/ringfence/ringfence/auth"
)

// SecurityKeysOf returns the account's keys, the oldest first.
func (db *DB) SecurityKeysOf(ctx context.Context, account string) ([]auth.SecurityKey, error) {
	return list(ctx, db, func(r scanner) (auth.SecurityKey, error) {
		var k auth.SecurityKey
		err := r.Scan(&k.ID, &k.Account, &k.Name, &k.CredentialID, &k.Record, &k.SignCount, &k.BackupEligible, &k.BackedUp,
			scanJSON(&k.Transports), &k.Bound, (*instant)(&k.Created), (*instant)(&k.LastUsed), &k.LastIP, (*instant)(&k.Cloned))
		if len(k.Transports) == 0 {
			k.Transports = nil
		}
		return k, err
	}, `SELECT id, account, name, credential_id, sealed_record, sign_count, backup_eligible, backed_up, transports, bound,
		created, last_used, last_ip, cloned FROM security_key WHERE account = ? ORDER BY created, id`, account)
}

// PutSecurityKey stores a new key and spends what allowed it.
func (db *DB) PutSecurityKey(ctx context.Context, k auth.SecurityKey, most int) error {
	transports, err := asJSON(k.Transports)
	if err != nil {
		return err
	}
	return db.write(ctx, func(tx *sql.Tx) error {
		if err := ensureAccount(ctx, tx, k.Account); err != nil {
			return err
		}
		var taken bool
		var have int
		err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM security_key WHERE credential_id = ?), (SELECT count(*) FROM security_key WHERE account = ?)`,
			k.CredentialID, k.Account).Scan(&taken, &have)
		switch {
		case err != nil:
			return err
		case taken:
			return auth.ErrKeyTaken
		case have >= most:
			return auth.ErrTooMany
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO security_key (id, account, name, credential_id, sealed_record, sign_count, backup_eligible, backed_up,
			transports, bound, created, last_used, last_ip, cloned) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			k.ID, k.Account, k.Name, k.CredentialID, k.Record, k.SignCount, k.BackupEligible, k.BackedUp,
			transports, k.Bound, column(k.Created), column(k.LastUsed), k.LastIP, column(k.Cloned))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM key_allowance WHERE account = ?`, k.Account)
		return err
	})
}

// UseSecurityKey notes a key's use if its count was not used before: one
// conditional update, which of several callers with one count one wins.
func (db *DB) UseSecurityKey(ctx context.Context, k auth.SecurityKey) (won bool, err error) {
	err = db.write(ctx, func(tx *sql.Tx) error {
		won, err = execOne(ctx, tx, `UPDATE security_key SET sealed_record = ?2, sign_count = ?1, backed_up = ?3, last_used = ?4, last_ip = ?5
			WHERE id = ?6 AND account = ?7 AND (sign_count < ?1 OR sign_count = 0 AND ?1 = 0)`,
			k.SignCount, k.Record, k.BackedUp, column(k.LastUsed), k.LastIP, k.ID, k.Account)
		return err
	})
	return won && err == nil, err
}

// MarkCloned notes when a key was found to be a copy.
func (db *DB) MarkCloned(ctx context.Context, account, id string, at time.Time) error {
	return db.changeKey(ctx, `UPDATE security_key SET cloned = ? WHERE account = ? AND id = ?`, column(at), account, id)
}

// RenameSecurityKey names a key.
func (db *DB) RenameSecurityKey(ctx context.Context, account, id, name string) error {
	return db.changeKey(ctx, `UPDATE security_key SET name = ? WHERE account = ? AND id = ?`, name, account, id)
}

// RemoveSecurityKey removes a key unless it is the last factor.
func (db *DB) RemoveSecurityKey(ctx context.Context, account, id string) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		won, err := execOne(ctx, tx, `DELETE FROM security_key WHERE account = ? AND id = ?`, account, id)
		if err == nil && !won {
			err = auth.ErrNotFound
		}
		if err != nil {
			return err
		}
		var left bool
		err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM security_key WHERE account = ?1) OR EXISTS (SELECT 1 FROM totp_device WHERE account = ?1)`, account).Scan(&left)
		if err == nil && !left {
			err = auth.ErrLastFactor // takes the removal back
		}
		if err != nil {
			return err
		}
		return execAll(ctx, tx, []string{`DELETE FROM device_grant WHERE account = ? AND key_at IS NOT NULL AND key_at <> 0`}, account)
	})
}

// changeKey changes one row or returns [auth.ErrNotFound].
func (db *DB) changeKey(ctx context.Context, query string, args ...any) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		won, err := execOne(ctx, tx, query, args...)
		if err == nil && !won {
			err = auth.ErrNotFound
		}
		return err
	})
}

// PutCeremony stores a question to a key, unless too many were asked.
func (db *DB) PutCeremony(ctx context.Context, c auth.Ceremony, most int, now time.Time) (stored bool, err error) {
	err = db.write(ctx, func(tx *sql.Tx) error {
		if err := ensureAccount(ctx, tx, c.Account); err != nil {
			return err
		}
		stored, err = execOne(ctx, tx, `INSERT INTO key_ceremony (hash, account, purpose, bound, sealed_state, expires)
			SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE (SELECT count(*) FROM key_ceremony WHERE bound = ?4 AND expires > ?7) < ?8`,
			c.Hash, c.Account, c.Purpose, c.Bound, c.State, column(c.Expires), now.UnixNano(), most)
		return err
	})
	return stored && err == nil, err
}

// TakeCeremony returns a question that nobody has answered yet.
func (db *DB) TakeCeremony(ctx context.Context, hash string) (auth.Ceremony, error) {
	c := auth.Ceremony{Hash: hash}
	err := db.write(ctx, func(tx *sql.Tx) error {
		won, err := execOne(ctx, tx, `UPDATE key_ceremony SET answered = 1 WHERE hash = ? AND answered = 0`, hash)
		if err != nil {
			return err
		}
		if !won {
			return auth.ErrNotFound
		}
		return tx.QueryRowContext(ctx, `SELECT account, purpose, bound, sealed_state, expires FROM key_ceremony WHERE hash = ?`, hash).
			Scan(&c.Account, &c.Purpose, &c.Bound, &c.State, (*instant)(&c.Expires))
	})
	if err != nil {
		return auth.Ceremony{}, err
	}
	return c, nil
}

// AllowKey stores who may add a key.
func (db *DB) AllowKey(ctx context.Context, a auth.KeyAllowance) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		if err := ensureAccount(ctx, tx, a.Account); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO key_allowance (account, session, allowed_by, expires) VALUES (?, ?, ?, ?)`,
			a.Account, a.Session, a.By, column(a.Expires))
		return err
	})
}

// KeyAllowed returns what AllowKey stored, or [auth.ErrNotFound].
func (db *DB) KeyAllowed(ctx context.Context, account string) (auth.KeyAllowance, error) {
	a := auth.KeyAllowance{Account: account}
	err := db.read().QueryRowContext(ctx, `SELECT session, allowed_by, expires FROM key_allowance WHERE account = ?`, account).
		Scan(&a.Session, &a.By, (*instant)(&a.Expires))
	if err != nil {
		return auth.KeyAllowance{}, missing(err, "reading permission for a key")
	}
	return a, nil
}
