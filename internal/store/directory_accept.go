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

var (
	// ErrNotInForce reports an acceptance of a version or text that is not the
	// one in force: it changed while the person was reading.
	ErrNotInForce = errors.New("this version of the agreement is not in force: read the current one and accept it")
	// ErrTypedName reports an acceptance without a name that can be shown.
	ErrTypedName = errors.New("type your full name to accept")
)

const maxTypedName = 200

// Accept keeps that the actor accepted the version in force of an agreement,
// with its record for the access log and the note of the change, in one
// transaction. The account must be the actor's own and in force
// ([directory.ErrNotAllowed]); a hash that is given must be that of the text in force, and
// an empty one is filled in; the time is the store's. Accepting the same version
// again changes nothing.
func (db *DB) Accept(ctx context.Context, actor directory.Actor, a directory.Acceptance) error {
	a.TypedName = strings.TrimSpace(a.TypedName)
	if a.TypedName == "" || len(a.TypedName) > maxTypedName || !printable(a.TypedName) {
		return ErrTypedName
	}
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
		if err := inForce(have.directory, &a); err != nil {
			return err
		}
		if err := db.insertAcceptance(tx, actor, account, &a); err != nil {
			return err
		}
		next = &loaded{directory: have.directory, acceptances: append(have.acceptances, a)}
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
			return ErrNotInForce
		}
		a.Hash = hash
		return nil
	}
	return ErrNotInForce
}

func (db *DB) insertAcceptance(tx *sql.Tx, actor directory.Actor, account *directory.Account, a *directory.Acceptance) error {
	res, err := tx.Exec(`INSERT INTO acceptance (account, agreement, version, at, ip, typed_name, hash) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING`, a.Account, a.Agreement, a.Version, a.At.UnixNano(), a.IP, a.TypedName, a.Hash)
	if err != nil {
		return fmt.Errorf("keeping acceptance: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, errUnchanged)
	}
	err = db.enqueue(tx, &policy.Record{
		Type: policy.RecordAdmin, Action: "agreement.accept", Result: "ok", Time: a.At,
		RequestID: actor.RequestID, SourceIP: a.IP, Account: a.Account, Email: account.Email, Vendor: account.Vendor,
		Actor: actor.Account, Object: "agreement:" + a.Agreement,
		Detail: map[string]string{"version": strconv.Itoa(a.Version), "hash": a.Hash, "typed_name": a.TypedName},
	})
	if err != nil {
		return err
	}
	return db.notify(tx, KindDirectory, "acceptance:"+a.Account)
}

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
