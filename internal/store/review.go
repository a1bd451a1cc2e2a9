package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/review"
	"github.com/ringfence/ringfence/policy"
)

const searchColumns = `SELECT id, account, email, title, query, shared, daily, version, created, changed FROM saved_search`

func scanSearch(row scanner) (s review.Search, err error) {
	err = row.Scan(&s.ID, &s.Owner, &s.Email, &s.Title, &s.Query, &s.Shared, &s.Daily, &s.Version, (*instant)(&s.Created), (*instant)(&s.Changed))
	return s, err
}

// Searches returns the searches that an account sees, its own and those that
// are shared, by title.
func (db *DB) Searches(ctx context.Context, account string) ([]review.Search, error) {
	all, err := list(ctx, db, scanSearch, searchColumns+` WHERE account = ? OR shared = 1 ORDER BY title COLLATE NOCASE, id`, account)
	if err != nil {
		return nil, fmt.Errorf("reading searches: %w", err)
	}
	return all, nil
}

// mayReviewLog returns whether the actor, who must read the log, is an administrator.
func (db *DB) mayReviewLog(ctx context.Context, tx *sql.Tx, actor directory.Actor, now time.Time) (administrator bool, err error) {
	have, err := db.current(ctx, tx)
	if err != nil {
		return false, fmt.Errorf("reading directory: %w", err)
	}
	if err := mayChange(have.directory, actor, now, policy.Reviewer, policy.Administrator); err != nil {
		return false, err
	}
	return mayChange(have.directory, actor, now, policy.Administrator) == nil, nil
}

// SaveSearch keeps a search, with its record for the access log. One without an
// id is new and the actor's own; otherwise Version must be the one in force
// ([review.ErrChanged]), and the owner stays. The actor must be a reviewer or an
// administrator in force, and of somebody else's search an administrator who
// sees it ([review.ErrNotYours], and [review.ErrNotFound] of one that is not shared).
func (db *DB) SaveSearch(ctx context.Context, actor directory.Actor, s review.Search) (review.Search, error) {
	err := s.Check()
	if err == nil {
		err = db.write(ctx, func(tx *sql.Tx) error {
			now := db.now()
			administrator, err := db.mayReviewLog(ctx, tx, actor, now)
			if err != nil {
				return err
			}
			s.Changed = now.UTC()
			if s.ID == 0 {
				return db.insertSearch(tx, actor, &s)
			}
			have, err := mayChangeSearch(tx, actor, administrator, s.ID, s.Version)
			if err != nil {
				return err
			}
			s.Owner, s.Email, s.Created, s.Version = have.Owner, have.Email, have.Created, have.Version+1
			if _, err := tx.Exec(`UPDATE saved_search SET title = ?, query = ?, shared = ?, daily = ?, version = ?, changed = ? WHERE id = ?`,
				s.Title, s.Query, s.Shared, s.Daily, s.Version, column(s.Changed), s.ID); err != nil {
				return err
			}
			return db.recordSearch(tx, "log.search_change", actor, &s, now)
		})
	}
	if err != nil {
		return review.Search{}, fmt.Errorf("saving a search: %w", err)
	}
	return s, nil
}

func (db *DB) insertSearch(tx *sql.Tx, actor directory.Actor, s *review.Search) error {
	var kept int
	if err := tx.QueryRow(`SELECT count(*) FROM saved_search WHERE account = ?`, actor.Account).Scan(&kept); err != nil {
		return err
	}
	if kept >= review.MaxSearches {
		return review.ErrTooMany
	}
	s.Owner, s.Email, s.Version, s.Created = actor.Account, actor.Email, 1, s.Changed
	res, err := tx.Exec(`INSERT INTO saved_search (account, email, title, query, shared, daily, version, created, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		s.Owner, s.Email, s.Title, s.Query, s.Shared, s.Daily, s.Version, column(s.Created), column(s.Changed))
	if err != nil {
		return err
	}
	if s.ID, err = res.LastInsertId(); err != nil {
		return err
	}
	return db.recordSearch(tx, "log.search_save", actor, s, s.Changed)
}

// mayChangeSearch returns the search with id if the actor may change its version.
func mayChangeSearch(tx *sql.Tx, actor directory.Actor, administrator bool, id int64, version int) (review.Search, error) {
	have, err := scanSearch(tx.QueryRow(searchColumns+` WHERE id = ?`, id))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return have, review.ErrNotFound
	case err != nil:
		return have, err
	case !have.SeenBy(actor.Account): // not even that it is there
		return have, review.ErrNotFound
	case have.Owner != actor.Account && !administrator:
		return have, review.ErrNotYours
	case have.Version != version:
		return have, review.ErrChanged
	}
	return have, nil
}

// RemoveSearch forgets a search, with its record, under the rules of
// [DB.SaveSearch]. What was signed off stays.
func (db *DB) RemoveSearch(ctx context.Context, actor directory.Actor, id int64, version int) error {
	err := db.write(ctx, func(tx *sql.Tx) error {
		now := db.now()
		administrator, err := db.mayReviewLog(ctx, tx, actor, now)
		if err != nil {
			return err
		}
		have, err := mayChangeSearch(tx, actor, administrator, id, version)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM saved_search WHERE id = ?`, id); err != nil {
			return err
		}
		return db.recordSearch(tx, "log.search_remove", actor, &have, now)
	})
	if err != nil {
		return fmt.Errorf("removing a search: %w", err)
	}
	return nil
}

func (db *DB) recordSearch(tx *sql.Tx, action string, actor directory.Actor, s *review.Search, now time.Time) error {
	return db.enqueue(tx, &policy.Record{
		Type: policy.RecordLog, Action: action, Result: "ok", Time: now, RequestID: actor.RequestID, SourceIP: actor.IP,
		Account: actor.Account, Actor: actor.Account, Email: actor.Email, Object: "search:" + strconv.FormatInt(s.ID, 10),
		Detail: map[string]string{"title": s.Title, "query": s.Query, "shared": strconv.FormatBool(s.Shared), "daily": strconv.FormatBool(s.Daily)},
	})
}
