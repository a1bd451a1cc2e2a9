package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

var errUnchanged = errors.New("nothing has changed")

// Change edits the directory in one transaction. edit gets a copy of its own
// and must not call the store; what it returns as an error is returned. The
// result is checked as a whole and every fault returned as [directory.Faults];
// then the rows, one record for the access log for each change, and the note of
// the change are written together or not at all. When edit changes nothing,
// nothing is written. The new directory is in force only once its records are
// in the access log: drain, then read again.
//
// The actor must be the operator or an administrator in force ([directory.ErrNotAllowed]),
// and an account cannot change its own rights ([directory.ErrOwnRights]).
func (db *DB) Change(ctx context.Context, actor directory.Actor, edit func(*directory.Directory) error) ([]directory.Change, error) {
	var changes []directory.Change
	var next *loaded
	err := db.write(ctx, func(tx *sql.Tx) error {
		have, err := db.current(ctx, tx)
		if err != nil {
			return fmt.Errorf("reading directory: %w", err)
		}
		var want *directory.Directory
		if want, changes, err = db.edit(have.directory, actor, edit); err != nil {
			return err
		}
		if len(changes) == 0 {
			return errUnchanged
		}
		if err := db.writeChanges(tx, actor, have.directory, want, changes); err != nil {
			return err
		}
		if err := restoreStatus(ctx, tx, want, changes); err != nil {
			return err
		}
		next = &loaded{directory: want, acceptances: have.acceptances}
		return next.seen(ctx, tx)
	})
	if errors.Is(err, errUnchanged) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	db.cache.set(next)
	return changes, nil
}

// Preview returns what [DB.Change] with the same edit by the operator would
// change, and the same faults, and writes nothing.
func (db *DB) Preview(ctx context.Context, edit func(*directory.Directory) error) ([]directory.Change, error) {
	have, _, err := db.Directory(ctx)
	if err != nil {
		return nil, err
	}
	_, changes, err := db.edit(have, directory.Actor{Account: directory.Operator}, edit)
	if err != nil {
		return nil, err
	}
	if err := db.keptVersions(ctx, db.read(), changes); err != nil {
		return nil, err
	}
	return changes, nil
}

// edit returns an edited copy of have and how it differs, checked.
func (db *DB) edit(have *directory.Directory, actor directory.Actor, edit func(*directory.Directory) error) (*directory.Directory, []directory.Change, error) {
	now := db.now()
	if err := mayChange(have, actor, now, policy.Administrator); err != nil {
		return nil, nil, err
	}
	want := have.Clone()
	if err := edit(want); err != nil {
		return nil, nil, err
	}
	if err := settleAccounts(have, want, now); err != nil {
		return nil, nil, err
	}
	settleGivers(have, want, actor)
	if err := db.settleSecrets(have, want); err != nil {
		return nil, nil, err
	}
	if err := want.Check(directory.Rules{GateHost: db.gateHost, Have: have, Now: now}); err != nil {
		return nil, nil, err
	}
	if actor.Account != directory.Operator && !sameRights(have, want, actor.Account) {
		return nil, nil, directory.ErrOwnRights
	}
	return want, directory.Diff(have, want), nil
}

// mayChange refuses actors without one of the roles. It looks at the directory
// inside the transaction, so that a role taken away a moment ago counts.
func mayChange(have *directory.Directory, actor directory.Actor, now time.Time, roles ...policy.Role) error {
	if actor.Account == directory.Operator {
		return nil
	}
	a := byID(have, actor.Account)
	if a == nil || !a.InForce(now) || !slices.ContainsFunc(roles, a.Has) {
		return directory.ErrNotAllowed
	}
	return nil
}

func byID(d *directory.Directory, id string) *directory.Account {
	if id == "" {
		return nil
	}
	for i := range d.Accounts {
		if d.Accounts[i].ID == id {
			return &d.Accounts[i]
		}
	}
	return nil
}

// sameRights reports whether an account may do the same in both directories.
func sameRights(have, want *directory.Directory, id string) bool {
	a, b := byID(have, id), byID(want, id)
	if a == nil || b == nil || a.Email != b.Email || a.Vendor != b.Vendor || !a.Ends.Equal(b.Ends) ||
		a.Disabled != b.Disabled || a.TimeZone != b.TimeZone || !slices.Equal(a.LogClusters, b.LogClusters) || !slices.Equal(a.Roles, b.Roles) {
		return false
	}
	for _, c := range directory.Diff(
		&directory.Directory{Assignments: assignmentsOf(have, a.Email)},
		&directory.Directory{Assignments: assignmentsOf(want, a.Email)}) {
		if len(c.Fields) > 0 {
			return false
		}
	}
	return true
}

func assignmentsOf(d *directory.Directory, email string) []directory.Assignment {
	var all []directory.Assignment
	for i := range d.Assignments {
		if d.Assignments[i].Account == email {
			all = append(all, d.Assignments[i])
		}
	}
	return all
}

// settleAccounts gives new accounts their ids and puts back what is read-only.
func settleAccounts(have, want *directory.Directory, now time.Time) error {
	ids := make(map[string]*directory.Account, len(have.Accounts))
	emails := map[string]*directory.Account{}
	bare := slices.ContainsFunc(want.Accounts, func(a directory.Account) bool { return a.ID == "" })
	for i := range have.Accounts {
		a := &have.Accounts[i]
		ids[a.ID] = a
		if bare {
			emails[a.Email] = a
		}
	}
	if bare { // an account that has taken another address has given up its old one
		for i := range want.Accounts {
			if old := ids[want.Accounts[i].ID]; old != nil {
				delete(emails, old.Email)
			}
		}
	}
	var faults directory.Faults
	for i := range want.Accounts {
		a := &want.Accounts[i]
		old := ids[a.ID]
		if a.ID == "" {
			old = emails[a.Email]
		}
		switch {
		case old != nil:
			a.ID, a.Created, a.LastLogin, a.Status = old.ID, old.Created, old.LastLogin, old.Status
			if a.Disabled != old.Disabled {
				a.Status = "" // until restoreStatus
			}
		case a.ID != "":
			// An id chosen by a caller could be that of an account long gone.
			faults = append(faults, directory.Fault{Object: "account " + a.Email, Field: "id", Message: "is given by Ringfence: leave it out"})
		default:
			a.ID, a.Created, a.LastLogin, a.Status = newID(), now.UTC().Round(0), time.Time{}, policy.StatusInvited
		}
		if a.Disabled {
			a.Status = policy.StatusDisabled
		}
	}
	if len(faults) > 0 {
		return faults
	}
	return nil
}

// newID returns an account id that was never used: 100 random bits.
func newID() string { return strings.ToLower(rand.Text()[:20]) }

// restoreStatus reads whether accounts that are no longer disabled had
// finished enrolment, which the directory does not keep of a disabled one.
func restoreStatus(ctx context.Context, tx *sql.Tx, want *directory.Directory, changes []directory.Change) error {
	if !slices.ContainsFunc(changes, func(c directory.Change) bool { return c.Kind == "account" && c.Verb() == "enable" }) {
		return nil
	}
	for i := range want.Accounts {
		a := &want.Accounts[i]
		if a.Status != "" {
			continue
		}
		var enrolled sql.NullInt64
		if err := tx.QueryRowContext(ctx, `SELECT enrolled_at FROM account WHERE id = ?`, a.ID).Scan(&enrolled); err != nil {
			return fmt.Errorf("reading account %s: %w", a.ID, err)
		}
		a.Status = policy.StatusInvited
		if enrolled.Valid {
			a.Status = policy.StatusActive
		}
	}
	return nil
}
