package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// manyChanges is how many objects a change names one by one in the change table.
const manyChanges = 100

// writeChanges writes the rows, records and notes of changes.
func (db *DB) writeChanges(tx *sql.Tx, actor directory.Actor, have, want *directory.Directory, changes []directory.Change) error {
	w := &rowWriter{db: db, tx: tx, prepared: map[string]*sql.Stmt{}, author: actor.Account}
	if err := db.keptVersions(context.Background(), tx, changes); err != nil {
		return err
	}
	w.before, w.after = idsOf(have, changes), idsOf(want, changes)
	for i := range changes {
		w.remove(&changes[i])
	}
	for i := range changes {
		w.moveAside(&changes[i])
	}
	for i := range changes {
		w.put(&changes[i])
	}
	if w.err != nil {
		return fmt.Errorf("writing directory: %w", w.err)
	}
	if err := db.touchAccounts(tx, actor, changes); err != nil {
		return err
	}
	now := db.now()
	for i := range changes {
		r := changeRecord(actor, &changes[i])
		withoutErased(r, &changes[i])
		w.tellAccount(r, &changes[i])
		r.Time = now
		if err := db.insertRecord(tx, r); err != nil {
			return err
		}
	}
	if err := db.notify(tx, KindOutbox, ""); err != nil {
		return err
	}
	if len(changes) > manyChanges {
		return db.notify(tx, KindDirectory, "")
	}
	for i := range changes {
		if err := db.notify(tx, KindDirectory, refOf(&changes[i], w.before, w.after)); err != nil {
			return err
		}
	}
	return nil
}

// changeRecord returns what the access log says of a change.
func changeRecord(actor directory.Actor, c *directory.Change) *policy.Record {
	r := &policy.Record{
		Type: policy.RecordAdmin, Action: c.Kind + "." + c.Verb(), Result: "ok",
		RequestID: actor.RequestID, SourceIP: actor.IP, Actor: actor.Account, Email: actor.Email,
		Object: c.Object(), Detail: c.Detail,
	}
	of := c.After()
	if of == nil {
		of = c.Before()
	}
	switch o := of.(type) {
	case *directory.Vendor:
		r.Vendor = o.Name
	case *directory.Engagement:
		r.Engagement, r.Vendor = o.Name, o.Vendor
	case *directory.Cluster:
		r.Cluster, r.Classification = o.Name, o.Classification
	case *directory.Account:
		r.Vendor = o.Vendor
	case *directory.Assignment:
		r.Cluster, r.Engagement = o.Cluster, o.Engagement
	}
	return r
}

// withoutErased leaves the address and the name that an erasure takes away out
// of the record about it. What is changed of the account later is told.
func withoutErased(r *policy.Record, c *directory.Change) {
	is, ok := c.After().(*directory.Account)
	if was, had := c.Before().(*directory.Account); !ok || !is.Erased() || had && was.Erased() {
		return
	}
	r.Detail = map[string]string{"erased": "yes"}
	r.Object = "account:" + is.Email
}

// tellAccount adds the id of the account that a change is of, so that what the
// record says of that person can be erased with it.
func (w *rowWriter) tellAccount(r *policy.Record, c *directory.Change) {
	of, id := c.After(), ""
	if of == nil {
		of = c.Before()
	}
	switch o := of.(type) {
	case *directory.Account:
		id = o.ID
		if before, ok := c.Before().(*directory.Account); id == "" && ok {
			id = before.ID
		}
	case *directory.Assignment:
		if id = w.after[o.Account]; id == "" {
			id = w.before[o.Account]
		}
	}
	if id != "" {
		r.Detail = maps.Clone(r.Detail)
		if r.Detail == nil {
			r.Detail = map[string]string{}
		}
		r.Detail[accesslogAccount] = id
	}
}

// accesslogAccount is the key of a record's detail under which the access log
// finds whose personal fields its object and detail are.
const accesslogAccount = "account_id"

// idsOf returns account ids by e-mail, when changes need them.
func idsOf(d *directory.Directory, changes []directory.Change) map[string]string {
	ids := map[string]string{}
	for i := range changes {
		if changes[i].Kind == "assignment" {
			for j := range d.Accounts {
				ids[d.Accounts[j].Email] = d.Accounts[j].ID
			}
			break
		}
	}
	return ids
}

