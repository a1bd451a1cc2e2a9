package store

import (
	"context"
	"fmt"

	"github.com/ringfence/ringfence/internal/directory"
)

// AgreementVersions returns every version of an agreement that was ever in
// force, the newest first; none for an agreement that never was.
func (db *DB) AgreementVersions(ctx context.Context, name string) ([]directory.AgreementVersion, error) {
	all, err := list(ctx, db, func(r scanner) (directory.AgreementVersion, error) {
		var v directory.AgreementVersion
		err := r.Scan(&v.Agreement, &v.Version, &v.Title, &v.Text, &v.Hash, &v.Author, (*instant)(&v.Created))
		return v, err
	}, `SELECT name, version, title, text, hash, author, created FROM agreement_version WHERE name = ? ORDER BY version DESC`, name)
	if err != nil {
		return nil, fmt.Errorf("reading versions of agreement %s: %w", name, err)
	}
	return all, nil
}

// Acceptances returns what is kept of the acceptances of an agreement, by an
// account, or both, the newest first. An empty agreement or account selects all.
func (db *DB) Acceptances(ctx context.Context, agreement, account string) ([]directory.Evidence, error) {
	all, err := list(ctx, db, func(r scanner) (directory.Evidence, error) {
		var e directory.Evidence
		err := r.Scan(&e.Account, &e.Agreement, &e.Version, (*instant)(&e.At), &e.IP, &e.TypedName, &e.Hash,
			&e.Email, &e.Name, &e.Vendor, &e.UserAgent, &e.Session, &e.Factor, (*instant)(&e.CodeAt))
		return e, err
	}, `SELECT account, agreement, version, at, ip, typed_name, hash, email, name, vendor, user_agent, session, factor, code_at
		FROM acceptance WHERE (?1 = '' OR agreement = ?1) AND (?2 = '' OR account = ?2) ORDER BY at DESC, account, agreement, version DESC`, agreement, account)
	if err != nil {
		return nil, fmt.Errorf("reading acceptances: %w", err)
	}
	return all, nil
}
