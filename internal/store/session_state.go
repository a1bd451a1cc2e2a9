package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/ringfence/ringfence/auth"
)

const (
	// networkLife is how long a network that an account signed in from is known.
	networkLife = 90 * 24 * time.Hour
	// maxNetworks is how many of them are kept for an account.
	maxNetworks = 50
)

// IdleSessions notes since when sessions are idle.
func (db *DB) IdleSessions(ctx context.Context, since map[string]time.Time) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		set, err := tx.PrepareContext(ctx, `UPDATE session SET idle_since = ? WHERE id = ?`)
		if err != nil {
			return err
		}
		defer set.Close()
		for id, at := range since {
			if _, err := set.ExecContext(ctx, column(at), id); err != nil {
				return err
			}
		}
		return db.notify(tx, KindSession, "")
	})
}

// ResumeSession makes an idle session one in use again if its epoch still is
// from, and returns [auth.ErrNotFound] otherwise.
func (db *DB) ResumeSession(ctx context.Context, s auth.StoredSession, from int64) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		won, err := execOne(ctx, tx, `UPDATE session SET epoch = ?, last_seen = ?, password_at = ?, ip = ?, network = ?, new_network = ?, idle_since = NULL
			WHERE id = ? AND epoch = ?`, s.Epoch, column(s.LastSeen), column(s.PasswordAt), s.IP, s.Network, s.NewNetwork, s.ID, from)
		if err != nil {
			return err
		}
		if !won {
			return auth.ErrNotFound
		}
		if err := seeNetwork(ctx, tx, s.Account, s.Network, s.LastSeen); err != nil {
			return err
		}
		return db.notify(tx, KindSession, s.ID)
	})
}

// OpenHost notes a cluster's host that a session was carried to. Other
// processes need not hear of it.
func (db *DB) OpenHost(ctx context.Context, id, host string) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		var opened []string
		err := tx.QueryRowContext(ctx, `SELECT opened FROM session WHERE id = ?`, id).Scan(scanJSON(&opened))
		if errors.Is(err, sql.ErrNoRows) || err == nil && slices.Contains(opened, host) {
			return nil
		}
		if err != nil {
			return err
		}
		all, err := asJSON(append(opened, host))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE session SET opened = ? WHERE id = ?`, all, id)
		return err
	})
}

// NetworkSeen returns when an account signed in from a network last.
func (db *DB) NetworkSeen(ctx context.Context, account, network string) (seen time.Time, err error) {
	all, err := list(ctx, db, func(r scanner) (time.Time, error) {
		var at time.Time
		err := r.Scan((*instant)(&at))
		return at, err
	}, `SELECT seen FROM known_network WHERE account = ? AND network = ?`, account, network)
	if err != nil || len(all) == 0 {
		return time.Time{}, err
	}
	return all[0], nil
}

// seeNetwork notes a sign-in from a network, and forgets old ones.
func seeNetwork(ctx context.Context, tx *sql.Tx, account, network string, at time.Time) error {
	if network == "" {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO known_network (account, network, seen) VALUES (?, ?, ?)`, account, network, column(at)); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM known_network WHERE account = ? AND (seen < ? OR network NOT IN
		(SELECT network FROM known_network WHERE account = ? ORDER BY seen DESC, network LIMIT ?))`,
		account, column(at.Add(-networkLife)), account, maxNetworks)
	return err
}

// EndVendor ends all that a vendor's accounts have open.
func (db *DB) EndVendor(ctx context.Context, vendor string) error {
	return db.endWhere(ctx, `SELECT id FROM account WHERE vendor = ?`, vendor)
}

// EndEverybody ends all that anybody has open but the session keep.
func (db *DB) EndEverybody(ctx context.Context, keep string) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		// The row is put back within the transaction: what else belongs to the
		// end of an account's sessions stays in one place.
		var kept *auth.StoredSession
		if keep != "" {
			s, err := scanSession(tx.QueryRowContext(ctx, sessionColumns+` WHERE id = ?`, keep))
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			if err == nil {
				kept = &s
			}
		}
		if err := db.endAccounts(ctx, tx, `SELECT account FROM session UNION SELECT account FROM token UNION SELECT account FROM login_flow
			UNION SELECT account FROM machine UNION SELECT account FROM device_grant WHERE account <> ''`); err != nil {
			return err
		}
		if kept == nil {
			return nil
		}
		return insertSession(ctx, tx, *kept)
	})
}

func (db *DB) endWhere(ctx context.Context, query string, args ...any) error {
	return db.write(ctx, func(tx *sql.Tx) error { return db.endAccounts(ctx, tx, query, args...) })
}

// endAccounts ends all that the accounts have open which a query names.
func (db *DB) endAccounts(ctx context.Context, tx *sql.Tx, query string, args ...any) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return errors.Join(err, rows.Close())
		}
		ids = append(ids, id)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, id := range ids {
		if err := db.endAccount(ctx, tx, id); err != nil {
			return err
		}
	}
	return nil
}
