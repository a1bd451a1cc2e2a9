package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// Actions of the records about how long entries are kept, of type [policy.RecordAdmin].
const (
	ActionRetentionSet     = "retention.set"     // in force from now on
	ActionRetentionAsk     = "retention.ask"     // another administrator is to approve it
	ActionRetentionApprove = "retention.approve" // one did: in force from now on
	ActionRetentionRefuse  = "retention.refuse"  // refused, or withdrawn
)

const retentionColumns = `SELECT id, kind, subject, days, reason, state, asked, asked_by, coalesce(decided, 0), decided_by FROM retention_rule`

func scanRetention(row interface{ Scan(...any) error }) (r directory.RetentionRule, err error) {
	var decided int64
	err = row.Scan(&r.ID, &r.Kind, &r.Subject, &r.Days, &r.Reason, &r.State, (*instant)(&r.Asked), &r.AskedBy, &decided, &r.DecidedBy)
	if decided != 0 {
		r.Decided = time.Unix(0, decided).UTC()
	}
	return r, err
}

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func retentionRules(ctx context.Context, q queryer) ([]directory.RetentionRule, error) {
	rows, err := q.QueryContext(ctx, retentionColumns+` ORDER BY id DESC`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []directory.RetentionRule
	for rows.Next() {
		r, err := scanRetention(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// RetentionRules returns what was ever set or asked for, the newest first.
func (db *DB) RetentionRules(ctx context.Context) ([]directory.RetentionRule, error) {
	all, err := retentionRules(ctx, db.read())
	if err != nil {
		return nil, fmt.Errorf("reading the rules of retention: %w", err)
	}
	return all, nil
}

// RetentionPending reports whether something about rules waits to be recorded.
func (db *DB) RetentionPending(ctx context.Context) (waits bool, err error) {
	err = db.read().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM outbox WHERE json_extract(record, '$.action') LIKE 'retention.%')`).Scan(&waits)
	if err != nil {
		return false, fmt.Errorf("reading the outbox: %w", err)
	}
	return waits, nil
}

// SetRetention sets a rule, or asks for it where second, given all rules of the
// moment, says that another administrator must approve it, and records that. One
// for the same that waits is withdrawn. The error is [directory.ErrNotAllowed]
// for whoever is no administrator, or that of second.
func (db *DB) SetRetention(ctx context.Context, actor directory.Actor, r directory.RetentionRule, second func([]directory.RetentionRule) (bool, error)) (directory.RetentionRule, error) {
	now := db.now()
	r.Asked, r.AskedBy, r.State = now, actor.Account, directory.RetainWaiting
	err := db.write(ctx, func(tx *sql.Tx) error {
		have, err := db.current(ctx, tx)
		if err != nil {
			return err
		}
		if err := mayChange(have.directory, actor, now, policy.Administrator); err != nil {
			return err
		}
		all, err := retentionRules(ctx, tx)
		if err != nil {
			return err
		}
		waits, err := second(all)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE retention_rule SET state = 'replaced', decided = ?, decided_by = ? WHERE state = 'waiting' AND kind = ? AND subject = ?`,
			now.UnixNano(), actor.Account, r.Kind, r.Subject); err != nil {
			return err
		}
		res, err := tx.Exec(`INSERT INTO retention_rule (kind, subject, days, reason, state, asked, asked_by) VALUES (?, ?, ?, ?, 'waiting', ?, ?)`,
			r.Kind, r.Subject, r.Days, r.Reason, now.UnixNano(), actor.Account)
		if err == nil {
			r.ID, err = res.LastInsertId()
		}
		if err != nil {
			return err
		}
		if waits {
			return db.recordRetention(tx, ActionRetentionAsk, actor, &r, now)
		}
		return db.standRetention(tx, ActionRetentionSet, actor, &r, now)
	})
	if err != nil {
		return directory.RetentionRule{}, fmt.Errorf("setting a rule of retention: %w", err)
	}
	return r, nil
}