// A rowWriter writes rows until the first error.
type rowWriter struct {
	db            *DB
	tx            *sql.Tx
	prepared      map[string]*sql.Stmt
	before, after map[string]string // account ids by e-mail
	author        string            // account id of who changes, or directory.Operator
	err           error
}

func (w *rowWriter) exec(query string, args ...any) {
	if w.err != nil {
		return
	}
	s := w.prepared[query]
	if s == nil {
		if s, w.err = w.tx.Prepare(query); w.err != nil {
			return
		}
		w.prepared[query] = s // closed with the transaction
	}
	_, w.err = s.Exec(args...)
}

// one executes a statement that must touch exactly one row.
func (w *rowWriter) one(query string, args ...any) {
	if w.err != nil {
		return
	}
	res, err := w.tx.Exec(query, args...)
	if err != nil {
		w.err = err
		return
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		w.err = fmt.Errorf("%d rows where one was meant", n)
	}
}

// remove deletes rows before any is written: a new object may take a name,
// address or host that an old one gives up.
func (w *rowWriter) remove(c *directory.Change) {
	if c.After() != nil {
		return
	}
	switch o := c.Before().(type) {
	case *directory.Vendor:
		w.one(`DELETE FROM vendor WHERE name = ?`, o.Name)
	case *directory.Agreement:
		w.one(`DELETE FROM agreement WHERE name = ?`, o.Name)
	case *directory.Engagement:
		w.one(`DELETE FROM engagement WHERE name = ?`, o.Name)
	case *directory.Cluster:
		w.one(`DELETE FROM cluster WHERE name = ?`, o.Name)
	case *directory.Account:
		w.one(`DELETE FROM account WHERE id = ?`, o.ID)
	case *directory.Assignment:
		w.one(`DELETE FROM assignment WHERE account = ? AND cluster = ?`, w.before[o.Account], o.Cluster)
	}
}

// moveAside takes addresses away that change, so that two accounts can
// exchange theirs.
func (w *rowWriter) moveAside(c *directory.Change) {
	old, ok := c.Before().(*directory.Account)
	if !ok || c.After() == nil {
		return
	}
	if a := c.After().(*directory.Account); a.Email != old.Email {
		w.one(`UPDATE account SET email = '#' || id WHERE id = ?`, a.ID)
	}
}

