package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/ringfence/ringfence/auth"
)

// A sealedColumn is a column of sealed values: where it is, and the place that
// package auth binds its values to. row is SQL for the row's name there, and
// where for the rows meant, when the table's rows are bound in several ways.
type sealedColumn struct {
	table, column, row   string
	boundTable, boundCol string
	where                string
}

// sealedColumns lists every column named sealed or sealed_…; a test holds it
// against the tables. Re-sealing under a new root key walks them.
var sealedColumns = []sealedColumn{
	{"signing_key", "sealed", "purpose || '/' || id", "signing_key", "sealed", "true"},
	{"secret", "sealed", "name", "secret", "sealed", "true"},
	{"totp_device", "sealed", "account || '/' || id", "totp_device", "sealed", "legacy = 0"},
	{"totp_device", "sealed", "account", "credential", "totp", "legacy <> 0"},
	{"totp_pending", "sealed", "account || '/' || id", "totp_device", "sealed", "true"},
	{"enrolment", "sealed_totp", "account", "credential", "totp", "true"},
	{"enrolment", "sealed_recovery", "hash", "enrolment", "recovery", "true"},
	{"security_key", "sealed_record", "account || '/' || id", "security_key", "record", "true"},
	{"key_ceremony", "sealed_state", "hash || '/' || purpose || '/' || bound", "key_ceremony", "state", "true"},
	{"mail", "sealed_text", "id", "mail", "text", "true"},
	{"identity_provider", "sealed_client_secret", "vendor", "identity_provider", "client_secret", "sealed_client_secret IS NOT NULL"},
	{"alarm_receiver", "sealed_secret", "id", "alarm_receiver", "secret", "sealed_secret IS NOT NULL"},
}

// AllKeys returns every signing key, the oldest first.
func (db *DB) AllKeys(ctx context.Context) ([]auth.SigningKey, error) {
	return list(ctx, db, func(r scanner) (auth.SigningKey, error) {
		var k auth.SigningKey
		err := r.Scan(&k.ID, &k.Purpose, &k.Sealed, (*instant)(&k.Created))
		return k, err
	}, `SELECT id, purpose, sealed, created FROM signing_key ORDER BY created, id`)
}

