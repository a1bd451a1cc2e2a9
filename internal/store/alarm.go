package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/alarm"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

var (
	_ alarm.Keeper = (*DB)(nil)
	_ alarm.Outbox = (*DB)(nil)
	_ alarm.Desk   = (*DB)(nil)
)

// keepAlarms is how long an alarm is kept after it was acknowledged.
const keepAlarms = 400 * 24 * time.Hour

// AlarmState returns what is remembered for alarms; nil: nothing.
func (db *DB) AlarmState(ctx context.Context) (b []byte, err error) {
	err = db.read().QueryRowContext(ctx, `SELECT state FROM alarm_state`).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what is remembered for alarms: %w", busy(err))
	}
	return b, nil
}

// SaveAlarmState replaces what is remembered for alarms.
func (db *DB) SaveAlarmState(ctx context.Context, state []byte) error {
	err := db.write(ctx, func(tx *sql.Tx) error { return saveAlarmState(ctx, tx, state) })
	if err != nil {
		return fmt.Errorf("keeping what is remembered for alarms: %w", err)
	}
	return nil
}

func saveAlarmState(ctx context.Context, tx *sql.Tx, state []byte) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO alarm_state (id, state) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state`, state)
	return err
}

// Raise stores alarms that are not there yet, with their records and whom to
// tell, and the state unless it is nil. It returns how many were new.
func (db *DB) Raise(ctx context.Context, alarms []alarm.Raised, state []byte) (n int, err error) {
	err = db.write(ctx, func(tx *sql.Tx) error {
		n = 0
		now := db.now().UTC()
		for i := range alarms {
			fresh, err := db.raise(ctx, tx, &alarms[i], now.Add(time.Duration(i))) // pages end between two
			if err != nil {
				return err
			}
			if fresh {
				n++
			}
		}
		if state != nil {
			if err := saveAlarmState(ctx, tx, state); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM alarm WHERE acknowledged < ?`, now.Add(-keepAlarms).UnixNano())
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("raising alarms: %w", err)
	}
	return n, nil
}

func (db *DB) raise(ctx context.Context, tx *sql.Tx, a *alarm.Raised, now time.Time) (fresh bool, err error) {
	facts, err := json.Marshal(a.Facts)
	if err != nil {
		return false, err
	}
	var entry any
	if a.Entry != nil {
		entry = int64(*a.Entry)
	}
	fresh, err = execOne(ctx, tx, `INSERT INTO alarm (id, rule, revision, kind, severity, title, at, entry, subject, vendor, cluster, actor, about, facts, raised)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		a.ID, a.Rule, a.Revision, string(a.Kind), a.Severity, a.Title, a.At.UnixNano(), entry, a.Account, a.Vendor, a.Cluster, a.Actor, a.About, string(facts), now.UnixNano())
	if err != nil || !fresh {
		return false, err
	}
	told := slices.Compact(slices.Sorted(slices.Values(a.To)))
	own, err := ownsVendor(ctx, tx, a.Account, a.Vendor)
	if err != nil {
		return false, err
	}
	if own { // nobody is told of an alarm about themselves
		told = slices.DeleteFunc(told, func(to string) bool { return to == alarm.OwnerReceiver })
	}
	for _, to := range told {
		if _, err := tx.ExecContext(ctx, `INSERT INTO alarm_send (alarm, receiver, next) VALUES (?, ?, ?)`, a.ID, to, now.UnixNano()); err != nil {
			return false, err
		}
	}
	detail := map[string]string{"rule": a.Rule, "revision": strconv.FormatInt(a.Revision, 10), "kind": string(a.Kind), "severity": a.Severity, "told": strings.Join(told, ", ")}
	maps.Copy(detail, prefixed("fact_", a.Facts))
	if a.Entry != nil {
		detail["entry"] = strconv.FormatUint(*a.Entry, 10)
	} else {
		detail["about"] = a.About
	}
	email, err := emailOf(ctx, tx, a.Account)
	if err != nil {
		return false, err
	}
	return true, db.enqueue(tx, &policy.Record{Type: policy.RecordLog, Action: "alarm.raise", Result: "ok", Time: now, Actor: directory.Operator,
		Account: a.Account, Email: email, Vendor: a.Vendor, Cluster: a.Cluster, Object: "alarm:" + a.ID, Detail: detail})
}

// ownsVendor reports whether an account's address is that of a vendor's owner.
func ownsVendor(ctx context.Context, tx *sql.Tx, account, vendor string) (own bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM vendor v JOIN account a ON lower(a.email) = lower(v.owner_email) WHERE v.name = ? AND a.id = ?)`, vendor, account).Scan(&own)
	return own, err
}

