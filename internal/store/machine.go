package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/ringfence/ringfence/auth"
)

const machineColumns = `id, account, hash, key, name, program, session, created, ends, password_at, code_at, code_factor, ip, approved_ip, last_used, last_ip, key_at`

// PutMachine puts a machine that is signed in in place of the grant that let it.
func (db *DB) PutMachine(ctx context.Context, m auth.Machine, grant string) (won bool, err error) {
	err = db.write(ctx, func(tx *sql.Tx) error {
		if err := ensureAccount(ctx, tx, m.Account); err != nil {
			return err
		}
		won, err = execOne(ctx, tx, `DELETE FROM device_grant WHERE id = ? AND account = ? AND status = ?`, grant, m.Account, auth.GrantApproved)
		if err != nil || !won {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO machine (`+machineColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			m.ID, m.Account, m.Hash, m.Key, m.Name, m.Program, m.Session, column(m.Created), column(m.Ends), column(m.PasswordAt), column(m.CodeAt), m.CodeFactor,
			m.IP, m.ApprovedIP, column(m.LastUsed), m.LastIP, column(m.KeyAt))
		return err
	})
	return won && err == nil, err
}

// Machines returns every machine.
func (db *DB) Machines(ctx context.Context) ([]auth.Machine, error) {
	return list(ctx, db, func(r scanner) (auth.Machine, error) {
		var m auth.Machine
		err := r.Scan(&m.ID, &m.Account, &m.Hash, &m.Key, &m.Name, &m.Program, &m.Session, (*instant)(&m.Created), (*instant)(&m.Ends),
			(*instant)(&m.PasswordAt), (*instant)(&m.CodeAt), &m.CodeFactor, &m.IP, &m.ApprovedIP, (*instant)(&m.LastUsed), &m.LastIP, (*instant)(&m.KeyAt))
		return m, err
	}, `SELECT `+machineColumns+` FROM machine`)
}

// DeleteMachines ends machines and the tokens made for them.
func (db *DB) DeleteMachines(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	return db.write(ctx, func(tx *sql.Tx) error {
		for _, id := range ids {
			if err := execAll(ctx, tx, []string{`DELETE FROM machine WHERE id = ?`, `DELETE FROM token WHERE machine = ?`}, id); err != nil {
				return err
			}
		}
		return db.notify(tx, KindSession, "")
	})
}

// TouchTokens sets when tokens and machines were last used. It is no change
// that other processes need to hear of.
func (db *DB) TouchTokens(ctx context.Context, used map[string]auth.TokenUse) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		for _, table := range []string{"token", "machine"} {
			set, err := tx.PrepareContext(ctx, `UPDATE `+table+` SET last_used = ?, last_ip = ? WHERE id = ?`)
			if err != nil {
				return err
			}
			for id, u := range used {
				if _, err := set.ExecContext(ctx, column(u.At), u.IP, id); err != nil {
					set.Close()
					return err
				}
			}
			set.Close()
		}
		return nil
	})
}

const grantColumns = `id, device_hash, user_hash, key, name, program, ip, network, created, expires, session, status, account, approved_ip, ends, password_at, code_at, code_factor, key_at`

// PutDeviceGrant stores a machine's request unless too many are open.
func (db *DB) PutDeviceGrant(ctx context.Context, g auth.DeviceGrant, perNetwork, overall int) (won bool, err error) {
	err = db.write(ctx, func(tx *sql.Tx) error {
		won, err = execOne(ctx, tx, `INSERT INTO device_grant (`+grantColumns+`)
			SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?21
			WHERE (SELECT count(*) FROM device_grant WHERE expires > ?9) < ?20
			AND (SELECT count(*) FROM device_grant WHERE expires > ?9 AND network = ?8) < ?19`,
			g.ID, g.DeviceHash, g.UserHash, g.Key, g.Name, g.Program, g.IP, g.Network, column(g.Created), column(g.Expires), g.Session, g.Status, g.Account,
			g.ApprovedIP, column(g.Ends), column(g.PasswordAt), column(g.CodeAt), g.CodeFactor, perNetwork, overall, column(g.KeyAt))
		return err
	})
	return won && err == nil, err
}

// DeviceGrant returns the request with the id, or [auth.ErrNotFound].
func (db *DB) DeviceGrant(ctx context.Context, id string) (auth.DeviceGrant, error) {
	return scanGrant(db.read().QueryRowContext(ctx, `SELECT `+grantColumns+` FROM device_grant WHERE id = ?`, id))
}

// DeviceGrantOf returns the request with the hash of a device code, or [auth.ErrNotFound].
func (db *DB) DeviceGrantOf(ctx context.Context, deviceHash string) (auth.DeviceGrant, error) {
	return scanGrant(db.read().QueryRowContext(ctx, `SELECT `+grantColumns+` FROM device_grant WHERE device_hash = ?`, deviceHash))
}

func scanGrant(r *sql.Row) (g auth.DeviceGrant, err error) {
	err = r.Scan(&g.ID, &g.DeviceHash, &g.UserHash, &g.Key, &g.Name, &g.Program, &g.IP, &g.Network, (*instant)(&g.Created), (*instant)(&g.Expires),
		&g.Session, &g.Status, &g.Account, &g.ApprovedIP, (*instant)(&g.Ends), (*instant)(&g.PasswordAt), (*instant)(&g.CodeAt), &g.CodeFactor, (*instant)(&g.KeyAt))
	if err != nil {
		return auth.DeviceGrant{}, missing(err, "reading a machine's request")
	}
	return g, nil
}

// EnterDeviceGrant notes in which session a request's code was typed.
func (db *DB) EnterDeviceGrant(ctx context.Context, userHash, session string, now time.Time) (g auth.DeviceGrant, err error) {
	err = db.write(ctx, func(tx *sql.Tx) error {
		g, err = scanGrant(tx.QueryRowContext(ctx, `UPDATE device_grant SET session = ? WHERE user_hash = ? AND status = ? AND expires > ? RETURNING `+grantColumns,
			session, userHash, auth.GrantPending, column(now)))
		return err
	})
	return g, err
}

// SettleDeviceGrant answers a pending request and reports whether it was pending.
func (db *DB) SettleDeviceGrant(ctx context.Context, g auth.DeviceGrant) (won bool, err error) {
	err = db.write(ctx, func(tx *sql.Tx) error {
		won, err = execOne(ctx, tx, `UPDATE device_grant SET status = ?, account = ?, approved_ip = ?, ends = ?, password_at = ?, code_at = ?, code_factor = ?, key_at = ?
			WHERE id = ? AND status = ? AND session = ? AND EXISTS (SELECT 1 FROM session WHERE session.id = device_grant.session)`,
			g.Status, g.Account, g.ApprovedIP, column(g.Ends), column(g.PasswordAt), column(g.CodeAt), g.CodeFactor, column(g.KeyAt), g.ID, auth.GrantPending, g.Session)
		return err
	})
	return won && err == nil, err
}

// TakeDeviceGrant removes a request and reports whether it was there.
func (db *DB) TakeDeviceGrant(ctx context.Context, id string) (won bool, err error) {
	err = db.write(ctx, func(tx *sql.Tx) error {
		won, err = execOne(ctx, tx, `DELETE FROM device_grant WHERE id = ?`, id)
		return err
	})
	return won && err == nil, err
}

// TakeDeviceTry counts a try unless there were too many.
func (db *DB) TakeDeviceTry(ctx context.Context, account string, now, since time.Time, perAccount, overall int) (won bool, err error) {
	err = db.write(ctx, func(tx *sql.Tx) error {
		won, err = execOne(ctx, tx, `INSERT INTO device_try (account, at) SELECT ?1, ?2
			WHERE (SELECT count(*) FROM device_try WHERE at >= ?3) < ?5
			AND (SELECT count(*) FROM device_try WHERE at >= ?3 AND account = ?1) < ?4`, account, column(now), column(since), perAccount, overall)
		return err
	})
	return won && err == nil, err
}

// ReturnDeviceTry uncounts a try.
func (db *DB) ReturnDeviceTry(ctx context.Context, account string, at time.Time) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM device_try WHERE rowid = (SELECT rowid FROM device_try WHERE account = ? AND at = ? LIMIT 1)`, account, column(at))
		return err
	})
}

// ExpireDeviceGrants removes what is over.
func (db *DB) ExpireDeviceGrants(ctx context.Context, now, since time.Time) error {
	var some bool
	err := db.read().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM device_grant WHERE expires < ?) OR EXISTS (SELECT 1 FROM device_try WHERE at < ?)`,
		column(now), column(since)).Scan(&some)
	if err != nil || !some {
		return busy(err)
	}
	return db.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM device_grant WHERE expires < ?`, column(now)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM device_try WHERE at < ?`, column(since))
		return err
	})
}
