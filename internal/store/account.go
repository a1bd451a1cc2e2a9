package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ringfence/ringfence/auth"
)

var _ auth.Store = (*DB)(nil)

const selectAccount = `SELECT a.id, a.email, a.name, coalesce(a.vendor, ''), a.roles, a.ends, a.disabled, coalesce(v.suspended, 0)
	FROM account a LEFT JOIN vendor v ON v.name = a.vendor `

// Account returns the account with the id, or [auth.ErrNotFound].
func (db *DB) Account(ctx context.Context, id string) (auth.Account, error) {
	return db.account(ctx, `WHERE a.id = ?`, id)
}

// AccountByEmail returns the account whose canonical address email is, or [auth.ErrNotFound].
func (db *DB) AccountByEmail(ctx context.Context, email string) (auth.Account, error) {
	return db.account(ctx, `WHERE a.email = ?`, email)
}

func (db *DB) account(ctx context.Context, where string, arg string) (auth.Account, error) {
	a, err := scanAccount(db.read().QueryRowContext(ctx, selectAccount+where, arg))
	if err != nil {
		return auth.Account{}, missing(err, "reading account")
	}
	return a, nil
}

// SignedIn returns every account that has a session, a token or a machine.
func (db *DB) SignedIn(ctx context.Context) ([]auth.Account, error) {
	return list(ctx, db, scanAccount, selectAccount+
		`WHERE a.id IN (SELECT account FROM session UNION SELECT account FROM token UNION SELECT account FROM machine)`)
}

// A scanner is a row or the current one of several.
type scanner interface{ Scan(...any) error }

func scanAccount(r scanner) (auth.Account, error) {
	var a auth.Account
	var roles string
	if err := r.Scan(&a.ID, &a.Email, &a.Name, &a.Vendor, &roles, (*instant)(&a.Ends), &a.Disabled, &a.VendorSuspended); err != nil {
		return auth.Account{}, err
	}
	if err := json.Unmarshal([]byte(roles), &a.Roles); err != nil {
		return auth.Account{}, fmt.Errorf("roles of account %s: %w", a.ID, err)
	}
	return a, nil
}

// list returns what scan makes of each row.
func list[T any](ctx context.Context, db *DB, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := db.read().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, busy(err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// missing turns the driver's word for no row into [auth.ErrNotFound].
func missing(err error, doing string) error {
	if errors.Is(err, sql.ErrNoRows) {
		err = auth.ErrNotFound
	}
	return fmt.Errorf("%s: %w", doing, busy(err))
}

// execOne runs a statement within tx and reports whether it changed a row.
func execOne(ctx context.Context, tx *sql.Tx, query string, args ...any) (bool, error) {
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// execAll runs statements with the same arguments within tx.
func execAll(ctx context.Context, tx *sql.Tx, queries []string, args ...any) error {
	for _, q := range queries {
		if _, err := tx.ExecContext(ctx, q, args...); err != nil {
			return err
		}
	}
	return nil
}

// ensureAccount returns [auth.ErrNotFound] when the account is gone: a foreign
// key would say less.
func ensureAccount(ctx context.Context, tx *sql.Tx, id string) error {
	var one int
	err := tx.QueryRowContext(ctx, `SELECT 1 FROM account WHERE id = ?`, id).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return auth.ErrNotFound
	}
	return err
}