// emailOf returns an account's address of today; empty where there is none.
func emailOf(ctx context.Context, tx *sql.Tx, account string) (email string, err error) {
	err = tx.QueryRowContext(ctx, `SELECT email FROM account WHERE id = ?`, account).Scan(&email)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return email, err
}

func prefixed(prefix string, m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[prefix+k] = v
	}
	return out
}

const alarmColumns = `SELECT id, rule, revision, kind, severity, title, at, entry, subject, vendor, cluster, actor, about, facts, raised,
 acknowledged, acknowledged_by, acknowledged_email, note FROM alarm`

func scanAlarm(r scanner) (a alarm.Alarm, err error) {
	var kind, facts string
	var entry sql.NullInt64
	err = r.Scan(&a.ID, &a.Rule, &a.Revision, &kind, &a.Severity, &a.Title, (*instant)(&a.At), &entry, &a.Account, &a.Vendor, &a.Cluster, &a.Actor, &a.About, &facts,
		(*instant)(&a.Raised), (*instant)(&a.Acknowledged.At), &a.Acknowledged.Account, &a.Acknowledged.Email, &a.Acknowledged.Note)
	if err != nil {
		return a, err
	}
	a.Kind = alarm.Kind(kind)
	if entry.Valid {
		n := uint64(entry.Int64)
		a.Entry = &n
	}
	return a, json.Unmarshal([]byte(facts), &a.Facts)
}

// Alarms returns the alarms that f selects, the newest first.
func (db *DB) Alarms(ctx context.Context, f alarm.Filter) ([]alarm.Alarm, error) {
	where, args := []string{"true"}, []any{}
	add := func(if_ bool, sql string, v ...any) {
		if if_ {
			where, args = append(where, sql), append(args, v...)
		}
	}
	add(f.Open, `acknowledged IS NULL`)
	add(f.Account != "", `subject = ?`, f.Account)
	if f.Clusters != nil {
		clusters, err := asJSON(f.Clusters)
		if err != nil {
			return nil, fmt.Errorf("reading alarms: %w", err)
		}
		add(true, `cluster <> '' AND cluster IN (SELECT value FROM json_each(?))`, clusters)
	}
	add(f.Rule != "", `rule = ?`, f.Rule)
	add(!f.Before.IsZero(), `raised < ?`, f.Before.UnixNano())
	all, err := list(ctx, db, scanAlarm, alarmColumns+` WHERE `+strings.Join(where, ` AND `)+` ORDER BY raised DESC, id LIMIT ?`, append(args, cmp.Or(f.Limit, 100))...)
	if err != nil {
		return nil, fmt.Errorf("reading alarms: %w", err)
	}
	return all, nil
}

// OpenAlarms returns how many alarms are open, and the newest of them.
func (db *DB) OpenAlarms(ctx context.Context, limit int) (n int, all []alarm.Alarm, err error) {
	if err := db.read().QueryRowContext(ctx, `SELECT count(*) FROM alarm WHERE acknowledged IS NULL`).Scan(&n); err != nil {
		return 0, nil, fmt.Errorf("counting alarms: %w", busy(err))
	}
	if n > 0 {
		all, err = db.Alarms(ctx, alarm.Filter{Open: true, Limit: limit})
	}
	return n, all, err
}

