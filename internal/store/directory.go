package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// Directory returns the directory and all acceptances, as one moment had them.
// They are shared with other callers and must not be changed: edit a
// [directory.Directory.Clone], or through [DB.Change].
func (db *DB) Directory(ctx context.Context) (*directory.Directory, []directory.Acceptance, error) {
	tx, err := db.read().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, nil, fmt.Errorf("reading directory: %w", busy(err))
	}
	defer tx.Rollback()
	l, err := db.current(ctx, tx)
	if err != nil {
		return nil, nil, fmt.Errorf("reading directory: %w", err)
	}
	return l.directory, l.acceptances, nil
}

// current returns the directory as tx sees it.
func (db *DB) current(ctx context.Context, tx *sql.Tx) (*loaded, error) {
	var version int64
	if err := tx.QueryRowContext(ctx, `SELECT version FROM directory_state`).Scan(&version); err != nil {
		return nil, err
	}
	old := db.cache.get()
	if old != nil && old.version == version {
		return old, nil
	}
	note, err := newest(ctx, tx)
	if err != nil {
		return nil, err
	}
	var l *loaded
	if old != nil && old.version < version && old.note <= note {
		if l, err = refresh(ctx, tx, old); err != nil {
			return nil, err
		}
	}
	if l == nil {
		if l, err = load(ctx, tx); err != nil {
			return nil, err
		}
	}
	l.version, l.note = version, note
	db.cache.set(l)
	return l, nil
}

// load reads every table of the directory.
func load(ctx context.Context, tx *sql.Tx) (*loaded, error) {
	l := &loaded{directory: &directory.Directory{}}
	d, x := l.directory, newLoader(ctx, tx)
	x.vendors(d)
	x.agreements(d)
	x.engagements(d)
	x.clusters(d)
	x.rows(accountColumns, func(r *sql.Rows) error {
		a, err := x.account(r)
		x.emails[a.ID] = a.Email
		d.Accounts = append(d.Accounts, a)
		return err
	})
	x.rows(assignmentColumns, func(r *sql.Rows) error {
		a, err := x.assignment(r)
		d.Assignments = append(d.Assignments, a)
		return err
	})
	x.rows(acceptanceColumns, func(r *sql.Rows) error {
		a, err := acceptance(r)
		l.acceptances = append(l.acceptances, a)
		return err
	})
	return l, x.err
}

func (x *loader) vendors(d *directory.Directory) {
	d.Vendors = nil
	x.rows(`SELECT name, title, owner_name, owner_email, suspended, suspended_reason FROM vendor`, func(r *sql.Rows) error {
		var v directory.Vendor
		err := r.Scan(&v.Name, &v.Title, &v.Owner.Name, &v.Owner.Email, &v.Suspended, &v.SuspendedReason)
		d.Vendors = append(d.Vendors, v)
		return err
	})
	x.providers(d)
}

func (x *loader) agreements(d *directory.Directory) {
	d.Agreements = nil
	x.rows(`SELECT a.name, a.title, a.version, v.text FROM agreement a JOIN agreement_version v USING (name, version)`, func(r *sql.Rows) error {
		var a directory.Agreement
		err := r.Scan(&a.Name, &a.Title, &a.Version, &a.Text)
		d.Agreements = append(d.Agreements, a)
		return err
	})
}

func (x *loader) engagements(d *directory.Directory) {
	d.Engagements = nil
	x.rows(`SELECT name, vendor, title, starts, ends, closed, clusters, agreements, trust_provider_factor, phishing_resistant, session_idle, session_absolute, access_tokens FROM engagement`, func(r *sql.Rows) error {
		var e directory.Engagement
		err := r.Scan(&e.Name, &e.Vendor, &e.Title, (*instant)(&e.Starts), (*instant)(&e.Ends), &e.Closed, scanJSON(&e.Clusters), scanJSON(&e.Agreements), &e.TrustProviderFactor, &e.PhishingResistant,
			(*int64)(&e.Session.Idle), (*int64)(&e.Session.Absolute), &e.AccessTokens)
		d.Engagements = append(d.Engagements, e)
		return err
	})
}

func (x *loader) clusters(d *directory.Directory) {
	d.Clusters = nil
	x.rows(`SELECT name, title, classification, owner_name, owner_email, hosts, routes, log_mode FROM cluster`, func(r *sql.Rows) error {
		var c directory.Cluster
		err := r.Scan(&c.Name, &c.Title, &c.Classification, &c.Owner.Name, &c.Owner.Email, scanJSON(&c.Hosts), scanJSON(&c.Routes), &c.LogMode)
		d.Clusters = append(d.Clusters, c)
		return err
	})
}

const acceptanceColumns = `SELECT account, agreement, version, at, ip, typed_name, hash FROM acceptance`

func acceptance(r *sql.Rows) (directory.Acceptance, error) {
	var a directory.Acceptance
	err := r.Scan(&a.Account, &a.Agreement, &a.Version, (*instant)(&a.At), &a.IP, &a.TypedName, &a.Hash)
	return a, err
}

// A loader reads tables until the first error.
type loader struct {
	ctx    context.Context
	tx     *sql.Tx
	err    error
	words  map[string]string // texts that many rows share, kept once
	emails map[string]string // by account id

	contractor [1]policy.Role // shared: nobody changes what was loaded
}

func newLoader(ctx context.Context, tx *sql.Tx) *loader {
	return &loader{ctx: ctx, tx: tx, words: map[string]string{}, emails: map[string]string{}, contractor: [1]policy.Role{policy.Contractor}}
}

func (x *loader) rows(query string, scan func(*sql.Rows) error, args ...any) {
	if x.err != nil {
		return
	}
	rows, err := x.tx.QueryContext(x.ctx, query, args...)
	if err != nil {
		x.err = err
		return
	}
	defer rows.Close()
	for rows.Next() {
		if x.err = scan(rows); x.err != nil {
			return
		}
	}
	x.err = rows.Err()
}
