package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// A PolicyRevision is one published set of policy modules.
type PolicyRevision struct {
	ID        int64     // rises with each publication
	Hash      string    // of the modules, as by [policy.Revision]
	Published time.Time // UTC
	Actor     string    // account id, or "operator"
	Email     string    // of the actor
	Reason    string
}

// Policies returns the modules of the newest published revision by file name;
// none when nothing was ever published.
func (db *DB) Policies(ctx context.Context) (map[string]string, error) {
	tx, err := db.read().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("reading policies: %w", busy(err))
	}
	defer tx.Rollback()
	_, m, err := newestPolicies(ctx, tx)
	return m, err
}

// PolicyRevisions returns every published revision, newest first.
func (db *DB) PolicyRevisions(ctx context.Context) ([]PolicyRevision, error) {
	rows, err := db.read().QueryContext(ctx, `SELECT id, hash, published, actor, email, reason FROM policy_revision ORDER BY id DESC`)
	if err != nil {
		return nil, fmt.Errorf("reading policy revisions: %w", err)
	}
	defer rows.Close()
	var all []PolicyRevision
	for rows.Next() {
		var r PolicyRevision
		if err := rows.Scan(&r.ID, &r.Hash, (*instant)(&r.Published), &r.Actor, &r.Email, &r.Reason); err != nil {
			return nil, fmt.Errorf("reading policy revisions: %w", err)
		}
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading policy revisions: %w", err)
	}
	return all, nil
}

// PoliciesOf returns the modules of one revision, and false when there is none.
func (db *DB) PoliciesOf(ctx context.Context, revision int64) (map[string]string, bool, error) {
	tx, err := db.read().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, false, fmt.Errorf("reading policies: %w", busy(err))
	}
	defer tx.Rollback()
	var n int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM policy_revision WHERE id = ?`, revision).Scan(&n); err != nil || n == 0 {
		return nil, false, err
	}
	m, err := modulesOf(ctx, tx, revision)
	return m, err == nil, err
}

// PublishPolicies makes modules the newest revision, whole, with its record for
// the access log and the note of the change, and returns its id. Earlier
// revisions stay as they are. Publishing what is newest already changes nothing
// and returns the id it has. The store does not compile modules: the caller
// has checked them. The actor must be the operator or an administrator in force.
func (db *DB) PublishPolicies(ctx context.Context, actor directory.Actor, modules map[string]string, reason string) (int64, error) {
	var id int64
	err := db.write(ctx, func(tx *sql.Tx) error {
		have, err := db.current(ctx, tx)
		if err != nil {
			return fmt.Errorf("reading directory: %w", err)
		}
		now := db.now()
		if err := mayChange(have.directory, actor, now, policy.Administrator); err != nil {
			return err
		}
		newest, old, err := newestPolicies(ctx, tx)
		if err != nil {
			return err
		}
		if newest != 0 && maps.Equal(old, modules) {
			id = newest
			return errUnchanged
		}
		hash := policy.Revision(modules)
		if id, err = insertRevision(tx, hash, actor, reason, now, modules); err != nil {
			return fmt.Errorf("keeping policies: %w", err)
		}
		detail := moduleChanges(old, modules)
		if reason != "" {
			detail["reason"] = reason
		}
		err = db.enqueue(tx, &policy.Record{
			Type: policy.RecordPolicy, Action: "policy.publish", Result: "ok", Time: now,
			RequestID: actor.RequestID, SourceIP: actor.IP, Actor: actor.Account, Email: actor.Email,
			Revision: hash, Object: "policy:" + strconv.FormatInt(id, 10), Detail: detail,
		})
		if err != nil {
			return err
		}
		return db.notify(tx, KindPolicy, strconv.FormatInt(id, 10))
	})
	if errors.Is(err, errUnchanged) {
		return id, nil
	}
	if err != nil {
		return 0, err
	}
	return id, nil
}

func insertRevision(tx *sql.Tx, hash string, actor directory.Actor, reason string, now time.Time, modules map[string]string) (int64, error) {
	res, err := tx.Exec(`INSERT INTO policy_revision (hash, published, actor, email, reason) VALUES (?, ?, ?, ?, ?)`,
		hash, now.UnixNano(), actor.Account, actor.Email, reason)
	if err != nil {
		return 0, err
	}
	id, err := res.LastInsertId()
	if err != nil {
		return 0, err
	}
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		if _, err := tx.Exec(`INSERT INTO policy_module (revision, name, source) VALUES (?, ?, ?)`, id, name, modules[name]); err != nil {
			return 0, err
		}
	}
	return id, nil
}

// moduleChanges tells which modules differ, with hashes instead of sources.
func moduleChanges(old, modules map[string]string) map[string]string {
	detail := map[string]string{}
	for name, source := range modules {
		switch was, ok := old[name]; {
		case !ok:
			detail["module "+name] = directory.TextHash(source)
		case was != source:
			detail["module "+name] = directory.TextHash(was) + " -> " + directory.TextHash(source)
		}
	}
	for name, was := range old {
		if _, ok := modules[name]; !ok {
			detail["module "+name] = directory.TextHash(was) + " -> "
		}
	}
	return detail
}

// newestPolicies returns the newest revision; 0 and no modules for none.
func newestPolicies(ctx context.Context, tx *sql.Tx) (int64, map[string]string, error) {
	var id sql.NullInt64
	if err := tx.QueryRowContext(ctx, `SELECT max(id) FROM policy_revision`).Scan(&id); err != nil {
		return 0, nil, fmt.Errorf("reading policies: %w", err)
	}
	m, err := modulesOf(ctx, tx, id.Int64)
	return id.Int64, m, err
}

func modulesOf(ctx context.Context, tx *sql.Tx, revision int64) (map[string]string, error) {
	rows, err := tx.QueryContext(ctx, `SELECT name, source FROM policy_module WHERE revision = ?`, revision)
	if err != nil {
		return nil, fmt.Errorf("reading policies: %w", err)
	}
	defer rows.Close()
	m := map[string]string{}
	for rows.Next() {
		var name, source string
		if err := rows.Scan(&name, &source); err != nil {
			return nil, fmt.Errorf("reading policies: %w", err)
		}
		m[name] = source
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading policies: %w", err)
	}
	return m, nil
}
