package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/policy"
)

const selectRevision = `SELECT id, hash, published, actor, email, reason, statement FROM policy_revision `

// scanRevision reads a revision as its row has it, which is not to be believed yet.
func scanRevision(r scanner) (change.Revision, error) {
	var v change.Revision
	var by change.Person
	err := r.Scan(&v.ID, &v.Hash, (*instant)(&v.Published), &by.Account, &by.Email, &v.Reason, &v.Statement)
	by.At = v.Published
	v.Authors, v.Alone = []change.Person{by}, true
	if len(v.Statement) == 0 {
		v.Statement = nil
	}
	return v, err
}

// signing says from where on revisions have statements.
type signing struct{ below, first int64 }

func signingOf(ctx context.Context, tx *sql.Tx) (s signing, err error) {
	var first sql.NullInt64
	err = tx.QueryRowContext(ctx, `SELECT coalesce((SELECT below FROM policy_unsigned), 0), (SELECT min(id) FROM policy_revision WHERE length(statement) > 0)`).Scan(&s.below, &first)
	if s.first = first.Int64; !first.Valid {
		s.first = s.below
	}
	return s, err
}

// believed returns a revision as its statement has it, and says in Fault why it
// is not to be believed. modules are nil for a list: then only the statement is looked at.
func (c *Changes) believed(row change.Revision, modules map[string]string, s signing) change.Revision {
	row.Modules = modules
	if row.Statement == nil {
		switch {
		case row.ID >= s.below || row.ID > s.first:
			row.Fault = "It has no signature, and revisions of its time have one."
		case modules != nil && policy.Revision(modules) != row.Hash:
			row.Fault = "Its files were changed after it was published."
		}
		return row
	}
	text, err := c.cfg.Open(row.Statement)
	if err != nil {
		row.Fault = "Its signature does not fit: it is of another key, or what was signed was changed."
		return row
	}
	r, err := change.Stated(text)
	if err != nil || r.ID != row.ID || r.Hash != row.Hash || !r.Published.Equal(row.Published) || r.Reason != row.Reason || actorOfRevision(&r) != row.Authors[0].Account {
		row.Fault = "What is kept of it is not what was signed."
		return row
	}
	r.Statement, r.Modules = row.Statement, modules
	if modules != nil && change.Holds(text, modules) != nil {
		r.Fault = "Its files were changed after it was published."
	}
	return r
}

// actorOfRevision is who published it.
func actorOfRevision(r *change.Revision) string {
	if r.Approver.Account != "" || len(r.Authors) == 0 {
		return r.Approver.Account
	}
	return r.Authors[0].Account
}

