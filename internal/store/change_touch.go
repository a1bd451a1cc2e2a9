package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// NoteTouch notes that somebody made or changed what an account signs in with,
// which must happen after this has returned and not otherwise.
func (db *DB) NoteTouch(ctx context.Context, account string, by directory.Actor, what string) error {
	return db.write(ctx, func(tx *sql.Tx) error { return db.touch(tx, account, by, what) })
}

// touch notes within a transaction. What is older than it counts for is forgotten.
func (db *DB) touch(tx *sql.Tx, account string, by directory.Actor, what string) error {
	now := db.now()
	if _, err := tx.Exec(`INSERT INTO account_touch (account, by, by_email, at, what) VALUES (?, ?, ?, ?, ?)`, account, by.Account, by.Email, now.UnixNano(), what); err != nil {
		return fmt.Errorf("noting who changed a sign-in: %w", err)
	}
	_, err := tx.Exec(`DELETE FROM account_touch WHERE at < ?`, now.Add(-2*change.TouchLife).UnixNano())
	return err
}

// touchAccounts notes whose sign-ins changes of the directory make or change.
func (db *DB) touchAccounts(tx *sql.Tx, actor directory.Actor, changes []directory.Change) error {
	for i := range changes {
		a, ok := changes[i].After().(*directory.Account)
		if !ok {
			continue
		}
		was, _ := changes[i].Before().(*directory.Account)
		if was != nil && was.Email == a.Email && slices.Equal(was.Roles, a.Roles) {
			continue
		}
		if err := db.touch(tx, a.ID, actor, "account."+changes[i].Verb()); err != nil {
			return err
		}
	}
	return nil
}

// touchesOf returns what counts still.
func touchesOf(ctx context.Context, tx *sql.Tx, now time.Time) ([]change.Touch, error) {
	all, err := rowsOf(ctx, tx, func(r scanner) (t change.Touch, err error) {
		return t, r.Scan(&t.Account, &t.By.Account, &t.By.Email, (*instant)(&t.By.At), &t.What)
	}, `SELECT account, by, by_email, at, what FROM account_touch WHERE at > ? ORDER BY id`, now.Add(-change.TouchLife).UnixNano())
	if err != nil {
		return nil, fmt.Errorf("reading who changed whose sign-in: %w", err)
	}
	return all, nil
}

// alarm keeps the notices, and where somebody rolled back the warnings too, of
// a revision that one person published, within its transaction: there is no
// moment at which nobody would be told.
func (db *DB) alarm(ctx context.Context, tx *sql.Tx, d *directory.Directory, actor directory.Actor, r *change.Revision) (Alarm, error) {
	a := Alarm{Kind: auth.NoticePolicyAlone, Revision: *r}
	if r.BackTo != 0 {
		a.Kind = auth.NoticePolicyBackAlone
	}
	by := r.Authors[0]
	detail := map[string]string{"by": by.Name(), "reason": r.Reason, "revision": strconv.FormatInt(r.ID, 10)}
	if r.BackTo != 0 {
		detail["back_to"] = strconv.FormatInt(r.BackTo, 10)
	}
	b, err := json.Marshal(detail)
	if err != nil {
		return a, err
	}
	notice := func(account string) auth.Notice {
		return auth.Notice{ID: "not_" + strings.ToLower(rand.Text()), Account: account, Kind: a.Kind, At: r.Published, IP: actor.IP, Detail: detail}
	}
	for i := range d.Accounts {
		acc := &d.Accounts[i]
		if !acc.InForce(r.Published) || !acc.Has(policy.Administrator) && !acc.Has(policy.Approver) {
			continue
		}
		n := notice(acc.ID)
		if _, err := tx.ExecContext(ctx, `INSERT INTO notice (id, account, kind, at, ip, user_agent, detail, seen) VALUES (?, ?, ?, ?, ?, '', ?, NULL)`,
			n.ID, n.Account, string(n.Kind), column(n.At), n.IP, string(b)); err != nil {
			return a, fmt.Errorf("leaving notices: %w", err)
		}
		a.Notices = append(a.Notices, n)
	}
	if r.BackTo == 0 {
		return a, nil
	}
	for i := range d.Vendors {
		w := auth.Warning{Notice: notice(by.Account), Email: by.Name(), Vendor: d.Vendors[i].Name}
		if _, err := tx.ExecContext(ctx, `INSERT INTO warning (id, account, email, vendor, kind, at, ip, user_agent, detail, passed, passed_by) VALUES (?, ?, ?, ?, ?, ?, ?, '', ?, NULL, '')`,
			w.ID, w.Account, w.Email, w.Vendor, string(w.Kind), column(w.At), w.IP, string(b)); err != nil {
			return a, fmt.Errorf("leaving warnings: %w", err)
		}
		a.Warnings = append(a.Warnings, w)
	}
	return a, nil
}