func insertKey(ctx context.Context, tx *sql.Tx, k *auth.SigningKey) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO signing_key (id, purpose, sealed, created) VALUES (?, ?, ?, ?)`, k.ID, k.Purpose, k.Sealed, column(k.Created))
	return err
}

// PutKey stores a signing key, which the gateway reads with its sessions.
func (db *DB) PutKey(ctx context.Context, k auth.SigningKey) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		if err := insertKey(ctx, tx, &k); err != nil {
			return err
		}
		return db.notify(tx, KindSession, "key:"+k.ID)
	})
}

// RevokeKey removes a signing key and stores the next, both or nothing.
func (db *DB) RevokeKey(ctx context.Context, id string, next *auth.SigningKey) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		won, err := execOne(ctx, tx, `DELETE FROM signing_key WHERE id = ?`, id)
		if err != nil {
			return err
		}
		if !won {
			return auth.ErrNotFound
		}
		if next != nil {
			if err := insertKey(ctx, tx, next); err != nil {
				return err
			}
		}
		return db.notify(tx, KindSession, "key:"+id)
	})
}

// Secret returns the secret of the name, or [auth.ErrNotFound].
func (db *DB) Secret(ctx context.Context, name string) (auth.Secret, error) {
	v := auth.Secret{Name: name}
	err := db.read().QueryRowContext(ctx, `SELECT sealed, created FROM secret WHERE name = ?`, name).Scan(&v.Sealed, (*instant)(&v.Created))
	if err != nil {
		return auth.Secret{}, missing(err, "reading secret "+name)
	}
	return v, nil
}

// EnsureSecret stores a secret unless there is one of its name, and returns
// the one that is stored.
func (db *DB) EnsureSecret(ctx context.Context, v auth.Secret) (auth.Secret, error) {
	err := db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO secret (name, sealed, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, v.Name, v.Sealed, column(v.Created))
		return err
	})
	if err != nil {
		return auth.Secret{}, fmt.Errorf("keeping secret %s: %w", v.Name, err)
	}
	return db.Secret(ctx, v.Name)
}

// CountSealed counts the sealed values of all tables by root key.
func (db *DB) CountSealed(ctx context.Context) (map[string]int, error) {
	var parts []string
	for _, c := range sealedColumns {
		parts = append(parts, fmt.Sprintf(`SELECT CAST(substr(%s, 1, 8) AS TEXT) AS key FROM %s WHERE length(%[1]s) >= 8 AND %[3]s`, c.column, c.table, c.where))
	}
	type count struct {
		key string
		n   int
	}
	all, err := list(ctx, db, func(r scanner) (count, error) {
		var c count
		err := r.Scan(&c.key, &c.n)
		return c, err
	}, `SELECT key, count(*) FROM (`+strings.Join(parts, ` UNION ALL `)+`) GROUP BY key`)
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int, len(all))
	for _, c := range all {
		counts[c.key] = c.n
	}
	return counts, nil
}

// SealedValues returns values that are not sealed under a root key.
func (db *DB) SealedValues(ctx context.Context, not string, limit int) ([]auth.SealedValue, error) {
	var all []auth.SealedValue
	for _, c := range sealedColumns {
		if len(all) >= limit {
			break
		}
		some, err := list(ctx, db, func(r scanner) (auth.SealedValue, error) {
			v := auth.SealedValue{Place: auth.Place{Table: c.boundTable, Column: c.boundCol}}
			err := r.Scan(&v.Row, &v.Sealed)
			return v, err
		}, fmt.Sprintf(`SELECT %s, %s FROM %s WHERE length(%[2]s) > 0 AND %[4]s AND substr(%[2]s, 1, 8) <> CAST(? AS BLOB) LIMIT ?`, c.row, c.column, c.table, c.where), not, limit-len(all))
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// Reseal replaces sealed values by others of the same place, in one transaction.
func (db *DB) Reseal(ctx context.Context, was []auth.SealedValue, now [][]byte) (int, error) {
	n := 0
	err := db.write(ctx, func(tx *sql.Tx) error {
		n = 0
		for i, v := range was {
			for _, c := range sealedColumns {
				if c.boundTable != v.Table || c.boundCol != v.Column {
					continue
				}
				res, err := tx.ExecContext(ctx, fmt.Sprintf(`UPDATE %s SET %s = ? WHERE %s = ? AND %[2]s = ? AND %[4]s`, c.table, c.column, c.row, c.where), now[i], v.Row, v.Sealed)
				if err != nil {
					return err
				}
				done, err := res.RowsAffected()
				if err != nil {
					return err
				}
				n += int(done)
			}
		}
		return db.notify(tx, KindSession, "reseal")
	})
	return n, err
}

// A RootKey is a root key that this deployment has seen, by its id alone.
type RootKey struct {
	ID    string
	Seen  time.Time // first
	Taken time.Time // by a gateway, as the one that seals, last; zero: never
}

// RootKeys returns the root keys seen so far, the oldest first.
func (db *DB) RootKeys(ctx context.Context) ([]RootKey, error) {
	return list(ctx, db, func(r scanner) (RootKey, error) {
		var k RootKey
		err := r.Scan(&k.ID, (*instant)(&k.Seen), (*instant)(&k.Taken))
		return k, err
	}, `SELECT id, seen, taken FROM root_key ORDER BY seen, id`)
}

// NoteRootKey notes that a root key is in use; taken says that a gateway seals
// with it from now on.
func (db *DB) NoteRootKey(ctx context.Context, id string, taken bool) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		now := db.now().UnixNano()
		var at any
		if taken {
			at = now
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO root_key (id, seen, taken) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET taken = coalesce(excluded.taken, taken)`, id, now, at)
		return err
	})
}
