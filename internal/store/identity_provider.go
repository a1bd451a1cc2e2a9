package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/directory"
)

// Secrets seals what must not be read from the file, each for one place:
// table, column and row.
type Secrets interface {
	SealSecret(table, column, row string, plain []byte) []byte
	OpenSecret(table, column, row string, sealed []byte) ([]byte, error)
}

// UseSecrets gives the database what seals the directory's secrets. Without
// it, an edit that gives a secret is refused. Call it once, before such an edit.
func (db *DB) UseSecrets(s Secrets) { db.secrets = s }

// The place of a client secret; the row is the vendor's name.
const (
	providerTable  = "identity_provider"
	providerSecret = "client_secret"
)

// settleSecrets seals the client secrets that an edit gives and puts back the
// stored ones of which it says nothing. A stored secret stays with the
// registration that it was given for: whoever may edit must not be able to
// have it sent to another address.
func (db *DB) settleSecrets(have, want *directory.Directory) error {
	stored := map[string]*directory.IdentityProvider{}
	for i := range have.Vendors {
		stored[have.Vendors[i].Name] = have.Vendors[i].IdentityProvider
	}
	var faults directory.Faults
	for i := range want.Vendors {
		v := &want.Vendors[i]
		p, old := v.IdentityProvider, stored[v.Name]
		if p == nil {
			continue
		}
		fault := directory.Fault{Object: "vendor " + v.Name, Field: "identity_provider.client_secret"}
		switch {
		case p.SecretFile != "" || p.SecretEnv != "":
			fault.Message = "has not been read from where the file says it is"
			faults = append(faults, fault)
		case p.ClientSecret != "":
			if err := db.sealClientSecret(v.Name, p, old); err != nil {
				return err
			}
		case p.SameRegistration(old):
			p.Sealed = old.Sealed
		case old != nil && len(old.Sealed) > 0:
			fault.Message = "is needed again: the stored one is for another issuer or client ID"
			faults = append(faults, fault)
		default:
			p.Sealed = nil
		}
	}
	if len(faults) > 0 {
		return faults
	}
	return nil
}

// sealClientSecret seals a secret unless it is the one that is stored.
func (db *DB) sealClientSecret(vendor string, p, old *directory.IdentityProvider) error {
	if db.secrets == nil {
		return errors.New("sealing a client secret: the root key is not at hand")
	}
	plain := []byte(p.ClientSecret)
	p.ClientSecret = ""
	if p.SameRegistration(old) && len(old.Sealed) > 0 {
		// One that cannot be opened any more is replaced.
		was, err := db.secrets.OpenSecret(providerTable, providerSecret, vendor, old.Sealed)
		if err == nil && string(was) == string(plain) {
			p.Sealed = old.Sealed
			return nil
		}
	}
	p.Sealed = db.secrets.SealSecret(providerTable, providerSecret, vendor, plain)
	return nil
}

// putProvider writes a vendor's provider. The secret is written only when it
// is another one: what is in memory may be sealed under a root key that has
// been replaced meanwhile.
func (w *rowWriter) putProvider(before, v *directory.Vendor) {
	p := v.IdentityProvider
	if p == nil {
		w.exec(`DELETE FROM identity_provider WHERE vendor = ?`, v.Name)
		return
	}
	keep := before != nil && before.IdentityProvider != nil && string(before.IdentityProvider.Sealed) == string(p.Sealed)
	w.exec(`INSERT INTO identity_provider (vendor, issuer, client_id, sealed_client_secret, scopes, domains, trusted_amr, required, ca)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
		ON CONFLICT (vendor) DO UPDATE SET issuer = excluded.issuer, client_id = excluded.client_id,
		sealed_client_secret = CASE WHEN ?10 THEN sealed_client_secret ELSE excluded.sealed_client_secret END,
		scopes = excluded.scopes, domains = excluded.domains, trusted_amr = excluded.trusted_amr, required = excluded.required, ca = excluded.ca`,
		v.Name, p.Issuer, p.ClientID, orNull(p.Sealed), encode(w, p.Scopes), encode(w, p.Domains), encode(w, p.TrustedAMR), p.Required, p.CA, keep)
}

