package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// AskErasure records that an account's personal data shall be erased. From the
// moment that the record is in the access log on it is carried out: see
// [DB.EraseRows] and [DB.ErasureDone]. The error is a [directory.HeldError]
// where a hold stands, [directory.ErrNotAllowed] for whoever is no administrator
// and for one's own account, [directory.ErrNoSubject], [directory.ErrErasedTwice],
// or a [directory.StandsError] where messages go to the address.
func (db *DB) AskErasure(ctx context.Context, actor directory.Actor, account, reason string) error {
	now := db.now()
	err := db.write(ctx, func(tx *sql.Tx) error {
		have, err := db.current(ctx, tx)
		if err != nil {
			return err
		}
		if err := mayChange(have.directory, actor, now, policy.Administrator); err != nil {
			return err
		}
		if account == actor.Account {
			return directory.ErrNotAllowed
		}
		a := byID(have.directory, account)
		if a == nil {
			return directory.ErrNoSubject
		}
		h, err := db.heldBy(tx, account)
		if err != nil {
			return err
		}
		if h != nil {
			return &directory.HeldError{Hold: *h}
		}
		if err := standsAt(ctx, tx, have.directory, a.Email); err != nil {
			return err
		}
		res, err := tx.Exec(`INSERT INTO erasure (of, reason, asked, asked_by) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`, account, reason, now.UnixNano(), actor.Account)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, directory.ErrErasedTwice)
		}
		return db.recordErasure(tx, ActionErase, actor, a, map[string]string{"reason": reason}, now)
	})
	if err != nil {
		return fmt.Errorf("erasing an account: %w", err)
	}
	return nil
}

func (db *DB) recordErasure(tx *sql.Tx, action string, actor directory.Actor, a *directory.Account, detail map[string]string, now time.Time) error {
	return db.enqueue(tx, &policy.Record{Type: policy.RecordAdmin, Action: action, Result: "ok", Time: now, RequestID: actor.RequestID, SourceIP: actor.IP,
		Account: a.ID, Vendor: a.Vendor, Actor: actor.Account, Object: "account:" + a.ID, Detail: detail})
}

// Erasures returns those that were asked for, the newest first.
func (db *DB) Erasures(ctx context.Context) ([]directory.Erasure, error) {
	rows, err := db.read().QueryContext(ctx, `SELECT of, reason, asked, asked_by, coalesce(done, 0) FROM erasure ORDER BY asked DESC, of`)
	if err != nil {
		return nil, fmt.Errorf("reading erasures: %w", err)
	}
	defer rows.Close()
	var all []directory.Erasure
	for rows.Next() {
		var e directory.Erasure
		var done int64
		if err := rows.Scan(&e.Account, &e.Reason, (*instant)(&e.Asked), &e.AskedBy, &done); err != nil {
			return nil, fmt.Errorf("reading erasures: %w", err)
		}
		if done != 0 {
			e.Done = time.Unix(0, done).UTC()
		}
		all = append(all, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading erasures: %w", err)
	}
	return all, nil
}

// ErasureDone notes and records that an erasure was carried out.
func (db *DB) ErasureDone(ctx context.Context, account string) error {
	now := db.now()
	err := db.write(ctx, func(tx *sql.Tx) error {
		res, err := tx.Exec(`UPDATE erasure SET done = ? WHERE of = ? AND done IS NULL`, now.UnixNano(), account)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return db.recordErasure(tx, ActionErased, directory.Actor{Account: directory.Operator}, &directory.Account{ID: account}, nil, now)
	})
	if err != nil {
		return fmt.Errorf("noting an erasure: %w", err)
	}
	return nil
}
