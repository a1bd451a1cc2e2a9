package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

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
	if l := db.cache.get(version); l != nil {
		return l, nil
	}
	l, err := load(ctx, tx)
	if err != nil {
		return nil, err
	}
	l.version = version
	db.cache.set(l)
	return l, nil
}

// load reads every table of the directory.
func load(ctx context.Context, tx *sql.Tx) (*loaded, error) {
	l := &loaded{directory: &directory.Directory{}}
	d := l.directory
	x := loader{ctx: ctx, tx: tx, words: map[string]string{}, emails: map[string]string{}}
	x.rows(`SELECT name, title, owner_name, owner_email, suspended, suspended_reason FROM vendor`, func(r *sql.Rows) error {
		var v directory.Vendor
		err := r.Scan(&v.Name, &v.Title, &v.Owner.Name, &v.Owner.Email, &v.Suspended, &v.SuspendedReason)
		d.Vendors = append(d.Vendors, v)
		return err
	})
	x.rows(`SELECT a.name, a.title, a.version, v.text FROM agreement a JOIN agreement_version v USING (name, version)`, func(r *sql.Rows) error {
		var a directory.Agreement
		err := r.Scan(&a.Name, &a.Title, &a.Version, &a.Text)
		d.Agreements = append(d.Agreements, a)
		return err
	})
	x.rows(`SELECT name, vendor, title, starts, ends, closed, clusters, agreements FROM engagement`, func(r *sql.Rows) error {
		var e directory.Engagement
		err := r.Scan(&e.Name, &e.Vendor, &e.Title, (*instant)(&e.Starts), (*instant)(&e.Ends), &e.Closed, scanJSON(&e.Clusters), scanJSON(&e.Agreements))
		d.Engagements = append(d.Engagements, e)
		return err
	})
	x.rows(`SELECT name, title, classification, owner_name, owner_email, hosts, routes FROM cluster`, func(r *sql.Rows) error {
		var c directory.Cluster
		err := r.Scan(&c.Name, &c.Title, &c.Classification, &c.Owner.Name, &c.Owner.Email, scanJSON(&c.Hosts), scanJSON(&c.Routes))
		d.Clusters = append(d.Clusters, c)
		return err
	})
	x.rows(`SELECT id, email, name, vendor, roles, ends, disabled, created, enrolled_at, last_login FROM account`, func(r *sql.Rows) error {
		a, err := x.account(r)
		d.Accounts = append(d.Accounts, a)
		return err
	})
	x.rows(`SELECT account, cluster, engagement, starts, ends, access, methods, paths, reason, given_by FROM assignment`, func(r *sql.Rows) error {
		a, err := x.assignment(r)
		d.Assignments = append(d.Assignments, a)
		return err
	})
	x.rows(`SELECT account, agreement, version, at, ip, typed_name, hash FROM acceptance`, func(r *sql.Rows) error {
		var a directory.Acceptance
		err := r.Scan(&a.Account, &a.Agreement, &a.Version, (*instant)(&a.At), &a.IP, &a.TypedName, &a.Hash)
		l.acceptances = append(l.acceptances, a)
		return err
	})
	return l, x.err
}

// A loader reads tables until the first error.
type loader struct {
	ctx    context.Context
	tx     *sql.Tx
	err    error
	words  map[string]string // texts that many rows share, kept once
	emails map[string]string // by account id
}

func (x *loader) rows(query string, scan func(*sql.Rows) error) {
	if x.err != nil {
		return
	}
	rows, err := x.tx.QueryContext(x.ctx, query)
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

func (x *loader) account(r *sql.Rows) (directory.Account, error) {
	var a directory.Account
	var vendor, roles sql.RawBytes
	var enrolled sql.NullInt64
	err := r.Scan(&a.ID, &a.Email, &a.Name, &vendor, &roles, (*instant)(&a.Ends), &a.Disabled,
		(*instant)(&a.Created), &enrolled, (*instant)(&a.LastLogin))
	if err != nil {
		return a, err
	}
	a.Vendor = x.word(vendor)
	if err := json.Unmarshal(roles, &a.Roles); err != nil {
		return a, fmt.Errorf("roles of account %s: %w", a.ID, err)
	}
	a.Status = policy.StatusInvited
	switch {
	case a.Disabled:
		a.Status = policy.StatusDisabled
	case enrolled.Valid:
		a.Status = policy.StatusActive
	}
	x.emails[a.ID] = a.Email
	return a, nil
}

func (x *loader) assignment(r *sql.Rows) (directory.Assignment, error) {
	var a directory.Assignment
	var account, cluster, engagement, access, methods, paths, reason, by sql.RawBytes
	err := r.Scan(&account, &cluster, &engagement, (*instant)(&a.Starts), (*instant)(&a.Ends), &access, &methods, &paths, &reason, &by)
	if err != nil {
		return a, err
	}
	a.Account = x.emails[string(account)]
	a.Cluster, a.Engagement, a.Access = x.word(cluster), x.word(engagement), x.word(access)
	a.Reason, a.GivenBy = x.word(reason), x.word(by)
	for _, l := range [...]struct {
		from sql.RawBytes
		to   *[]string
	}{{methods, &a.Methods}, {paths, &a.Paths}} {
		if string(l.from) == "[]" {
			continue
		}
		if err := json.Unmarshal(l.from, l.to); err != nil {
			return a, fmt.Errorf("assignment of account %s: %w", account, err)
		}
	}
	return a, nil
}

// word returns b as text, the same text for the same bytes.
func (x *loader) word(b sql.RawBytes) string {
	if w, ok := x.words[string(b)]; ok {
		return w
	}
	w := string(b)
	if len(x.words) < 1<<16 {
		x.words[w] = w
	}
	return w
}

// An instant is a time as the tables keep it: nanoseconds since 1970, NULL for
// the zero time.
type instant time.Time

// Scan reads a column.
func (t *instant) Scan(v any) error {
	switch n := v.(type) {
	case nil:
		*t = instant{}
	case int64:
		*t = instant(time.Unix(0, n).UTC())
	default:
		return fmt.Errorf("a time is kept as %T", v)
	}
	return nil
}

// column returns a time as a column's value.
func column(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixNano()
}

// jsonColumn reads a column that holds JSON.
type jsonColumn struct{ to any }

func scanJSON(to any) sql.Scanner { return jsonColumn{to} }

// Scan reads a column.
func (j jsonColumn) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("a list is kept as %T", v)
	}
	return json.Unmarshal([]byte(s), j.to)
}

// asJSON returns a list as a column's value; none is [].
func asJSON[T any](list []T) (string, error) {
	if len(list) == 0 {
		return "[]", nil
	}
	b, err := json.Marshal(list)
	return string(b), err
}
