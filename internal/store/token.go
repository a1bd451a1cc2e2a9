package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/ringfence/ringfence/auth"
)

// PutToken stores a token.
func (db *DB) PutToken(ctx context.Context, t auth.Token) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		if err := ensureAccount(ctx, tx, t.Account); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO token (id, account, hash, cluster, name, session, created, expires, password_at, code_at, code_factor, key_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			t.ID, t.Account, t.Hash, t.Cluster, t.Name, t.Session, column(t.Created), column(t.Expires), column(t.PasswordAt), column(t.CodeAt), t.CodeFactor, column(t.KeyAt))
		return err
	})
}

// AllTokens returns every token.
func (db *DB) AllTokens(ctx context.Context) ([]auth.Token, error) {
	return list(ctx, db, func(r scanner) (auth.Token, error) {
		var t auth.Token
		err := r.Scan(&t.ID, &t.Account, &t.Hash, &t.Cluster, &t.Name, &t.Session, (*instant)(&t.Created), (*instant)(&t.Expires),
			(*instant)(&t.PasswordAt), (*instant)(&t.CodeAt), &t.CodeFactor, (*instant)(&t.KeyAt))
		return t, err
	}, `SELECT id, account, hash, cluster, name, session, created, expires, password_at, code_at, code_factor, key_at FROM token`)
}

// DeleteTokens ends tokens.
func (db *DB) DeleteTokens(ctx context.Context, ids []string) error {
	return db.deleteByID(ctx, `DELETE FROM token WHERE id = ?`, ids)
}

// EnsureKey stores k if its purpose has no key created at or after since, and
// returns every key of the purpose.
func (db *DB) EnsureKey(ctx context.Context, k auth.SigningKey, since time.Time) ([]auth.SigningKey, error) {
	keys, err := db.signingKeys(ctx, k.Purpose)
	if err != nil {
		return nil, err
	}
	for _, have := range keys {
		if !have.Created.Before(since) {
			return keys, nil
		}
	}
	err = db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO signing_key (id, purpose, sealed, created)
			SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM signing_key WHERE purpose = ?2 AND created >= ?5)`,
			k.ID, k.Purpose, k.Sealed, column(k.Created), since.UnixNano())
		return err
	})
	if err != nil {
		return nil, err
	}
	return db.signingKeys(ctx, k.Purpose)
}

func (db *DB) signingKeys(ctx context.Context, purpose string) ([]auth.SigningKey, error) {
	return list(ctx, db, func(r scanner) (auth.SigningKey, error) {
		var k auth.SigningKey
		err := r.Scan(&k.ID, &k.Purpose, &k.Sealed, (*instant)(&k.Created))
		return k, err
	}, `SELECT id, purpose, sealed, created FROM signing_key WHERE purpose = ? ORDER BY created`, purpose)
}

// DeleteKeys deletes keys of the purpose that were created before before.
func (db *DB) DeleteKeys(ctx context.Context, purpose string, before time.Time) error {
	keys, err := db.signingKeys(ctx, purpose)
	if err != nil || len(keys) == 0 || !keys[0].Created.Before(before) {
		return err
	}
	return db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM signing_key WHERE purpose = ? AND created < ?`, purpose, before.UnixNano())
		return err
	})
}
