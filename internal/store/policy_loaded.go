package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// LoadedPolicies is a policy set that was in force, and what decided by it.
type LoadedPolicies struct {
	Revision string            // as entries of the access log name it
	Policies int64             // id of the published revision; 0: the set came from a folder or a bundle
	Modules  map[string]string // text by file name
	Build    string            // of Ringfence
	OPA      string            // version of OPA in that build
	First    time.Time         // when it was first in force, UTC
}

// NotePolicies keeps that p is in force, unless that is known, and returns the
// id of the published revision with its modules, 0 for none, and whether it was
// news. First is set here.
func (db *DB) NotePolicies(ctx context.Context, p LoadedPolicies) (id int64, fresh bool, err error) {
	err = db.write(ctx, func(tx *sql.Tx) error {
		var known sql.NullInt64
		if err := tx.QueryRow(`SELECT max(id) FROM policy_revision WHERE hash = ?`, policy.Revision(p.Modules)).Scan(&known); err != nil {
			return err
		}
		id = known.Int64
		text := []byte{}
		if !known.Valid {
			var err error
			if text, err = json.Marshal(p.Modules); err != nil {
				return err
			}
		}
		res, err := tx.Exec(`INSERT INTO policy_loaded (revision, build, opa, policies, modules, first) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			p.Revision, p.Build, p.OPA, known, string(text), db.now().UnixNano())
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		fresh = n > 0
		return err
	})
	if err != nil {
		return 0, false, fmt.Errorf("keeping which policies are in force: %w", err)
	}
	return id, fresh, nil
}

// LoadedPolicies returns every set that was in force since this is kept, with
// its modules, oldest first.
func (db *DB) LoadedPolicies(ctx context.Context) ([]LoadedPolicies, error) {
	tx, err := db.read().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("reading which policies were in force: %w", busy(err))
	}
	defer tx.Rollback()
	rows, err := tx.QueryContext(ctx, `SELECT revision, build, opa, coalesce(policies, 0), modules, first FROM policy_loaded ORDER BY first, revision`)
	if err != nil {
		return nil, fmt.Errorf("reading which policies were in force: %w", err)
	}
	defer rows.Close()
	var all []LoadedPolicies
	for rows.Next() {
		var p LoadedPolicies
		var text string
		if err := rows.Scan(&p.Revision, &p.Build, &p.OPA, &p.Policies, &text, (*instant)(&p.First)); err != nil {
			return nil, fmt.Errorf("reading which policies were in force: %w", err)
		}
		if text != "" {
			if err := json.Unmarshal([]byte(text), &p.Modules); err != nil {
				return nil, fmt.Errorf("reading which policies were in force: %w", err)
			}
		}
		all = append(all, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading which policies were in force: %w", err)
	}
	for i := range all {
		if all[i].Policies == 0 {
			continue
		}
		if all[i].Modules, err = texts(ctx, tx, `SELECT name, source FROM policy_module WHERE revision = ?`, all[i].Policies); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// PublishedAs returns the id of the published revision that the engine called
// revision and that was in force at a time; 0 where none is known. The same
// modules may have been published more than once, as by a roll back.
func (db *DB) PublishedAs(ctx context.Context, revision string, at time.Time) (int64, error) {
	var id sql.NullInt64
	err := db.read().QueryRowContext(ctx, `SELECT max(r.id) FROM policy_revision r WHERE r.published <= ? AND r.hash IN
		(SELECT hash FROM policy_revision WHERE id IN (SELECT policies FROM policy_loaded WHERE revision = ?))`, at.UnixNano(), revision).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("finding the revision of a decision: %w", busy(err))
	}
	return id.Int64, nil
}