// Alarm returns one alarm with its sends, or [alarm.ErrNotFound].
func (db *DB) Alarm(ctx context.Context, id string) (alarm.Alarm, error) {
	a, err := scanAlarm(db.read().QueryRowContext(ctx, alarmColumns+` WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return a, alarm.ErrNotFound
	}
	if err == nil {
		a.Sends, err = list(ctx, db, scanSend, sendColumns+` WHERE alarm = ? ORDER BY receiver`, id)
	}
	if err != nil {
		return a, fmt.Errorf("reading an alarm: %w", busy(err))
	}
	return a, nil
}

// Acknowledge notes who has looked at an alarm and what they found, once. It is
// [alarm.ErrInvolved] for whom it is about and for who did what raised it, and
// [alarm.ErrNotFound] for a reviewer who does not read of its cluster.
func (db *DB) Acknowledge(ctx context.Context, actor directory.Actor, id, note string) error {
	err := db.write(ctx, func(tx *sql.Tx) error {
		now := db.now().UTC()
		have, err := db.current(ctx, tx)
		if err != nil {
			return fmt.Errorf("reading directory: %w", err)
		}
		if err := mayChange(have.directory, actor, now, policy.Administrator, policy.Reviewer); err != nil {
			return err
		}
		a, err := scanAlarm(tx.QueryRowContext(ctx, alarmColumns+` WHERE id = ?`, id))
		if errors.Is(err, sql.ErrNoRows) {
			return alarm.ErrNotFound
		}
		if err != nil {
			return err
		}
		who := byID(have.directory, actor.Account)
		switch {
		case who != nil && len(who.LogClusters) > 0 && !slices.Contains(who.LogClusters, a.Cluster):
			return alarm.ErrNotFound
		case !a.Open():
			return alarm.ErrDone
		case a.Involves(actor.Account):
			return alarm.ErrInvolved
		}
		if _, err := tx.ExecContext(ctx, `UPDATE alarm SET acknowledged = ?, acknowledged_by = ?, acknowledged_email = ?, note = ? WHERE id = ?`,
			now.UnixNano(), actor.Account, actor.Email, note, id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO alarm_send (alarm, receiver, acknowledged, next)
			SELECT alarm, receiver, 1, ? FROM alarm_send WHERE alarm = ? AND acknowledged = 0 AND given_up IS NULL`, now.UnixNano(), id); err != nil {
			return err
		}
		r := alarmRecord(actor, "alarm.acknowledge", "alarm:"+id, now, map[string]string{"rule": a.Rule, "note": note})
		r.Account, r.Vendor, r.Cluster = a.Account, a.Vendor, a.Cluster
		if a.Account != "" { // the actor's address is not that of whom it is about
			r.Detail["actor_email"] = actor.Email
			if r.Email, err = emailOf(ctx, tx, a.Account); err != nil {
				return err
			}
		}
		return db.enqueue(tx, r)
	})
	if err != nil {
		return fmt.Errorf("acknowledging an alarm: %w", err)
	}
	return nil
}

func alarmRecord(actor directory.Actor, action, object string, now time.Time, detail map[string]string) *policy.Record {
	return &policy.Record{Type: policy.RecordLog, Action: action, Result: "ok", Time: now, RequestID: actor.RequestID, SourceIP: actor.IP,
		Actor: actor.Account, Email: actor.Email, Object: object, Detail: detail}
}

func (db *DB) mayAlarm(ctx context.Context, tx *sql.Tx, actor directory.Actor, now time.Time, roles ...policy.Role) error {
	have, err := db.current(ctx, tx)
	if err != nil {
		return fmt.Errorf("reading directory: %w", err)
	}
	return mayChange(have.directory, actor, now, roles...)
}