// revisionOf returns one revision whole, or [change.ErrNotFound].
func (c *Changes) revisionOf(ctx context.Context, tx *sql.Tx, id int64) (*change.Revision, error) {
	row, err := scanRevision(tx.QueryRowContext(ctx, selectRevision+`WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, change.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("reading revision %d: %w", id, err)
	}
	modules, err := texts(ctx, tx, `SELECT name, source FROM policy_module WHERE revision = ?`, id)
	if err != nil {
		return nil, fmt.Errorf("reading revision %d: %w", id, err)
	}
	s, err := signingOf(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("reading revision %d: %w", id, err)
	}
	r := c.believed(row, modules, s)
	return &r, nil
}

// newest returns the newest revision, whatever is wrong with it; the zero one
// where nothing was ever published.
func (c *Changes) newest(ctx context.Context, tx *sql.Tx) (*change.Revision, error) {
	var id sql.NullInt64
	if err := tx.QueryRowContext(ctx, `SELECT max(id) FROM policy_revision`).Scan(&id); err != nil {
		return nil, fmt.Errorf("reading revisions: %w", err)
	}
	if !id.Valid {
		return &change.Revision{}, nil
	}
	return c.revisionOf(ctx, tx, id.Int64)
}

// sound returns the newest revision, if it is what was signed: a draft of
// another would carry a stranger's change past its reviewers.
func (c *Changes) sound(ctx context.Context, tx *sql.Tx) (*change.Revision, error) {
	r, err := c.newest(ctx, tx)
	if err == nil && r.Fault != "" {
		err = fmt.Errorf("revision %d: %w", r.ID, change.ErrTampered)
	}
	return r, err
}

// InForce returns the newest revision, which is the one to put in force; the
// zero one where nothing was ever published, and [change.ErrTampered] where it
// is not what was signed.
func (c *Changes) InForce(ctx context.Context) (r change.Revision, err error) {
	err = c.see(ctx, func(tx *sql.Tx) error {
		newest, err := c.newest(ctx, tx)
		if err != nil {
			return err
		}
		if r = *newest; r.Fault != "" {
			return fmt.Errorf("reading revision %d of the policies: %w: %s", r.ID, change.ErrTampered, strings.TrimSuffix(r.Fault, "."))
		}
		return nil
	})
	return r, err
}

// Revisions returns every revision, the newest first, without modules. Fault
// is about the statement alone.
func (c *Changes) Revisions(ctx context.Context) (all []change.Revision, err error) {
	err = c.see(ctx, func(tx *sql.Tx) error {
		s, err := signingOf(ctx, tx)
		if err != nil {
			return fmt.Errorf("reading revisions: %w", err)
		}
		if all, err = rowsOf(ctx, tx, scanRevision, selectRevision+`ORDER BY id DESC`); err != nil {
			return fmt.Errorf("reading revisions: %w", err)
		}
		effects, err := effectsOf(ctx, tx)
		for i := range all {
			all[i] = c.believed(all[i], nil, s)
			all[i].Effect = effects[all[i].ID]
		}
		return err
	})
	return all, err
}

// Revision returns one revision whole, or [change.ErrNotFound].
func (c *Changes) Revision(ctx context.Context, id int64) (r change.Revision, err error) {
	err = c.see(ctx, func(tx *sql.Tx) error {
		found, err := c.revisionOf(ctx, tx, id)
		if err != nil {
			return err
		}
		effects, err := effectsOf(ctx, tx)
		r = *found
		r.Effect = effects[id]
		return err
	})
	return r, err
}

func effectsOf(ctx context.Context, tx *sql.Tx) (map[int64]change.Effect, error) {
	type row struct {
		id int64
		e  change.Effect
	}
	rows, err := rowsOf(ctx, tx, func(r scanner) (x row, err error) {
		return x, r.Scan(&x.id, &x.e.Allowed, &x.e.Challenged, &x.e.Denied, (*instant)(&x.e.First), (*instant)(&x.e.Last))
	}, `SELECT revision, sum(allowed), sum(challenged), sum(denied), min(first), max(last) FROM policy_effect GROUP BY revision`)
	if err != nil {
		return nil, fmt.Errorf("reading what revisions decided: %w", err)
	}
	m := map[int64]change.Effect{}
	for _, x := range rows {
		m[x.id] = x.e
	}
	return m, nil
}

// AddEffect adds decisions that a node made under revisions, by their id.
func (db *DB) AddEffect(ctx context.Context, node string, made map[int64]change.Effect) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		ids := make([]int64, 0, len(made))
		for id := range made {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		for _, id := range ids {
			e := made[id]
			if _, err := tx.ExecContext(ctx, `INSERT INTO policy_effect (revision, node, allowed, challenged, denied, first, last) VALUES (?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (revision, node) DO UPDATE SET allowed = allowed + excluded.allowed, challenged = challenged + excluded.challenged,
				denied = denied + excluded.denied, first = min(first, excluded.first), last = max(last, excluded.last)`,
				id, node, e.Allowed, e.Challenged, e.Denied, e.First.UnixNano(), e.Last.UnixNano()); err != nil {
				return fmt.Errorf("counting decisions: %w", err)
			}
		}
		return nil
	})
}
