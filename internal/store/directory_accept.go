package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

const (
	maxTypedName = 200
	maxAgent     = 512 // bytes of the client's own words that are kept
)

// Accept keeps that the actor accepted the version in force of an agreement,
// with its record for the access log and the note of the change, in one
// transaction. The account must be the actor's own and in force
// ([directory.ErrNotAllowed]), and the typed name the account's
// ([directory.ErrTypedName]); a hash that is given must be that of the text in
// force ([directory.ErrNotInForce]), and an empty one is filled in; the time and
// what the account is called are the store's. Accepting the same version again
// changes nothing.
func (db *DB) Accept(ctx context.Context, actor directory.Actor, a directory.Evidence) error {
	a.TypedName = strings.TrimSpace(a.TypedName)
	if a.TypedName == "" || len(a.TypedName) > maxTypedName || !printable(a.TypedName) {
		return directory.ErrTypedName
	}
	a.UserAgent = clipped(a.UserAgent, maxAgent)
	if a.IP == "" {
		a.IP = actor.IP
	}
	var next *loaded
	err := db.write(ctx, func(tx *sql.Tx) error {
		have, err := db.current(ctx, tx)
		if err != nil {
			return fmt.Errorf("reading directory: %w", err)
		}
		a.At = db.now().UTC().Round(0)
		account := byID(have.directory, a.Account)
		if actor.Account != a.Account || account == nil || !account.InForce(a.At) {
			return directory.ErrNotAllowed
		}
		if !directory.SameName(a.TypedName, account.Name) {
			return directory.ErrTypedName
		}
		a.Email, a.Name, a.Vendor = account.Email, account.Name, account.Vendor
		if err := inForce(have.directory, &a.Acceptance); err != nil {
			return err
		}
		if err := db.insertAcceptance(tx, actor, &a); err != nil {
			return err
		}
		next = &loaded{directory: have.directory, acceptances: append(have.acceptances, a.Acceptance)}
		return next.seen(ctx, tx)
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	if err != nil {
		return err
	}
	db.cache.set(next)
	return nil
}

// inForce checks an acceptance against the agreement and fills in the hash.
func inForce(d *directory.Directory, a *directory.Acceptance) error {
	for i := range d.Agreements {
		g := &d.Agreements[i]
		if g.Name != a.Agreement {
			continue
		}
		hash := directory.TextHash(g.Text)
		if g.Version != a.Version || a.Hash != "" && a.Hash != hash {
			return directory.ErrNotInForce
		}
		a.Hash = hash
		return nil
	}
	return directory.ErrNotInForce
}

func (db *DB) insertAcceptance(tx *sql.Tx, actor directory.Actor, a *directory.Evidence) error {
	res, err := tx.Exec(`INSERT INTO acceptance (account, agreement, version, at, ip, typed_name, hash, email, name, vendor, user_agent, session, factor, code_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, a.Account, a.Agreement, a.Version, a.At.UnixNano(), a.IP, a.TypedName, a.Hash,
		a.Email, a.Name, a.Vendor, a.UserAgent, a.Session, a.Factor, column(a.CodeAt))
	if err != nil {
		return fmt.Errorf("keeping acceptance: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, errUnchanged)
	}
	detail := map[string]string{"version": strconv.Itoa(a.Version), "hash": a.Hash, "typed_name": a.TypedName}
	if a.Factor != "" {
		detail["factor"] = a.Factor
	}
	r := &policy.Record{
		Type: policy.RecordAdmin, Action: ActionAccept, Result: "ok", Time: a.At,
		RequestID: actor.RequestID, SourceIP: a.IP, UserAgent: a.UserAgent, Account: a.Account, Email: a.Email, Vendor: a.Vendor, Session: a.Session,
		Actor: actor.Account, Object: "agreement:" + a.Agreement, Detail: detail,
	}
	if !a.CodeAt.IsZero() {
		r.CodeAge = policy.Int64(max(0, int64(a.At.Sub(a.CodeAt).Seconds())))
	}
	if err := db.enqueue(tx, r); err != nil {
		return err
	}
	return db.notify(tx, KindDirectory, "acceptance:"+a.Account)
}

// ActionAccept is the action of the record that an acceptance leaves.
const ActionAccept = "agreement.accept"

// AgreementText returns the text of any version of an agreement that was ever
// in force, and false when there was none.
func (db *DB) AgreementText(ctx context.Context, name string, version int) (string, bool, error) {
	var text string
	err := db.read().QueryRowContext(ctx, `SELECT text FROM agreement_version WHERE name = ? AND version = ?`, name, version).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("reading agreement %s: %w", name, err)
	}
	return text, true, nil
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) })
}

// clipped cuts text that a client chose.
func clipped(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