func (w *rowWriter) put(c *directory.Change) {
	switch o := c.After().(type) {
	case *directory.Vendor:
		w.exec(`INSERT INTO vendor (name, title, owner_name, owner_email, suspended, suspended_reason) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET title = excluded.title, owner_name = excluded.owner_name, owner_email = excluded.owner_email,
			suspended = excluded.suspended, suspended_reason = excluded.suspended_reason`,
			o.Name, o.Title, o.Owner.Name, o.Owner.Email, o.Suspended, o.SuspendedReason)
		before, _ := c.Before().(*directory.Vendor)
		w.putProvider(before, o)
		if o.Suspended {
			w.stop(`SELECT id FROM account WHERE vendor = ?`, o.Name)
		}
	case *directory.Agreement:
		w.exec(`INSERT INTO agreement_version (name, version, title, text, hash, created, author) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			o.Name, o.Version, o.Title, o.Text, directory.TextHash(o.Text), w.db.now().UnixNano(), w.author)
		w.exec(`INSERT INTO agreement (name, title, version) VALUES (?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET title = excluded.title, version = excluded.version`, o.Name, o.Title, o.Version)
	case *directory.Engagement:
		w.exec(`INSERT INTO engagement (name, vendor, title, starts, ends, closed, clusters, agreements, trust_provider_factor, phishing_resistant, session_idle, session_absolute, access_tokens) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET vendor = excluded.vendor, title = excluded.title, starts = excluded.starts, ends = excluded.ends,
			closed = excluded.closed, clusters = excluded.clusters, agreements = excluded.agreements, trust_provider_factor = excluded.trust_provider_factor, phishing_resistant = excluded.phishing_resistant,
			session_idle = excluded.session_idle, session_absolute = excluded.session_absolute, access_tokens = excluded.access_tokens`,
			o.Name, o.Vendor, o.Title, column(o.Starts), column(o.Ends), o.Closed, encode(w, o.Clusters), encode(w, o.Agreements), o.TrustProviderFactor, o.PhishingResistant, int64(o.Session.Idle), int64(o.Session.Absolute), o.AccessTokens)
	case *directory.Cluster:
		w.exec(`INSERT INTO cluster (name, title, classification, owner_name, owner_email, hosts, routes, log_mode) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET title = excluded.title, classification = excluded.classification,
			owner_name = excluded.owner_name, owner_email = excluded.owner_email, hosts = excluded.hosts, routes = excluded.routes, log_mode = excluded.log_mode`,
			o.Name, o.Title, o.Classification, o.Owner.Name, o.Owner.Email, encode(w, o.Hosts), encode(w, o.Routes), o.LogMode)
	case *directory.Account:
		w.exec(`INSERT INTO account (id, email, name, vendor, roles, ends, disabled, created, time_zone, log_clusters) VALUES (?, ?, ?, nullif(?, ''), ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET email = excluded.email, name = excluded.name, vendor = excluded.vendor,
			roles = excluded.roles, ends = excluded.ends, disabled = excluded.disabled, time_zone = excluded.time_zone, log_clusters = excluded.log_clusters`,
			o.ID, o.Email, o.Name, o.Vendor, encode(w, o.Roles), column(o.Ends), o.Disabled, o.Created.UnixNano(), o.TimeZone, encode(w, o.LogClusters))
		if o.Disabled {
			w.stop(`SELECT ?`, o.ID)
		}
	case *directory.Assignment:
		w.exec(`INSERT INTO assignment (account, cluster, engagement, starts, ends, access, methods, paths, reason, given_by)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (account, cluster) DO UPDATE SET engagement = excluded.engagement, starts = excluded.starts, ends = excluded.ends,
			access = excluded.access, methods = excluded.methods, paths = excluded.paths, reason = excluded.reason, given_by = excluded.given_by`,
			w.after[o.Account], o.Cluster, o.Engagement, column(o.Starts), column(o.Ends), o.Access,
			encode(w, o.Methods), encode(w, o.Paths), o.Reason, o.GivenBy)
	}
}

// stop removes the sign-ins under way of the accounts that a query names:
// they must not go on once the accounts are let in again. Their sessions,
// tokens and machines are ended by auth, which records it.
func (w *rowWriter) stop(query string, arg any) {
	w.exec(`DELETE FROM login_flow WHERE account IN (`+query+`)`, arg)
	w.exec(`DELETE FROM device_grant WHERE account IN (`+query+`)`, arg)
}

func encode[T any](w *rowWriter, list []T) string {
	s, err := asJSON(list)
	if err != nil && w.err == nil {
		w.err = err
	}
	return s
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// keptVersions holds agreements against the versions that were ever in force,
// also of agreements that were taken away and come back.
func (db *DB) keptVersions(ctx context.Context, q querier, changes []directory.Change) error {
	var faults directory.Faults
	for i := range changes {
		a, ok := changes[i].After().(*directory.Agreement)
		if !ok {
			continue
		}
		var newest sql.NullInt64
		var hash sql.NullString
		err := q.QueryRowContext(ctx, `SELECT (SELECT max(version) FROM agreement_version WHERE name = ?1),
			(SELECT hash FROM agreement_version WHERE name = ?1 AND version = ?2)`, a.Name, a.Version).Scan(&newest, &hash)
		if err != nil {
			return fmt.Errorf("reading versions of agreement %s: %w", a.Name, err)
		}
		fault := directory.Fault{Object: "agreement " + a.Name}
		switch {
		case int64(a.Version) < newest.Int64:
			fault.Field, fault.Message = "version", fmt.Sprintf("%d is below version %d, which was in force: versions only rise", a.Version, newest.Int64)
		case hash.Valid && hash.String != directory.TextHash(a.Text):
			fault.Field, fault.Message = "text", fmt.Sprintf("the text of version %d never changes: raise the version", a.Version)
		default:
			continue
		}
		faults = append(faults, fault)
	}
	if len(faults) > 0 {
		return faults
	}
	return nil
}
