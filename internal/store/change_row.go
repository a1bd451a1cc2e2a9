package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/policy"
)

const selectDraft = `SELECT id, title, reason, state, base, back_to, version, hash, figures, created, changed FROM policy_draft `

func scanDraft(r scanner) (change.Draft, error) {
	var d change.Draft
	var figures string
	err := r.Scan(&d.ID, &d.Title, &d.Reason, (*string)(&d.State), &d.Base, &d.BackTo, &d.Version, &d.Hash, &figures,
		(*instant)(&d.Created), (*instant)(&d.Changed))
	if err == nil {
		err = json.Unmarshal([]byte(figures), &d.Figures)
	}
	return d, err
}

// draftOf returns one draft whole, or [change.ErrNotFound]. Its hash is that of
// the texts as they are read.
func draftOf(ctx context.Context, tx *sql.Tx, id int64) (change.Draft, error) {
	d, err := scanDraft(tx.QueryRowContext(ctx, selectDraft+`WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return d, change.ErrNotFound
	}
	if err != nil {
		return d, fmt.Errorf("reading draft %d: %w", id, err)
	}
	if d.Modules, err = texts(ctx, tx, `SELECT name, source FROM policy_draft_module WHERE draft = ?`, id); err != nil {
		return d, fmt.Errorf("reading draft %d: %w", id, err)
	}
	d.Hash = policy.Revision(d.Modules)
	return d, peopleOf(ctx, tx, &d)
}

// peopleOf reads the authors and notes of a draft.
func peopleOf(ctx context.Context, tx *sql.Tx, d *change.Draft) error {
	var err error
	d.Authors, err = rowsOf(ctx, tx, func(r scanner) (p change.Person, err error) {
		return p, r.Scan(&p.Account, &p.Email, (*instant)(&p.At))
	}, `SELECT account, email, at FROM policy_draft_author WHERE draft = ? ORDER BY number`, d.ID)
	if err != nil {
		return fmt.Errorf("reading the authors of draft %d: %w", d.ID, err)
	}
	d.Notes, err = rowsOf(ctx, tx, func(r scanner) (n change.Note, err error) {
		return n, r.Scan(&n.Account, &n.Email, (*instant)(&n.At), &n.Text, &n.Returned)
	}, `SELECT account, email, at, text, returned FROM policy_draft_note WHERE draft = ? ORDER BY number`, d.ID)
	if err != nil {
		return fmt.Errorf("reading the notes of draft %d: %w", d.ID, err)
	}
	return nil
}

// rowsOf returns what scan makes of each row that tx sees.
func rowsOf[T any](ctx context.Context, tx *sql.Tx, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, busy(err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// texts returns texts by name.
func texts(ctx context.Context, tx *sql.Tx, query string, id int64) (map[string]string, error) {
	m := map[string]string{}
	type row struct{ name, text string }
	rows, err := rowsOf(ctx, tx, func(r scanner) (x row, err error) { return x, r.Scan(&x.name, &x.text) }, query, id)
	for _, x := range rows {
		m[x.name] = x.text
	}
	return m, err
}

// putDraft writes a draft over what was before it, nil for a new one, and gives
// a new one its id.
func putDraft(tx *sql.Tx, was, d *change.Draft) error {
	figures, err := json.Marshal(&d.Figures)
	if err != nil {
		return err
	}
	if was == nil {
		res, err := tx.Exec(`INSERT INTO policy_draft (title, reason, state, base, back_to, version, hash, figures, created, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			d.Title, d.Reason, string(d.State), d.Base, d.BackTo, d.Version, d.Hash, string(figures), column(d.Created), column(d.Changed))
		if err != nil {
			return err
		}
		if d.ID, err = res.LastInsertId(); err != nil {
			return err
		}
		was = &change.Draft{}
	} else if _, err := tx.Exec(`UPDATE policy_draft SET title = ?, reason = ?, state = ?, base = ?, back_to = ?, version = ?, hash = ?, figures = ?, changed = ? WHERE id = ?`,
		d.Title, d.Reason, string(d.State), d.Base, d.BackTo, d.Version, d.Hash, string(figures), column(d.Changed), d.ID); err != nil {
		return err
	}
	for i := len(was.Authors); i < len(d.Authors); i++ {
		a := d.Authors[i]
		if _, err := tx.Exec(`INSERT INTO policy_draft_author (draft, number, account, email, at) VALUES (?, ?, ?, ?, ?)`, d.ID, i, a.Account, a.Email, a.At.UnixNano()); err != nil {
			return err
		}
	}
	for i := len(was.Notes); i < len(d.Notes); i++ {
		n := d.Notes[i]
		if _, err := tx.Exec(`INSERT INTO policy_draft_note (draft, number, account, email, at, text, returned) VALUES (?, ?, ?, ?, ?, ?, ?)`, d.ID, i, n.Account, n.Email, n.At.UnixNano(), n.Text, n.Returned); err != nil {
			return err
		}
	}
	return putTexts(tx, was, d)
}

func putTexts(tx *sql.Tx, was, d *change.Draft) error {
	for _, name := range slices.Sorted(maps.Keys(was.Modules)) {
		if _, ok := d.Modules[name]; !ok {
			if _, err := tx.Exec(`DELETE FROM policy_draft_module WHERE draft = ? AND name = ?`, d.ID, name); err != nil {
				return err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Modules)) {
		if old, ok := was.Modules[name]; ok && old == d.Modules[name] {
			continue
		}
		if _, err := tx.Exec(`INSERT INTO policy_draft_module (draft, name, source) VALUES (?, ?, ?) ON CONFLICT (draft, name) DO UPDATE SET source = excluded.source`, d.ID, name, d.Modules[name]); err != nil {
			return err
		}
	}
	return nil
}
