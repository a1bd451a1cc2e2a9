package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/ringfence/ringfence/internal/mail"
)

var _ mail.Queue = (*DB)(nil)

const mailColumns = `id, kind, account, recipient, sealed_text, warning, created, expires, next, tries, fault, given_up`

func scanMail(r scanner) (mail.Queued, error) {
	var q mail.Queued
	err := r.Scan(&q.ID, &q.Kind, &q.Account, &q.To, &q.Sealed, &q.Warning, (*instant)(&q.Created), (*instant)(&q.Expires),
		(*instant)(&q.Next), &q.Tries, &q.Fault, (*instant)(&q.GivenUp))
	return q, err
}

// PutMail stores a mail that waits to be sent, or returns [mail.ErrFull].
func (db *DB) PutMail(ctx context.Context, q mail.Queued, most int) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		won, err := execOne(ctx, tx, `INSERT INTO mail (`+mailColumns+`) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
			WHERE (SELECT count(*) FROM mail WHERE given_up IS NULL) < ?`,
			q.ID, q.Kind, q.Account, q.To, q.Sealed, q.Warning, column(q.Created), column(q.Expires), column(q.Next), q.Tries, q.Fault, column(q.GivenUp), most)
		if err == nil && !won {
			err = mail.ErrFull
		}
		return err
	})
}

// ClaimMail takes mails that are due: of several processes each goes to one.
func (db *DB) ClaimMail(ctx context.Context, now, until time.Time, limit int) (out []mail.Queued, err error) {
	const due = ` FROM mail WHERE given_up IS NULL AND next <= ?`
	var some bool
	if err := db.read().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1`+due+`)`, column(now)).Scan(&some); err != nil || !some {
		return nil, busy(err)
	}
	err = db.write(ctx, func(tx *sql.Tx) error {
		out = nil
		rows, err := tx.QueryContext(ctx, `SELECT `+mailColumns+due+` ORDER BY next, id LIMIT ?`, column(now), limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			q, err := scanMail(rows)
			if err != nil {
				return err
			}
			out = append(out, q)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		rows.Close()
		for _, q := range out {
			if _, err := tx.ExecContext(ctx, `UPDATE mail SET next = ? WHERE id = ?`, column(until), q.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("claiming mails: %w", err)
	}
	return out, nil
}

// SentMail removes a mail that was sent.
func (db *DB) SentMail(ctx context.Context, id string) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		return execAll(ctx, tx, []string{`DELETE FROM mail WHERE id = ?`}, id)
	})
}

// DeferMail counts a failed try.
func (db *DB) DeferMail(ctx context.Context, id string, next time.Time, fault string) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE mail SET next = ?, tries = tries + 1, fault = ? WHERE id = ?`, column(next), fault, id)
		return err
	})
}

// GiveUpMail ends the tries of a mail and forgets what it says.
func (db *DB) GiveUpMail(ctx context.Context, id string, at time.Time, fault string) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE mail SET given_up = ?, tries = tries + 1, fault = ?, sealed_text = x'' WHERE id = ?`, column(at), fault, id)
		return err
	})
}

// ForgetMail removes mails that were given up before a time.
func (db *DB) ForgetMail(ctx context.Context, before time.Time) error {
	return db.expire(ctx, `mail WHERE given_up IS NOT NULL AND given_up < ?`, before)
}

// MailState returns how many mails wait, and the newest that were given up.
func (db *DB) MailState(ctx context.Context, limit int) (mail.State, error) {
	var s mail.State
	err := db.read().QueryRowContext(ctx, `SELECT count(*), min(created), coalesce((SELECT fault FROM mail WHERE given_up IS NULL AND fault <> '' ORDER BY next DESC LIMIT 1), '')
		FROM mail WHERE given_up IS NULL`).Scan(&s.Waiting, (*instant)(&s.Oldest), &s.Fault)
	if err != nil {
		return mail.State{}, fmt.Errorf("reading the outbox: %w", busy(err))
	}
	s.GivenUp, err = list(ctx, db, scanMail, `SELECT `+mailColumns+` FROM mail WHERE given_up IS NOT NULL ORDER BY given_up DESC, id LIMIT ?`, limit)
	if err != nil {
		return mail.State{}, fmt.Errorf("reading the outbox: %w", err)
	}
	return s, nil
}
