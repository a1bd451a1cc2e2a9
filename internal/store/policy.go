package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
)

// A PolicyRevision is one published set of policy modules as its row has it,
// which nobody has held against its statement: for trials. What is put in force
// or shown is read with [Changes.InForce] and [Changes.Revisions].
type PolicyRevision struct {
	ID        int64     // rises with each publication
	Hash      string    // of the modules, as by [policy.Revision]
	Published time.Time // UTC
	Actor     string    // account id, or "operator"
	Email     string    // of the actor
	Reason    string
}

// PolicyRevisions returns every published revision, newest first.
func (db *DB) PolicyRevisions(ctx context.Context) ([]PolicyRevision, error) {
	return list(ctx, db, func(r scanner) (v PolicyRevision, err error) {
		return v, r.Scan(&v.ID, &v.Hash, (*instant)(&v.Published), &v.Actor, &v.Email, &v.Reason)
	}, `SELECT id, hash, published, actor, email, reason FROM policy_revision ORDER BY id DESC`)
}

// PoliciesOf returns the modules of one revision, and false when there is none.
func (db *DB) PoliciesOf(ctx context.Context, revision int64) (m map[string]string, found bool, err error) {
	tx, err := db.read().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, false, busy(err)
	}
	defer tx.Rollback()
	var one int
	err = tx.QueryRowContext(ctx, `SELECT 1 FROM policy_revision WHERE id = ?`, revision).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	m, err = modulesOf(ctx, tx, revision)
	return m, err == nil, err
}

func modulesOf(ctx context.Context, tx *sql.Tx, revision int64) (map[string]string, error) {
	return texts(ctx, tx, `SELECT name, source FROM policy_module WHERE revision = ?`, revision)
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
