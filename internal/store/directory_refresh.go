package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/ringfence/ringfence/internal/directory"
)

// Refs of directory changes: "account:ID", "assignment:ID/CLUSTER",
// "acceptance:ID", or "KIND:" and a name for the kinds of which there are few.
// A change with another ref, or none, makes every process read everything.

// refOf names a change in the change table. ids are the accounts' by e-mail.
func refOf(c *directory.Change, before, after map[string]string) string {
	o, ids := c.After(), after
	if o == nil {
		o, ids = c.Before(), before
	}
	switch o := o.(type) {
	case *directory.Account:
		return "account:" + o.ID
	case *directory.Assignment:
		return "assignment:" + ids[o.Account] + "/" + o.Cluster
	}
	return c.Object()
}

// changed is what differs from a directory that was read before.
type changed struct {
	kinds       map[string]bool // of the kinds that are read whole
	accounts    map[string]bool // ids
	assignments map[string]bool // ID/CLUSTER
	acceptances map[string]bool // account ids
}

// changedSince returns what changed after a note, and false when that cannot
// be told or would not be faster to read than everything.
func changedSince(ctx context.Context, tx *sql.Tx, note int64) (*changed, bool, error) {
	var oldest sql.NullInt64
	if err := tx.QueryRowContext(ctx, `SELECT min(id) FROM change`).Scan(&oldest); err != nil {
		return nil, false, err
	}
	if !oldest.Valid || oldest.Int64 > note+1 {
		return nil, false, nil
	}
	rows, err := tx.QueryContext(ctx, `SELECT DISTINCT ref FROM change WHERE id > ? AND kind = ? LIMIT ?`, note, KindDirectory, 20*manyChanges)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	c := &changed{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
	n := 0
	for ; rows.Next(); n++ {
		var ref string
		if err := rows.Scan(&ref); err != nil {
			return nil, false, err
		}
		switch kind, name, _ := strings.Cut(ref, ":"); {
		case name == "":
			return nil, false, nil
		case kind == "account":
			c.accounts[name] = true
		case kind == "assignment":
			c.assignments[name] = true
		case kind == "acceptance":
			c.acceptances[name] = true
		case kind == "vendor" || kind == "agreement" || kind == "engagement" || kind == "cluster":
			c.kinds[kind] = true
		default:
			return nil, false, nil
		}
	}
	return c, n < 20*manyChanges, rows.Err()
}

// refresh returns what tx sees, reading only what changed since old. It
// returns nil when everything has to be read.
func refresh(ctx context.Context, tx *sql.Tx, old *loaded) (*loaded, error) {
	c, ok, err := changedSince(ctx, tx, old.note)
	if err != nil || !ok {
		return nil, err
	}
	d := *old.directory // lists that change are copied below
	l := &loaded{directory: &d, acceptances: old.acceptances}
	x := newLoader(ctx, tx)
	for kind, read := range map[string]func(*directory.Directory){
		"vendor": x.vendors, "agreement": x.agreements, "engagement": x.engagements, "cluster": x.clusters,
	} {
		if c.kinds[kind] {
			read(&d)
		}
	}
	if len(c.accounts) > 0 {
		x.refreshAccounts(&d, c.accounts)
	}
	if len(c.assignments) > 0 {
		x.refreshAssignments(&d, old.directory, c.assignments)
	}
	if len(c.acceptances) > 0 {
		l.acceptances = x.refreshAcceptances(old.acceptances, c.acceptances)
	}
	return l, x.err
}

// refreshAccounts reads the accounts with these ids again, in their places.
func (x *loader) refreshAccounts(d *directory.Directory, ids map[string]bool) {
	renamed := map[string]string{}
	now := map[string]directory.Account{}
	for id := range ids {
		x.rows(accountColumns+` WHERE id = ?`, func(r *sql.Rows) error {
			a, err := x.account(r)
			now[id] = a
			return err
		}, id)
	}
	all := make([]directory.Account, 0, len(d.Accounts)+len(now))
	for i := range d.Accounts {
		a := d.Accounts[i]
		if !ids[a.ID] {
			all = append(all, a)
			continue
		}
		fresh, there := now[a.ID]
		if !there {
			continue
		}
		if fresh.Email != a.Email {
			renamed[a.Email] = fresh.Email
		}
		all = append(all, fresh)
		delete(now, a.ID)
	}
	for _, a := range now {
		all = append(all, a)
	}
	d.Accounts = all
	if len(renamed) == 0 {
		return
	}
	d.Assignments = slices.Clone(d.Assignments)
	for i := range d.Assignments {
		if to, ok := renamed[d.Assignments[i].Account]; ok {
			d.Assignments[i].Account = to
		}
	}
}

// refreshAssignments reads these assignments again, in their places. old is
// the directory before, in which a deleted account still has its address.
func (x *loader) refreshAssignments(d, old *directory.Directory, keys map[string]bool) {
	type key struct{ email, cluster string }
	ids := map[string]bool{}
	for k := range keys {
		id, _, _ := strings.Cut(k, "/")
		ids[id] = true
	}
	emails := map[string]string{} // now, by id
	for _, list := range [][]directory.Account{old.Accounts, d.Accounts} {
		for i := range list {
			if ids[list[i].ID] {
				emails[list[i].ID] = list[i].Email
			}
		}
	}
	touched, now := map[key]bool{}, map[key]directory.Assignment{}
	touchedEmails := map[string]bool{}
	for k := range keys {
		id, cluster, _ := strings.Cut(k, "/")
		at := key{emails[id], cluster}
		touched[at], touchedEmails[at.email] = true, true
		x.emails[id] = emails[id]
		x.rows(assignmentColumns+` WHERE account = ? AND cluster = ?`, func(r *sql.Rows) error {
			a, err := x.assignment(r)
			now[at] = a
			return err
		}, id, cluster)
	}
	all := make([]directory.Assignment, 0, len(d.Assignments)+len(now))
	for i := range d.Assignments {
		a := &d.Assignments[i]
		if !touchedEmails[a.Account] || !touched[key{a.Account, a.Cluster}] {
			all = append(all, *a)
			continue
		}
		if fresh, there := now[key{a.Account, a.Cluster}]; there {
			all = append(all, fresh)
			delete(now, key{a.Account, a.Cluster})
		}
	}
	for _, a := range now {
		all = append(all, a)
	}
	d.Assignments = all
}

// refreshAcceptances reads the acceptances of these accounts again.
func (x *loader) refreshAcceptances(old []directory.Acceptance, ids map[string]bool) []directory.Acceptance {
	all := make([]directory.Acceptance, 0, len(old)+len(ids))
	for i := range old {
		if !ids[old[i].Account] {
			all = append(all, old[i])
		}
	}
	for id := range ids {
		x.rows(acceptanceColumns+` WHERE account = ?`, func(r *sql.Rows) error {
			a, err := acceptance(r)
			all = append(all, a)
			return err
		}, id)
	}
	return all
}

// newest returns the id of the newest note.
func newest(ctx context.Context, tx *sql.Tx) (int64, error) {
	var n sql.NullInt64
	if err := tx.QueryRowContext(ctx, `SELECT max(id) FROM change`).Scan(&n); err != nil {
		return 0, fmt.Errorf("reading changes: %w", err)
	}
	return n.Int64, nil
}
