package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ringfence/ringfence/internal/alarm"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// maxReceivers bounds the receivers of alarms.
const maxReceivers = 50

const sendColumns = `SELECT alarm, receiver, acknowledged, tries, next, fault, sent, given_up FROM alarm_send`

func scanSend(r scanner) (s alarm.Send, err error) {
	err = r.Scan(&s.Alarm, &s.Receiver, &s.Acknowledged, &s.Tries, (*instant)(&s.Next), &s.Fault, (*instant)(&s.Sent), (*instant)(&s.GivenUp))
	return s, err
}

// ClaimSends takes what is to be sent now: of several processes each send goes to
// one. That an alarm was acknowledged waits until it was told of the alarm.
func (db *DB) ClaimSends(ctx context.Context, now, until time.Time, limit int) (out []alarm.Send, err error) {
	const due = ` WHERE sent IS NULL AND given_up IS NULL AND next <= ?
		AND (acknowledged = 0 OR NOT EXISTS (SELECT 1 FROM alarm_send r WHERE r.alarm = alarm_send.alarm AND r.receiver = alarm_send.receiver AND r.acknowledged = 0 AND r.sent IS NULL AND r.given_up IS NULL))`
	var some bool
	if err := db.read().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM alarm_send`+due+`)`, column(now)).Scan(&some); err != nil || !some {
		return nil, busy(err)
	}
	err = db.write(ctx, func(tx *sql.Tx) error {
		out = nil
		rows, err := tx.QueryContext(ctx, sendColumns+due+` ORDER BY next, alarm, receiver LIMIT ?`, column(now), limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			s, err := scanSend(rows)
			if err != nil {
				return err
			}
			out = append(out, s)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		rows.Close()
		for _, s := range out {
			if _, err := tx.ExecContext(ctx, `UPDATE alarm_send SET next = ? WHERE alarm = ? AND receiver = ? AND acknowledged = ?`, column(until), s.Alarm, s.Receiver, s.Acknowledged); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("claiming alarms to send: %w", err)
	}
	return out, nil
}

// NoteSend stores how a try to send went.
func (db *DB) NoteSend(ctx context.Context, s alarm.Send) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE alarm_send SET tries = ?, next = ?, fault = ?, sent = ?, given_up = ? WHERE alarm = ? AND receiver = ? AND acknowledged = ?`,
			s.Tries, column(s.Next), s.Fault, column(s.Sent), column(s.GivenUp), s.Alarm, s.Receiver, s.Acknowledged)
		return err
	})
}

const receiverColumns = `SELECT id, kind, title, address, ca, sealed_secret, off, changed FROM alarm_receiver`

func scanReceiver(r scanner) (c alarm.Receiver, err error) {
	err = r.Scan(&c.ID, &c.Kind, &c.Title, &c.Address, &c.CA, &c.Sealed, &c.Off, (*instant)(&c.Changed))
	return c, err
}

// Receivers returns the receivers of alarms, by title.
func (db *DB) Receivers(ctx context.Context) ([]alarm.Receiver, error) {
	all, err := list(ctx, db, scanReceiver, receiverColumns+` ORDER BY title, id`)
	if err != nil {
		return nil, fmt.Errorf("reading receivers of alarms: %w", err)
	}
	return all, nil
}

// Receiver returns one receiver, or [alarm.ErrNotFound].
func (db *DB) Receiver(ctx context.Context, id string) (alarm.Receiver, error) {
	c, err := scanReceiver(db.read().QueryRowContext(ctx, receiverColumns+` WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return c, alarm.ErrNotFound
	}
	if err != nil {
		return c, fmt.Errorf("reading a receiver of alarms: %w", busy(err))
	}
	return c, nil
}

// SaveReceiver stores a receiver; a nil secret leaves the one that is there,
// unless the address is another one: a secret stays with whom it was agreed on.
func (db *DB) SaveReceiver(ctx context.Context, actor directory.Actor, c alarm.Receiver, secret []byte) error {
	if len(secret) > 0 {
		if db.secrets == nil {
			return errors.New("changing a receiver of alarms: no secret can be sealed here")
		}
		c.Sealed = db.secrets.SealSecret("alarm_receiver", "secret", c.ID, secret)
	}
	err := db.write(ctx, func(tx *sql.Tx) error {
		now := db.now().UTC()
		if err := db.mayAlarm(ctx, tx, actor, now, policy.Administrator); err != nil {
			return err
		}
		was, err := scanReceiver(tx.QueryRowContext(ctx, receiverColumns+` WHERE id = ?`, c.ID))
		switch {
		case errors.Is(err, sql.ErrNoRows):
			var n int
			if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM alarm_receiver`).Scan(&n); err != nil {
				return err
			}
			if n >= maxReceivers {
				return alarm.ErrTooMany
			}
		case err != nil:
			return err
		case len(secret) == 0 && was.Address == c.Address && was.Kind == c.Kind:
			c.Sealed = was.Sealed
		}
		if c.Kind == alarm.Webhook && len(c.Sealed) == 0 {
			return &alarm.Fault{Part: "secret", What: "is needed"}
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO alarm_receiver (id, kind, title, address, ca, sealed_secret, off, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, title = excluded.title, address = excluded.address, ca = excluded.ca,
			sealed_secret = excluded.sealed_secret, off = excluded.off, changed = excluded.changed`,
			c.ID, c.Kind, c.Title, c.Address, c.CA, orNull(c.Sealed), c.Off, now.UnixNano()); err != nil {
			return err
		}
		detail := map[string]string{"kind": c.Kind, "title": c.Title}
		if c.Kind != alarm.Webhook { // the address of a webhook may hold a token
			detail["address"] = c.Address
		}
		if c.Off {
			detail["off"] = "yes"
		}
		return db.enqueue(tx, alarmRecord(actor, "alarm.receiver", "alarm-receiver:"+c.ID, now, detail))
	})
	if err != nil {
		return fmt.Errorf("changing a receiver of alarms: %w", err)
	}
	return nil
}

// RemoveReceiver removes a receiver: rules that name it tell it no longer.
func (db *DB) RemoveReceiver(ctx context.Context, actor directory.Actor, id string) error {
	err := db.write(ctx, func(tx *sql.Tx) error {
		now := db.now().UTC()
		if err := db.mayAlarm(ctx, tx, actor, now, policy.Administrator); err != nil {
			return err
		}
		won, err := execOne(ctx, tx, `DELETE FROM alarm_receiver WHERE id = ?`, id)
		if err != nil {
			return err
		}
		if !won {
			return alarm.ErrNotFound
		}
		return db.enqueue(tx, alarmRecord(actor, "alarm.receiver", "alarm-receiver:"+id, now, map[string]string{"removed": "yes"}))
	})
	if err != nil {
		return fmt.Errorf("removing a receiver of alarms: %w", err)
	}
	return nil
}