// DecideRetention approves a rule that waits, or refuses it, and records that.
// The error is [directory.ErrNoRule], or [directory.ErrNotAllowed] for whoever is
// no administrator or would approve what they asked for themselves; a
// [change.SecondError] beside it where they could be one person under two names.
func (db *DB) DecideRetention(ctx context.Context, actor directory.Actor, id int64, approve bool) error {
	now := db.now()
	err := db.write(ctx, func(tx *sql.Tx) error {
		have, err := db.current(ctx, tx)
		if err != nil {
			return err
		}
		if err := mayChange(have.directory, actor, now, policy.Administrator); err != nil {
			return err
		}
		r, err := scanRetention(tx.QueryRow(retentionColumns+` WHERE id = ? AND state = 'waiting'`, id))
		if errors.Is(err, sql.ErrNoRows) {
			return directory.ErrNoRule
		}
		if err != nil {
			return err
		}
		if approve && r.AskedBy == actor.Account {
			return directory.ErrNotAllowed
		}
		if approve {
			if err := notTheSame(ctx, tx, have.directory, r.AskedBy, actor, now); err != nil {
				return err
			}
			return db.standRetention(tx, ActionRetentionApprove, actor, &r, now)
		}
		if _, err := tx.Exec(`UPDATE retention_rule SET state = 'refused', decided = ?, decided_by = ? WHERE id = ?`, now.UnixNano(), actor.Account, id); err != nil {
			return err
		}
		return db.recordRetention(tx, ActionRetentionRefuse, actor, &r, now)
	})
	if err != nil {
		return fmt.Errorf("deciding on a rule of retention: %w", err)
	}
	return nil
}

// notTheSame refuses an administrator who made or changed the sign-in of who
// asked lately, or the reverse, as a draft of policies does. Whoever works on
// the machine can have the rules as they like and makes nobody suspect.
func notTheSame(ctx context.Context, tx *sql.Tx, d *directory.Directory, asked string, actor directory.Actor, now time.Time) error {
	if actor.Account == directory.Operator {
		return nil
	}
	touches, err := touchesOf(ctx, tx, now)
	if err != nil {
		return err
	}
	author := person(d, directory.Actor{Account: asked}, now)
	who := change.Candidate{Person: person(d, actor, now), InForce: true, Approver: true} // or rather, an administrator
	if err := (&change.Draft{Authors: []change.Person{author}}).Second(who, touches, now, true); err != nil {
		return fmt.Errorf("%w: %w", directory.ErrNotAllowed, err)
	}
	return nil
}

// standRetention puts a rule in force in the place of the one before.
func (db *DB) standRetention(tx *sql.Tx, action string, actor directory.Actor, r *directory.RetentionRule, now time.Time) error {
	if _, err := tx.Exec(`UPDATE retention_rule SET state = 'replaced' WHERE state = 'standing' AND kind = ? AND subject = ?`, r.Kind, r.Subject); err != nil {
		return err
	}
	if _, err := tx.Exec(`UPDATE retention_rule SET state = 'standing', decided = ?, decided_by = ? WHERE id = ?`, now.UnixNano(), actor.Account, r.ID); err != nil {
		return err
	}
	r.State, r.Decided, r.DecidedBy = directory.RetainStanding, now, actor.Account
	return db.recordRetention(tx, action, actor, r, now)
}

func (db *DB) recordRetention(tx *sql.Tx, action string, actor directory.Actor, r *directory.RetentionRule, now time.Time) error {
	days := strconv.Itoa(r.Days)
	switch r.Days {
	case 0:
		days = "for ever"
	case directory.RetainAsFile:
		days = "as the configuration file says"
	}
	return db.enqueue(tx, &policy.Record{Type: policy.RecordAdmin, Action: action, Result: "ok", Time: now,
		RequestID: actor.RequestID, SourceIP: actor.IP, Actor: actor.Account, Email: actor.Email, Object: "retention:" + strconv.FormatInt(r.ID, 10),
		Detail: map[string]string{"kind": r.Kind, "subject": r.Subject, "days": days, "reason": r.Reason, "asked_by": r.AskedBy}})
}
