package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// Actions of the records about holds and erasures, of type [policy.RecordAdmin].
const (
	ActionHoldPlace = "hold.place"
	ActionHoldLift  = "hold.lift"
	ActionErase     = "account.erase"
	ActionErased    = "account.erased" // it is done
)

const holdColumns = `SELECT id, kind, subject, reason, placed, placed_by, coalesce(lifted, 0), lifted_by, lifted_why FROM hold`

func scanHold(row interface{ Scan(...any) error }) (h directory.Hold, err error) {
	var lifted int64
	err = row.Scan(&h.ID, &h.Kind, &h.Subject, &h.Reason, (*instant)(&h.Placed), &h.PlacedBy, &lifted, &h.LiftedBy, &h.LiftedWhy)
	if lifted != 0 {
		h.Lifted = time.Unix(0, lifted).UTC()
	}
	return h, err
}

// Holds returns the legal holds, standing ones first, the newest first.
func (db *DB) Holds(ctx context.Context) ([]directory.Hold, error) {
	rows, err := db.read().QueryContext(ctx, holdColumns+` ORDER BY lifted IS NOT NULL, id DESC`)
	if err != nil {
		return nil, fmt.Errorf("reading holds: %w", err)
	}
	defer rows.Close()
	var all []directory.Hold
	for rows.Next() {
		h, err := scanHold(rows)
		if err != nil {
			return nil, fmt.Errorf("reading holds: %w", err)
		}
		all = append(all, h)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading holds: %w", err)
	}
	return all, nil
}

// PlaceHold places a hold and records it. The error is [directory.ErrNotAllowed]
// for whoever is no administrator, [directory.ErrNoSubject] or
// [directory.ErrHeldTwice].
func (db *DB) PlaceHold(ctx context.Context, actor directory.Actor, kind, subject, reason string) (directory.Hold, error) {
	h := directory.Hold{Kind: kind, Subject: subject, Reason: reason, Placed: db.now(), PlacedBy: actor.Account}
	err := db.write(ctx, func(tx *sql.Tx) error {
		have, err := db.current(ctx, tx)
		if err != nil {
			return err
		}
		if err := mayChange(have.directory, actor, h.Placed, policy.Administrator); err != nil {
			return err
		}
		if !holdable(have.directory, kind, subject) {
			return directory.ErrNoSubject
		}
		var n int
		if err := tx.QueryRow(`SELECT count(*) FROM hold WHERE kind = ? AND subject = ? AND lifted IS NULL`, kind, subject).Scan(&n); err != nil || n > 0 {
			return errors.Join(err, directory.ErrHeldTwice)
		}
		res, err := tx.Exec(`INSERT INTO hold (kind, subject, reason, placed, placed_by) VALUES (?, ?, ?, ?, ?)`,
			kind, subject, reason, h.Placed.UnixNano(), actor.Account)
		if err == nil {
			h.ID, err = res.LastInsertId()
		}
		if err != nil {
			return err
		}
		return db.recordHold(tx, ActionHoldPlace, actor, &h, reason, h.Placed)
	})
	if err != nil {
		return directory.Hold{}, fmt.Errorf("placing a hold: %w", err)
	}
	return h, nil
}

func holdable(d *directory.Directory, kind, subject string) bool {
	switch kind {
	case directory.HoldAccount:
		return byID(d, subject) != nil
	case directory.HoldEngagement:
		for i := range d.Engagements {
			if d.Engagements[i].Name == subject {
				return true
			}
		}
	}
	return false
}

// LiftHold ends a hold and records it. The error is [directory.ErrNotAllowed],
// also for whoever the hold is on, or [directory.ErrNoHold].
func (db *DB) LiftHold(ctx context.Context, actor directory.Actor, id int64, why string) error {
	now := db.now()
	err := db.write(ctx, func(tx *sql.Tx) error {
		have, err := db.current(ctx, tx)
		if err != nil {
			return err
		}
		if err := mayChange(have.directory, actor, now, policy.Administrator); err != nil {
			return err
		}
		h, err := scanHold(tx.QueryRow(holdColumns+` WHERE id = ? AND lifted IS NULL`, id))
		if errors.Is(err, sql.ErrNoRows) {
			return directory.ErrNoHold
		}
		if err != nil {
			return err
		}
		if h.Kind == directory.HoldAccount && h.Subject == actor.Account {
			return directory.ErrNotAllowed
		}
		if _, err := tx.Exec(`UPDATE hold SET lifted = ?, lifted_by = ?, lifted_why = ? WHERE id = ?`, now.UnixNano(), actor.Account, why, id); err != nil {
			return err
		}
		return db.recordHold(tx, ActionHoldLift, actor, &h, why, now)
	})
	if err != nil {
		return fmt.Errorf("lifting a hold: %w", err)
	}
	return nil
}

func (db *DB) recordHold(tx *sql.Tx, action string, actor directory.Actor, h *directory.Hold, why string, now time.Time) error {
	return db.enqueue(tx, &policy.Record{Type: policy.RecordAdmin, Action: action, Result: "ok", Time: now,
		RequestID: actor.RequestID, SourceIP: actor.IP, Actor: actor.Account, Email: actor.Email, Object: "hold:" + strconv.FormatInt(h.ID, 10),
		Detail: map[string]string{"kind": h.Kind, "subject": h.Subject, "reason": why}})
}

// heldBy returns a hold that stands on an account or on an engagement under
// which it has an assignment; nil where there is none.
func (db *DB) heldBy(tx *sql.Tx, account string) (*directory.Hold, error) {
	h, err := scanHold(tx.QueryRow(holdColumns+` WHERE lifted IS NULL AND (kind = 'account' AND subject = ?1
		OR kind = 'engagement' AND subject IN (SELECT engagement FROM assignment WHERE account = ?1)) ORDER BY id LIMIT 1`, account))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &h, nil
}