func orNull(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

const selectProvider = `SELECT vendor, issuer, client_id, sealed_client_secret, scopes, domains, trusted_amr, required, ca FROM identity_provider`

func scanProvider(r scanner) (vendor string, p directory.IdentityProvider, err error) {
	err = r.Scan(&vendor, &p.Issuer, &p.ClientID, &p.Sealed, scanJSON(&p.Scopes), scanJSON(&p.Domains), scanJSON(&p.TrustedAMR), &p.Required, &p.CA)
	for _, l := range []*[]string{&p.Scopes, &p.Domains, &p.TrustedAMR} {
		if len(*l) == 0 {
			*l = nil
		}
	}
	return vendor, p, err
}

// providers reads the vendors' providers into d.
func (x *loader) providers(d *directory.Directory) {
	all := map[string]*directory.IdentityProvider{}
	x.rows(selectProvider, func(r *sql.Rows) error {
		vendor, p, err := scanProvider(r)
		all[vendor] = &p
		return err
	})
	for i := range d.Vendors {
		d.Vendors[i].IdentityProvider = all[d.Vendors[i].Name]
	}
}

// IdentityProvider returns the vendor's provider, or [auth.ErrNotFound].
func (db *DB) IdentityProvider(ctx context.Context, vendor string) (auth.IdentityProvider, error) {
	name, p, err := scanProvider(db.read().QueryRowContext(ctx, selectProvider+` WHERE vendor = ?`, vendor))
	if err != nil {
		return auth.IdentityProvider{}, missing(err, "reading identity provider")
	}
	return auth.IdentityProvider{Vendor: name, Issuer: p.Issuer, ClientID: p.ClientID, SealedSecret: p.Sealed, Scopes: p.Scopes,
		Domains: p.Domains, TrustedAMR: p.TrustedAMR, Required: p.Required, CA: p.CA}, nil
}

// PinnedSubject returns who the account is at its provider, or [auth.ErrNotFound].
func (db *DB) PinnedSubject(ctx context.Context, account string) (auth.PinnedSubject, error) {
	p := auth.PinnedSubject{Account: account}
	err := db.read().QueryRowContext(ctx, `SELECT issuer, subject, at FROM provider_subject WHERE account = ?`, account).
		Scan(&p.Issuer, &p.Subject, (*instant)(&p.At))
	if err != nil {
		return auth.PinnedSubject{}, missing(err, "reading provider's subject")
	}
	return p, nil
}

// PinSubject stores who the account is at its provider, unless it is somebody
// there already or the subject is another account's: one statement, of which
// of several callers one wins.
func (db *DB) PinSubject(ctx context.Context, p auth.PinnedSubject) (won bool, err error) {
	err = db.write(ctx, func(tx *sql.Tx) error {
		if err := ensureAccount(ctx, tx, p.Account); err != nil {
			return err
		}
		won, err = execOne(ctx, tx, `INSERT INTO provider_subject (account, issuer, subject, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			p.Account, p.Issuer, p.Subject, column(p.At))
		return err
	})
	return won && err == nil, err
}

// UnpinSubject forgets who the account is at its provider.
func (db *DB) UnpinSubject(ctx context.Context, account string) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM provider_subject WHERE account = ?`, account)
		return err
	})
}

// TrustsProvider reports whether an engagement in force, under which the
// account has an assignment in force, takes its provider's second factor for ours.
func (db *DB) TrustsProvider(ctx context.Context, account string, now time.Time) (trusts bool, err error) {
	err = db.read().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM assignment s JOIN engagement e ON e.name = s.engagement JOIN account a ON a.id = s.account
		WHERE s.account = ?1 AND e.trust_provider_factor = 1 AND e.vendor = a.vendor AND e.closed = 0
		AND e.starts <= ?2 AND ?2 < e.ends AND s.starts <= ?2 AND ?2 < s.ends)`, account, now.UnixNano()).Scan(&trusts)
	if err != nil {
		return false, fmt.Errorf("reading engagements: %w", busy(err))
	}
	return trusts, nil
}
