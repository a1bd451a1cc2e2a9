package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strconv"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/review"
	"github.com/ringfence/ringfence/policy"
)

const signOffColumns = `SELECT id, search, title, query, scope, first, past, matched, own, account, email, note, at FROM sign_off`

func scanSignOff(row scanner) (s review.SignOff, err error) {
	var first, past int64
	err = row.Scan(&s.ID, &s.Search, &s.Title, &s.Query, &s.Scope, &first, &past, &s.Matched, &s.Own, &s.Account, &s.Email, &s.Note, (*instant)(&s.At))
	s.From, s.To = uint64(first), uint64(past)
	return s, err
}

// SignOff keeps that the actor reviewed what a query selects, with its record
// for the access log in the same transaction. The actor must be a reviewer or
// an administrator in force; who signs and when is the store's to say.
func (db *DB) SignOff(ctx context.Context, actor directory.Actor, s review.SignOff) (review.SignOff, error) {
	s.Account, s.Email, s.At = actor.Account, actor.Email, db.now().UTC()
	err := s.Check()
	if s.To > math.MaxInt64 {
		err = review.ErrInvalid
	}
	if err == nil {
		err = db.write(ctx, func(tx *sql.Tx) error {
			if _, err := db.mayReviewLog(ctx, tx, actor, s.At); err != nil {
				return err
			}
			res, err := tx.Exec(`INSERT INTO sign_off (search, title, query, scope, first, past, matched, own, account, email, note, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
				s.Search, s.Title, s.Query, s.Scope, int64(s.From), int64(s.To), s.Matched, s.Own, s.Account, s.Email, s.Note, column(s.At))
			if err != nil {
				return err
			}
			if s.ID, err = res.LastInsertId(); err != nil {
				return err
			}
			return db.recordSignOff(tx, actor, &s)
		})
	}
	if err != nil {
		return review.SignOff{}, fmt.Errorf("signing off: %w", err)
	}
	return s, nil
}

func (db *DB) recordSignOff(tx *sql.Tx, actor directory.Actor, s *review.SignOff) error {
	detail := map[string]string{
		"query": s.Query, "first": strconv.FormatUint(s.From, 10), "last": strconv.FormatUint(s.To-1, 10),
		"matched": strconv.Itoa(s.Matched), "own": strconv.Itoa(s.Own), "note": s.Note,
	}
	for name, value := range map[string]string{"scope": s.Scope, "title": s.Title} {
		if value != "" {
			detail[name] = value
		}
	}
	if s.Search != 0 {
		detail["search"] = strconv.FormatInt(s.Search, 10)
	}
	return db.enqueue(tx, &policy.Record{
		Type: policy.RecordLog, Action: "log.review", Result: "ok", Time: s.At, RequestID: actor.RequestID, SourceIP: actor.IP,
		Account: actor.Account, Actor: actor.Account, Email: actor.Email, Object: "review:" + strconv.FormatInt(s.ID, 10), Detail: detail,
	})
}

// SignOffsOf returns the sign-offs of a query that reach past an index, the oldest first.
func (db *DB) SignOffsOf(ctx context.Context, query string, past uint64) ([]review.SignOff, error) {
	all, err := list(ctx, db, scanSignOff, signOffColumns+` WHERE query = ? AND past > ? ORDER BY id`, query, int64(min(past, math.MaxInt64)))
	if err != nil {
		return nil, fmt.Errorf("reading sign-offs: %w", err)
	}
	return all, nil
}

// SignOffs returns sign-offs with an id below before, 0 for all, the newest
// first, at most limit.
func (db *DB) SignOffs(ctx context.Context, before int64, limit int) ([]review.SignOff, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	all, err := list(ctx, db, scanSignOff, signOffColumns+` WHERE id < ? ORDER BY id DESC LIMIT ?`, before, limit)
	if err != nil {
		return nil, fmt.Errorf("reading sign-offs: %w", err)
	}
	return all, nil
}
