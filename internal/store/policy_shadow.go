package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// KindShadow is the kind of change that starts or stops a shadow, as [DB.Watch]
// reports it.
const KindShadow = "shadow"

// keepShadows is how many shadows are kept with what they found.
const keepShadows = 20

// StartShadow has a policy set decide beside the one in force, with its record
// for the access log. It returns [change.ErrShadowRuns] while another does. The
// caller has checked that the modules compile. The actor must be the operator
// or an administrator in force.
func (db *DB) StartShadow(ctx context.Context, actor directory.Actor, s change.Shadow) (change.Shadow, error) {
	err := db.write(ctx, func(tx *sql.Tx) error {
		now := db.now()
		if err := db.mayShadow(ctx, tx, actor, now); err != nil {
			return err
		}
		var running int
		if err := tx.QueryRow(`SELECT count(*) FROM policy_shadow WHERE stopped IS NULL`).Scan(&running); err != nil {
			return err
		}
		if running > 0 {
			return change.ErrShadowRuns
		}
		s.Hash, s.Started, s.Stopped = policy.Revision(s.Modules), change.Person{Account: actor.Account, Email: actor.Email, At: now}, change.Person{}
		res, err := tx.Exec(`INSERT INTO policy_shadow (draft, revision, title, hash, started, started_by, started_email) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			s.Draft, s.Revision, s.Title, s.Hash, now.UnixNano(), actor.Account, actor.Email)
		if err != nil {
			return err
		}
		if s.ID, err = res.LastInsertId(); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(s.Modules)) {
			if _, err := tx.Exec(`INSERT INTO policy_shadow_module (shadow, name, source) VALUES (?, ?, ?)`, s.ID, name, s.Modules[name]); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(`DELETE FROM policy_shadow WHERE id <= ? AND stopped IS NOT NULL`, s.ID-keepShadows); err != nil {
			return err
		}
		return db.recordShadow(tx, "policy.shadow_start", actor, &s, now, "")
	})
	if err != nil {
		return change.Shadow{}, fmt.Errorf("starting a shadow: %w", err)
	}
	return s, nil
}

// StopShadow ends a shadow, with its record. fault is why, where it ended by
// itself; then the actor is the operator. One that has ended stays as it is.
func (db *DB) StopShadow(ctx context.Context, actor directory.Actor, id int64, fault string) error {
	err := db.write(ctx, func(tx *sql.Tx) error {
		now := db.now()
		if err := db.mayShadow(ctx, tx, actor, now); err != nil {
			return err
		}
		s, err := scanShadow(tx.QueryRow(shadowColumns+` WHERE id = ?`, id))
		if errors.Is(err, sql.ErrNoRows) {
			return change.ErrNotFound
		}
		if err != nil {
			return err
		}
		if !s.Running() {
			return errUnchanged
		}
		if _, err := tx.Exec(`UPDATE policy_shadow SET stopped = ?, stopped_by = ?, stopped_email = ?, fault = ? WHERE id = ?`,
			now.UnixNano(), actor.Account, actor.Email, fault, id); err != nil {
			return err
		}
		return db.recordShadow(tx, "policy.shadow_stop", actor, &s, now, fault)
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stopping a shadow: %w", err)
	}
	return nil
}

func (db *DB) mayShadow(ctx context.Context, tx *sql.Tx, actor directory.Actor, now time.Time) error {
	have, err := db.current(ctx, tx)
	if err != nil {
		return fmt.Errorf("reading directory: %w", err)
	}
	return mayChange(have.directory, actor, now, policy.Administrator)
}

func (db *DB) recordShadow(tx *sql.Tx, action string, actor directory.Actor, s *change.Shadow, now time.Time, fault string) error {
	detail := map[string]string{"policies": s.Hash, "title": s.Title}
	for name, id := range map[string]int64{"draft": s.Draft, "revision": s.Revision} {
		if id != 0 {
			detail[name] = strconv.FormatInt(id, 10)
		}
	}
	result := "ok"
	if fault != "" {
		result, detail["fault"] = "failed", fault
	}
	if err := db.enqueue(tx, &policy.Record{
		Type: policy.RecordPolicy, Action: action, Result: result, Time: now, RequestID: actor.RequestID, SourceIP: actor.IP,
		Actor: actor.Account, Email: actor.Email, Object: "shadow:" + strconv.FormatInt(s.ID, 10), Detail: detail,
	}); err != nil {
		return err
	}
	return db.notify(tx, KindShadow, strconv.FormatInt(s.ID, 10))
}

const shadowColumns = `SELECT id, draft, revision, title, hash, started, started_by, started_email, coalesce(stopped, 0), stopped_by, stopped_email, fault,
 decided, dropped, widened, narrowed, reworded FROM policy_shadow`

func scanShadow(row interface{ Scan(...any) error }) (s change.Shadow, err error) {
	var stopped int64
	err = row.Scan(&s.ID, &s.Draft, &s.Revision, &s.Title, &s.Hash, (*instant)(&s.Started.At), &s.Started.Account, &s.Started.Email,
		&stopped, &s.Stopped.Account, &s.Stopped.Email, &s.Fault,
		&s.Counts.Decided, &s.Counts.Dropped, &s.Counts.Widened, &s.Counts.Narrowed, &s.Counts.Reworded)
	if stopped != 0 {
		s.Stopped.At = time.Unix(0, stopped).UTC()
	}
	return s, err
}

// RunningShadow returns the shadow that is to decide, with its modules; false
// when none is.
func (db *DB) RunningShadow(ctx context.Context) (change.Shadow, bool, error) {
	s, err := scanShadow(db.read().QueryRowContext(ctx, shadowColumns+` WHERE stopped IS NULL`))
	if errors.Is(err, sql.ErrNoRows) {
		return change.Shadow{}, false, nil
	}
	if err != nil {
		return change.Shadow{}, false, fmt.Errorf("reading the shadow: %w", err)
	}
	rows, err := db.read().QueryContext(ctx, `SELECT name, source FROM policy_shadow_module WHERE shadow = ?`, s.ID)
	if err != nil {
		return change.Shadow{}, false, fmt.Errorf("reading the shadow: %w", err)
	}
	defer rows.Close()
	s.Modules = map[string]string{}
	for rows.Next() {
		var name, source string
		if err := rows.Scan(&name, &source); err != nil {
			return change.Shadow{}, false, fmt.Errorf("reading the shadow: %w", err)
		}
		s.Modules[name] = source
	}
	if err := rows.Err(); err != nil {
		return change.Shadow{}, false, fmt.Errorf("reading the shadow: %w", err)
	}
	return s, true, nil
}

// Shadows returns the shadows that are kept, the newest first, without modules.
func (db *DB) Shadows(ctx context.Context) (all []change.Shadow, err error) {
	rows, err := db.read().QueryContext(ctx, shadowColumns+` ORDER BY id DESC`)
	if err != nil {
		return nil, fmt.Errorf("reading shadows: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		s, err := scanShadow(rows)
		if err != nil {
			return nil, fmt.Errorf("reading shadows: %w", err)
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading shadows: %w", err)
	}
	return all, nil
}

// CountShadow adds what a shadow found since the last time.
func (db *DB) CountShadow(ctx context.Context, id int64, c change.ShadowCounts, found []change.Difference) error {
	err := db.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.Exec(`UPDATE policy_shadow SET decided = decided + ?, dropped = dropped + ?, widened = widened + ?, narrowed = narrowed + ?, reworded = reworded + ? WHERE id = ?`,
			c.Decided, c.Dropped, c.Widened, c.Narrowed, c.Reworded, id); err != nil {
			return err
		}
		var kept int
		if err := tx.QueryRow(`SELECT count(*) FROM policy_shadow_difference WHERE shadow = ?`, id).Scan(&kept); err != nil {
			return err
		}
		for i := range found {
			added, err := addDifference(tx, id, &found[i], kept < change.MaxDifferences)
			if err != nil {
				return err
			}
			if added {
				kept++
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("counting for the shadow: %w", err)
	}
	return nil
}

// addDifference adds to a group, or makes it where there is room.
func addDifference(tx *sql.Tx, shadow int64, d *change.Difference, room bool) (added bool, err error) {
	key, err := json.Marshal(d.DifferenceKey)
	if err != nil {
		return false, err
	}
	entries := d.Entries
	var old string
	err = tx.QueryRow(`SELECT entries FROM policy_shadow_difference WHERE shadow = ? AND key = ?`, shadow, string(key)).Scan(&old)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if !room {
			return false, nil
		}
	case err != nil:
		return false, err
	default:
		var have []uint64
		if err := json.Unmarshal([]byte(old), &have); err != nil {
			return false, err
		}
		entries = append(have, entries...)
	}
	if n := len(entries); n > change.MaxEntries { // the newest are the ones to look at
		entries = entries[n-change.MaxEntries:]
	}
	list, err := json.Marshal(entries)
	if err != nil {
		return false, err
	}
	_, err = tx.Exec(`INSERT INTO policy_shadow_difference (shadow, key, count, first, last, entries) VALUES (?, ?, ?, ?, ?, ?)
 ON CONFLICT (shadow, key) DO UPDATE SET count = count + excluded.count, last = max(last, excluded.last), entries = excluded.entries`,
		shadow, string(key), d.Count, d.First.UnixNano(), d.Last.UnixNano(), string(list))
	return old == "", err
}

// Differences returns the groups that a shadow found, what it would open first,
// then by how many requests they hold.
func (db *DB) Differences(ctx context.Context, shadow int64) (all []change.Difference, err error) {
	rows, err := db.read().QueryContext(ctx, `SELECT key, count, first, last, entries FROM policy_shadow_difference WHERE shadow = ?
 ORDER BY CASE json_extract(key, '$.Turn') WHEN 'widened' THEN 0 WHEN 'narrowed' THEN 1 ELSE 2 END, count DESC, key`, shadow)
	if err != nil {
		return nil, fmt.Errorf("reading what a shadow found: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var d change.Difference
		var key, entries string
		err := rows.Scan(&key, &d.Count, (*instant)(&d.First), (*instant)(&d.Last), &entries)
		if err = errors.Join(err, json.Unmarshal([]byte(key), &d.DifferenceKey), json.Unmarshal([]byte(entries), &d.Entries)); err != nil {
			return nil, fmt.Errorf("reading what a shadow found: %w", err)
		}
		all = append(all, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading what a shadow found: %w", err)
	}
	return all, nil
}
