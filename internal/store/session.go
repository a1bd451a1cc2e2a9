package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/ringfence/ringfence/auth"
)

// PutSession stores a new session and notes it as the account's last sign-in.
func (db *DB) PutSession(ctx context.Context, s auth.StoredSession) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		if err := ensureAccount(ctx, tx, s.Account); err != nil {
			return err
		}
		if err := insertSession(ctx, tx, s); err != nil {
			return err
		}
		if err := seeNetwork(ctx, tx, s.Account, s.Network, s.Created); err != nil {
			return err
		}
		// The directory learns of it in Expire: one change for many sign-ins.
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO last_login (account, at, ip) VALUES (?, ?, ?)`, s.Account, column(s.Created), s.IP)
		return err
	})
}

func insertSession(ctx context.Context, tx *sql.Tx, s auth.StoredSession) error {
	opened, err := asJSON(s.Opened)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO session (id, account, epoch, created, last_seen, ends, password_at, code_at, code_factor,
		ip, user_agent, last_login, last_ip, failed_codes, recovery_left, device, network, new_device, new_network, idle_since, opened,
		external_at, external_factor_at, key_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		s.ID, s.Account, s.Epoch, column(s.Created), column(s.LastSeen), column(s.Ends), column(s.PasswordAt), column(s.CodeAt), s.CodeFactor,
		s.IP, s.UserAgent, column(s.LastLogin), s.LastIP, s.FailedCodes, s.RecoveryLeft, s.Device, s.Network, s.NewDevice, s.NewNetwork, column(s.IdleSince), opened,
		column(s.External.At), column(s.External.FactorAt), column(s.KeyAt))
	return err
}

const sessionColumns = `SELECT id, account, epoch, created, last_seen, ends, password_at, code_at, code_factor, ip, user_agent,
	last_login, last_ip, failed_codes, recovery_left, device, network, new_device, new_network, idle_since, opened,
	external_at, external_factor_at, key_at FROM session`

func scanSession(r scanner) (s auth.StoredSession, err error) {
	err = r.Scan(&s.ID, &s.Account, &s.Epoch, (*instant)(&s.Created), (*instant)(&s.LastSeen), (*instant)(&s.Ends),
		(*instant)(&s.PasswordAt), (*instant)(&s.CodeAt), &s.CodeFactor, &s.IP, &s.UserAgent,
		(*instant)(&s.LastLogin), &s.LastIP, &s.FailedCodes, &s.RecoveryLeft,
		&s.Device, &s.Network, &s.NewDevice, &s.NewNetwork, (*instant)(&s.IdleSince), scanJSON(&s.Opened),
		(*instant)(&s.External.At), (*instant)(&s.External.FactorAt), (*instant)(&s.KeyAt))
	if len(s.Opened) == 0 {
		s.Opened = nil
	}
	return s, err
}

// Sessions returns every session.
func (db *DB) Sessions(ctx context.Context) ([]auth.StoredSession, error) {
	return list(ctx, db, scanSession, sessionColumns)
}

// RotateSession gives a session a new epoch and code if its epoch still is
// from, and returns [auth.ErrNotFound] otherwise.
func (db *DB) RotateSession(ctx context.Context, s auth.StoredSession, from int64) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		won, err := execOne(ctx, tx, `UPDATE session SET epoch = ?, code_at = ?, code_factor = ?, recovery_left = ?, key_at = ? WHERE id = ? AND epoch = ?`,
			s.Epoch, column(s.CodeAt), s.CodeFactor, s.RecoveryLeft, column(s.KeyAt), s.ID, from)
		if err != nil {
			return err
		}
		if !won {
			return auth.ErrNotFound
		}
		return db.notify(tx, KindSession, s.ID)
	})
}

// TouchSessions sets when sessions were last seen. It is no change that other
// processes need to hear of.
func (db *DB) TouchSessions(ctx context.Context, seen map[string]time.Time) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		set, err := tx.PrepareContext(ctx, `UPDATE session SET last_seen = ? WHERE id = ?`)
		if err != nil {
			return err
		}
		defer set.Close()
		for id, at := range seen {
			if _, err := set.ExecContext(ctx, column(at), id); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteSessions ends sessions.
func (db *DB) DeleteSessions(ctx context.Context, ids []string) error {
	return db.deleteByID(ctx, `DELETE FROM session WHERE id = ?`, ids)
}

// EndAccount ends every session, token and sign-in under way of the account.
func (db *DB) EndAccount(ctx context.Context, account string) error {
	return db.write(ctx, func(tx *sql.Tx) error { return db.endAccount(ctx, tx, account) })
}

// deleteByID deletes rows and tells the other processes.
func (db *DB) deleteByID(ctx context.Context, query string, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	return db.write(ctx, func(tx *sql.Tx) error {
		some := false
		for _, id := range ids {
			won, err := execOne(ctx, tx, query, id)
			if err != nil {
				return err
			}
			some = some || won
		}
		if !some {
			return nil
		}
		return db.notify(tx, KindSession, "")
	})
}
